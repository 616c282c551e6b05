"""`q`: arithmetic on levels. Sums are integers, exactly, whatever the order; reals appear in the types only.

Levels have no zero point here: real = scale * level. Products are accumulated in i32 where K * max|qx| * max|qw| fits,
else in i64, and requantization rounds once (quantization card 10.2, 10.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.elements import Affine, Elem, Exact, elem
from ranvier.ir.ops.checks import brief, vector
from ranvier.ir.ops.nn import convolve, expect_channels
from ranvier.ir.ops.windows import Window, padded, spatial_sizes, windows_of
from ranvier.ir.schema import enum, integer, ints, operand, optional
from ranvier.ir.timing import PureOp
from ranvier.ir.types import SpikesType, TensorType, Type, same_dim, show_shape

EXACT_IN_DOUBLE = 1 << 53


def tidy(x: Fraction) -> Exact:
    """A rational as the integer or float64 number that it is exactly, if it is one."""
    if x.denominator == 1:
        return float(x)
    as_float = float(x)
    return as_float if Fraction(as_float) == x else x


def magnitude(kind: Any) -> int:
    """The largest magnitude of a level, or of a spike."""
    if isinstance(kind, SpikesType):
        return int(kind.code.largest)
    low, high = kind.elem.levels
    return int(max(-low, high))


def fits(bound: int, storage: str) -> bool:
    """Whether integers of so large a magnitude fit a signed storage."""
    return bound <= elem(storage).range[1]


def scale_factors(kind: Any) -> tuple[Fraction, ...]:
    """The scales of levels, or of spikes, exactly; one, or one for each index of their axis."""
    quant = kind.elem.quant
    if quant is None:
        return (Fraction(1),)
    scales = quant.scale if isinstance(quant.scale, tuple) else (quant.scale,)
    return tuple(Fraction(s) for s in scales)


def check_levels(op: Op, what: str, kind: Any, axis: int | None = None) -> None:
    """Raise RanvierError unless an operand is levels without a zero point (or spikes), their scales on one axis."""
    quant = kind.elem.quant
    if isinstance(kind, SpikesType):
        if quant is not None and quant.axis is not None:
            raise op.fail(
                "type-mismatch",
                f"needs spikes of one scale as {what}, not one for each index of axis {quant.axis}",
                "fold-spike-scales moves them into the weights behind",
            )
        return
    if quant is None:
        raise op.fail("type-mismatch", f"needs levels as {what}, not {kind.elem}", "q.quantize makes levels of reals")
    zeros = quant.zero if isinstance(quant.zero, tuple) else (quant.zero,)
    if any(zeros):
        raise op.fail("type-mismatch", f"needs levels with zero=0 as {what}, not {brief(kind.elem)}")
    found = None if quant.axis is None else quant.axis % kind.rank
    if found is not None and (found != axis or quant.group is not None):
        where = "one scale" if axis is None else f"one scale, or one for each index of axis {axis}"
        raise op.fail("type-mismatch", f"needs {where} as {what}, not {brief(kind.elem)}")


class Product(PureOp):
    """Base of the linear ops on levels: what their result is worth, and how wide it is."""

    accumulator = enum("i32", "i64", default="i32", help="storage of the sums")

    def product_type(self, x: Any, weight: Any, shape: Sequence[Any], taps: Any, axis: int) -> TensorType:
        """Levels of the product of the scales. Raises RanvierError when sums of `taps` products may not fit."""
        count = taps if isinstance(taps, int) else 1
        bound = count * magnitude(x) * magnitude(weight)
        if not fits(bound, self.accumulator):
            help = "accumulator=i64" if fits(bound, "i64") else "use fewer bits"
            raise self.fail(
                "bad-value", f"adds up {count} products to {bound}, which {self.accumulator} does not hold", help
            )
        left, right = scale_factors(x), scale_factors(weight)
        scales = tuple(tidy(a * b) for a in left for b in right)
        if len(right) == 1 and (weight.elem.quant is None or weight.elem.quant.axis is None):
            quant = Affine(scales[0])
        else:
            quant = Affine(scales, axis=axis)
        return TensorType(tuple(shape), Elem(self.accumulator, quant))

    def check_bias(self, bias: Any, size: Any) -> None:
        """Raise RanvierError unless the bias is one i32 or i64 level of the result for each output."""
        vector(self, "bias", bias, size)
        if bias is not None and bias.elem.storage not in ("i32", "i64"):
            raise self.fail("type-mismatch", f"needs i32 or i64 levels as bias, not {bias.elem}")
        if bias is not None and bias.elem.quant is not None:
            raise self.fail("type-mismatch", "needs a bias of plain integers", "they count levels of the result")


class QConv(Product, name="q.conv"):
    """nn.conv on levels: the sums of products of levels, plus the bias, in levels of the product of the scales.

    x is levels or spikes [N, C, *spatial] of one scale; weight levels [O, C/groups, *kernel], their scales on axis 0.
    The result has its scales on axis 1.
    """

    x = operand("levels or spikes [N, C, *spatial]", spikes=True)
    weight = operand("levels [O, C/groups, *kernel]")
    bias = optional("integers, in levels of the result, one an output channel")
    strides = ints((), "step of the window, one a spatial axis; 1 if empty", min=1)
    padding = ints((), "zeros before each spatial axis, then after each; 0 if empty", min=0)
    dilations = ints((), "distance of the taps, one a spatial axis; 1 if empty", min=1)
    groups = integer(1, "groups of channels that do not see each other", min=1)

    def infer(self, x: Any, weight: Any, bias: Any) -> Type:
        """See Op."""
        check_levels(self, "x", x)
        check_levels(self, "weight", weight, 0)
        if x.rank < 3 or weight.rank != x.rank:
            want = "an input [N, C, *spatial] and a weight of as many axes"
            raise self.fail("shape-mismatch", f"needs {want}, not {show_shape(x.shape)} and {show_shape(weight.shape)}")
        out, each, *kernel = weight.shape
        if not all(isinstance(k, int) for k in (out, each, *kernel)):
            raise self.fail("shape-mismatch", f"needs a weight of known size, not {show_shape(weight.shape)}")
        expect_channels(self, x, each * self.groups)
        if out % self.groups:
            raise self.fail("shape-mismatch", f"has {out} output channels in {self.groups} groups")
        self.check_bias(bias, out)
        sizes = spatial_sizes(self, self.windows(weight.shape[2:]), x.shape[2:])
        return self.product_type(x, weight, (x.shape[0], out, *sizes), math.prod([each, *kernel]), 1)

    def windows(self, kernel: tuple[Any, ...]) -> list[Window]:
        """The window on each spatial axis."""
        return windows_of(self, kernel, self.strides, self.padding, self.dilations)

    def meaning(self, x: Any, weight: Any, bias: Any) -> Any:
        """See Op."""
        windows = self.windows(weight.shape[2:])
        wide = self.wide(math.prod(weight.shape[1:]))
        out = convolve(padded(np.asarray(x, wide), windows, 0), np.asarray(weight, wide), windows, self.groups)
        out = np.asarray(out).astype(np.int64)
        return out if bias is None else out + np.asarray(bias, np.int64).reshape(-1, *[1] * (out.ndim - 2))

    def wide(self, taps: int) -> Any:
        """The type in which sums of so many products are exact: float64, whose matrix products are fast, or int64."""
        return sum_type(self, taps)

    def macs(self) -> int:
        """See Op."""
        from ranvier.ir.types import element_count

        assert self.weight is not None
        return element_count(self.result.type.shape[1:]) * element_count(self.weight.type.shape[1:])


def sum_type(op: Op, taps: int) -> Any:
    """float64 where it holds every sum of products exactly, else int64."""
    bound = taps * magnitude(op.arguments[0].type) * magnitude(op.arguments[1].type)
    return np.float64 if bound < EXACT_IN_DOUBLE else np.int64


class QLinear(Product, name="q.linear"):
    """nn.linear on levels: x weight^T + bias on the last axis, in levels of the product of the scales.

    x is levels [..., in] of one scale, or spikes; weight levels [out, in], their scales on axis 0. The result has its
    scales on its last axis.
    """

    x = operand("levels or spikes [..., in]", spikes=True)
    weight = operand("levels [out, in]")
    bias = optional("integers, in levels of the result, one an output")

    def infer(self, x: Any, weight: Any, bias: Any) -> Type:
        """See Op."""
        check_levels(self, "x", x)
        check_levels(self, "weight", weight, 0)
        if weight.rank != 2 or not x.rank or not same_dim(x.shape[-1], weight.shape[1]):
            shapes = f"{show_shape(x.shape)} and {show_shape(weight.shape)}"
            raise self.fail("shape-mismatch", f"needs x [..., in] and a weight [out, in], not {shapes}")
        self.check_bias(bias, weight.shape[0])
        return self.product_type(x, weight, (*x.shape[:-1], weight.shape[0]), weight.shape[1], x.rank - 1)

    def meaning(self, x: Any, weight: Any, bias: Any) -> Any:
        """See Op."""
        wide = sum_type(self, np.shape(weight)[1])
        out = (np.asarray(x, wide) @ np.asarray(weight, wide).T).astype(np.int64)
        return out if bias is None else out + np.asarray(bias, np.int64)

    def macs(self) -> int:
        """See Op."""
        from ranvier.ir.types import element_count

        assert self.weight is not None
        shape = self.result.type.shape
        outputs = element_count(shape[1:]) if len(shape) > 1 else element_count(shape)
        return outputs * element_count(self.weight.type.shape[1:])


class QMatmul(Product, name="q.matmul"):
    """nn.matmul on levels of one scale each, in levels of the product of the scales; either may be spikes.

    The left operand is [..., n, k], the right [..., k, m]; the others broadcast.
    """

    a = operand("levels or spikes [..., n, k]", spikes=True)
    b = operand("levels or spikes [..., k, m]", spikes=True)

    def infer(self, a: Any, b: Any) -> Type:
        """See Op."""
        from ranvier.ir.types import broadcast_shapes

        check_levels(self, "a", a)
        check_levels(self, "b", b)
        if a.rank < 2 or b.rank < 2 or not same_dim(a.shape[-1], b.shape[-2]):
            shapes = f"{show_shape(a.shape)} by {show_shape(b.shape)}"
            raise self.fail("shape-mismatch", f"multiplies {shapes}: it needs matrices [..., n, k] and [..., k, m]")
        try:
            lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError as why:
            raise self.fail("shape-mismatch", str(why)) from None
        shape = (*lead, a.shape[-2], b.shape[-1])
        return self.product_type(a, b, shape, a.shape[-1], len(shape) - 1)

    def meaning(self, a: Any, b: Any) -> Any:
        """See Op."""
        wide = sum_type(self, np.shape(a)[-1])
        return np.matmul(np.asarray(a, wide), np.asarray(b, wide)).astype(np.int64)

    def macs(self) -> int:
        """See Op."""
        from ranvier.ir.types import element_count

        assert self.a is not None
        return element_count(self.result.type.shape[1:]) * element_count(self.a.type.shape[-1:])
