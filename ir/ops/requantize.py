"""`q`: from one grid of levels to another, rounded once; sums of levels (quantization card 10.2, 10.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.elements import Affine, Elem, elem
from ranvier.ir.fixed_point import Requantizer, common_shift, multiplier
from ranvier.ir.ops.checks import brief
from ranvier.ir.ops.integer import check_levels, magnitude, scale_factors, tidy
from ranvier.ir.ops.pool import Pool
from ranvier.ir.ops.q import check_scales
from ranvier.ir.ops.reduce import Reduction, reduced
from ranvier.ir.schema import element, flag, operand, variadic
from ranvier.ir.timing import PureOp
from ranvier.ir.types import SpikesType, TensorType, Type, broadcast_shapes, show_shape

LARGEST_RESULT = 31


class Rescaled(PureOp):
    """Base of the ops whose result is a rounded sum of factors times levels."""

    def check_result(self, element: Elem, shape: Sequence[Any]) -> Affine:
        """The map of the result. Raises RanvierError when integers cannot be brought there with one rounding."""
        quant = element.quant
        if quant is None:
            raise self.fail(
                "type-mismatch", f"needs a quantized element type, not {element}", f"{element}@affine(scale=...)"
            )
        if quant.axis is not None or isinstance(quant.zero, tuple) or float(quant.zero) % 1:
            raise self.fail("type-mismatch", f"gives levels of one scale and a whole zero, not {brief(element)}")
        if quant.rounding != "half_up":
            raise self.fail("bad-value", f"rounds half up, not {quant.rounding}", "add rounding=half_up to elem")
        if element.bits > LARGEST_RESULT:
            raise self.fail("bad-value", f"gives levels of at most {LARGEST_RESULT} bits, not {element.bits}")
        check_scales(self, element, tuple(shape))
        return quant

    @property
    def terms(self) -> list[Any]:
        """The types of what is added up."""
        return [v.type for v in self.arguments]

    @property
    def requantizer(self) -> Requantizer:
        """Multipliers and shifts of the terms, from the types alone."""
        quant = self.attributes["elem"].quant
        rank = self.result.type.rank
        out = Fraction(quant.scale)
        factors = [[s / out for s in scale_factors(k)] for k in self.terms]
        channels = max(map(len, factors))
        columns = [f if len(f) == channels else f * channels for f in factors]
        ms, ts = self.multipliers(columns)
        axes = [_axis(k, rank) for k in self.terms]
        axis = next((a for a in axes if a is not None), None)
        low, high = self.attributes["elem"].levels
        wide = len(self.terms) == 1 and self.terms[0].elem.bits > 32
        return Requantizer(
            tuple(_spread(m, axis, rank) for m in ms), _spread(ts, axis, rank), int(quant.zero), low, high, wide
        )

    def multipliers(self, factors: list[list[Fraction]]) -> tuple[list[list[int]], list[int]]:
        """For each term its multipliers, and the shifts, one a channel."""
        bounds = [magnitude(k) for k in self.terms]
        found = [common_shift(column, bounds) for column in zip(*factors, strict=True)]
        return [[m[i] for m, _ in found] for i in range(len(factors))], [t for _, t in found]

    def check_factors(self, elem: Elem) -> None:
        """Raise RanvierError where no multiplier exists."""
        quant = elem.quant
        assert quant is not None
        assert not isinstance(quant.scale, tuple)
        factors = [[s / Fraction(quant.scale) for s in scale_factors(k)] for k in self.terms]
        channels = max(map(len, factors))
        try:
            self.multipliers([f if len(f) == channels else f * channels for f in factors])
        except ValueError as why:
            raise self.fail("bad-value", f"cannot be brought to {brief(elem)}: {why}") from None

    def meaning(self, *terms: Any) -> Any:
        """See Op."""
        return self.requantizer(np, *(np.asarray(x, np.int64) for x in terms))


def _axis(kind: Any, rank: int) -> int | None:
    quant = kind.elem.quant
    return None if quant is None or quant.axis is None else quant.axis % kind.rank - kind.rank + rank


def _spread(numbers: Sequence[int], axis: int | None, rank: int) -> Any:
    array = np.asarray(numbers, np.int64)
    if axis is None:
        return array[0]
    return array.reshape([-1 if i == axis else 1 for i in range(rank)])


class Requantize(Rescaled, name="q.requantize"):
    """level' = clip(zero' + round(level * scale / scale'), low, high): levels of another scale, rounded half up once.

    The factor is m * 2^-t with m in [2^30, 2^31), one a channel, and the result (level * m + 2^(t-1)) >> t in 64 bits:
    single rounding, unlike gemmlowp's two. A ReLU before the levels is the clip at 0 of an unsigned type.
    """

    x = operand("levels, such as the sums of q.conv")
    elem = element(help="the quantized element type of the result, with rounding=half_up")

    def infer(self, x: Any) -> Type:
        """See Op."""
        if x.elem.is_float or x.elem.quant is None or x.elem.quant.group is not None:
            raise self.fail("type-mismatch", f"needs levels, not {brief(x.elem)}", "q.quantize makes levels of reals")
        check_levels(self, "x", x, None if x.elem.quant.axis is None else x.elem.quant.axis % x.rank)
        self.check_result(self.elem, x.shape)
        self.check_factors(self.elem)
        return TensorType(x.shape, self.elem)

    @property
    def terms(self) -> list[Any]:
        """See Rescaled."""
        assert self.operands[0] is not None
        return [self.operands[0].type]

    def multipliers(self, factors: list[list[Fraction]]) -> tuple[list[list[int]], list[int]]:
        """See Rescaled: 31 significant bits each."""
        found = [multiplier(f) for f in factors[0]]
        return [[m for m, _ in found]], [t for _, t in found]


class QAdd(Rescaled, name="q.add"):
    """The sum of levels of different scales as levels of a third, rounded half up once: a residual connection.

    level' = clip(zero' + round(sum of level_i * scale_i / scale'), low, high). All factors are multipliers at one
    shift, the largest with which the sum stays within 63 bits; terms are of at most 32 bits and broadcast.
    """

    addends = variadic("levels of one scale, or one for each index of axis 1")
    elem = element(help="the quantized element type of the result, with rounding=half_up")

    def infer(self, *kinds: Any) -> Type:
        """See Op."""
        if not kinds:
            raise self.fail("wrong-operands", "adds up nothing")
        axes = set()
        for kind in kinds:
            if kind.elem.quant is None or kind.elem.bits > 32:
                raise self.fail("type-mismatch", f"needs levels of at most 32 bits, not {brief(kind.elem)}")
            axis = kind.elem.quant.axis
            check_levels(self, "a term", kind, None if axis is None else axis % kind.rank)
            axes |= set() if axis is None else {axis % kind.rank - kind.rank}
        if len(axes) > 1:
            raise self.fail("type-mismatch", "adds up levels whose scales lie on different axes")
        try:
            shape = broadcast_shapes(*(k.shape for k in kinds))
        except ValueError as why:
            raise self.fail("shape-mismatch", str(why)) from None
        self.check_result(self.elem, shape)
        self.check_factors(self.elem)
        return TensorType(shape, self.elem)


class QSum(Reduction, name="q.sum"):
    """The sum of levels, or of spikes of one scale, over axes, in the smallest storage that holds it; with `mean` a
    level of it is worth 1/n: it stands for the mean."""

    x = operand("levels or spikes", spikes=True)
    mean = flag(False, "the result stands for the mean")

    def infer(self, x: Any) -> Type:
        """See Op."""
        check_levels(self, "x", x)
        axes = self.axes_in(x.rank)
        return TensorType(
            reduced(x.shape, axes, self.keep), sum_element(self, x, [x.shape[a] for a in axes], self.mean)
        )

    def function(self, x: Any, axes: tuple[int, ...]) -> Any:
        """See Reduction."""
        return np.sum(x, axis=axes, keepdims=self.keep)


class QSumPool(Pool, name="q.sum_pool"):
    """The sum of the levels, or spikes of one scale, in each window, in the smallest storage that holds it; with `mean`
    a level of it is worth 1/n, n the elements of a window: it stands for the mean over windows, padding among them."""

    x = operand("levels or spikes [N, C, *spatial]", spikes=True)
    mean = flag(False, "the result stands for the mean")

    def infer(self, x: Any) -> Type:
        """See Op."""
        check_levels(self, "x", x)
        if self.ceil_mode and self.mean:
            raise self.fail("bad-value", "cannot stand for means of windows that hang over the end", "ceil_mode=false")
        shape = self.pooled_shape(x)
        return TensorType(shape, sum_element(self, x, list(self.kernel), self.mean))

    def meaning(self, x: Any) -> Any:
        """See Op."""
        return self.taps(np.asarray(x, np.int64), 0).sum(axis=tuple(range(-len(self.kernel), 0)))


def sum_element(op: Op, x: Any, sizes: Sequence[Any], mean: bool) -> Elem:
    """The element type of a sum over axes of known sizes. Raises RanvierError where i32 does not hold it."""
    if not all(isinstance(n, int) for n in sizes):
        raise op.fail("shape-mismatch", f"sums up axes of unknown size {show_shape(sizes)}")
    count = math.prod(sizes)
    low, high = x.code.alphabet() if isinstance(x, SpikesType) else x.elem.levels
    sign = "i" if low < 0 else "u"
    quant = Affine(tidy(scale_factors(x)[0] / (count if mean else 1)))
    for storage in (*(f"{sign}{bits}" for bits in range(2, 9)), "i16", "i32"):
        least, most = elem(storage).range
        if least <= count * low and count * high <= most:
            return Elem(storage, quant)
    raise op.fail("bad-value", f"adds up {count} levels of {brief(x.elem)}, which i32 does not hold")
