"""Improve trained tables by random search: values follow from thresholds and falls by least squares."""

from __future__ import annotations

import numpy as np

from ranvier.passes.few_spikes.training import Array, Tables, spikes_of

CANDIDATES = 16
WIDTH = 0.3
RIDGE = 1e-9


def refine(tables: Tables, x: Array, wanted: Array, rounds: int, draw: np.random.Generator) -> Tables:
    """One neuron's thresholds and falls [1, K] made better: each round tries changes of all sizes to some of them.

    The values d are left as they are, for `solve_values` to follow: for given spikes, those that minimise the squared
    error solve a linear system, so only T and h are searched. The gradient cannot do this: it does not see which inputs
    lie just beyond a threshold.
    """
    steps = tables.T.shape[1]
    points = np.concatenate([tables.T, tables.h], 1)
    best, _ = least_squares(spikes_of(tables.T, tables.h, x), wanted)
    error = best[0]
    for _ in range(rounds):
        size = WIDTH * 10 ** draw.uniform(-3, 0.5, (CANDIDATES, 1))
        chosen = draw.random((CANDIDATES, 2 * steps)) < draw.choice([1 / steps, 0.1, 0.3], (CANDIDATES, 1))
        chosen[np.arange(CANDIDATES), draw.integers(0, 2 * steps, CANDIDATES)] = True
        moves = draw.normal(0, 1, (CANDIDATES, 2 * steps)) * chosen * size
        tried = (points + moves).astype(np.float32)
        errors, _ = least_squares(spikes_of(tried[:, :steps], tried[:, steps:], x), wanted)
        i = int(errors.argmin())
        if errors[i] < error:
            error, points = errors[i], tried[i : i + 1]
    return Tables(points[:, :steps], points[:, steps:], tables.d)


def solve_values(tables: Tables, x: Array, wanted: Array) -> Array:
    """The values d [R, K] that minimise the squared error for the spikes of these tables."""
    return least_squares(spikes_of(tables.T, tables.h, x), wanted)[1].astype(np.float32)


def least_squares(spikes: Array, wanted: Array) -> tuple[Array, Array]:
    """Mean squared error [R] and values [R, K] of the best d for spikes [R, K, N] (normal equations, float64)."""
    samples = spikes.shape[2]
    gram = np.matmul(spikes, spikes.transpose(0, 2, 1)).astype(np.float64) / samples
    right = (spikes @ wanted).astype(np.float64) / samples
    gram += RIDGE * np.eye(gram.shape[1])
    values = np.linalg.solve(gram, right[..., None])[..., 0]
    power = float((wanted.astype(np.float64) ** 2).mean())
    error = power - 2 * (values * right).sum(1) + np.einsum("rk,rkl,rl->r", values, gram, values)
    return error, values
