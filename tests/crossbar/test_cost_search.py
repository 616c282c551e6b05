"""Choosing peripheries: dynamic programming against all choices and against gradient gates."""

import itertools

import numpy as np
import pytest

from ranvier.backends.crossbar.cost import LayerShape
from ranvier.backends.crossbar.cost.search import WIDTHS, Band, by_dp, by_gradient, make_space
from ranvier.ir.diagnostics import RanvierError

SIDES = [32, 32, 16, 16, 8]


def network(widths=(64, 64, 128, 128, 256)):
    inputs = [3, *widths[:-1]]
    return [
        LayerShape(f"conv{n}", i, o, 9, s * s, i * s * s)
        for n, (i, o, s) in enumerate(zip(inputs, widths, SIDES, strict=True))
    ]


def every_choice(space):
    """The fastest of all choices for each area, computed one by one."""
    return [space.figures(chosen) for chosen in itertools.product(*(range(len(o)) for o in space.options))]


@pytest.mark.parametrize("budget", [7e6, 9e6, 12e6])
def test_dp_finds_the_best_of_all_choices(budget):
    space = make_space(network()[:4])
    band = Band(0, budget, budget)
    found = by_dp(space, band)
    best = min(latency for area, latency in every_choice(space) if band.holds(area))
    assert band.holds(found.area)
    assert found.latency == pytest.approx(best, rel=1e-9)


def test_dp_couples_channels():
    """Two layers, free widths: the second one's inputs are the first one's outputs."""
    layers = network()[:2]
    space = make_space(layers, [WIDTHS[:3], WIDTHS[:3]])
    band = Band(2e6, 4e6, 3e6)
    found = by_dp(space, band)
    figures = [(a, t) for a, t in every_choice(space) if band.holds(a)]
    assert found.latency == pytest.approx(min(t for _, t in figures), rel=1e-9)
    rebuilt = make_space([layers[0], layers[1]], [(found.options[0].outputs,), (found.options[1].outputs,)])
    again = [options.index(option) for options, option in zip(rebuilt.options, found.options, strict=True)]
    assert rebuilt.figures(again) == (found.area, found.latency)


@pytest.mark.parametrize("free", [False, True])
def test_dp_is_no_slower_than_gradient_gates_at_equal_area(free):
    space = make_space(network(), [WIDTHS] * 5 if free else None)
    target = 15e6
    band = Band(0.95 * target, 1.05 * target, target)
    for seed in range(2):
        tuned = by_gradient(space, band, seed=seed, weight=1e-15 if free else 1e-14, rate=0.12)
        equal = by_dp(space, Band(band.low, tuned.area, target))
        assert equal.area <= tuned.area
        assert equal.latency <= tuned.latency * (1 + 1e-12)


def test_a_looser_budget_is_never_slower():
    space = make_space(network())
    found = [by_dp(space, Band(0, b, b)).latency for b in np.linspace(8e6, 20e6, 7)]
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(found))


def test_an_impossible_budget_says_what_is_possible():
    space = make_space(network())
    for search in (by_dp, by_gradient):
        with pytest.raises(RanvierError) as failure:
            search(space, Band(0, 1e5, 1e5))
        assert "no choice of peripheries has an area from 0 to 0.1 mm^2" in str(failure.value)
        assert "chips of this network lie between about" in str(failure.value)
