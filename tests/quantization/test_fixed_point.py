"""Requantization: one rounding, exactly; where two roundings differ."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.ir.fixed_point import Requantizer, common_shift, double_rounded, multiplier

FACTORS = st.fractions(Fraction(1, 2**30), Fraction(2**20), max_denominator=2**34).filter(lambda f: f > 0)


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


def single(x: int, m: int, t: int) -> int:
    made = Requantizer((np.int64(m),), np.int64(t), 0, -(2**31), 2**31 - 1)
    return int(made(np, np.int64(x)))


def test_the_vector_of_tensorflow_25087() -> None:
    """11.4991 is 11; two roundings make 12 of it."""
    x, m, shift = 7984, 1583594044, -9
    assert abs(x * m / 2**31 * 2**shift - 11.4991) < 1e-4
    assert int(double_rounded(x, m, shift)) == 12
    assert single(x, m, 31 - shift) == 11


@given(st.integers(-(2**31), 2**31 - 1), st.integers(2**30, 2**31 - 1), st.integers(1, 62))
def test_one_rounding_is_that_of_the_rational(x: int, m: int, t: int) -> None:
    want = half_up(Fraction(x * m, 1 << t))
    if abs(want) < 2**31:
        assert single(x, m, t) == want


@given(st.integers(-(2**20), 2**20), st.integers(2**30, 2**31 - 1), st.integers(-20, 0))
def test_two_roundings_are_off_by_one_at_most(x: int, m: int, shift: int) -> None:
    assert abs(int(double_rounded(x, m, shift)) - single(x, m, 31 - shift)) <= 1


def test_how_often_two_roundings_differ() -> None:
    """A few percent of random cases, by one each: the smaller the shift, the more ties the first rounding makes."""
    rng = np.random.default_rng(0)
    count = 20_000
    x, m = rng.integers(-(2**20), 2**20, count), rng.integers(2**30, 2**31, count)
    shift = -rng.integers(1, 14, count)
    two = np.array(
        [int(double_rounded(a, b, c)) for a, b, c in zip(x.tolist(), m.tolist(), shift.tolist(), strict=True)]
    )
    made = Requantizer((m,), 31 - shift, 0, -(2**31), 2**31 - 1)
    off = np.abs(two - made(np, x))
    assert set(off.tolist()) <= {0, 1}
    assert 0.01 < off.mean() < 0.1


@given(FACTORS)
def test_multipliers_have_31_bits(factor: Fraction) -> None:
    m, t = multiplier(factor)
    assert 2**30 <= m < 2**31
    assert abs(Fraction(m, 2**t) / factor - 1) <= Fraction(1, 2**31)


def test_factors_without_a_multiplier() -> None:
    assert multiplier(Fraction(1, 2**40)) == (0, 62)
    for bad in (Fraction(0), Fraction(-1), Fraction(2**31)):
        with pytest.raises(ValueError, match="factor"):
            multiplier(bad)


@given(st.lists(FACTORS, min_size=1, max_size=4), st.data())
def test_common_shift_never_overflows(factors: list[Fraction], data: st.DataObject) -> None:
    bounds = [data.draw(st.sampled_from([127, 255, 2**31])) for _ in factors]
    ms, t = common_shift(factors, bounds)
    total = sum(m * b for m, b in zip(ms, bounds, strict=True)) + (1 << (t - 1))
    assert total < 2**63
    # one bit more would be too many, or is not to be had
    more = sum(half_up(f * 2 ** (t + 1)) * b for f, b in zip(factors, bounds, strict=True)) + (1 << t)
    assert t == 62 or more >= 2**61


@given(st.integers(-(2**62), 2**62), st.integers(2**30, 2**31 - 1), st.integers(1, 62), st.sampled_from([4, 8, 16]))
def test_wide_sums_are_clipped_as_rationals_are(x: int, m: int, t: int, bits: int) -> None:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    made = Requantizer((np.asarray(m, np.int64),), np.asarray(t, np.int64), 0, low, high, wide=True)
    assert int(made(np, np.int64(x))) == min(max(half_up(Fraction(x * m, 1 << t)), low), high)
