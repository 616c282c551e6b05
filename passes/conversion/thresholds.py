"""Thresholds from activations: max, percentile, MSE, and by iteration (coding card 9; Rueckauer 2017, Li 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.codes import Code
from ranvier.ir.diagnostics import error
from ranvier.passes.calibration.statistics import PERCENTILE, compute, definition, histogram, rows_of
from ranvier.passes.conversion.balanced import gaussian_fixed_point, local_balance

Array = np.ndarray[Any, Any]
Quantizer = Callable[[Array], Array]
GRID = 95
TABLE = 8192
BINS = 1024
DEAD = 1e-3


@dataclass(frozen=True)
class Threshold:
    """The largest value that a window can carry, a number for each channel or one, and where it comes from."""

    range: Array
    definition: str
    dead: int
    unsettled: int = 0
    """How many of them an iteration left before it had converged."""


def choose(
    kind: str,
    activation: Array,
    axis: int | None,
    *,
    code: Code,
    steps: int,
    v0: float,
    low_slope: Array | None = None,
    stepwise: bool = False,
) -> Threshold:
    """The range of a neuron of a code over a window of `steps` for the activations of a layer.

    `stepwise` says that its current comes step by step, not before it fires.
    `v0` is a fraction of the least spike; `low_slope` is the slope below zero of a leaky activation, whose negative
    values are counted in spikes too. Channels that never fire get the layer's largest range: a neutral one, so that a
    rare value is not blown up.
    For `gaussian`, `activation` is what goes into the activation.
    """
    rows = rows_of(activation, axis)
    unsettled = 0
    if kind in ("ltb", "gaussian"):
        found, text, settled = _iterated(kind, rows, code, steps, v0, low_slope)
        text += ", per channel" if axis is not None else ", per layer"
        unsettled = int((~settled).sum())
    elif kind == "mse" and code.plain:
        limit = steps * code.largest
        found = _mse(rows, _uniform(limit, v0, low_slope), low_slope)
        text = _MSE.format(steps=limit, v0=v0, least=0 if low_slope is None else "-T")
        text += ", per channel" if axis is not None else ", per layer"
    elif kind == "mse":
        found = _mse(rows, _by_table(code, steps, v0, stepwise), low_slope)
        how = "stepwise " if stepwise else ""
        text = (
            f"range that minimises the mean squared error of {how}{code} with T={steps} over max*(1 - 0.01 i), i < 95"
        )
        text += ", per channel" if axis is not None else ", per layer"
    else:
        found = compute(kind, np.abs(rows) if low_slope is not None else rows)
        text = definition(kind, axis)
    largest = float(found.max(initial=0.0))
    neutral = largest if largest > 0 else 1.0
    dead = found <= DEAD * neutral
    return Threshold(np.where(dead, neutral, found).astype(np.float32), text, int(dead.sum()), unsettled)


def _iterated(
    kind: str, rows: Array, code: Code, steps: int, v0: float, low_slope: Array | None
) -> tuple[Array, str, Array]:
    """Thresholds, their definition, and which had converged."""
    if kind == "ltb":
        found, settled = local_balance(np.abs(rows) if low_slope is not None else rows)
        return found, "local threshold balancing: theta += mean((z - theta) 1[z > theta]) from 0", settled
    if low_slope is not None or not code.plain:
        what = "an activation that is not zero below zero" if low_slope is not None else str(code)
        raise error(
            "bad-value",
            f"`convert-snn`: threshold=gaussian has no rule for {what}",
            help="use threshold=mse",
        )
    levels = steps * code.largest
    found, settled = gaussian_fixed_point(rows.mean(1, dtype=np.float64), rows.std(1, dtype=np.float64), levels, v0)
    return found, f"theta that fits max(z, 0) best with T={levels}, v0={v0:g}, for Gaussian currents", settled


_MSE = (
    "theta of max*(1 - 0.01 i), i < 95, that minimises the mean squared error of "
    "theta/T clip(floor(a T/theta + v0), {least}, T) with T={steps}, v0={v0:g} over a histogram of 1024 bins"
)


def _uniform(limit: int, v0: float, low_slope: Array | None) -> Quantizer:
    """What a window of at most `limit` plain spikes gives for activations in units of the range."""
    return lambda x: spike_counts(x * limit, limit, v0, low_slope) / np.float32(limit)


def _by_table(code: Code, steps: int, v0: float, stepwise: bool) -> Quantizer:
    """What a code gives for activations in units of the range, looked up: the code is asked once, on a fine grid."""
    grid = np.arange(TABLE + 1, dtype=np.float32) / np.float32(TABLE / 2)
    reach = np.float32(code.reach)
    ask = code.quantize_stepwise if stepwise else code.quantize
    values = np.asarray(ask(grid * reach, steps, code.round_offset(v0, steps)), np.float32) / reach

    def quantize(x: Array) -> Array:
        index = np.minimum(np.abs(x) * np.float32(TABLE / 2) + np.float32(0.5), TABLE).astype(np.int32)
        return np.asarray(np.copysign(values[index], x))

    return quantize


def _mse(rows: Array, quantize: Quantizer, low_slope: Array | None) -> Array:
    bins = histogram(rows, BINS)
    centers, counts = bins.centers.astype(np.float32), bins.counts.astype(np.float32)
    # the bin that holds zero is zero: most of a ReLU's values lie there exactly
    width = ((bins.high - bins.low) / BINS)[:, None]
    zero = (bins.low[:, None] <= 0) & (np.abs(centers) <= width / 2 * 1.0001)
    centers = np.where(zero, 0, centers).astype(np.float32)
    top = np.maximum(rows.max(1), 0) if low_slope is None else np.abs(rows).max(1)
    best, found = np.full(len(rows), np.inf), top.copy()
    for i in range(GRID):
        theta = top * (1 - 0.01 * i)
        unit = np.where(theta > 0, theta, 1.0).astype(np.float32)[:, None]
        error = ((quantize(centers / unit) * unit - centers) ** 2 * counts).sum(1)
        better = error < best
        best, found = np.where(better, error, best), np.where(better, theta, found)
    return np.asarray(found)


def spike_counts(levels: Array, steps: int, v0: float, low_slope: Array | None) -> Array:
    """Signed spikes of a window for mean currents whose activations are `levels` thresholds over T.

    A negative spike of a leaky activation needs a current of -theta/slope, beyond what v0 has put in.
    """
    up = np.floor(levels + np.float32(v0))
    if low_slope is None:
        return np.asarray(np.clip(up, 0, steps))
    if np.all(low_slope == 1):
        return np.asarray(np.clip(up, -steps, steps))
    slope = low_slope.reshape(-1, 1) if len(low_slope) == len(levels) else low_slope.mean()
    down = np.minimum(np.ceil(levels + slope * np.float32(v0)), 0)
    return np.asarray(np.clip(np.where(levels < 0, down, up), -steps, steps))


def check_kind(kind: str) -> str:
    """A threshold rule's name, or a ValueError sentence."""
    found = PERCENTILE.fullmatch(kind)
    if kind in ("mse", "max", "ltb", "gaussian") or (found is not None and 0 < float(found.group(1)) <= 100):
        return kind
    raise ValueError(f"must be mse | max | p99.9 (any percentile) | ltb | gaussian, not {kind}")
