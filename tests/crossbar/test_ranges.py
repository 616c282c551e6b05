"""Ranges of converters, found from what was seen or from what can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.backends.crossbar.physics.ranges import (
    Tally,
    granular_steps,
    max_steps,
    mse_steps,
    percentile_steps,
    related,
)
from ranvier.ir.diagnostics import RanvierError


def tally(*batches: Any) -> Tally:
    out = Tally()
    for batch in batches:
        out.add(np.asarray(batch))
    return out


def test_max_clips_nothing() -> None:
    for integers in (True, False):
        for s, step in zip((381.0, 100.0, 3.0), max_steps([381.0, 100.0, 3.0], 6, integers), strict=True):
            assert step * 63 >= s
    assert granular_steps(3) == (1.0, 1.0, 1.0)


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=6), st.booleans())
def test_steps_differ_by_powers_of_two_and_never_shrink(wanted: list[float], integers: bool) -> None:
    found = related(wanted, integers)
    assert all(a >= b * (1 - 1e-12) for a, b in zip(found, wanted, strict=True))
    assert all(math.log2(a / found[0]).is_integer() for a in found)
    if integers:
        assert all(a.is_integer() for a in found)
    else:
        assert all(a < 2 * b * (1 + 1e-12) for a, b in zip(found, wanted, strict=True))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 9999), st.integers(1, 1000))
def test_percentile_of_integers_is_exact(seed: int, permille: int) -> None:
    x = np.random.default_rng(seed).integers(0, 900, 1000)
    found = tally(x[:300], x[300:]).percentile(permille / 10)
    assert found == np.sort(x)[permille - 1]


def test_order_and_size_of_batches_do_not_matter() -> None:
    x = np.random.default_rng(1).exponential(3000, 5000)
    one, other = tally(x), tally(*np.array_split(x[::-1], 7))
    assert percentile_steps([one], 8, 99.9, False)[0] == pytest.approx(
        percentile_steps([other], 8, 99.9, False)[0], rel=1e-3
    )
    assert one.largest == other.largest == x.max()
    assert one.percentile(99.9) == pytest.approx(np.percentile(x, 99.9), rel=5e-3)


def test_fine_bins_for_small_partials() -> None:
    t = Tally()
    t.refine(0.5)
    t.add(np.linspace(0, 0.5, 1001))
    assert t.percentile(50) == pytest.approx(0.25, rel=1e-3)


def test_mse_is_no_worse_than_max_and_percentile() -> None:
    rng = np.random.default_rng(2)
    for integers in (True, False):
        t = tally(np.abs(rng.normal(0, 20, 20000)).round() if integers else np.abs(rng.normal(0, 20, 20000)))
        best = mse_steps([t], 4, integers)[0]
        for other in (max_steps([t.largest], 4, integers)[0], percentile_steps([t], 4, 99.9, integers)[0]):
            assert t.error(best, 15) <= t.error(other, 15) * 1.02


def test_mse_of_slices_and_of_nothing() -> None:
    slices = [tally(np.arange(100) / k) for k in (1, 3, 10)]
    steps = mse_steps(slices, 5, False)
    assert all(math.log2(a / steps[0]).is_integer() for a in steps)
    assert steps[0] > steps[2]
    assert mse_steps([tally(), tally()], 5, False) == (1.0, 1.0)


@pytest.mark.parametrize("percent", [0.0, -1.0, 101.0, float("nan")])
def test_percentiles_out_of_range_are_refused(percent: float) -> None:
    with pytest.raises(RanvierError, match="bad-value"):
        percentile_steps([tally([1.0])], 8, percent, False)


def test_partials_that_are_not_finite_are_refused() -> None:
    with pytest.raises(RanvierError, match="bad-value"):
        tally([1.0, np.inf])
