"""Where the training of few-spikes tables begins: at random, or at the tendency of a first training (TBPI)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.passes.few_spikes.training import Array, Tables, spikes_of

USE = 1e-2
FLOOR = 1e-2


def random_tables(draw: np.random.Generator, restarts: int, steps: int) -> Tables:
    """Tables as Stöckl & Maass 2021 begin: h in (-1, 0), d in (-1/2, 1), T in (-1, 1)."""

    def uniform(low: float, high: float) -> Array:
        return draw.uniform(low, high, (restarts, steps)).astype(np.float32)

    h, d, T = uniform(-1, 0), uniform(-0.5, 1), uniform(-1, 1)
    return Tables(T=T, h=h, d=d)


def tendency(tables: Tables, x: Array) -> Tables:
    """Tables on the curves that trained tables follow over t (TBPI; Jeong et al. 2024).

    The logarithm of each trajectory, of what lies above FLOOR, becomes a line in t: T, h and d halve every so many
    steps, as a ReLU's do at every step. A step counts as much as its spike tells inputs apart, sqrt(p (1 - p)) for a
    share p of inputs that fire: steps that never or always fire were left where they began and follow no tendency.
    (a + b log t and parabolas in t led to larger errors.)
    """
    share = spikes_of(tables.T, tables.h, x).mean(2, dtype=np.float64)
    weight = np.sqrt(share * (1 - share)) + USE
    return Tables(*(_smooth(a, weight) for a in (tables.T, tables.h, tables.d)))


def _smooth(rows: Array, weight: Array) -> Array:
    t = np.arange(1, rows.shape[1] + 1, dtype=np.float64)
    basis = np.stack([np.ones_like(t), t], 1)
    out = np.empty_like(rows)
    for i, row in enumerate(np.log(np.maximum(rows, FLOOR))):
        found: Any = np.linalg.lstsq(basis * weight[i][:, None], row * weight[i], rcond=None)[0]
        out[i] = np.exp(basis @ found)
    return out
