"""What the `infer` of several ops asks of its operands, and how their meanings widen numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.elements import Elem
from ranvier.ir.types import Dim, TensorType, broadcast_shapes, same_dim, show_shape

Array = np.ndarray[Any, Any]


def axis_of(op: Op, axis: int, rank: int) -> int:
    """An axis counted from the front. Raises RanvierError when there is no such axis."""
    if not -rank <= axis < rank:
        raise op.fail("shape-mismatch", f"has axis {axis}, but its operand has {rank} axes")
    return axis % rank


def axes_of(op: Op, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front, sorted. Raises RanvierError when one is missing or named twice."""
    found = [axis_of(op, a, rank) for a in axes]
    if len(set(found)) < len(found):
        raise op.fail("shape-mismatch", f"names an axis twice in {list(axes)}")
    return tuple(sorted(found))


def equal_elems(op: Op, *kinds: TensorType | None) -> None:
    """Raise RanvierError unless all operands have one element type."""
    there = [k for k in kinds if k is not None]
    for kind in there[1:]:
        if kind.elem != there[0].elem:
            raise op.fail(
                "type-mismatch", f"mixes {brief(there[0].elem)} and {brief(kind.elem)}", "core.cast makes them equal"
            )


def numbers(op: Op, *kinds: TensorType | None, integers: bool = True) -> None:
    """Raise RanvierError unless the operands are reals, or integers of at least 8 bits where those are allowed."""
    for kind in kinds:
        if kind is None or kind.elem.is_float:
            continue
        if kind.elem.quant is not None:
            raise op.fail(
                "type-mismatch",
                f"computes with numbers, not with levels of {brief(kind.elem)}",
                "put q.dequantize before",
            )
        if not integers:
            raise op.fail("type-mismatch", f"needs real numbers, not {kind.elem}", "core.cast to f32 before")
        if kind.elem.bits < 8:
            raise op.fail(
                "type-mismatch", f"has no arithmetic on {kind.elem}", "core.cast to i8 or a wider type before"
            )


def brief(element: Elem) -> str:
    """An element type for a message; many scales are not listed."""
    quant = element.quant
    if quant is None or not isinstance(quant.scale, tuple) or len(quant.scale) <= 4:
        return str(element)
    return f"{element.storage}@affine({len(quant.scale)} scales, axis={quant.axis})"


def broadcast(op: Op, *kinds: TensorType | None) -> tuple[Dim, ...]:
    """The shape that numpy broadcasting gives; raises RanvierError when two shapes do not meet."""
    try:
        return broadcast_shapes(*[k.shape for k in kinds if k is not None])
    except ValueError as why:
        help = "dimensions are compared from the last one on: each pair must be equal, or one of them 1"
        raise op.fail("shape-mismatch", str(why), help) from None


def vector(op: Op, what: str, kind: TensorType | None, size: Dim) -> None:
    """Raise RanvierError unless an operand that is there has exactly one number for each of `size`."""
    if kind is not None and (kind.rank != 1 or not same_dim(kind.shape[0], size)):
        raise op.fail("shape-mismatch", f"needs {size} numbers as {what}, not {show_shape(kind.shape)}")


def wide(array: Any) -> Any:
    """Integers as int64 (u64 stays), small floats as float32: elementwise results are then exact or rounded once."""
    array = np.asarray(array)
    if array.dtype.kind in "iu":
        return array if array.dtype == np.uint64 else array.astype(np.int64)
    if array.dtype in (np.float32, np.float64, np.bool_):
        return array
    return array.astype(np.float32)


def widest(array: Any) -> Any:
    """Integers as int64 (u64 stays), floats as float64: for sums and functions that lose digits."""
    array = np.asarray(array)
    if array.dtype.kind in "iu":
        return array if array.dtype == np.uint64 else array.astype(np.int64)
    return array.astype(np.float64)


def along(vector: Array, axis: int, rank: int) -> Array:
    """One number for each index of an axis, shaped to broadcast against a value of `rank` axes."""
    return vector.reshape((1,) * axis + (-1,) + (1,) * (rank - axis - 1))
