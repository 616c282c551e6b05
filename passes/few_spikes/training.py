"""Training of few-spikes tables by pseudo-gradients through the K steps, by hand, for many restarts at once.

Source: Stöckl & Maass, "Optimized spiking neurons can classify images with high accuracy through temporal coding with
two spikes" (2021); coding card 8. The order of a step is the deployed neuron's: the membrane falls after the spike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Array]
BETAS = (0.9, 0.999)
LEAST = 1e-8


@dataclass
class Tables:
    """Thresholds T, falls h and values d of R neurons, each [R, K]."""

    T: Array
    h: Array
    d: Array

    def rows(self, which: Any) -> Tables:
        """Some of the neurons."""
        return Tables(self.T[which], self.h[which], self.d[which])

    def copy(self) -> Tables:
        """Tables that share nothing with these."""
        return Tables(self.T.copy(), self.h.copy(), self.d.copy())


def spikes_of(T: Array, h: Array, x: Array) -> Array:
    """Spikes of every step, [R, K, N], for inputs x [N]: a spike where v >= T, and then v falls by h."""
    count, steps = T.shape
    v = np.repeat(x[None].astype(T.dtype), count, 0)
    z = np.empty((count, steps, x.size), T.dtype)
    for t in range(steps):
        np.greater_equal(v, T[:, t, None], out=z[:, t], casting="unsafe")
        v -= h[:, t, None] * z[:, t]
    return z


def outputs(tables: Tables, x: Array) -> Array:
    """The value of every neuron at inputs x [N], as [R, N]."""
    return np.asarray(np.matmul(tables.d[:, None], spikes_of(tables.T, tables.h, x))[:, 0])


def gradients(tables: Tables, x: Array, wanted: Array, weight: Array, penalty: Array) -> tuple[Array, Tables]:
    """Squared error of each neuron, and the pseudo-gradient of its loss.

    loss = mean_n weight (y - wanted)^2 + penalty sum_t (mean_n relu(|u_t| - 1))^2 with u = (v - T) / (|v| + 1), and
    max(0, 1 - |u|) stands for the derivative of the spike with respect to u. x, wanted, weight: [N]; penalty: [R].
    """
    T, h, d = tables.T, tables.h, tables.d
    count, steps = T.shape
    samples = x.size
    v = np.repeat(x[None].astype(T.dtype), count, 0)
    kept = []
    y = np.zeros_like(v)
    for t in range(steps):
        over = np.abs(v)
        over += 1
        u = (v - T[:, t, None]) / over
        z = (u >= 0).astype(T.dtype)
        kept.append((over, u, z, np.sign(v)))
        y += d[:, t, None] * z
        v = v - h[:, t, None] * z
    error = y - wanted
    loss = (weight * error * error).mean(1)
    to_y = error * (weight * (2 / samples))
    made = Tables(np.empty_like(T), np.empty_like(h), np.empty_like(d))
    to_v = np.zeros_like(v)
    for t in reversed(range(steps)):
        over, u, z, side = kept[t]
        made.d[:, t] = np.einsum("rn,rn->r", to_y, z)
        made.h[:, t] = -np.einsum("rn,rn->r", to_v, z)
        far = np.abs(u)
        beyond = np.maximum(far - 1, 0)
        to_u = (to_y * d[:, t, None] - to_v * h[:, t, None]) * np.maximum(1 - far, 0)
        push = penalty * beyond.mean(1) * (2 / samples)
        if push.any():
            to_u += push[:, None] * np.sign(u) * (beyond > 0)
        to_u /= over
        made.T[:, t] = -to_u.sum(1)
        to_v += to_u * (1 - u * side)
    return loss, made


class Adam:
    """Adam over tables, with a learning rate for each neuron."""

    def __init__(self, like: Tables):
        self.first = [np.zeros_like(a) for a in (like.T, like.h, like.d)]
        self.second = [np.zeros_like(a) for a in (like.T, like.h, like.d)]
        self.taken = 0

    def step(self, tables: Tables, gradient: Tables, rate: Array) -> None:
        """Move the tables down the gradient; `rate` is [R]."""
        self.taken += 1
        b1, b2 = BETAS
        correction = np.sqrt(1 - b2**self.taken) / (1 - b1**self.taken)
        arrays = zip((tables.T, tables.h, tables.d), (gradient.T, gradient.h, gradient.d), strict=True)
        for i, (array, g) in enumerate(arrays):
            self.first[i] = b1 * self.first[i] + (1 - b1) * g
            self.second[i] = b2 * self.second[i] + (1 - b2) * g * g
            array -= (rate * correction)[:, None] * self.first[i] / (np.sqrt(self.second[i]) + LEAST)
