"""Rate code: a value is the mean number of spikes per step (coding card 1 and 9; Rueckauer et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.codes.base import Code
from ranvier.ir.fields import Enum, Flag, Integer, option


@dataclass(frozen=True)
class Rate(Code):
    """`rate`: every spike is worth the scale; decode is the mean over the window.

    The encoder draws Bernoulli spikes with P = |x| (clipped at 1), or with `encoder=regular` integrates x from one half
    and fires, which spaces them evenly.
    """

    word = "rate"
    integrates = True
    signed: bool = option(Flag(), False, "spikes of either sign")
    levels: int = option(Integer(1, 2**15), 1, "largest count of spikes in one step")
    encoder: str = option(Enum("bernoulli", "regular"), "bernoulli", "how real values become spikes")

    def alphabet(self) -> tuple[int, int]:
        """See Code."""
        return (-self.levels if self.signed else 0), self.levels

    def with_sign(self, signed: bool) -> Rate:
        """See Code."""
        return replace(self, signed=signed)

    @property
    def random(self) -> bool:
        """See Code."""
        return self.encoder == "bernoulli"

    def encode_init(self, xp: Any, x: Any) -> Any:
        """See Code."""
        return None if self.random else xp.zeros_like(x) + 0.5

    def encode_step(self, xp: Any, state: Any, x: Any, t: int, steps: int, draw: Callable[[], Any]) -> tuple[Any, Any]:
        """See Code: with several levels, x is spread over them and the fraction is drawn."""
        lo, hi = self.alphabet()
        if self.random:
            size = xp.abs(x)
            whole = xp.floor(size)
            count = whole + xp.where(draw() < size - whole, 1.0, 0.0)
            return None, xp.clip(xp.sign(x) * count, lo, hi)
        v = state + x
        spikes = xp.clip(xp.floor(v), lo, hi)
        return v - spikes, spikes

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """See Code."""
        return None, spikes

    def quantize(self, x: Any, steps: int, v0: float = 0.0) -> Any:
        """See Code: clip(floor(x T + v0)) / T (card, E3)."""
        lo, hi = self.alphabet()
        return np.clip(np.floor(x * steps + np.float32(v0)), lo * steps, hi * steps) / np.float32(steps)

    def error_bound(self, steps: int) -> float:
        """See Code: half a spike for the regular encoder, one standard deviation at most 1/(2 sqrt T) for Bernoulli."""
        return 0.5 / steps if not self.random else 0.5 / steps**0.5
