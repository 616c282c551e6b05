"""What one level is worth: scales of weights and activations by a method's rule.

A method sees the histogram or the rows of magnitudes and gives the largest magnitude that the highest level stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.passes.calibration.statistics import histogram, rows_of

Array = np.ndarray[Any, Any]
SHRINK = 80
BINS = 2048


def smallest_scale(top: Array, high: int) -> Array:
    """Scales top / high as positive float32 numbers; rows of zeros get the mean of the others, or 1 / high."""
    top = np.asarray(top, np.float64)
    there = top > 0
    fill = float(top[there].mean()) if there.any() else 1.0
    scale = (np.where(there, top, fill) / high).astype(np.float32)
    return np.maximum(scale, np.finfo(np.float32).tiny)


def quantized(x: Array, scale: Array, low: int, high: int) -> Array:
    """The nearest reals on a grid, in float64."""
    return np.clip(np.rint(x / scale), low, high) * scale


def minmax(rows: Array, counts: Array | None, low: int, high: int) -> Array:
    """The largest magnitude of each row [channels, elements]."""
    return np.asarray(np.abs(rows).max(1), np.float64)


def mse(rows: Array, counts: Array | None, low: int, high: int) -> Array:
    """The one of `SHRINK` magnitudes, steps of 1 % down from the largest, with the least squared error of each row.

    Never worse than `minmax`, whose magnitude is among them. `counts` are how often each element occurs. BRECQ's search
    (yhhhli/BRECQ, quant_layer.py) with a square instead of a power of 2.4.
    """
    rows = np.asarray(rows, np.float64)
    top = np.abs(rows).max(1)
    weight = 1.0 if counts is None else counts
    best, chosen = np.full(len(rows), np.inf), top.copy()
    for i in range(SHRINK):
        candidate = top * (1 - 0.01 * i)
        scale = smallest_scale(candidate, high).astype(np.float64)[:, None]
        error = (weight * (quantized(rows, scale, low, high) - rows) ** 2).sum(1)
        better = error < best
        best, chosen = np.where(better, error, best), np.where(better, candidate, chosen)
    return np.asarray(chosen)


METHODS: dict[str, Callable[[Array, Array | None, int, int], Array]] = {"minmax": minmax, "mse": mse}


def weight_scales(array: Array, axis: int | None, method: str, high: int) -> Array:
    """Scales of symmetric weights, one for each index of `axis` (or one), float32."""
    rows = rows_of(np.asarray(array, np.float64), axis)
    return smallest_scale(METHODS[method](rows, None, -high, high), high)


def activation_scale(array: Array, method: str, low: int, high: int) -> np.float32:
    """The scale of activations, from all that the calibration data gives (in `BINS` bins where that is much)."""
    flat = array.reshape(1, -1)
    if method != "minmax" and flat.size > BINS:
        bins = histogram(flat.astype(np.float32, copy=False), BINS)
        top = METHODS[method](_with_ends(bins.centers, flat), np.pad(bins.counts, ((0, 0), (1, 1))), low, high)
    else:
        top = METHODS[method](flat, None, low, high)
    return np.float32(smallest_scale(top, high)[0])


def _with_ends(centers: Array, flat: Array) -> Array:
    """The centers of bins between the smallest and largest element, which bound the search but count for nothing."""
    return np.concatenate([[[flat.min()]], centers, [[flat.max()]]], axis=1)
