"""Two-stage conversion: every input is simulated a few steps first, and the neurons begin anew by what that has shown.

Both methods find a membrane to begin with, for each neuron and each sample, from the membrane that a trial of a few
steps has left (coding card 9): below zero, the neuron has fired for input that was taken back; a threshold or more, it
has fired too little. The trial takes time, which the schedules then say: it is part of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.codes import Code, Schedule, Stepwise
from ranvier.ir.core import Builder, Op, Value
from ranvier.ir.diagnostics import error
from ranvier.ir.facts import Trial
from ranvier.ir.fields import Integer, option
from ranvier.ir.locations import describe
from ranvier.ir.ops.arith import Add, Compare, Logical, Maximum, Neg, Sub
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.shape import Select
from ranvier.ir.ops.snn import Psp
from ranvier.ir.ops.time import Accumulate, First, Last
from ranvier.ir.records import Record

NEVER = np.float32(-1e30)
"""A membrane that no current brings to a threshold."""
SILENT = np.float32(1e-3)
BELOW, ABOVE = np.float32(0.999), np.float32(1.001)
FAR = np.float32(1000)
"""In thresholds: a membrane that no step has had."""


@dataclass(frozen=True)
class TwoStage(Record):
    """A trial of `steps` steps before the window that counts."""

    family = "correction"
    steps: int = option(Integer(1), 4, "steps of the trial")

    @property
    def whole(self) -> bool:
        """Whether the whole network is tried before it begins anew; else each layer is, on its own input."""
        return False

    def refusal(self, code: Code, schedule: Schedule, steps: int, reset: str, signed: bool) -> tuple[str, str] | None:
        """Why such neurons cannot be tried, and what can be done instead; None when they can."""
        if not code.plain or code.largest != 1:
            return f"what a membrane of {code.word} has left over is no spike too many or too few", "use code=rate"
        if signed or code.signed:
            return "neurons with negative spikes take back by themselves what came too early", "leave signed out"
        if reset != "soft":
            return "a hard reset throws the membrane away that it looks at", "leave reset out"
        if not isinstance(schedule, Stepwise):
            return f"under {schedule} no spike comes too early", "use schedule=stepwise"
        return None

    def begin(self, b: Builder, current: Value, theta: Value, v0: Value, left: Value | None, like: Any) -> Value:
        """The membrane that a neuron begins its window with.

        `current` is that of the window, `left` what the trial of the whole network has left; `like` has the attributes
        of the neuron.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ResidualMembrane(TwoStage):
    """`srp`: neurons whose membrane is at most theta/1000 after the trial stay silent (Hao et al., AAAI 2023).

    The whole network runs for `steps` steps, and then anew for T: steps + T in all.
    """

    word = "srp"

    @property
    def whole(self) -> bool:
        """See TwoStage."""
        return True

    def begin(self, b: Builder, current: Value, theta: Value, v0: Value, left: Value | None, like: Any) -> Value:
        """See TwoStage."""
        assert left is not None
        bar = b.constant(b.graph.module.array(theta) * SILENT, f"{current.name}.bar")  # type: ignore[union-attr]
        live = b(Compare, left, bar, how="gt", name=f"{current.name}.live")
        out: Value = b(Select, live, v0, b.constant(NEVER, "never"), name=f"{current.name}.start")
        return out


