"""`snn.noise`: what devices and links do to spikes: some are lost, some come early or late (coding card 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ranvier.ir.ops.snn import check_offset, spikes_of
from ranvier.ir.schema import integer, operand, optional, real, text
from ranvier.ir.timing import StatefulOp
from ranvier.ir.types import Type

# Uniform numbers are multiples of this (ranvier.ir.rng).
GRAIN = 2.0**-24
# The largest deviation in standard deviations: beyond it lies less than one grain.
TAIL = 5.4


def bar_of(probability: float) -> float:
    """The multiple of the grain with which `u < bar` says what `u < probability` says, exactly in float32 too."""
    return math.ceil(probability / GRAIN) * GRAIN


@lru_cache(maxsize=64)
def shift_bars(sigma: float) -> tuple[int, tuple[float, ...]]:
    """Of r = trunc(N(0, sigma)): the smallest r, and where r grows by one as a uniform number grows.

    r is the smallest one plus the count of bars that u has reached. A table and not Box-Muller, because logarithms
    differ in the last bit from library to library and comparisons do not.
    """
    most = math.ceil(TAIL * sigma)
    edges = (k if k < 0 else k + 1 for k in range(-most, most))
    return -most, tuple(bar_of(0.5 * math.erfc(-e / (sigma * math.sqrt(2)))) for e in edges)


class Noise(StatefulOp, name="snn.noise"):
    """Spikes that were lost or shifted: each spike event is lost with probability `deletion` and, if not, comes
    r = trunc(N(0, jitter)) steps later (earlier where r < 0).

    An event is all that a neuron sends in one step, so a count of several spikes is lost or shifted whole. What would
    arrive before the first or after the last step of the window is lost. A step carries one event: one that arrives
    where another one, sent before, is already waits for the next free step. So the alphabet holds, and events never
    add up or merge. Without jitter the op works step by step, with jitter on the whole window.
    Draws are keyed by (seed, key, trial, sample, step, element); whether deletion takes a spike does not depend on
    `jitter`. Source: Park, Lee, Yoon, DAC 2021, where shifts go without end and decoded values of all add up.
    """

    draws = True
    x = operand("spikes; the first axis counts samples", spikes=True)
    offset = optional("steps already taken, an i64 scalar; 0 by default")
    deletion = real(0.0, "probability that a spike event is lost", min=0, max=1)
    jitter = real(0.0, "standard deviation of the shift, in steps", min=0, max=1000)
    key = text("", "names this op's random draws")
    seed = integer(0, "seed of the random draws")

    @property
    def is_random(self) -> bool:
        """Whether anything is lost or shifted."""
        return self.deletion > 0 or self.jitter > 0

    @property
    def windowed(self) -> bool:
        """Whether more than the steps so far is needed: a spike may come early."""
        return self.jitter > 0

    def infer(self, x: Any, offset: Any) -> Type:
        """See Op."""
        kind = spikes_of(self, "x", x)
        if not kind.rank:
            raise self.fail("shape-mismatch", "draws for each sample, but x has no axis that counts samples")
        check_offset(self, offset)
        if offset is not None and self.windowed:
            raise self.fail("bad-value", "has an offset with jitter > 0", "jitter needs the whole window")
        return kind

    def init(self, moment: Any, *arrays: Any) -> Any:
        """See StatefulOp."""
        return None

    def step(self, moment: Any, state: Any, x: Any, offset: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        if not self.deletion:
            return None, x
        now = moment if offset is None else replace(moment, t=moment.t + int(offset))
        lost = now.draw(self.seed, self.key, x.shape) < bar_of(self.deletion)
        return None, np.where(lost, np.zeros_like(x), x)

    def window(self, moments: Sequence[Any], x: Any, offset: Any) -> Any:
        """See StatefulOp: [T, ...] with jitter."""
        first, bars = shift_bars(self.jitter)
        sent = x.reshape(len(x), -1)
        out, taken = np.zeros_like(sent), np.zeros(sent.shape, np.bool_)
        for t, moment in enumerate(moments):
            # two numbers an element: the first half of a sample's numbers are those of an op without jitter
            u = moment.draw(self.seed, self.key, (x.shape[1], 2, *x.shape[2:]))
            kept, late = (u[:, i].reshape(-1) for i in range(2))
            places = np.flatnonzero((sent[t] != 0) & (kept >= bar_of(self.deletion)))
            arrival = t + first + np.searchsorted(bars, late[places], side="right")
            arrival, places = settle(taken, arrival, places)
            out[arrival, places] = sent[t][places]
        return out.reshape(x.shape)


def settle(taken: Any, arrival: Any, places: Any) -> tuple[Any, Any]:
    """The steps at which events get through, and the places of those that do; marks them in `taken`, [T, places].

    Works on arrays of any library. `arrival` may lie outside of the window; no two events have one place.
    """
    inside = (arrival >= 0) & (arrival < len(taken))
    while True:
        arrival, places = arrival[inside], places[inside]
        busy = taken[arrival, places]
        if not busy.any():
            taken[arrival, places] = True
            return arrival, places
        arrival = arrival + busy
        inside = arrival < len(taken)
