"""`nn`: reductions over axes, arg-max, softmax and running sums. Sums of reals are accumulated in float64."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ranvier.ir.core import Value
from ranvier.ir.elements import elem
from ranvier.ir.ops.checks import axes_of, axis_of, numbers, wide, widest
from ranvier.ir.schema import flag, integer, ints, operand
from ranvier.ir.timing import PureOp
from ranvier.ir.types import Dim, TensorType, Type


def reduced(shape: tuple[Dim, ...], axes: tuple[int, ...], keep: bool) -> tuple[Dim, ...]:
    """A shape with some axes taken out, or made 1."""
    if keep:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


class Reduction(PureOp):
    """Base of the ops that sum up axes into one number."""

    integers: ClassVar[bool] = True
    x = operand("operand")
    axes = ints((), "axes taken together; all if empty")
    keep = flag(False, "keep the axes with size 1")

    def infer(self, x: Any) -> Type:
        """See Op."""
        numbers(self, x, integers=self.integers)
        return TensorType(reduced(x.shape, self.axes_in(x.rank), self.keep), x.elem)

    def axes_in(self, rank: int) -> tuple[int, ...]:
        """The axes counted from the front."""
        return axes_of(self, self.axes or range(rank), rank)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        with np.errstate(all="ignore"):
            return self.function(widest(x), self.axes_in(np.ndim(x)))

    def function(self, x: Any, axes: tuple[int, ...]) -> Any:
        """The reduction in numpy."""
        raise NotImplementedError


class Sum(Reduction, name="nn.sum"):
    """The sum over the axes."""

    def function(self, x: Any, axes: tuple[int, ...]) -> Any:
        """See Reduction."""
        return np.sum(x, axis=axes, keepdims=self.keep)


class Mean(Reduction, name="nn.mean"):
    """The mean over the axes."""

    integers = False

    def function(self, x: Any, axes: tuple[int, ...]) -> Any:
        """See Reduction."""
        count = np.prod([x.shape[a] for a in axes], dtype=np.int64)
        return np.sum(x, axis=axes, keepdims=self.keep) / np.float64(count)


class Max(Reduction, name="nn.max"):
    """The largest over the axes."""

    def function(self, x: Any, axes: tuple[int, ...]) -> Any:
        """See Reduction."""
        return np.max(x, axis=axes, keepdims=self.keep)


class Min(Reduction, name="nn.min"):
    """The smallest over the axes."""

    def function(self, x: Any, axes: tuple[int, ...]) -> Any:
        """See Reduction."""
        return np.min(x, axis=axes, keepdims=self.keep)


class Prod(Reduction, name="nn.prod"):
    """The product over the axes."""

    def function(self, x: Any, axes: tuple[int, ...]) -> Any:
        """See Reduction."""
        return np.prod(x, axis=axes, keepdims=self.keep)


class ArgReduction(PureOp):
    """Base of arg-max and arg-min: the index along an axis; the first of equals."""

    x = operand("operand")
    axis = integer(help="the axis looked along")
    keep = flag(False, "keep the axis with size 1")

    def infer(self, x: Any) -> Type:
        """See Op."""
        numbers(self, x)
        axis = axis_of(self, self.axis, x.rank)
        if x.shape[axis] == 0:
            raise self.fail("shape-mismatch", f"looks along axis {self.axis}, which is empty")
        return TensorType(reduced(x.shape, (axis,), self.keep), elem("i64"))


class Argmax(ArgReduction, name="nn.argmax"):
    """The index of the largest along an axis, the first of equals."""

    def meaning(self, x: Any) -> Any:
        """See Op."""
        return np.argmax(wide(x), axis=self.axis, keepdims=self.keep)


class Argmin(ArgReduction, name="nn.argmin"):
    """The index of the smallest along an axis, the first of equals."""

    def meaning(self, x: Any) -> Any:
        """See Op."""
        return np.argmin(wide(x), axis=self.axis, keepdims=self.keep)


class Softmax(PureOp, name="nn.softmax"):
    """exp(x) over its sum along an axis."""

    x = operand("operand")
    axis = integer(-1, "the axis that sums to one")

    def infer(self, x: Any) -> Type:
        """See Op."""
        numbers(self, x, integers=False)
        axis_of(self, self.axis, x.rank)
        return TensorType(x.shape, x.elem)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        with np.errstate(all="ignore"):
            return np.exp(log_softmax(x, self.axis))


class LogSoftmax(PureOp, name="nn.log_softmax"):
    """x minus the logarithm of the sum of exp(x) along an axis."""

    x = operand("operand")
    axis = integer(-1, "the axis summed over")

    def infer(self, x: Any) -> Type:
        """See Op."""
        numbers(self, x, integers=False)
        axis_of(self, self.axis, x.rank)
        return TensorType(x.shape, x.elem)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        with np.errstate(all="ignore"):
            return log_softmax(x, self.axis)


class Cumsum(PureOp, name="nn.cumsum"):
    """Running sums along an axis, each including its own element."""

    x = operand("operand")
    axis = integer(help="the axis summed along")

    def infer(self, x: Any) -> Type:
        """See Op."""
        numbers(self, x)
        axis_of(self, self.axis, x.rank)
        return TensorType(x.shape, x.elem)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        with np.errstate(all="ignore"):
            return np.cumsum(widest(x), axis=self.axis)

    def spread(self, x: Value) -> float:
        """See Op: the first element of an axis goes into all sums, the last into one."""
        size = x.type.shape[axis_of(self, self.axis, x.type.rank)]
        return (size + 1) / 2 if isinstance(size, int) else 1.0


def log_softmax(x: Any, axis: int) -> Any:
    """The logarithm of the softmax in float64."""
    x = widest(x)
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