@dataclass(frozen=True)
class OffsetSpikes(TwoStage):
    """`cos`: the membrane begins lower by a spike too many, higher by one too few (Hao et al., ICLR 2023).

    Each layer tries the first `steps` steps of its input. Where the membrane is then below zero and it has fired, it
    begins lower by max(theta, m - 0.999 theta), m the least membrane of a spike, so that this spike is not fired; where
    it is theta or more, higher by max(theta, 1.001 theta - m), m the largest membrane without a spike. Neurons that
    fired at every step count as m = -1000 theta. As in the authors' code, a layer's trial is fed by the corrected layer
    before it, which has to wait for its own trial: L * steps + T steps in all for L layers, not steps + T.
    """

    word = "cos"
    steps: int = option(Integer(1), 8, "steps of the trial")

    def refusal(self, code: Code, schedule: Schedule, steps: int, reset: str, signed: bool) -> tuple[str, str] | None:
        """See TwoStage."""
        if self.steps > steps:
            return (
                f"it looks at {self.steps} steps of a layer's input, which has {steps}",
                f"give {self.word} fewer steps, or the window more",
            )
        return super().refusal(code, schedule, steps, reset, signed)

    def begin(self, b: Builder, current: Value, theta: Value, v0: Value, left: Value | None, like: Any) -> Value:
        """See TwoStage."""
        name = current.name
        seen = current
        if current.type.time != self.steps:
            seen = b(First, current, steps=self.steps, name=f"{name}.seen")
        psp, after = trial(b, seen, v0, like, name)
        before = b(Add, after, psp, name=f"{name}.charged")
        fired = b(Compare, psp, b.constant(np.float32(0), "zero"), how="gt", name=f"{name}.fired")
        far = b.constant(-b.graph.module.array(theta) * FAR, f"{name}.far")  # type: ignore[union-attr]
        least = b(Neg, _largest(b, b(Select, fired, b(Neg, before), far)), name=f"{name}.least")
        most = _largest(b, b(Select, fired, far, after))
        return self._shifted(b, theta, v0, b(Last, after, name=f"{name}.left"), least, most, _largest(b, psp))

    def _shifted(
        self, b: Builder, theta: Value, v0: Value, left: Value, least: Value, most: Value, any_: Value
    ) -> Value:
        """v0 where the trial has left what it should, else v0 lower or higher."""
        array = b.graph.module.array(theta)  # type: ignore[union-attr]
        zero = b.constant(np.float32(0), "zero")
        lower = b(Maximum, b(Sub, least, b.constant(array * BELOW, "below")), theta)
        higher = b(Maximum, b(Sub, b.constant(array * ABOVE, "above"), most), theta)
        many = b(Logical, b(Compare, left, zero, how="lt"), b(Compare, any_, zero, how="gt"), how="and")
        few = b(Compare, left, theta, how="ge")
        down = b(Select, many, b(Sub, v0, lower), v0)
        out: Value = b(Select, few, b(Add, v0, higher), down, name=f"{left.name}.start")
        return out


def trial(b: Builder, current: Value, v0: Value, like: Any, name: str) -> tuple[Value, Value]:
    """A neuron tried on a current: its psp, and its membrane after each step, in real units."""
    spikes = b(
        Neuron, current, None, v0, **like, name=[f"{name}.trial.spikes", f"{name}.trial.left", f"{name}.trial.count"]
    )[0]
    spikes.op.facts += (Trial(),)
    psp: Value = b(Psp, spikes, name=f"{name}.trial")
    kept = b(Sub, current, psp, name=f"{name}.trial.kept")
    after: Value = b(Accumulate, kept, v0, mode="sum", name=[f"{name}.trial.membrane", f"{name}.trial.end"])[0]
    return psp, after


def _largest(b: Builder, timed: Value) -> Value:
    out: Value = b(Last, b(Accumulate, timed, mode="max")[0])
    return out


class Suffixed(Builder):
    """A builder of values whose names bear a suffix."""

    suffix = ".trial"

    def __call__(self, op: type[Op], *operands: Value | None, name: Any = "", **attributes: Any) -> Any:
        """See Builder."""
        names = [name] if isinstance(name, str) else name
        return super().__call__(op, *operands, name=[n and f"{n}{self.suffix}" for n in names], **attributes)


def check_two_stage(method: TwoStage, code: Code, schedule: Schedule, steps: int, reset: str, signed: bool) -> None:
    """Raise RanvierError when such neurons cannot be tried."""
    why = method.refusal(code, schedule, steps, reset, signed)
    if why is not None:
        raise error("bad-value", f"`convert-snn`: correct={method.word} has no rule here: {why[0]}", help=why[1])


def check_neuron(method: TwoStage, activation: Op, code: Code) -> None:
    """Raise RanvierError when the neuron of an activation fires what no trial is made for."""
    if code.plain and code.largest == 1 and not code.signed:
        return
    raise error(
        "bad-value",
        f"`convert-snn`: correct={method.word} has no rule for %{activation.result.name}, whose neurons fire {code}",
        where=describe(activation.location),
        help="leave correct out, or replace the activation by a ReLU",
    )
