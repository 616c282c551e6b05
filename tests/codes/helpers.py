"""Neurons, encoders and decoders of any code as small modules, run by meaning or by PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.ir.codes import (
    AverageSpike,
    Burst,
    Code,
    Differential,
    FewSpikes,
    FirstSpike,
    LayerSync,
    MultiThreshold,
    Phase,
    Rate,
    Stepwise,
)
from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.snn import Decode, Encode, Psp
from ranvier.ir.types import tensor
from tests.conversion.helpers import RUNTIMES, each_runtime

Array = np.ndarray[Any, Any]
both = pytest.mark.parametrize("runtime", list(each_runtime()))

# A code and a number of steps for it.
CASES: list[tuple[Code, int]] = [
    (Rate(encoder="regular"), 8),
    (Rate(encoder="regular", signed=True), 8),
    (Rate(encoder="regular", levels=3), 4),
    (Phase(period=6), 6),
    (Phase(period=4, signed=True), 4),
    (Phase(period=4), 16),
    (Burst(), 16),
    (Burst(beta=2.0, v_th=0.5), 16),
    (Burst(beta=1.0), 8),
    (FewSpikes(K=5), 5),
    (FewSpikes(K=5, round="floor"), 5),
    (FewSpikes(K=4, signed=True), 4),
    (FirstSpike(tau=4.0), 16),
    (FirstSpike(tau=4.0, t_d=2.0, round="ceil"), 16),
    (AverageSpike(tau=4.0, spikes=3), 16),
    (MultiThreshold(levels=4), 2),
    (MultiThreshold(levels=3, signed=True), 4),
    (MultiThreshold(levels=5, rule="nearest"), 8),
    (MultiThreshold(levels=4, rule="nearest", signed=True), 8),
    (Differential(), 16),
    (Differential(levels=3), 8),
]
every = pytest.mark.parametrize(("code", "steps"), CASES, ids=[f"{c} T={t}" for c, t in CASES])


def neuron(
    code: Code, steps: int, theta: float, v0: float, schedule: Any = None, negative: str = "free", **attributes: Any
) -> Module:
    """One layer of neurons of a code on a current [T, N, 3]: spikes, final membrane and psp."""
    schedule = schedule or (Stepwise() if code.needs_stepwise else LayerSync())
    signs = {"negative": negative, "lower": "zero"} if code.signed else {}
    module = Module("neuron")
    b = Builder(module.new_graph("main"))
    current = b.graph.argument("current", tensor("N", 3, time=steps))
    element = Elem(code.element().storage, Affine(theta))
    start = b.constant(np.float32(v0), "v0")
    spikes, state, _ = b(
        Neuron, current, None, start, code=code, elem=element, schedule=schedule, **signs, **attributes
    )
    b.returns(spikes, state, b(Psp, spikes), b(Decode, spikes))
    return module.verify().freeze()


def encoder(code: Code, steps: int, scale: float = 1.0) -> Module:
    """Values [N, 3] to spikes and back."""
    module = Module("encoder")
    b = Builder(module.new_graph("main"))
    x = b.graph.argument("x", tensor("N", 3))
    spikes = b(Encode, x, code=code, steps=steps, elem=Elem(code.element().storage, Affine(scale)), key="x")
    b.returns(spikes, b(Decode, spikes))
    return module.verify().freeze()


def run(module: Module, x: Array, runtime: str) -> list[Array]:
    """All outputs, in float64."""
    return [np.asarray(a).astype(np.float64) for a in RUNTIMES[runtime].run(module, [x]).outputs]


def constant(z: Array, steps: int) -> Array:
    """The same current at every step."""
    return np.broadcast_to(z, (steps, *z.shape)).astype(np.float32)


def dyadic(count: int, low: float, high: float, bits: int, seed: int = 0) -> Array:
    """Multiples of 2^-bits between two numbers, [count, 3]."""
    one = 1 << bits
    drawn = np.random.default_rng(seed).integers(int(low * one), int(high * one) + 1, (count, 3))
    return (drawn / one).astype(np.float32)
