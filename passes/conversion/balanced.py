"""Thresholds by iteration: local threshold balancing and the fixed point for Gaussian currents (coding card 12)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.passes.calibration.statistics import histogram

Array = np.ndarray[Any, Any]
RATE = 0.5
LTB_ROUNDS = 3000
SETTLED = 1e-4
"""An iteration has converged when no threshold moves by a larger part of itself."""
BINS = 4096
GAUSS_ROUNDS = 50


def local_balance(rows: Array, rounds: int = LTB_ROUNDS) -> tuple[Array, Array]:
    """Local threshold balancing: theta <- theta + 2 eta mean((z - theta) 1[z > theta]) from 0 (Bu et al., CVPR 2025).

    `rows` is [channels, elements]; eta is 0.5 and the mean is over all of the data, in bins. Gives the thresholds and
    which of them had converged when the rounds were over.
    """
    positive = np.maximum(rows, 0)
    bins = histogram(positive, BINS)
    centers = bins.centers
    share = bins.counts / rows.shape[1]
    # of the elements from each bin on: how many there are, and what they add up to
    many = np.cumsum(share[:, ::-1], 1)[:, ::-1]
    total = np.cumsum((share * centers)[:, ::-1], 1)[:, ::-1]
    many, total = (np.pad(a, ((0, 0), (0, 1))) for a in (many, total))
    width = (bins.high - bins.low) / BINS
    theta, step = np.zeros(len(rows)), np.zeros(len(rows))
    each = np.arange(len(rows))
    for _ in range(rounds):
        first = np.clip(np.ceil((theta - bins.low) / width - 0.5), 0, BINS).astype(np.int64)
        step = 2 * RATE * np.maximum(total[each, first] - theta * many[each, first], 0)
        theta = theta + step
        if (step <= SETTLED * theta).all():
            break
    return theta, step <= SETTLED * theta


def gaussian_fixed_point(mean: Array, std: Array, levels: int, v0: float) -> tuple[Array, Array]:
    """The theta of `levels` steps whose quantizer fits max(z, 0) best in mean square, for z ~ N(mean, std^2).

    theta <- E[z m] / E[m^2] with m = clip(floor(z levels / theta + v0), 0, levels) / levels: sums of erf over the
    intervals on which m is constant, sped up by Steffensen's method. Gives the thresholds and which of them had
    converged.
    """
    theta = np.maximum(mean + 2 * std, std)
    change = np.full(len(theta), np.inf)
    for _ in range(GAUSS_ROUNDS):
        one = _fitted(theta, mean, std, levels, v0)
        two = _fitted(one, mean, std, levels, v0)
        # with many levels a round hardly moves: Steffensen's step goes where the rounds would end
        bend = two - 2 * one + theta
        far = theta - np.divide((one - theta) ** 2, bend, out=np.zeros_like(bend), where=np.abs(bend) > 1e-12)
        new = np.where((far > 0.5 * two) & (far < 2 * two), far, two)
        change, theta = np.abs(new - theta), new
        if (change <= SETTLED * theta).all():
            break
    return theta, change <= SETTLED * theta


def _fitted(theta: Array, mean: Array, std: Array, levels: int, v0: float) -> Array:
    """The scale that fits best when the quantizer's intervals are those of theta."""
    m = np.arange(1, levels + 1) / levels
    edges = (np.arange(1, levels + 1) - v0) / levels * theta[:, None]
    low = (edges - mean[:, None]) / np.maximum(std, 1e-12)[:, None]
    high = np.concatenate([low[:, 1:], np.full((len(low), 1), np.inf)], 1)
    inside = _phi(high) - _phi(low)
    moment = mean[:, None] * inside + std[:, None] * (_density(low) - _density(high))
    square = (m**2 * inside).sum(1)
    return np.asarray(np.where(square > 1e-12, (m * moment).sum(1) / np.maximum(square, 1e-12), 0.0))


def _phi(x: Array) -> Array:
    flat = [0.5 * (1 + math.erf(v / math.sqrt(2))) for v in np.asarray(x).reshape(-1)]
    return np.asarray(flat).reshape(np.shape(x))


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi))
