"""`q`: what a network under training computes with: quantized reals, and noise on what a layer gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.core import require_tensor
from ranvier.ir.fields import Integer
from ranvier.ir.ops.checks import along, axis_of
from ranvier.ir.ops.q import round_by
from ranvier.ir.ops.snn import check_offset
from ranvier.ir.records import Record
from ranvier.ir.schema import Optional, attribute, enum, flag, integer, operand, optional, record, text
from ranvier.ir.timing import PureOp, StatefulOp
from ranvier.ir.types import TensorType, Type, same_dim, show_shape


@dataclass(frozen=True)
class Gradient(Record):
    """Base of the rules by which a gradient passes through rounding. The runtime that trains knows the formula."""

    family = "gradient"


@dataclass(frozen=True)
class StraightThrough(Gradient):
    """Rounding counts as the identity and clipping as what it is (Bengio, Leonard, Courville 2013).

    With v = x/scale: dx = g inside the range and 0 outside; dscale = g (round(v) - v) inside and g times the lowest or
    highest level outside, the chain rule of scale * clip(round(x / scale)), which is LSQ's gradient (Esser et al., ICLR
    2020, eq. 3) without its factor 1/sqrt(N * levels).
    """

    word = "ste"


class FakeQuant(PureOp, name="q.fake_quant"):
    """y = scale * clip(round(x / scale), low, high): reals that lie on the grid of a quantized type.

    Unsigned levels are 0 .. 2^bits - 1; signed ones -2^(bits-1) .. 2^(bits-1) - 1, or with `narrow` from
    -(2^(bits-1) - 1), symmetric around zero. The quotient is taken in float64, as q.quantize does. nan becomes 0.
    `scale` is one number, or one for each index of `axis`; numbers below the smallest normal one count as that.
    `freeze-quant` makes q.quantize and q.dequantize of it.
    """

    folds = False
    x = operand("reals")
    scale = operand("what one level is worth: a positive number, or one for each index of axis")
    bits = integer(8, "bits of a level", min=2, max=8)
    signed = flag(True, "levels may be negative")
    narrow = flag(False, "leave out the lowest signed level")
    axis = attribute(Optional(Integer()), None, "the axis that the scales lie on")
    rounding = enum("half_even", "half_away", "half_up", "floor", default="half_even", help="how levels are rounded")
    grad = record("gradient", StraightThrough(), "how a gradient passes")

    @property
    def levels(self) -> tuple[int, int]:
        """Smallest and largest level."""
        if not self.signed:
            return 0, (1 << self.bits) - 1
        high = (1 << (self.bits - 1)) - 1
        return (-high if self.narrow else -high - 1), high

    def infer(self, x: Any, scale: Any) -> Type:
        """See Op."""
        if not x.elem.is_float or scale.elem != x.elem:
            raise self.fail("type-mismatch", f"needs reals of one type, not {x.elem} and {scale.elem}")
        if self.narrow and not self.signed:
            raise self.fail("bad-value", "is narrow but not signed", "narrow leaves out the lowest negative level")
        if (self.axis is None) != (scale.rank == 0) or scale.rank > 1:
            help = "axis=none takes one number as scale, an axis takes one for each of its indices"
            raise self.fail(
                "shape-mismatch", f"has axis={_word(self.axis)} and a scale {show_shape(scale.shape)}", help
            )
        if self.axis is not None:
            size = x.shape[axis_of(self, self.axis, x.rank)]
            if not same_dim(size, scale.shape[0]):
                raise self.fail("shape-mismatch", f"has {scale.shape[0]} scales for {size} indices of axis {self.axis}")
        return TensorType(x.shape, x.elem)

    def meaning(self, x: Any, scale: Any) -> Any:
        """See Op."""
        x = np.asarray(x, np.float64)
        scale = np.maximum(np.asarray(scale, np.float64), np.finfo(np.float32).tiny)
        if self.axis is not None:
            scale = along(scale, self.axis % x.ndim, x.ndim)
        with np.errstate(all="ignore"):
            quotient = x / scale
        level = round_by(np.where(np.isnan(quotient), 0.0, quotient), self.rounding)
        return np.clip(level, *self.levels) * scale


def _word(axis: int | None) -> str:
    return "none" if axis is None else str(axis)


class OutputNoise(StatefulOp, name="q.output_noise"):
    """y = x + sigma * n with n normal, of variance 1: what a noisy device adds to the result of a layer.

    `sigma` is one number, one a channel (axis 1), or a tensor that broadcasts; gradients go to x and to sigma. Draws
    are keyed by (seed, key, trial, sample, step, element). The normal numbers are Box and Muller's of two uniform ones:
    sqrt(-2 ln(1 - u1)) cos(2 pi u2).
    """

    draws = True
    x = operand("reals; the first axis counts samples")
    sigma = operand("standard deviation: one number, one a channel, or a tensor that broadcasts")
    offset = optional("steps already taken, an i64 scalar; 0 by default")
    key = text("", "names this op's random draws")
    seed = integer(0, "seed of the random draws")

    @property
    def windowed(self) -> bool:
        """Whether there are no steps to go through."""
        return self.x.type.time is None

    def infer(self, x: Any, sigma: Any, offset: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        if not kind.elem.is_float or not kind.rank:
            raise self.fail("type-mismatch", f"needs reals whose first axis counts samples, not {kind}")
        spread = require_tensor(self, "sigma", sigma)
        if spread.elem != kind.elem or spread.time is not None:
            raise self.fail("type-mismatch", f"needs sigma in {kind.elem} without time, not {spread}")
        self._check_shape(kind, spread)
        check_offset(self, offset)
        return kind

    def _check_shape(self, kind: TensorType, sigma: TensorType) -> None:
        if sigma.rank == 1 and kind.rank > 1:
            ok = sigma.shape[0] == 1 or same_dim(sigma.shape[0], kind.shape[1])
        else:
            ends = kind.shape[kind.rank - sigma.rank :]
            ok = sigma.rank <= kind.rank and all(
                d == 1 or same_dim(d, e) for d, e in zip(sigma.shape, ends, strict=True)
            )
        if not ok:
            shapes = f"{show_shape(sigma.shape)} to {show_shape(kind.shape)}"
            raise self.fail("shape-mismatch", f"has a sigma that does not broadcast from {shapes}")

    def init(self, moment: Any, *arrays: Any) -> Any:
        """See StatefulOp."""
        return None

    def step(self, moment: Any, state: Any, x: Any, sigma: Any, offset: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        now = moment if offset is None else replace(moment, t=moment.t + int(offset))
        spread = along(sigma, 1, x.ndim) if np.ndim(sigma) == 1 and x.ndim > 1 else sigma
        return None, x + spread * normal(np, now.draw(self.seed, self.key, (x.shape[0], 2, *x.shape[1:])))

    def evaluate(self, interpreter: Any, arrays: list[Any]) -> Any:
        """The meaning, with draws (ranvier.ir.interpret); without time there is one moment."""
        if self.windowed:
            return self.step(interpreter._moment(0, 1), None, *arrays)[1]
        return interpreter._over_time(self, arrays, interpreter.steps_of(self))


def normal(xp: Any, u: Any) -> Any:
    """Normal numbers of uniform ones [samples, 2, ...]: the first half of a sample's numbers give the radius."""
    radius = xp.sqrt(-2 * xp.log1p(-u[:, 0]))
    return radius * xp.cos(2 * math.pi * u[:, 1])


__all__ = ["FakeQuant", "Gradient", "OutputNoise", "StraightThrough", "normal"]
