"""`snn.code_value`: a window of a neuron as one number, with a gradient: networks of spikes are trained through it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ranvier.ir.codes import Code
from ranvier.ir.codes.neurons import FireRule
from ranvier.ir.core import require_tensor
from ranvier.ir.elements import elem
from ranvier.ir.ops.noise import bar_of
from ranvier.ir.ops.snn import check_parameter, check_steps, spread_bias
from ranvier.ir.schema import enum, integer, operand, optional, real, record, text, variadic
from ranvier.ir.timing import WindowedOp
from ranvier.ir.types import TensorType, Type


class CodeValue(WindowedOp, name="snn.code_value"):
    """What a neuron of a code under layer_sync gives for a constant current x over a window of T steps: dec(enc(x)).

    The value is that of the neuron's own firing rule and psp, step by step, in real units: with the scale theta as the
    neuron's threshold, `core.repeat(x)`, `snn.neuron(schedule=layer_sync)`, `snn.psp` and the mean over T give the same
    (bit for bit where the sums are exact). `parameters` are the fields of the code that may be trained
    (`Code.trainable`), in order; without them the code's own hold. `v0` is in thresholds.
    With probability `bypass` an element is max(x, 0) instead (x, for codes with negative spikes): the stochastically
    relaxed activation. Draws are keyed by (seed, key, trial, sample, 0, element). The gradient takes rounding as the
    identity, in the domain in which the code rounds (`Code.relaxed`): for ttfs in the logarithm.
    Source: Park & Yoon, "Training energy-efficient deep SNNs with time-to-first-spike coding" (2021).
    """

    draws = True
    x = operand("the mean current of a window: reals without time; the first axis counts samples")
    theta = optional("threshold and scale: one number, one a channel (axis 1), or a tensor that broadcasts; default 1")
    parameters = variadic("trainable fields of the code, a number each: none or all of them")
    code = record("code", help="the spike code")
    steps = integer(help="number of timesteps T of the window", min=1)
    v0 = real(0.0, "membrane before the first step, in thresholds")
    negative = enum("none", "gated", "free", default="none", help="whether spikes may be negative, as of snn.neuron")
    lower = enum("threshold", "zero", default="threshold", help="where negative spikes are fired, as of snn.neuron")
    bypass = real(0.0, "probability that an element is max(x, 0)", min=0, max=1)
    key = text("", "names this op's random draws")
    seed = integer(0, "seed of the random draws")

    @property
    def is_random(self) -> bool:
        """Whether this op draws."""
        return self.bypass > 0

    @property
    def rule(self) -> FireRule:
        """How the membrane fires and falls."""
        return FireRule(self.code.largest, negative=self.negative, lower=self.lower)

    def infer(self, x: Any, theta: Any, *parameters: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        if kind.time is not None or not kind.elem.is_float:
            raise self.fail("type-mismatch", f"takes reals without time, not {kind}", "it stands for a whole window")
        if self.is_random and not kind.rank:
            raise self.fail("shape-mismatch", "draws for each sample, but x has no axis that counts samples")
        if not self.code.integrates:
            raise self.fail("bad-value", f"fires {self.code}, which no neuron does")
        if (self.code.alphabet()[0] < 0) != (self.negative != "none"):
            want = "negative=gated or free" if self.code.signed else "negative=none"
            raise self.fail("alphabet", f"fires spikes of {self.code} with negative={self.negative}", f"use {want}")
        if self.code.needs_stepwise:
            raise self.fail(
                "bad-value", f"fires {self.code} on a whole window", "this code needs its input step by step"
            )
        check_steps(self, self.code, self.steps)
        if theta is not None:
            check_parameter(self, "theta", theta, kind)
        names = self.code.trainable
        if parameters and len(parameters) != len(names):
            have = ", ".join(names) or "none"
            raise self.fail(
                "wrong-operands", f"was given {len(parameters)} parameters of {self.code.word}", f"it has {have}"
            )
        for name, p in zip(names, parameters, strict=False):
            if not isinstance(p, TensorType) or p.rank or p.time is not None or p.elem != elem("f32"):
                raise self.fail("type-mismatch", f"needs one f32 number as {name}, not {p}")
        return kind

    def evaluate(self, interpreter: Any, arrays: list[Any]) -> Any:
        """The meaning, with draws (ranvier.ir.interpret)."""
        value = self.meaning(*arrays)
        if not self.is_random:
            return value
        x = arrays[0]
        u = interpreter._moment(0, 1).draw(self.seed, self.key, np.shape(x))
        return np.where(u < bar_of(self.bypass), bypassed(np, self.code, x), value)

    def meaning(self, *arrays: Any) -> Any:
        """See Op: without draws."""
        x, theta, *parameters = arrays
        theta = np.float32(1) if theta is None else spread_bias(np.asarray(theta), x.ndim)
        return window_value(np, with_parameters(self.code, parameters), self.rule, x, theta, self.steps, self.v0)


def with_parameters(code: Code, parameters: Any) -> Code:
    """The code with other values of its trainable fields; a RanvierError where they are out of range."""
    return replace(code, **dict(zip(code.trainable, map(float, parameters), strict=True))) if parameters else code


def bypassed(xp: Any, code: Code, x: Any) -> Any:
    """The activation that a neuron of the code stands for."""
    return x if code.signed else xp.maximum(x, 0 * x)


def window_value(xp: Any, code: Code, rule: FireRule, x: Any, theta: Any, steps: int, v0: float) -> Any:
    """The mean psp, in real units, of a neuron that has integrated a constant current x for a whole window."""
    v = x * steps + theta * v0 if v0 else x * steps
    fired, read = code.fire_init(xp, v), code.psp_init(xp, v)
    count, total = v * 0, v * 0
    for t in range(steps):
        fired, spikes, v = code.fire(xp, rule, fired, v, theta, theta, count, t, steps)
        count = count + spikes
        read, value = code.psp_step(xp, read, spikes, t, steps)
        total = total + value * theta
    return total / steps
