"""Multi-threshold spikes: several sizes of one spike (H-MT, AAAI 2026; DCGS, ICML 2025; coding card 12)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.codes.base import Code
from ranvier.ir.codes.neurons import FireRule
from ranvier.ir.fields import Enum, Flag, Integer, option


@dataclass(frozen=True)
class MultiThreshold(Code):
    """`multi_threshold`: thresholds theta, theta/2, ... of `levels` sizes.

    `rule=hmt` fires several at once, so that a step carries a whole number of least thresholds, up to 2^levels - 1; the
    scale is the least threshold. `rule=nearest` fires one at most, the largest power of two with v >= 3/4 of it; the
    scale is the largest threshold, and spike s is worth 2^-(s - 1).
    """

    word = "multi_threshold"
    integrates = True
    levels: int = option(Integer(1, 12), 6, "sizes of a spike")
    rule: str = option(Enum("hmt", "nearest"), "hmt", "several sizes at once, or the nearest one")
    signed: bool = option(Flag(), False, "spikes of either sign")

    def alphabet(self) -> tuple[int, int]:
        """See Code."""
        top = 2**self.levels - 1 if self.rule == "hmt" else self.levels
        return (-top if self.signed else 0), top

    def with_sign(self, signed: bool) -> MultiThreshold:
        """See Code."""
        return replace(self, signed=signed)

    @property
    def bits(self) -> int:
        """See Code: a bit a size, or the number of the size; and the sign."""
        sizes = self.levels if self.rule == "hmt" else max(1, math.ceil(math.log2(self.levels)))
        return sizes + self.signed

    def units(self, spikes: Any) -> Any:
        """See Code: one for each size that is fired, as sizes are powers of two."""
        sizes = np.abs(spikes)
        if self.rule == "nearest":
            return (sizes > 0).astype(sizes.dtype)
        return sum((sizes >> k) & 1 for k in range(self.levels))

    @property
    def reach(self) -> float:
        """See Code."""
        return float(self.largest) if self.rule == "hmt" else 1.0

    def grain(self, steps: int) -> float:
        """See Code: the nearest rule rounds by itself."""
        return 1.0 if self.rule == "hmt" else 0.0

    def fire_init(self, xp: Any, v: Any) -> Any:
        """See Code: the value given out so far, which gates negative spikes of the nearest rule."""
        return v * 0 if self.rule == "nearest" else None

    def fire(
        self, xp: Any, rule: FireRule, state: Any, v: Any, theta: Any, theta_neg: Any, count: Any, t: int, steps: int
    ) -> tuple[Any, Any, Any]:
        """See Code."""
        if self.rule == "hmt":
            return super().fire(xp, rule, state, v, theta, theta_neg, count, t, steps)
        up, down = xp.zeros_like(v), xp.zeros_like(v)
        for k in reversed(range(self.levels)):
            size = 2.0**-k
            up = xp.where(v >= theta * (0.75 * size), xp.zeros_like(v) + (k + 1), up)
            if rule.negative != "none":
                low = v <= -theta_neg * (0.75 * size)
                if rule.negative == "gated":
                    low = low & (state >= size)
                down = xp.where(low, xp.zeros_like(v) + (k + 1), down)
        spikes = xp.where(v < 0, -down, up)
        worth = self._worth(xp, spikes)
        return state + worth, spikes, v - xp.where(spikes > 0, worth * theta, worth * theta_neg)

    def _worth(self, xp: Any, spikes: Any) -> Any:
        worth = xp.zeros_like(spikes)
        for k in range(self.levels):
            worth = xp.where(xp.abs(spikes) == k + 1, xp.sign(spikes) * 2.0**-k, worth)
        return worth

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """See Code."""
        return None, spikes if self.rule == "hmt" else self._worth(xp, spikes)

    def error_bound(self, steps: int) -> float:
        """See Code: half the least spike over the window, or a third of the least size that fires."""
        return 0.5 / steps if self.rule == "hmt" else 0.75 * 2.0 ** (1 - self.levels)
