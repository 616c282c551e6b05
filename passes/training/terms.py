"""Terms of the objective beside the task: the kernel's distance from where it began, and the batch norms' ranges.

Source: Park & Yoon, "Training energy-efficient deep SNNs with time-to-first-spike coding" (2021);
coding card 5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Value
from ranvier.ir.ops.arith import Abs, Add, Div, Erf, Exp, Mul, Neg, Sub
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.ops.reduce import Mean, Sum
from ranvier.passes.training.surrogate import Neuron, Surrogate


def kernel_term(net: Surrogate, weight: float) -> Value | None:
    """weight * sum over all trainable fields of (field - where it began)^2; None without fields."""
    b = _at_end(net)
    total: Value | None = None
    for neuron in net.neurons.values():
        for p in neuron.parameters:
            began = b.constant(net.module.array(p).copy(), f"{p.name}.began")
            off = b(Sub, p, began)
            square = b(Mul, off, off)
            total = square if total is None else b(Add, total, square)
    return None if total is None else _weighted(b, total, weight, "kernel_regularisation")


def batchnorm_term(net: Surrogate, kind: str, weight: float) -> Value | None:
    """weight times the mean over layers and channels of how much of a batch norm's output lies where `kind` says.

    The output of a batch norm is taken as normal with mean beta and deviation |gamma|. A value is encodable between
    x_T = theta exp((t_d - last) / tau), the least that the last step fires, and x_0 = theta exp(t_d / tau).
    `encodable`: the mass between them, which is the expected number of spikes a neuron. `outside`: the positive mass
    below x_T and above x_0, which the kernel cannot say. `trapezoid`: `encodable` by (x_0 - x_T) times the mean density
    at both ends. None when no activation follows a batch norm directly.
    """
    b = _at_end(net)
    terms = []
    for neuron in net.neurons.values():
        before = neuron.op.x.op
        if isinstance(before, BatchNorm) and len(neuron.parameters) == 2:
            terms.append(_mass(b, net, neuron, before, kind))
    if not terms:
        return None
    total = terms[0]
    for term in terms[1:]:
        total = b(Add, total, term)
    return _weighted(b, total, weight / len(terms), "batchnorm_loss")


def _at_end(net: Surrogate) -> Builder:
    last = net.module.main.terminator
    return Builder(net.module.main, last, last.location)


def _weighted(b: Builder, total: Value, weight: float, name: str) -> Value:
    flat = b(Sum, total) if total.type.rank else total
    out: Value = b(Mul, flat, b.constant(np.float32(weight), f"{name}.weight"), name=name)
    return out


def _mass(b: Builder, net: Surrogate, neuron: Neuron, norm: BatchNorm, kind: str) -> Value:
    """One layer's mean over channels."""
    code: Any = neuron.layer.code
    tau, t_d = neuron.parameters
    theta = b.constant(neuron.layer.theta.reshape(-1).astype(np.float32), f"{neuron.op.result.name}.range")
    last = b.constant(np.float32(code.last_start(neuron.op.steps)), "last")
    low = b(Mul, theta, b(Exp, b(Div, b(Sub, t_d, last), tau)))
    high = b(Mul, theta, b(Exp, b(Div, t_d, tau)))
    gamma, beta = norm.scale, norm.bias
    deviation = b(Add, b(Abs, gamma), b.constant(np.float32(1e-6), "least"))
    if kind == "trapezoid":
        ends = [_density(b, v, beta, deviation) for v in (low, high)]
        mass = b(Mul, b(Sub, high, low), b(Mul, b(Add, *ends), b.constant(np.float32(0.5), "half")))
    else:
        mass = b(Sub, _below(b, high, beta, deviation), _below(b, low, beta, deviation))
    if kind == "outside":
        zero = b.constant(np.float32(0), "zero")
        positive = b(Sub, b.constant(np.float32(1), "one"), _below(b, zero, beta, deviation))
        mass = b(Sub, positive, mass)
    out: Value = b(Mean, mass)
    return out


def _below(b: Builder, x: Value, mean: Value, deviation: Value) -> Value:
    """P(X <= x) of a normal X."""
    scaled = b(Div, b(Sub, x, mean), b(Mul, deviation, b.constant(np.float32(math.sqrt(2)), "root")))
    half = b.constant(np.float32(0.5), "half")
    out: Value = b(Add, half, b(Mul, half, b(Erf, scaled)))
    return out


def _density(b: Builder, x: Value, mean: Value, deviation: Value) -> Value:
    """The normal density at x."""
    u = b(Div, b(Sub, x, mean), deviation)
    half = b(Mul, b(Mul, u, u), b.constant(np.float32(0.5), "half"))
    root = b.constant(np.float32(math.sqrt(2 * math.pi)), "root")
    out: Value = b(Div, b(Exp, b(Neg, half)), b(Mul, deviation, root))
    return out
