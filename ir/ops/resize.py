"""`nn.resize`: interpolation axis by axis, after ONNX's Resize (opset 19, no anti-aliasing, no cropping)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.ir.core import Value
from ranvier.ir.fields import ListOf, Real
from ranvier.ir.ops.checks import Array, numbers, widest
from ranvier.ir.schema import attribute, dims, enum, operand, real
from ranvier.ir.timing import PureOp
from ranvier.ir.types import Dim, TensorType, Type, show_shape


class Resize(PureOp, name="nn.resize"):
    """Each axis sampled anew: floor(size * scale) points, or as many as `sizes` says.

    `coordinates` says which input coordinate an output index has: half_pixel (i + 1/2) / scale - 1/2, asymmetric i /
    scale, align_corners i * (in - 1) / (out - 1), pytorch_half_pixel as half_pixel but 0 on an axis of one output. Then
    `mode` takes the nearest element (by `rounding`), the line through two, or the cubic through four (Keys, 1981);
    what lies outside is the edge.
    """

    x = operand("input; every axis is resized")
    scales = attribute(ListOf(Real(0)), (), "factor of each axis; empty with sizes")
    sizes = dims((), "size of each axis; empty with scales")
    mode = enum("nearest", "linear", "cubic", default="nearest", help="interpolation")
    coordinates = enum(
        "half_pixel",
        "align_corners",
        "asymmetric",
        "pytorch_half_pixel",
        default="half_pixel",
        help="which point is sampled",
    )
    rounding = enum(
        "round_prefer_floor",
        "round_prefer_ceil",
        "floor",
        "ceil",
        default="round_prefer_floor",
        help="which element is nearest",
    )
    cubic_a = real(-0.75, "coefficient of the cubic")

    def infer(self, x: Any) -> Type:
        """See Op."""
        numbers(self, x, integers=self.mode == "nearest")
        if bool(self.scales) == bool(self.sizes):
            raise self.fail("bad-value", "needs either scales or sizes")
        given: tuple[Any, ...] = self.sizes or self.scales
        if len(given) != x.rank:
            raise self.fail(
                "shape-mismatch", f"has {len(given)} entries for the {x.rank} axes of {show_shape(x.shape)}"
            )
        shape = tuple(self._sized(d, s) for d, s in zip(x.shape, self.sizes, strict=True)) if self.sizes else ()
        shape = shape or tuple(_scaled(d, s) for d, s in zip(x.shape, self.scales, strict=True))
        if any(isinstance(d, int) and d < 1 for d in shape):
            raise self.fail("shape-mismatch", f"makes {show_shape(shape)} of {show_shape(x.shape)}")
        return TensorType(shape, x.elem)

    def _sized(self, dim: Dim, size: Dim) -> Dim:
        if isinstance(size, str) and size != dim:
            raise self.fail(
                "shape-mismatch", f"resizes an axis of {dim} to {size}", "only an axis that stays may have a symbol"
            )
        return size

    def meaning(self, x: Any) -> Any:
        """See Op."""
        x = np.asarray(x) if self.mode == "nearest" else widest(x)
        for axis, size in enumerate(x.shape):
            out, step = self._sampled(axis, size)
            if out != size or step != 1:
                x = self._resample(x, axis, out, step)
        return x

    def spread(self, x: Value) -> float:
        """See Op: elements with a weight other than zero, axis by axis."""
        spread = 1.0
        for axis, size in enumerate(x.type.shape):
            if not isinstance(size, int):
                continue
            out, step = self._sampled(axis, size)
            if (out, step) != (size, 1):
                spread *= int(np.count_nonzero(self._resample(np.eye(size), 1, out, step))) / size
        return spread

    def _sampled(self, axis: int, size: int) -> tuple[int, float]:
        """The points of an axis, and their distance in elements of the operand."""
        if self.sizes:
            wanted = self.sizes[axis]
            out = wanted if isinstance(wanted, int) else size
            return out, size / out
        return int(_scaled(size, self.scales[axis])), 1 / self.scales[axis]

    def points(self, size: int, out: int, step: float) -> Array:
        """The input coordinate of every output index of an axis."""
        i = np.arange(out, dtype=np.float64)
        if self.coordinates == "asymmetric":
            return i * step
        if self.coordinates == "align_corners":
            return i * (size - 1) / (out - 1) if out > 1 else i * 0
        if self.coordinates == "pytorch_half_pixel" and out == 1:
            return i * 0
        return (i + 0.5) * step - 0.5

    def _resample(self, x: Array, axis: int, out: int, step: float) -> Array:
        size = x.shape[axis]
        point = self.points(size, out, step)
        if self.mode == "nearest":
            return np.take(x, np.clip(nearest(point, self.rounding), 0, size - 1), axis=axis)
        first = np.floor(point).astype(np.int64)
        fraction = point - first
        if self.mode == "linear":
            point = np.clip(point, 0, size - 1)
            first = np.floor(point).astype(np.int64)
            fraction = point - first
            weights = [(0, 1 - fraction), (1, fraction)]
        else:
            weights = list(zip((-1, 0, 1, 2), cubic(fraction, self.cubic_a), strict=True))
        spread = (1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1)
        total: Any = 0
        for offset, weight in weights:
            total = total + np.take(x, np.clip(first + offset, 0, size - 1), axis=axis) * weight.reshape(spread)
        return np.asarray(total)


def nearest(point: Array, rounding: str) -> Array:
    """The whole numbers nearest to coordinates, by a rounding rule."""
    if rounding == "round_prefer_floor":
        found = np.ceil(point - 0.5)
    elif rounding == "round_prefer_ceil":
        found = np.floor(point + 0.5)
    else:
        found = np.floor(point) if rounding == "floor" else np.ceil(point)
    return found.astype(np.int64)


def cubic(f: Array, a: float) -> tuple[Array, Array, Array, Array]:
    """The weights of four neighbours at a fraction between the middle two (cubic convolution with coefficient a)."""
    g = 1 - f
    return (
        ((a * (f + 1) - 5 * a) * (f + 1) + 8 * a) * (f + 1) - 4 * a,
        ((a + 2) * f - (a + 3)) * f * f + 1,
        ((a + 2) * g - (a + 3)) * g * g + 1,
        ((a * (g + 1) - 5 * a) * (g + 1) + 8 * a) * (g + 1) - 4 * a,
    )


def _scaled(dim: Dim, scale: float) -> Dim:
    if isinstance(dim, int):
        return math.floor(dim * scale)
    return dim if scale == 1 else "?"
