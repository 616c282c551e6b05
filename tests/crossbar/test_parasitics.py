"""Wires of an array: the folded circuit against every node of it, and what circuit theory says of any such network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.backends.crossbar.physics.effective import effective
from ranvier.backends.crossbar.physics.ladder import ladder_current, ladder_fold
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.hardware.curves import Linear, Sinh
from ranvier.ir.hardware.iterative import iterate
from ranvier.ir.hardware.wires import Wires
from tests.crossbar import circuits


def cells(seed: int, m: int, n: int, low: float = 1e-7, high: float = 1e-3) -> Any:
    """Conductances whose logarithms are uniform."""
    return np.exp(np.random.default_rng(seed).uniform(np.log(low), np.log(high), (m, n)))


def error(a: Any, b: Any) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


ohms = st.floats(0.05, 200)
sizes = st.integers(1, 12)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 9999), sizes, sizes, ohms, ohms, ohms, ohms)
def test_effective_conductances_are_those_of_the_whole_circuit(
    seed: int, m: int, n: int, row: float, col: float, driver: float, sense: float
) -> None:
    wires = Wires(row, col, driver, sense)
    g = cells(seed, m, n)
    assert error(effective(g, wires, cache=False), circuits.nodal(g, wires)) < 1e-10


@pytest.mark.parametrize(("m", "n", "r"), [(64, 64, 2.0), (32, 48, 10.0), (128, 16, 1.0)])
def test_effective_conductances_of_large_arrays(m: int, n: int, r: float) -> None:
    g = cells(m + n, m, n, 5e-6, 5e-5)
    assert error(effective(g, Wires(r, r)), circuits.nodal(g, Wires(r, r))) < 1e-10


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 9999), sizes, sizes, ohms, st.integers(1, 5))
def test_columns_that_wait_for_their_converter_float(seed: int, m: int, n: int, r: float, phases: int) -> None:
    wires, g = Wires(r, r, phases=phases), cells(seed, m, n)
    expected = sum(circuits.nodal(g, wires, phase) for phase in range(min(phases, n)))
    assert error(effective(g, wires, cache=False), expected) < 1e-10


def test_a_floating_column_without_cells_changes_nothing() -> None:
    g = cells(1, 5, 4)
    g[:, 1] = 0
    found = effective(g, Wires(3, 3, phases=2))
    assert np.isfinite(found).all()
    assert not found[:, 1].any()


def test_ideal_wires_in_one_direction_are_a_limit() -> None:
    g = cells(2, 9, 7, 1e-6)
    for exact, nearly in [
        (Wires(0, 3), Wires(1e-7, 3)),
        (Wires(3, 0), Wires(3, 1e-7)),
        (Wires(0, 0, 5, 5), Wires(1e-7, 1e-7, 5, 5)),
        (Wires(3, 3, 0, 0), Wires(3, 3, 1e-7, 1e-7)),
    ]:
        assert error(effective(g, exact), circuits.nodal(g, nearly)) < 1e-6


def test_many_arrays_at_once_are_each_their_own() -> None:
    g = np.stack([cells(s, 6, 5) for s in range(4)]).reshape(2, 2, 6, 5)
    together = effective(g, Wires(4, 2))
    for i in np.ndindex(2, 2):
        np.testing.assert_allclose(together[i], effective(g[i], Wires(4, 2)), rtol=1e-13)


def test_results_are_kept_by_content() -> None:
    g = cells(3, 8, 8)
    first = effective(g, Wires(2, 2))
    assert effective(g.copy(), Wires(2, 2)) is first
    assert effective(g, Wires(2, 3)) is not first
    assert not first.flags.writeable


# -- what holds for every network (card D4, P7) -----------------------------------------------------------------------
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9999), sizes, sizes, ohms, ohms)
def test_reciprocity(seed: int, m: int, n: int, row: float, col: float) -> None:
    g = cells(seed, m, n)
    turned = effective(g[::-1, ::-1].T.copy(), Wires(col, row))
    np.testing.assert_allclose(turned, effective(g, Wires(row, col))[::-1, ::-1].T, rtol=1e-10)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9999), sizes, sizes, st.floats(0.05, 100), st.floats(1.1, 5))
def test_currents_fall_as_resistance_grows_and_are_never_negative(
    seed: int, m: int, n: int, r: float, factor: float
) -> None:
    g = cells(seed, m, n, 1e-6)
    low, high = effective(g, Wires(r, r)), effective(g, Wires(r * factor, r * factor))
    assert (low >= 0).all()
    assert (high >= 0).all()
    assert high.sum() < low.sum() < g.sum()
    assert (high.sum(0) < low.sum(0)).all()


def test_without_resistance_cells_are_what_is_read_and_with_little_almost() -> None:
    g = cells(5, 10, 6)
    assert np.array_equal(effective(g, Wires()), g)
    deviations = [error(effective(g, Wires(r, r)), g) for r in (1.0, 0.1, 0.01, 0.001)]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[-1] < 1e-4


def test_the_place_of_a_row_matters_only_with_resistance() -> None:
    g, x = cells(6, 8, 4), np.random.default_rng(0).random((3, 8))
    order = np.random.default_rng(1).permutation(8)
    np.testing.assert_allclose(x[:, order] @ effective(g[order], Wires()), x @ effective(g, Wires()), rtol=1e-12)
    assert error(x[:, order] @ effective(g[order], Wires(5, 5)), x @ effective(g, Wires(5, 5))) > 1e-4


# -- the ladder of NICE -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("r", [0.0, 1.0, 5.0])
def test_folded_ladder_is_the_ladder_of_each_vector(r: float) -> None:
    rng = np.random.default_rng(7)
    # binary weights of four bits on 19.139 kOhm, with 1e-8 S for each bit that is off (card A1)
    levels = rng.integers(0, 16, (64, 6))
    bits = (levels[..., None] >> np.arange(4)) & 1
    g = (bits * 2.0 ** np.arange(4) / 19139 + (1 - bits) * 1e-8).sum(-1)
    v = 0.1 * (rng.random((9, 64)) < 0.3)
    folded = ladder_fold(g, r)
    assert error(v @ folded, ladder_current(1 / g, v, r)) < 1e-12
    np.testing.assert_allclose(effective(g, Wires(0, r)), folded, rtol=1e-12)


def test_ladder_without_resistance_gives_the_integers() -> None:
    rng = np.random.default_rng(8)
    levels, spikes = rng.integers(0, 16, (64, 5)), rng.random((7, 64)) < 0.4
    bits = (levels[..., None] >> np.arange(4)) & 1
    g = (bits * 2.0 ** np.arange(4) / 19139 + (1 - bits) * 1e-8).sum(-1)
    full_scale = 0.1 * 15 / 19139
    digits = ladder_current(1 / g, 0.1 * spikes, 0.0) * 15 / full_scale
    assert np.abs(digits - spikes @ levels).max() < 0.02


# -- vector by vector -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
def test_fixed_point_comes_as_near_as_its_tolerance_says(tolerance: float) -> None:
    g, v = cells(9, 24, 20, 5e-6, 5e-5), np.random.default_rng(2).random((5, 24))
    wires = Wires(20, 10)
    found = iterate(g, v, wires, tolerance=tolerance)
    assert error(found, v @ circuits.nodal(g, wires)) < 30 * tolerance


def test_gated_rows_leave_the_network() -> None:
    g, v = cells(10, 16, 12, 5e-6, 5e-5), np.random.default_rng(3).integers(0, 2, (6, 16)) * 1.0
    wires = Wires(30, 30)
    # a cell of 1e-18 S stands for one that is cut off: the nodal solution then has no row of its own there
    expected = np.stack([x @ circuits.nodal(np.where(x[:, None] > 0, g, 1e-18), wires) for x in v])
    assert error(iterate(g, v, wires, gated=True, tolerance=1e-10), expected) < 1e-8
    assert error(v @ effective(g, wires), expected) > 1e-3


@pytest.mark.parametrize("a", [0.5, 3.0])
def test_nonlinear_cells_agree_with_newton_on_every_node(a: float) -> None:
    g, v, wires, curve = cells(11, 10, 8, 5e-6, 5e-5), np.random.default_rng(4).random(10), Wires(30, 20), Sinh(a=a)
    found = iterate(g, v[None], wires, iv=curve, tolerance=1e-11)[0]
    assert error(found, circuits.newton(g, v, wires, curve.at, curve.slope)) < 1e-9
    assert float(curve.at(np.array(1.0))) == pytest.approx(1)


def test_linear_curve_is_the_linear_circuit() -> None:
    g, v = cells(12, 6, 6, 1e-6, 1e-4), np.random.default_rng(5).random((2, 6))
    one = iterate(g, v, Wires(2, 2), iv=Linear(), tolerance=1e-12)
    assert error(one, v @ effective(g, Wires(2, 2))) < 1e-10
    assert iterate(g, v[:0], Wires(2, 2)).shape == (0, 6)


def test_wires_grow_warm() -> None:
    cold, warm = Wires(2.0, 3.0, driver=50.0), Wires(2.0, 3.0, driver=50.0).at(393.15)
    assert warm.row == pytest.approx(2.0 * 1.393)
    assert warm.driver == cold.driver
    assert Wires(2.0, 3.0).at(293.15, "aluminium") == Wires(2.0, 3.0)


def test_what_no_circuit_can_be_is_refused() -> None:
    for make in (
        lambda: Wires(-1.0),
        lambda: Wires(1.0, sense=-2.0),
        lambda: Wires(1.0, phases=0),
        lambda: Wires(1.0).at(10.0),
        lambda: effective(np.array([[-1e-6]]), Wires(1)),
        lambda: effective(np.array([[np.nan]]), Wires(1)),
        lambda: iterate(np.ones((2, 2)), np.ones((1, 2)), Wires(1, 1), tolerance=0.0),
        lambda: iterate(np.ones((2, 2)), np.ones((1, 2)), Wires(1, 1, phases=2)),
    ):
        with pytest.raises(RanvierError, match="bad-value"):
            make()
    with pytest.raises(RanvierError, match="unknown-name"):
        Wires(1.0).at(300, "gold")
    with pytest.raises(RanvierError, match="no-convergence"):
        iterate(cells(1, 8, 8), np.ones((1, 8)), Wires(50, 50), tolerance=1e-9, iterations=2)
