"""Ranges of converters: the step of each slice, from what partials can be or from partials that were seen.

Steps of the slices of one op differ by powers of two, so that codes are added by shifts alone (CrossSim's rule, imc
card B1). A range is found once, from calibration data, and never from the batch that is converted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.ir.diagnostics import error

Array = np.ndarray[Any, Any]
# Steps that `mse` tries between the smallest and the largest: each 5 % from the next.
_GRID = 1.05


class Tally:
    """How often which partial of one slice was seen: a histogram whose bins double when a larger value comes.

    Memory does not grow with the data, and the order of batches does not matter beyond a bin's width, which is at most
    2^-13 of the range that is found. Integers below 2^14 are counted exactly.
    """

    bins = 1 << 14

    def __init__(self) -> None:
        self.width = 1.0
        self.counts = np.zeros(self.bins, np.int64)
        self.largest = 0.0

    def add(self, partials: Array) -> None:
        """Count partials of any shape; those below zero count as zero, which is what a converter gives for them."""
        values = np.maximum(np.ravel(partials), 0)
        if not values.size:
            return
        top = float(values.max())
        if not math.isfinite(top):
            raise error("bad-value", "a partial sum is not finite, so no range can be found")
        self.largest = max(self.largest, top)
        while top >= (self.bins - 0.5) * self.width:
            pairs = self.counts.copy()
            self.counts[:] = 0
            np.add.at(self.counts, (np.arange(self.bins) + 1) // 2, pairs)
            self.width *= 2
        index = np.rint(values / self.width).astype(np.int64)
        self.counts += np.bincount(index, minlength=self.bins)

    def refine(self, largest: float) -> None:
        """Choose finer bins for partials up to `largest`, before anything is counted."""
        if not self.counts.any() and largest > 0:
            self.width = 2.0 ** math.ceil(math.log2(largest / (self.bins - 1)))

    @property
    def values(self) -> Array:
        """What each bin stands for."""
        return np.arange(self.bins) * self.width

    def percentile(self, percent: float) -> float:
        """The smallest value that at least this share of the partials does not exceed, at most the largest seen."""
        reached = np.cumsum(self.counts)
        if not reached[-1]:
            return 0.0
        index = int(np.searchsorted(reached, percent / 100 * reached[-1] - 1e-9))
        return min(float(min(index, self.bins - 1) * self.width), self.largest)

    def error(self, step: float, codes: int) -> float:
        """Sum of squared errors when these partials are converted with this step and codes 0..codes."""
        seen = self.counts > 0
        values = self.values[seen]
        rest = values - np.clip(np.rint(values / step), 0, codes) * step
        return float(np.dot(rest * rest, self.counts[seen]))


def max_steps(largest: Sequence[float], bits: int, integers: bool) -> tuple[float, ...]:
    """`max`: nothing that a slice can reach (`largest`, one a slice) is clipped."""
    return related([x / ((1 << bits) - 1) for x in largest], integers)


def granular_steps(slices: int) -> tuple[float, ...]:
    """`granular`: the step is the smallest one that ideal cells can make, one cell level; what is beyond is clipped."""
    return (1.0,) * slices


def percentile_steps(tallies: Sequence[Tally], bits: int, percent: float, integers: bool) -> tuple[float, ...]:
    """`percentile`: this share of the partials that were seen is not clipped, in each slice.

    Raises RanvierError (bad-value) for a percentile that is not above 0 and at most 100.
    """
    if not 0 < percent <= 100:
        raise error("bad-value", f"percentile must be above 0 and at most 100, not {percent:g}", help="99.99 is usual")
    return related([t.percentile(percent) / ((1 << bits) - 1) for t in tallies], integers)


def mse_steps(
    tallies: Sequence[Tally], bits: int, integers: bool, weights: Sequence[float] | None = None
) -> tuple[float, ...]:
    """`mse`: steps with the smallest squared error of what was seen, slices weighted by `weights`.

    One common step is searched on a grid of 5 %, the power of two of each slice anew for every step of the grid.
    """
    codes = (1 << bits) - 1
    weights = [1.0] * len(tallies) if weights is None else weights
    ends = [t.largest / codes for t in tallies]
    if not any(ends):
        return related(ends, integers)
    top = 2.0 ** math.ceil(math.log2(max(ends)))
    finer = 1 if integers else math.ceil(math.log(2) / math.log(_GRID))
    best: tuple[float, tuple[float, ...]] = (math.inf, ())
    for i in range(finer):
        steps = [top * 2 ** (-i / finer) * 0.5**k for k in range(bits + 4)]
        steps = sorted({max(s, 1.0) for s in steps}) if integers else steps[::-1]
        errors = [[t.error(s, codes) for s in steps] for t in tallies]
        chosen = [int(np.argmin(e)) for e in errors]
        total = sum(w * e[c] for w, e, c in zip(weights, errors, chosen, strict=True))
        if total < best[0]:
            best = total, tuple(steps[c] for c in chosen)
    return best[1]


def related(steps: Sequence[float], integers: bool) -> tuple[float, ...]:
    """The smallest steps, none below the given one, that differ by powers of two from the largest.

    With `integers` all are whole, which keeps sums of ideal cells integers. A slice without a partial gets one level.
    """
    if integers:
        return tuple(2.0 ** math.ceil(math.log2(s)) if s > 1 else 1.0 for s in steps)
    base = max(steps)
    if base <= 0:
        return (1.0,) * len(steps)
    return tuple(base * 2.0 ** -math.floor(math.log2(base / s)) if s > 0 else base for s in steps)
