"""`snn`: the three doors between spikes and real units, and the bias current (semantics, Spikes)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.core import Op, require_tensor
from ranvier.ir.elements import Elem, elem
from ranvier.ir.fields import Integer, option
from ranvier.ir.records import Record
from ranvier.ir.schema import element, integer, operand, optional, record, steps, text
from ranvier.ir.timing import StatefulOp, WindowedOp
from ranvier.ir.types import SpikesType, TensorType, Type, same_dim, show_shape


@dataclass(frozen=True)
class When(Record):
    """At which steps a bias current flows."""

    family = "when"

    def flows(self, t: int) -> bool:
        """Whether it flows at step t."""
        raise NotImplementedError


@dataclass(frozen=True)
class EveryStep(When):
    """At every step, or at every `period`-th, beginning with the first."""

    word = "every"
    period: int = option(Integer(1), 1)

    def flows(self, t: int) -> bool:
        """See When."""
        return t % self.period == 0


@dataclass(frozen=True)
class AtStart(When):
    """At the first step only."""

    word = "start"

    def flows(self, t: int) -> bool:
        """See When."""
        return t == 0


@dataclass(frozen=True)
class AtRestart(When):
    """At the first step, and wherever the `restart` bit is set."""

    word = "restart"

    def flows(self, t: int) -> bool:
        """See When."""
        return t == 0


def scale_of(element: Elem, rank: int) -> Any:
    """The spikes' scale as a float32 array that broadcasts against `rank` axes; 1 without one."""
    return np.float32(1) if element.quant is None else element.quant.scales(rank)


def spikes_type(op: Op, element: Elem, code: Any, shape: tuple[Any, ...], time: Any) -> SpikesType:
    """A spikes type, checked: the storage holds the alphabet, the scale fits the shape."""
    lo, hi = code.alphabet()
    if element.is_float or lo < element.range[0] or hi > element.range[1]:
        raise op.fail(
            "alphabet", f"holds spikes of {code} ({lo}..{hi}) in {element.storage}", f"use {code.element().storage}"
        )
    quant = element.quant
    if quant is not None and quant.axis is not None:
        size = shape[quant.axis] if -len(shape) <= quant.axis < len(shape) else None
        count = len(quant.scale) * (quant.group or 1) if isinstance(quant.scale, tuple) else 1
        if size is None or (isinstance(size, int) and size != count):
            raise op.fail("shape-mismatch", f"has {count} scales on axis {quant.axis} of shape {show_shape(shape)}")
    return SpikesType(tuple(shape), element, code, time)


def check_steps(op: Op, code: Any, steps: Any) -> None:
    """Raise RanvierError when a code has another number of steps."""
    fixed = code.fixed_steps()
    if fixed is not None and isinstance(steps, int) and steps != fixed:
        raise op.fail("time-mismatch", f"has spikes of {code} over {steps} steps", f"the code has {fixed} steps")
    if isinstance(steps, int) and steps < code.least_steps():
        raise op.fail(
            "time-mismatch", f"has spikes of {code} over {steps} steps", f"it needs {code.least_steps()} at least"
        )


def spikes_of(op: Op, what: str, kind: Any) -> SpikesType:
    """The operand's type if it is spikes, else the error."""
    if not isinstance(kind, SpikesType):
        raise op.fail("type-mismatch", f"needs spikes as {what}, not {kind}", "snn.encode makes spikes of real values")
    return kind


def check_parameter(op: Op, what: str, kind: Any, current: TensorType, *, channels: bool = True) -> None:
    """Raise RanvierError unless a parameter broadcasts to the current, or has one number a channel (axis 1)."""
    if isinstance(kind, SpikesType) or kind.elem != current.elem:
        raise op.fail("type-mismatch", f"needs {what} in {current.elem}, not {kind}", "core.cast makes it")
    if kind.time is not None:
        raise op.fail("time-mismatch", f"has a {what} that changes over time", "it is one value for all steps")
    if channels and kind.rank == 1 and current.rank > 1:
        if kind.shape[0] != 1 and not same_dim(kind.shape[0], current.shape[1]):
            raise op.fail("shape-mismatch", f"has {kind.shape[0]} numbers as {what} for {current.shape[1]} channels")
        return
    ends = current.shape[current.rank - kind.rank :]
    if kind.rank > current.rank or not all(d == 1 or same_dim(d, e) for d, e in zip(kind.shape, ends, strict=True)):
        shapes = f"{show_shape(kind.shape)} to {show_shape(current.shape)}"
        raise op.fail("shape-mismatch", f"has a {what} that does not broadcast from {shapes}")


def check_offset(op: Op, kind: Any) -> None:
    """Raise RanvierError unless an operand that counts steps is an integer scalar, or left out."""
    if kind is not None and (
        not isinstance(kind, TensorType) or kind.rank or kind.elem.is_float or kind.time is not None
    ):
        raise op.fail("type-mismatch", f"needs an integer scalar as offset, not {kind}")


