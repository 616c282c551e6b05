"""`core` ops that make, end or sum up time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.core import require_tensor
from ranvier.ir.ops.checks import numbers
from ranvier.ir.ops.snn import check_offset, check_parameter
from ranvier.ir.schema import enum, integer, operand, optional, steps
from ranvier.ir.timing import StatefulOp, WindowedOp
from ranvier.ir.types import Dim, StateType, TensorType, Type


class Repeat(StatefulOp, name="core.repeat"):
    """The same tensor at every step: direct input to a spiking network."""

    x = operand("a tensor without time")
    steps = steps()

    def infer(self, x: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        if kind.time is not None:
            raise self.fail("time-mismatch", "repeats a value that has time already")
        return kind.with_time(self.steps)

    def init(self, moment: Any, x: Any) -> Any:
        """See StatefulOp."""
        return None

    def step(self, moment: Any, state: Any, x: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        return None, x


class ToTime(WindowedOp, name="core.to_time"):
    """Turn an axis into time: `[N, T, F]` with axis=1 becomes `[N, F]` over T steps."""

    x = operand("a tensor without time")
    axis = integer(help="the axis, counted without time")

    def infer(self, x: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        if kind.time is not None:
            raise self.fail(
                "time-mismatch",
                "would give a value a second time axis",
                "a value has at most one; unroll the sequence first",
            )
        axis = _axis(self, kind.rank)
        size = kind.shape[axis]
        if size == "?":
            raise self.fail("shape-mismatch", f"axis {axis} has unknown size and cannot become time")
        return TensorType((*kind.shape[:axis], *kind.shape[axis + 1 :]), kind.elem, size)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        return np.moveaxis(x, _axis(self, x.ndim), 0)


class FromTime(WindowedOp, name="core.from_time"):
    """Turn time into an axis: the inverse of core.to_time."""

    x = operand("a timed tensor")
    axis = integer(help="where the steps go, counted in the result")

    def infer(self, x: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        time = _timed(self, kind)
        axis = _axis(self, kind.rank + 1)
        return TensorType((*kind.shape[:axis], time, *kind.shape[axis:]), kind.elem)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        return np.moveaxis(x, 0, _axis(self, x.ndim))


class Accumulate(StatefulOp, name="core.accumulate", results=("running", "state")):
    """Running sum, mean or maximum over the steps so far; also the final state, to go on from (`init`, `offset`)."""

    x = operand("a timed tensor")
    start = optional("the state to go on from; zero by default")
    offset = optional("steps already taken, an i64 scalar; 0 by default")
    mode = enum("mean", "sum", "max", help="what is kept over the steps")

    def infer(self, x: Any, start: Any, offset: Any) -> tuple[Type, ...]:
        """See Op."""
        kind = require_tensor(self, "x", x)
        _timed(self, kind)
        numbers(self, kind, integers=self.mode != "mean")
        if start is not None:
            check_parameter(self, "start", start, kind, channels=False)
        check_offset(self, offset)
        return kind, StateType(kind.shape, kind.elem)

    def init(self, moment: Any, x: Any, start: Any, offset: Any) -> Any:
        """See StatefulOp."""
        if start is not None:
            return np.broadcast_to(start, np.shape(x))
        if self.mode != "max":
            return np.zeros_like(x)
        return np.full_like(x, -np.inf if x.dtype.kind not in "iu" else np.iinfo(x.dtype).min)

    def step(self, moment: Any, state: Any, x: Any, start: Any, offset: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        if self.mode == "max":
            state = np.maximum(state, x)
            return state, state
        state = state + x
        taken = moment.t + 1 + (0 if offset is None else int(offset))
        return state, state / np.asarray(taken, x.dtype) if self.mode == "mean" else state

    def finish(self, state: Any) -> tuple[Any, ...]:
        """See StatefulOp."""
        return (state,)


class Last(WindowedOp, name="core.last"):
    """The value at the last step."""

    x = operand("a timed tensor")

    def infer(self, x: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        _timed(self, kind)
        return kind.with_time(None)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        return x[-1]


class First(WindowedOp, name="core.first"):
    """The first steps of a window, as a shorter window."""

    x = operand("a timed tensor")
    steps = integer(help="how many steps are kept", min=1)

    def infer(self, x: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        time = _timed(self, kind)
        if isinstance(time, int) and self.steps > time:
            raise self.fail("time-mismatch", f"keeps {self.steps} steps of {time}", f"keep {time} at most")
        return kind.with_time(self.steps)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        return x[: self.steps]


def _axis(op: Any, rank: int) -> int:
    axis = int(op.axis)
    if not -rank <= axis < rank:
        raise op.fail("shape-mismatch", f"has axis {axis} for {rank} axes")
    return axis % rank


def _timed(op: Any, kind: TensorType) -> Dim:
    if kind.time is None:
        raise op.fail("time-mismatch", "needs a value over time", "core.repeat or core.to_time gives it steps")
    return kind.time
