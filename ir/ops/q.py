"""`q`: between real numbers and the levels of a quantized element type (design decision 6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.elements import Elem, elem
from ranvier.ir.ops.checks import widest
from ranvier.ir.schema import element, operand
from ranvier.ir.timing import PureOp
from ranvier.ir.types import TensorType, Type, show_shape


class Quantize(PureOp, name="q.quantize"):
    """level = clip(round(x / scale) + zero), or round(x / scale + zero) with order=shift_then_round.

    The quotient is taken in float64, rounded as the element type says, and clipped to the levels of the type. nan
    becomes the level nearest to zero.
    """

    x = operand("real numbers")
    elem = element(help="the quantized element type, such as i8@affine(scale=0.5)")

    def infer(self, x: Any) -> Type:
        """See Op."""
        if not x.elem.is_float:
            raise self.fail("type-mismatch", f"needs real numbers, not {x.elem}", "core.cast to f32 before")
        quant = self.elem.quant
        if quant is None:
            raise self.fail(
                "type-mismatch", f"needs a quantized element type, not {self.elem}", f"{self.elem}@affine(scale=...)"
            )
        zeros = quant.zero if isinstance(quant.zero, tuple) else (quant.zero,)
        if quant.order == "round_then_shift" and any(float(z) % 1 for z in zeros):
            raise self.fail("bad-value", "rounds before it adds a zero of one half", "use order=shift_then_round")
        check_scales(self, self.elem, x.shape)
        return TensorType(x.shape, self.elem)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        quant = self.elem.quant
        assert quant is not None
        rank, (low, high) = np.ndim(x), self.elem.levels
        scale, zero = quant.scales(rank, np.float64), quant.zeros(rank, np.float64)
        with np.errstate(all="ignore"):
            quotient = widest(x) / scale
            quotient = np.where(np.isnan(quotient), 0.0, quotient)
            shifted = quant.order == "shift_then_round"
            level = round_by(quotient + zero, quant.rounding) if shifted else round_by(quotient, quant.rounding) + zero
        return np.clip(level, low, high)


class Dequantize(PureOp, name="q.dequantize"):
    """x = scale * (level - zero), as f32."""

    folds = False
    x = operand("levels of a quantized element type")

    def infer(self, x: Any) -> Type:
        """See Op."""
        if x.elem.quant is None:
            raise self.fail(
                "type-mismatch", f"needs levels of a quantized element type, not {x.elem}", "core.cast makes reals"
            )
        check_scales(self, x.elem, x.shape)
        return TensorType(x.shape, elem("f32"))

    def meaning(self, x: Any) -> Any:
        """See Op."""
        assert isinstance(self.x.type, TensorType)
        quant = self.x.type.elem.quant
        assert quant is not None
        rank = np.ndim(x)
        return quant.scales(rank, np.float64) * (np.asarray(x, np.float64) - quant.zeros(rank, np.float64))


def round_by(x: Any, rounding: str) -> Any:
    """Whole numbers by a rounding rule of `ROUNDINGS`; `half_away` is away from zero, `half_up` towards infinity."""
    if rounding == "half_even":
        return np.rint(x)
    if rounding == "half_away":
        return np.sign(x) * np.floor(np.abs(x) + 0.5)
    return np.floor(x + 0.5) if rounding == "half_up" else np.floor(x)


def check_scales(op: Op, element: Elem, shape: tuple[Any, ...]) -> None:
    """Raise RanvierError when an element type's scales do not fit a shape."""
    quant = element.quant
    if quant is None or quant.axis is None:
        return
    size = shape[quant.axis] if -len(shape) <= quant.axis < len(shape) else None
    count = len(quant.scale) * (quant.group or 1) if isinstance(quant.scale, tuple) else size
    if size is None or (isinstance(size, int) and size != count):
        raise op.fail("shape-mismatch", f"has {count} scales on axis {quant.axis} of shape {show_shape(shape)}")
