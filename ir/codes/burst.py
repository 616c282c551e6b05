"""Burst code: spikes that follow each other grow (Park et al., DAC 2019; coding card 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ranvier.ir.codes.base import Code
from ranvier.ir.codes.neurons import FireRule
from ranvier.ir.fields import Integer, Real, option


@dataclass(frozen=True)
class Burst(Code):
    """`burst`: a spike is worth g * v_th scales; g is multiplied by beta after a spike, up to beta^cap, and falls to 1
    at a silent step. With beta=1 and v_th=1 it is the rate code, spike by spike (card, E14).

    The growth is known to who counts the spikes, but a receiver without memory must be told: `bits` counts its payload.
    """

    word = "burst"
    psp_class = "history"
    integrates = True
    beta: float = option(Real(0.1, 16), 2.0, "growth from spike to spike")
    v_th: float = option(Real(1e-3, 16), 1.0, "the first spike of a burst, in thresholds")
    cap: int = option(Integer(0, 16), 5, "how often a burst may grow")

    def alphabet(self) -> tuple[int, int]:
        """See Code."""
        return 0, 1

    @property
    def bits(self) -> int:
        """See Code: one of cap + 1 sizes."""
        return max(1, math.ceil(math.log2(self.cap + 1))) if self.beta != 1 else 1

    def grain(self, steps: int) -> float:
        """See Code."""
        return self.v_th * min(1.0, self.beta**self.cap)

    def _grown(self, xp: Any, g: Any, spikes: Any) -> Any:
        limit = self.beta**self.cap
        grown = xp.clip(g * self.beta, min(1.0, limit), max(1.0, limit))
        return xp.where(spikes != 0, grown, xp.ones_like(g))

    def fire_init(self, xp: Any, v: Any) -> Any:
        """See Code: g."""
        return xp.ones_like(v)

    def fire(
        self, xp: Any, rule: FireRule, state: Any, v: Any, theta: Any, theta_neg: Any, count: Any, t: int, steps: int
    ) -> tuple[Any, Any, Any]:
        """See Code."""
        u = state * self.v_th
        spikes = rule.count(xp, v, theta * u, theta_neg * u, count)
        return self._grown(xp, state, spikes), spikes, rule.fall(xp, v, spikes, theta * u, theta_neg * u)

    def psp_init(self, xp: Any, like: Any) -> Any:
        """See Code: g."""
        return xp.ones_like(like)

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """See Code."""
        return self._grown(xp, state, spikes), spikes * state * self.v_th

    def after_deletion(self, p: float) -> float | None:
        """See Code: a lost spike also ends the growth of its burst."""
        return 1.0 - p if self.beta == 1 else None

    def after_shift(self, t: int, shift: int, steps: int) -> float | None:
        """See Code."""
        return float(0 <= t + shift < steps) if self.beta == 1 else None

    def error_bound(self, steps: int) -> float:
        """See Code: what may be left on the membrane is less than the largest spike."""
        return self.v_th * max(1.0, self.beta**self.cap) / steps
