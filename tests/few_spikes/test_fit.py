"""The fit: its gradient, its determinism, what it reaches, what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ranvier.ir.diagnostics import RanvierError
from ranvier.passes.few_spikes.fit import CHECKED, Recipe, descend, fit, relu, samples, squared_error, train
from ranvier.passes.few_spikes.initial import random_tables, tendency
from ranvier.passes.few_spikes.refine import least_squares
from ranvier.passes.few_spikes.training import Tables, gradients, outputs, spikes_of


class Triangle(torch.autograd.Function):
    """H(u) with the derivative max(0, 1 - |u|)."""

    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx, g):
        (u,) = ctx.saved_tensors
        return g * torch.clamp(1 - u.abs(), min=0)


def test_the_gradient_by_hand_is_that_of_autograd():
    draw = np.random.default_rng(0)
    tables = random_tables(draw, 3, 5)
    tables = Tables(*(2 * a.astype(np.float64) for a in (tables.T, tables.h, tables.d)))
    x = draw.uniform(-6, 6, 200)
    wanted, weight, penalty = np.tanh(x), draw.uniform(0.5, 1.5, 200), np.array([0.1, 0.0, 2.0])
    loss, found = gradients(tables, x, wanted, weight, penalty)

    T, h, d = (torch.tensor(a, requires_grad=True) for a in (tables.T, tables.h, tables.d))
    v = torch.tensor(x).expand(3, -1)
    y, reg = torch.zeros(3, 200), torch.zeros(3)
    for t in range(5):
        u = (v - T[:, t, None]) / (v.abs() + 1)
        z = Triangle.apply(u)
        y = y + d[:, t, None] * z
        v = v - h[:, t, None] * z
        reg = reg + torch.clamp(u.abs() - 1, min=0).mean(1) ** 2
    each = (torch.tensor(weight) * (y - torch.tensor(wanted)) ** 2).mean(1)
    (each + torch.tensor(penalty) * reg).sum().backward()
    np.testing.assert_allclose(loss, each.detach(), rtol=1e-10)
    for mine, theirs in ((found.T, T.grad), (found.h, h.grad), (found.d, d.grad)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(outputs(tables, x), y.detach(), atol=1e-12)


def test_values_by_least_squares_leave_no_better_ones():
    draw = np.random.default_rng(0)
    tables = random_tables(draw, 2, 6)
    x = np.linspace(-3, 3, 300).astype(np.float32)
    wanted = np.tanh(x)
    z = spikes_of(tables.T, tables.h, x)
    errors, values = least_squares(z, wanted)
    for i in range(2):
        best, *_ = np.linalg.lstsq(z[i].T.astype(np.float64), wanted, rcond=1e-8)
        np.testing.assert_allclose(errors[i], np.mean((best @ z[i] - wanted) ** 2), rtol=1e-4)
        np.testing.assert_allclose(values[i] @ z[i], best @ z[i], atol=1e-3)


def test_equal_arguments_give_equal_tables():
    small = {"iterations": 60, "restarts": 2, "rounds": 10}
    one, same, other = (fit("silu", 4, -4, 4, seed, **small) for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert fit("silu", 4, -4, 4, 0, "random", **small) != one


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [("silu", -8, 12), ("gelu", -4, 4), ("sigmoid", -10, 10), ("tanh", -5, 5), ("exp", -8, 0)],
)
def test_a_short_fit_is_better_than_a_constant(function, low, high):
    code = fit(function, 8, low, high, iterations=150, restarts=2, rounds=60)
    _, wanted = samples(Recipe(function, 8, low, high), 1000)
    assert (code.low, code.high, code.K) == (low, high, 8)
    assert squared_error(code) < 0.05 * wanted.var()


def test_random_search_lowers_the_error():
    plain, searched = (fit("tanh", 6, -4, 4, iterations=100, restarts=1, rounds=r) for r in (0, 60))
    assert squared_error(searched) < squared_error(plain)


def test_a_restart_that_overflows_leaves_its_best():
    recipe = Recipe("tanh", 4, -2.0, 2.0, restarts=2)
    x, wanted = samples(recipe, 100)
    draw = np.random.default_rng(0)
    tables = random_tables(draw, 2, 4)
    tables.h[0] = 1e20
    rate, penalty = np.full((2, 2), (0.1, 0.1), np.float32)
    found, errors = descend(recipe, draw, tables, rate, penalty, 60, x, wanted)
    assert np.isfinite(errors).all()
    assert all(np.isfinite(a).all() for a in (found.T, found.h, found.d))


def test_the_tendency_is_an_exponential_through_the_steps_that_count():
    t = np.arange(1, 9)
    x = np.linspace(-1, 9, 500).astype(np.float32)
    curve = (6 * 0.7**t).astype(np.float32)[None]
    found = tendency(Tables(curve.copy(), curve.copy(), curve.copy()), x)
    for array in (found.T, found.h, found.d):
        np.testing.assert_allclose(array, curve, rtol=1e-4)
    silent = curve.copy()
    silent[0, 5] = 1e3  # never fires: says nothing
    found = tendency(Tables(silent, curve, curve), x)
    np.testing.assert_allclose(found.T[0, :5], curve[0, :5], rtol=0.3)
    below = tendency(Tables(-curve, curve, curve), x)  # no logarithm of what is negative
    assert np.isfinite(below.T).all()


@pytest.mark.slow
@pytest.mark.parametrize("K", [8, 12])
def test_trajectories_are_better_initial_values_than_random_ones(K):
    """Mean over 5 seeds, equal iterations in all, one restart each, training alone."""
    means = {}
    for init in ("random", "tbpi"):
        recipe = Recipe("silu", K, -8.0, 12.0, init=init, restarts=1, rounds=0)
        x, wanted = samples(recipe, CHECKED)
        found = [train(replace(recipe, seed=s), np.random.default_rng(s), x, wanted)[1].item() for s in range(5)]
        means[init] = np.mean(found)
    assert means["tbpi"] < means["random"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("silo", 8, -1, 1), "did you mean `silu`"),
        (("silu", 0, -1, 1), "1 to 24 steps, not K=0"),
        (("silu", 25, -1, 1), "1 to 24 steps, not K=25"),
        (("silu", 8, 1, 1), "range 1 .. 1 of silu's inputs is empty"),
        (("silu", 8, -np.inf, 1), "infinite"),
        (("silu", 8, -1, np.nan), "empty or infinite"),
        (("silu", 8, -1, 1, 0, "trend"), "tbpi or random"),
        (("silu", 8, -1, 1, 0, "tbpi", 0), "at least 1"),
    ],
)
def test_what_cannot_be_fitted(arguments, said):
    with pytest.raises(RanvierError, match=said):
        fit(*arguments)


def test_a_relu_has_its_tables_in_closed_form():
    x = np.linspace(0, 3.9, 1000)
    assert np.abs(relu(6, 4.0).apply(x) - x).max() <= 4 * 2.0**-7 + 1e-12
    gap = x - relu(6, 4.0, "floor").apply(x)
    assert gap.min() >= 0
    assert gap.max() < 4 * 2.0**-6
