"""Exact requantization: real factors as integer multipliers and shifts, rounded once (quantization card 10.3).

Functions use `+ * >> &` and `clip` of an array namespace, so that numpy and torch compute the same integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MULTIPLIER_BITS = 31
MOST_SHIFT = 62
WIDE_SHIFT = 31


def multiplier(factor: Fraction) -> tuple[int, int]:
    """(m, t) with factor close to m * 2^-t and m in [2^30, 2^31): 31 significant bits, rounded half up.

    Factors below 2^-32 give (0, 62): they bring every 32-bit integer below one half. Raises ValueError for a factor
    that is not positive, or so large (2^30 and more) that no shift to the right is left.
    """
    if factor <= 0:
        raise ValueError(f"a factor must be positive, not {factor}")
    exponent = _floor_log2(factor)  # 2^exponent <= factor < 2^(exponent + 1)
    shift = MULTIPLIER_BITS - 1 - exponent
    m = _round_half_up(factor * Fraction(2) ** shift)
    if m == 1 << MULTIPLIER_BITS:  # rounded up to the next power of two
        m, shift = m >> 1, shift - 1
    if shift > MOST_SHIFT:
        return 0, MOST_SHIFT
    if shift < 1:
        raise ValueError(f"a factor of {float(factor):g} leaves nothing to shift; it must be below 2^30")
    return m, shift


def common_shift(factors: Sequence[Fraction], bounds: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Multipliers of several terms at one shift: the largest with which the sum stays within 63 bits.

    `bounds` are the largest magnitudes of the terms. Raises ValueError where no shift is left.
    """
    total = sum((f * b for f, b in zip(factors, bounds, strict=True)), Fraction(0))
    for shift in range(min(MOST_SHIFT, MOST_SHIFT - _floor_log2(total)), 0, -1):
        ms = [_round_half_up(f * 2**shift) for f in factors]
        if sum(m * b for m, b in zip(ms, bounds, strict=True)) + (1 << (shift - 1)) < 1 << 62:
            return tuple(ms), shift
    raise ValueError("the factors are too large for 64-bit sums")


def _floor_log2(x: Fraction) -> int:
    guess = x.numerator.bit_length() - x.denominator.bit_length()
    return guess if Fraction(2) ** guess <= x else guess - 1


def _round_half_up(x: Fraction) -> int:
    return (2 * x.numerator + x.denominator) // (2 * x.denominator)


@dataclass(frozen=True, eq=False)
class Requantizer:
    """level = clip(((sum of term * m) + 2^(t-1) >> t) + zero, low, high), int64, rounded half up once.

    `m` has one array a term, `t` one array; they broadcast against the terms.
    """

    m: tuple[Array, ...]
    t: Array
    zero: int
    low: int
    high: int
    wide: bool = False

    @property
    def half(self) -> Array:
        """What is added before the shift."""
        return np.asarray(np.left_shift(np.int64(1), self.t - 1))

    def __call__(self, xp: Any, *terms: Any) -> Any:
        """Levels of int64 terms of the namespace (arrays of this object are converted by `parts` for torch)."""
        return self.apply(xp, terms, self.m, self.t, self.half)

    def apply(self, xp: Any, terms: Sequence[Any], m: Sequence[Any], t: Any, half: Any) -> Any:
        """The same with multipliers, shifts and halves as arrays of the namespace."""
        if self.wide:
            total = _wide(xp, terms[0], m[0], t, half)
        else:
            products = [a * b for a, b in zip(terms, m, strict=True)]
            total = sum(products[1:], products[0]) + half >> t
        return xp.clip(total + self.zero, self.low, self.high)


def _wide(xp: Any, x: Any, m: Any, t: Any, half: Any) -> Any:
    """The product of a 64-bit term without overflow: its upper and lower parts apart.

    floor((h 2^31 + l) m + half) / 2^t) = floor((h m + floor((l m + half) / 2^31)) / 2^(t - 31)). With t < 31 the factor
    is 1 or more, and a term of 2^31 or more saturates whatever it is exactly.
    """
    limit = 1 << 31
    near = (xp.clip(x, -limit, limit - 1) * m + half) >> t
    high, low = x >> WIDE_SHIFT, x & (limit - 1)
    far = (high * m + ((low * m + half) >> WIDE_SHIFT)) >> xp.clip(t - WIDE_SHIFT, 0, None)
    return xp.where(t < WIDE_SHIFT, near, far)


def double_rounded(x: Any, m: int, shift: int) -> Any:
    """TFLite's requantization, for comparison: a rounding doubling high multiply, then a rounding shift (ties away).

    `m` in [2^30, 2^31), `shift` <= 0 as TFLite has it. It rounds twice, so it differs from one rounding by one level in
    some cases (tensorflow issue 25087). Source: gemmlowp, SaturatingRoundingDoublingHighMul and RoundingDivideByPOT.
    """
    product = np.asarray(x, np.int64) * np.int64(m)
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = product + nudge
    high = np.where(high >= 0, high >> 31, -((-high) >> 31))  # division truncates
    mask = (1 << -shift) - 1
    remainder = high & mask
    threshold = (mask >> 1) + (high < 0)
    return (high >> -shift) + (remainder > threshold)
