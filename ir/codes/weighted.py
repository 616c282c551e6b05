"""Codes whose spikes are worth a weight that depends on the step: phase and few-spikes (coding cards 2 and 8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.codes.base import Code
from ranvier.ir.codes.neurons import FireRule
from ranvier.ir.fields import Enum, Flag, Integer, Real, option


@dataclass(frozen=True)
class Weighted(Code):
    """Base: at step t a spike takes `weight(t, steps)` thresholds from the membrane and is worth as many scales."""

    psp_class = "weight"
    integrates = True

    def weight(self, t: int, steps: int) -> float:
        """What a spike of step t is worth."""
        raise NotImplementedError

    def fire_init(self, xp: Any, v: Any) -> Any:
        """See Code: the value given out so far, for gated negative spikes."""
        return v * 0

    def fire(
        self, xp: Any, rule: FireRule, state: Any, v: Any, theta: Any, theta_neg: Any, count: Any, t: int, steps: int
    ) -> tuple[Any, Any, Any]:
        """See Code: an integrate-and-fire step at the threshold of this step."""
        u = self.weight(t, steps)
        spikes = rule.count(xp, v, theta * u, theta_neg * u, xp.floor(state / u))
        return state + spikes * u, spikes, rule.fall(xp, v, spikes, theta * u, theta_neg * u)

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """See Code."""
        return None, spikes * self.weight(t, steps)


@dataclass(frozen=True)
class Phase(Weighted):
    """`phase`: in a period of p steps the spike of phase k is worth p * base^-(1 + k) (Kim et al. 2018).

    With base 2 and layer_sync, p-bit quantization: the spikes are the bits of floor(x 2^p) (card, E9).
    """

    word = "phase"
    period: int = option(Integer(1, 24), 8, "steps of a period")
    base: float = option(Real(1.01, 16), 2.0, "ratio of the weights of two phases that follow each other")
    signed: bool = option(Flag(), False, "spikes of either sign")

    def alphabet(self) -> tuple[int, int]:
        """See Code."""
        return (-1 if self.signed else 0), 1

    def with_sign(self, signed: bool) -> Phase:
        """See Code."""
        return replace(self, signed=signed)

    def weight(self, t: int, steps: int) -> float:
        """See Weighted."""
        return float(self.period * self.base ** -(1 + t % self.period))

    def default_steps(self) -> int | None:
        """See Code."""
        return self.period

    def for_steps(self, steps: int) -> Phase:
        """See Code: one period."""
        return replace(self, period=steps)

    def cycle(self, steps: int) -> int:
        """See Code."""
        return self.period

    def grain(self, steps: int) -> float:
        """See Code."""
        return float(self.period * self.base**-self.period)

    def error_bound(self, steps: int) -> float:
        """See Code: half the least phase, and the least phase at the top of the range."""
        return float(self.base**-self.period)


@dataclass(frozen=True)
class FewSpikes(Weighted):
    """`fs`: K steps, the spike of step t (from 1) is worth K * 2^-t; the ReLU of Stöckl & Maass 2021.

    `round=mid` begins with half the least spike, so that the value is rounded to nearest; `floor` begins with nothing.
    """

    word = "fs"
    needs_window = True
    K: int = option(Integer(1, 24), 6, "steps, and bits of the value")
    round: str = option(Enum("mid", "floor"), "mid", "to the nearest value, or down")
    signed: bool = option(Flag(), False, "spikes of either sign")

    def alphabet(self) -> tuple[int, int]:
        """See Code."""
        return (-1 if self.signed else 0), 1

    def with_sign(self, signed: bool) -> FewSpikes:
        """See Code."""
        return replace(self, signed=signed)

    def weight(self, t: int, steps: int) -> float:
        """See Weighted."""
        return float(steps * 2.0 ** -(1 + t))

    def grain(self, steps: int) -> float:
        """See Code."""
        return float(steps * 2.0**-self.K)

    def round_offset(self, fraction: float, steps: int) -> float:
        """See Code: the code says itself how it rounds."""
        return 0.5 * self.grain(steps) if self.round == "mid" else 0.0

    def fixed_steps(self) -> int | None:
        """See Code."""
        return self.K

    def for_steps(self, steps: int) -> FewSpikes:
        """See Code."""
        return replace(self, K=steps)

    def quantize(self, x: Any, steps: int, v0: float = 0.0) -> Any:
        """See Code: clip(floor(x 2^K + offset), 0, 2^K - 1) 2^-K (card, E8)."""
        if self.signed:
            return super().quantize(x, steps, v0)
        least = np.float32(2.0**-self.K)
        return np.clip(np.floor(x / least + np.float32(v0) / (steps * least)), 0, 2**self.K - 1) * least

    def error_bound(self, steps: int) -> float:
        """See Code."""
        return float(2.0**-self.K)
