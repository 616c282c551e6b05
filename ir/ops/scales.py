"""What becomes of the scales of an element type when the axis they lie on is moved, cut or joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ranvier.ir.core import Op
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem, Exact
from ranvier.ir.types import Dim, SpikesType, TensorType

Shaped = TensorType | SpikesType
REMEDY = "compute in real numbers here (snn.psp or q.dequantize before), or give the tensor one scale"


def scale_axis(kind: Shaped) -> int | None:
    """The axis that the scales lie on, counted from the front; None with one scale for all."""
    quant = kind.elem.quant
    return None if quant is None or quant.axis is None else quant.axis % max(kind.rank, 1)


def with_axis(element: Elem, axis: int | None) -> Elem:
    """The same scales on another axis."""
    quant = element.quant
    if quant is None or quant.axis is None or quant.axis == axis:
        return element
    return element.with_quant(replace(quant, axis=axis))


def moved(kind: Shaped, shape: Sequence[Dim], axis: int | None) -> Shaped:
    """The same element, code and time with another shape, the scales on `axis`."""
    return replace(kind, shape=tuple(shape), elem=with_axis(kind.elem, axis))


def broken(op: Op, kind: Shaped, why: str) -> RanvierError:
    """The error of an op that would tear scales from their axis."""
    return op.fail("shape-mismatch", f"{why} axis {scale_axis(kind)}, which the scales of x lie on", REMEDY)


def picked(quant: Affine, chosen: slice) -> Affine:
    """The map of a slice along the axis of the scales (without groups)."""
    scale = quant.scale[chosen] if isinstance(quant.scale, tuple) else quant.scale
    zero = quant.zero[chosen] if isinstance(quant.zero, tuple) else quant.zero
    return replace(quant, scale=scale, zero=zero)


def joined(maps: Sequence[Affine], sizes: Sequence[int]) -> Affine:
    """The map of tensors joined along the axis of their scales."""
    groups = [q.group or 1 for q in maps]
    scale = tuple(s for q, n, g in zip(maps, sizes, groups, strict=True) for s in _spread(q.scale, n // g))
    if all(q.zero == maps[0].zero and not isinstance(q.zero, tuple) for q in maps):
        return replace(maps[0], scale=scale)
    zero = tuple(z for q, n, g in zip(maps, sizes, groups, strict=True) for z in _spread(q.zero, n // g))
    return replace(maps[0], scale=scale, zero=zero)


def _spread(numbers: Exact | tuple[Exact, ...], count: int) -> tuple[Exact, ...]:
    return numbers if isinstance(numbers, tuple) else (numbers,) * count
