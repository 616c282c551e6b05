"""Readout rules: how the outputs of a spiking network become real values, in units of the source's outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.ir.codes import Code, LayerSync, Schedule, Stepwise
from ranvier.ir.core import Builder, Value
from ranvier.ir.diagnostics import error
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.fields import AnyOf, Enum, Integer, option
from ranvier.ir.ops.arith import Mul, Neg, Sub
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.snn import Decode
from ranvier.ir.ops.time import Accumulate, Last
from ranvier.ir.records import Record
from ranvier.ir.resources import Resource
from ranvier.ir.types import tensor

if TYPE_CHECKING:
    from ranvier.passes.conversion.convert_snn import ConvertSnn

LEAST_READ = 4
"""Steps that are read at least, however late the first spikes come."""


@dataclass(frozen=True)
class Readout(Record):
    """How an output is read."""

    family = "readout"
    needs_ranges = False
    """Whether the largest outputs on the calibration data are asked for."""

    by_steps = False
    """Whether only some steps are read, so that hidden values must be whole in them."""

    @property
    def needs_delay(self) -> bool:
        """Whether the steps that the first spikes need are asked for."""
        return False

    def settled(self, delay: float, steps: int, window: int) -> Readout:
        """The readout of `steps` steps when the first spikes come through after `delay`; values take `window` steps."""
        return self

    def refusal(self, code: Code, schedule: Schedule, steps: int) -> tuple[str, str] | None:
        """Why outputs of that code cannot be read so, and what can be done instead; None when they can."""
        return None

    def apply(self, b: Builder, current: Value, options: ConvertSnn, largest: float) -> Value:
        """The value of an output's current over the window; `largest` bounds it on the calibration data."""
        raise NotImplementedError


@dataclass(frozen=True)
class MembraneReadout(Readout):
    """The mean output current: what a membrane that never fires has taken in, over T."""

    word = "membrane"

    def apply(self, b: Builder, current: Value, options: ConvertSnn, largest: float) -> Value:
        """See Readout."""
        return mean_over_time(b, current)


@dataclass(frozen=True)
class MeanReadout(Readout):
    """The mean output current of the steps from `start` on, when the first spikes have come through.

    `auto` begins at t0 = sum over layers of (theta - v0) / max_i E[max(z_i, 0)], on the calibration data, and with T <
    t0 + 4 four steps before the end (Bu et al., CVPR 2025; coding card 12).
    """

    word = "mean"
    by_steps = True
    start: int | str = option(AnyOf(Integer(0), Enum("auto")), 0, "the first step that counts, from 0; or auto")

    @property
    def needs_delay(self) -> bool:
        """See Readout."""
        return self.start == "auto"

    def settled(self, delay: float, steps: int, window: int) -> Readout:
        """See Readout: at whole windows."""
        if not self.needs_delay:
            return self
        least = window * math.ceil(LEAST_READ / window)
        return MeanReadout(max(0, min(window * math.ceil(delay / window), steps - least)))

    def refusal(self, code: Code, schedule: Schedule, steps: int) -> tuple[str, str] | None:
        """See Readout: the part that is read must be whole windows."""
        if isinstance(self.start, str):
            if not isinstance(schedule, Stepwise):
                return f"under {schedule} no layer is behind another", "use schedule=stepwise, or give start"
            window = read_window(code, schedule, steps)
            return (f"a value takes {window} steps", f"use multiples of {window} steps") if steps % window else None
        if self.start >= steps:
            return f"there are only {steps} steps", f"start at {steps - 1} or before"
        window = read_window(code, schedule, steps)
        if self.start % window or (steps - self.start) % window:
            if window == steps:
                return f"a value takes the whole window of {steps} steps", "use readout=membrane, or schedule=stepwise"
            return f"a value takes {window} steps", f"read multiples of {window} steps"
        return None

    def apply(self, b: Builder, current: Value, options: ConvertSnn, largest: float) -> Value:
        """See Readout."""
        if self.start == 0:
            return mean_over_time(b, current)
        assert isinstance(self.start, int), "settled before"
        steps = options.window
        weights = np.where(np.arange(steps) < self.start, 0, steps / (steps - self.start)).astype(np.float32)
        counted = b.constant(Resource(tensor(time=steps), weights), f"{current.name}.counted")
        return mean_over_time(b, b(Mul, current, counted, name=f"{current.name}.late"))


@dataclass(frozen=True)
class CountReadout(Readout):
    """Signed neurons on the outputs, whose spikes are decoded: rounded as the hidden code rounds."""

    word = "count"
    needs_ranges = True

    def refusal(self, code: Code, schedule: Schedule, steps: int) -> tuple[str, str] | None:
        """See Readout."""
        try:
            code.with_sign(True)
        except ValueError:
            other = "first_spike" if code.single else "membrane"
            return f"{code.word} has no negative spikes", f"use readout={other}"
        return None

    def apply(self, b: Builder, current: Value, options: ConvertSnn, largest: float) -> Value:
        """See Readout."""
        return _fired(b, current, options.code.with_sign(True), options, largest, current.name)


@dataclass(frozen=True)
class FirstSpikeReadout(Readout):
    """Two neurons an output, one for each sign, whose first spikes say what they stand for by when they come."""

    word = "first_spike"
    needs_ranges = True

    def refusal(self, code: Code, schedule: Schedule, steps: int) -> tuple[str, str] | None:
        """See Readout."""
        if code.single:
            return None
        return f"the first spike of {code.word} is not the value", "use readout=membrane, or code=ttfs"

    def apply(self, b: Builder, current: Value, options: ConvertSnn, largest: float) -> Value:
        """See Readout."""
        up = _fired(b, current, options.code, options, largest, f"{current.name}.positive")
        below = b(Neg, current, name=f"{current.name}.below")
        down = _fired(b, below, options.code, options, largest, f"{current.name}.negative")
        out: Value = b(Sub, up, down, name=f"{current.name}.out")
        return out


def read_window(code: Code, schedule: Schedule, steps: int) -> int:
    """The number of steps whose mean psp is a value: 1 where the mean over any steps approximates it."""
    if isinstance(schedule, LayerSync):
        return min(schedule.period or steps, steps)
    return code.cycle(steps) if isinstance(schedule, Stepwise) else steps


def check_readout(readout: Readout, code: Code, schedule: Schedule, steps: int) -> None:
    """Raise RanvierError when outputs of a code cannot be read so."""
    why = readout.refusal(code, schedule, steps)
    if why is not None:
        raise error("bad-value", f"`convert-snn`: {code.word} cannot be read by {readout}: {why[0]}", help=why[1])


def mean_over_time(b: Builder, current: Value) -> Value:
    """The mean of a timed value over its window."""
    running = b(Accumulate, current, mode="mean", name=f"{current.name}.mean")[0]
    out: Value = b(Last, running, name=f"{current.name}.out")
    return out


def _fired(b: Builder, current: Value, code: Code, options: ConvertSnn, largest: float, name: str) -> Value:
    """What neurons on a current give out, decoded."""
    theta = np.float32(largest / code.reach)
    element = Elem(code.element().storage, Affine(float(theta)))
    offset = code.round_offset(options.v0, options.window)
    v0 = b.constant(np.float32(theta * offset), f"{name}.v0") if offset else None
    signs: dict[str, Any] = {"negative": "free", "lower": "zero"} if code.signed else {}
    spikes, _, _ = b(
        Neuron, current, None, v0, code=code, elem=element, schedule=options.schedule, name=f"{name}.spikes", **signs
    )
    out: Value = b(Decode, spikes, name=f"{name}.out")
    return out