class Encode(StatefulOp, name="snn.encode"):
    """Real values to spikes of a code: the first door. Values are divided by the element's scale."""

    draws = True
    x = operand("real values without time")
    offset = optional("steps already taken, an i64 scalar; 0 by default")
    code = record("code", help="the spike code")
    steps = steps()
    elem = element(elem("i1"), "storage and scale of the spikes")
    key = text("", "names this op's random draws")
    seed = integer(0, "seed of the random draws")

    @property
    def is_random(self) -> bool:
        """Whether this encoder draws."""
        return bool(self.code.random)

    def infer(self, x: Any, offset: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        if kind.time is not None or not kind.elem.is_float:
            raise self.fail("type-mismatch", f"encodes real values without time, not {kind}")
        if self.code.activation:
            raise self.fail("bad-value", f"encodes in {self.code.word}, which only neurons fire", "code=fs does it")
        check_offset(self, offset)
        check_steps(self, self.code, self.steps)
        return spikes_type(self, self.elem, self.code, kind.shape, self.steps)

    def init(self, moment: Any, x: Any, offset: Any) -> Any:
        """See StatefulOp."""
        return self.code.encode_init(np, x / scale_of(self.elem, x.ndim))

    def step(self, moment: Any, state: Any, x: Any, offset: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        unit = x / scale_of(self.elem, x.ndim)
        now = moment if offset is None else replace(moment, t=moment.t + int(offset))
        return self.code.encode_step(  # type: ignore[no-any-return]
            np, state, unit, now.t, now.steps, lambda: now.draw(self.seed, self.key, x.shape)
        )


class Psp(StatefulOp, name="snn.psp"):
    """What spikes are worth downstream at each step, in real units: the second door."""

    x = operand("spikes", spikes=True)

    def infer(self, x: Any) -> Type:
        """See Op."""
        kind = spikes_of(self, "x", x)
        return TensorType(kind.shape, elem("f32"), kind.time)

    def init(self, moment: Any, x: Any) -> Any:
        """See StatefulOp."""
        return self._code.psp_init(np, x.astype(np.float32))

    def step(self, moment: Any, state: Any, x: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        state, value = self._code.psp_step(np, state, x.astype(np.float32), moment.t, moment.steps)
        return state, value * scale_of(self._spikes.elem, x.ndim)

    @property
    def _spikes(self) -> SpikesType:
        return spikes_of(self, "x", self.x.type)

    @property
    def _code(self) -> Any:
        return self._spikes.code


class Decode(WindowedOp, name="snn.decode"):
    """The real value that a window of spikes stands for: the third door."""

    x = operand("spikes", spikes=True)

    def infer(self, x: Any) -> Type:
        """See Op."""
        kind = spikes_of(self, "x", x)
        return TensorType(kind.shape, elem("f32"))

    def meaning(self, x: Any) -> Any:
        """See Op."""
        kind = spikes_of(self, "x", self.x.type)
        state, rows = kind.code.psp_init(np, x[0].astype(np.float32)), []
        for t in range(len(x)):
            state, value = kind.code.psp_step(np, state, x[t].astype(np.float32), t, len(x))
            rows.append(value)
        return kind.code.decode(np, np.stack(rows), len(x)) * scale_of(kind.elem, x.ndim - 1)


class BiasCurrent(StatefulOp, name="snn.bias_current"):
    """x plus a bias at the steps that `when` names. The bias lies on axis 1, or broadcasts if it has x's rank."""

    x = operand("a current (timed)")
    bias = operand("one number a channel, or a tensor that broadcasts")
    restart = optional("an i1 value a step: where when=restart adds the bias again")
    offset = optional("steps already taken, an i64 scalar; 0 by default")
    when = record("when", EveryStep(), "at which steps the bias flows")

    def infer(self, x: Any, bias: Any, restart: Any, offset: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        if kind.time is None:
            raise self.fail(
                "time-mismatch", "adds a current to a value without time", "give the linear op its bias back"
            )
        check_parameter(self, "bias", bias, kind)
        check_offset(self, offset)
        if restart is not None:
            if not isinstance(self.when, AtRestart):
                raise self.fail("bad-value", f"has a restart operand with when={self.when}", "when=restart reads it")
            if restart.elem.storage != "i1" or restart.time != kind.time or restart.rank > kind.rank:
                raise self.fail("type-mismatch", f"needs bits over T={kind.time} as restart, not {restart}")
        return kind

    def init(self, moment: Any, *arrays: Any) -> Any:
        """See StatefulOp."""
        return None

    def step(self, moment: Any, state: Any, x: Any, bias: Any, restart: Any, offset: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        flows = self.when.flows(moment.t + (0 if offset is None else int(offset)))
        bias = spread_bias(bias, x.ndim)
        if not flows and restart is not None:
            return None, x + np.where(restart, bias, np.zeros_like(bias)).astype(x.dtype)
        return None, x + bias if flows else x


def spread_bias(bias: Any, rank: int) -> Any:
    """A bias of one axis reshaped to lie on axis 1 of a value of `rank` axes."""
    return bias.reshape((-1,) + (1,) * (rank - 2)) if bias.ndim == 1 and rank > 1 else bias
