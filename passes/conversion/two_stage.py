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
from ranvier.ir.fields import Integer, option
from ranvier.ir.locations import describe
from ranvier.ir.ops.arith import Add, Compare, Logical, Maximum, Sub
from ranvier.ir.ops.residual import FAR, ResidualMembrane
from ranvier.ir.ops.shape import Select
from ranvier.ir.ops.time import First
from ranvier.ir.records import Record

NEVER = np.float32(-1e30)
"""A membrane that no current brings to a threshold."""
SILENT = np.float32(1e-3)
BELOW, ABOVE = np.float32(0.999), np.float32(1.001)


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

    def begin(self, b: Builder, current: Value, theta: Value, v0: Value, left: Value | None) -> Value:
        """The membrane that a neuron begins its window with.

        `current` is that of the window, `left` the membrane that the trial of the whole network has left.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class SilentResidual(TwoStage):
    """`srp`: neurons whose membrane is at most theta/1000 after the trial stay silent (Hao et al., AAAI 2023).

    The whole network runs for `steps` steps, and then anew for T: steps + T in all.
    """

    word = "srp"

    @property
    def whole(self) -> bool:
        """See TwoStage."""
        return True

    def begin(self, b: Builder, current: Value, theta: Value, v0: Value, left: Value | None) -> Value:
        """See TwoStage."""
        assert left is not None
        live = b(Compare, left, _times(b, theta, SILENT, f"{current.name}.bar"), how="gt", name=f"{current.name}.live")
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
            help = f"give {self.word} fewer steps, or the window more"
            return f"it looks at {self.steps} steps of a layer's input, which has {steps}", help
        return super().refusal(code, schedule, steps, reset, signed)

    def begin(self, b: Builder, current: Value, theta: Value, v0: Value, left: Value | None) -> Value:
        """See TwoStage."""
        name = current.name
        seen = current
        if current.type.time != self.steps:
            seen = b(First, current, steps=self.steps, name=f"{name}.seen")
        left, least, most = residual(b, seen, theta, v0, name)
        over = b(Sub, least, _times(b, theta, BELOW, f"{name}.below"), name=f"{name}.over")
        under = b(Sub, _times(b, theta, ABOVE, f"{name}.above"), most, name=f"{name}.under")
        lower = b(Sub, v0, b(Maximum, over, theta, name=f"{name}.down"), name=f"{name}.lower")
        higher = b(Add, v0, b(Maximum, under, theta, name=f"{name}.up"), name=f"{name}.higher")
        spent = b(Compare, left, b.constant(np.float32(0), "zero"), how="lt", name=f"{name}.spent")
        fired = b(Compare, least, _times(b, theta, np.float32(FAR), f"{name}.far"), how="lt", name=f"{name}.fired")
        many = b(Logical, spent, fired, how="and", name=f"{name}.many")
        few = b(Compare, left, theta, how="ge", name=f"{name}.few")
        kept = b(Select, many, lower, v0, name=f"{name}.kept")
        out: Value = b(Select, few, higher, kept, name=f"{name}.start")
        return out


def residual(b: Builder, current: Value, theta: Value, v0: Value, name: str) -> tuple[Value, Value, Value]:
    """What a neuron is left with by a current: its membrane, the least one of a spike, the largest without."""
    names = [f"{name}.{result}" for result in ("left", "least", "most")]
    left, least, most = b(ResidualMembrane, current, theta, v0, name=names)
    return left, least, most


def _times(b: Builder, constant: Value, factor: np.float32, hint: str) -> Value:
    assert b.graph.module is not None
    return b.constant((b.graph.module.array(constant) * factor).astype(np.float32), hint)


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
