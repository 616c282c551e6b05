"""Differential code: a spike corrects the running estimate (DCGS, ICML 2025; coding card 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.ir.codes.base import Code
from ranvier.ir.codes.neurons import FireRule
from ranvier.ir.fields import Flag, Integer, option


@dataclass(frozen=True)
class Differential(Code):
    """`diff`: the estimate m grows by s / t with the spike s of step t (from 1), and the value is m at the end.

    A late spike so corrects the estimate instead of being averaged with all that came before. The psp of step t is
    m(t - 1) + s: its sum up to t is t m(t), and a receiver that integrates it needs to know nothing of the code.
    """

    word = "diff"
    psp_class = "history"
    may_delay = False
    needs_stepwise = True
    takes_slopes = False
    integrates = True
    signed: bool = option(Flag(), True, "spikes of either sign, to correct in both directions")
    levels: int = option(Integer(1, 2**15), 1, "largest count of spikes in one step")

    def alphabet(self) -> tuple[int, int]:
        """See Code."""
        return (-self.levels if self.signed else 0), self.levels

    def with_sign(self, signed: bool) -> Differential:
        """See Code: without negative spikes an estimate could not come down."""
        return self

    def fire_init(self, xp: Any, v: Any) -> Any:
        """See Code: the estimate."""
        return v * 0

    def fire(
        self, xp: Any, rule: FireRule, state: Any, v: Any, theta: Any, theta_neg: Any, count: Any, t: int, steps: int
    ) -> tuple[Any, Any, Any]:
        """See Code: a gated estimate does not fall below zero."""
        before = v - state * theta
        spikes = rule.count(xp, before, theta, theta_neg, xp.floor(state * (t + 1)))
        return state + spikes / (t + 1), spikes, rule.fall(xp, before, spikes, theta, theta_neg)

    def psp_init(self, xp: Any, like: Any) -> Any:
        """See Code: the estimate."""
        return xp.zeros_like(like)

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """See Code."""
        return state + spikes / (t + 1), state + spikes

    def after_deletion(self, p: float) -> float | None:
        """See Code: the estimate at the end is the sum of s / t."""
        return 1.0 - p

    def after_shift(self, t: int, shift: int, steps: int) -> float | None:
        """See Code."""
        return (t + 1) / (t + shift + 1) if 0 <= t + shift < steps else 0.0

    def error_bound(self, steps: int) -> float:
        """See Code."""
        return 1.0 / steps
