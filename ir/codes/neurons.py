"""Integrate-and-fire over an array namespace, schedules, surrogate gradients (coding cards 0, 9; semantics, Time)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.ir.fields import Integer, Optional, Real, option
from ranvier.ir.records import Record


@dataclass(frozen=True)
class Schedule(Record):
    """When a neuron's output step may see its input steps; part of the neuron's meaning."""

    family = "schedule"


@dataclass(frozen=True)
class Stepwise(Schedule):
    """Output step t sees input steps <= t."""

    word = "stepwise"


@dataclass(frozen=True)
class LayerSync(Schedule):
    """Output steps of a window see all input steps of that window, which is T or `period` steps."""

    word = "layer_sync"
    period: int | None = option(Optional(Integer(1)), None, "window in steps; none means T")


@dataclass(frozen=True)
class EarlyFire(Schedule):
    """Output step t sees input steps <= t + start."""

    word = "early_fire"
    start: int = option(Integer(0), help="steps integrated before the first output step")


@dataclass(frozen=True)
class Surrogate(Record):
    """The gradient used in place of the step's: d spike / d v as a function of u = v/theta - 1."""

    family = "surrogate"


@dataclass(frozen=True)
class ATan(Surrogate):
    """alpha / 2 / (1 + (pi/2 alpha u)^2) (Fang et al., ICCV 2021)."""

    word = "atan"
    alpha: float = option(Real(0), 2.0)


@dataclass(frozen=True)
class Triangle(Surrogate):
    """height * max(0, 1 - |u|) (Bellec et al., NeurIPS 2018; height 0.3 in Kim et al., ICASSP 2022)."""

    word = "triangle"
    height: float = option(Real(0), 1.0)


@dataclass(frozen=True)
class Rectangle(Surrogate):
    """1/width where |u| < width/2 (Wu et al., 2018)."""

    word = "rectangle"
    width: float = option(Real(0), 1.0)


@dataclass(frozen=True)
class FireRule:
    """How a membrane becomes spikes and falls back.

    `negative`: `none`, `free`, or `gated` (no more negative spikes than the neuron has fired positive ones).
    `lower`: negative spikes at v <= -theta_neg (`threshold`) or at v < 0 (`zero`). `levels` bounds the count per step.
    """

    levels: int = 1
    compare: str = "ge"
    reset: str = "soft"
    negative: str = "none"
    lower: str = "threshold"
    v_reset: float = 0.0

    def count(self, xp: Any, v: Any, theta: Any, theta_neg: Any, total: Any) -> Any:
        """Spikes fired at membrane v, an array of whole numbers in v's dtype."""
        up = self._above(xp, v, theta, self.compare == "ge")
        if self.negative == "none":
            return up
        strict_at_zero = self.lower == "zero"
        if strict_at_zero and self.levels == 1:
            down = xp.where(v < 0, xp.ones_like(v), xp.zeros_like(v))
        elif strict_at_zero:
            down = xp.clip(xp.ceil(-v / theta_neg), 0, self.levels)
        else:
            down = self._above(xp, -v, theta_neg, self.compare == "ge")
        if self.negative == "gated":
            down = xp.minimum(down, xp.clip(total, 0, None))
        return xp.where(v < 0, -down, up)

    def _above(self, xp: Any, v: Any, theta: Any, inclusive: bool) -> Any:
        if self.levels == 1:
            fired = v >= theta if inclusive else v > theta
            return xp.where(fired, xp.ones_like(v), xp.zeros_like(v))
        ratio = v / theta
        return xp.clip(xp.floor(ratio) if inclusive else xp.ceil(ratio) - 1, 0, self.levels)

    def fall(self, xp: Any, v: Any, spikes: Any, theta: Any, theta_neg: Any) -> Any:
        """The membrane after firing."""
        if self.reset == "none":
            return v
        if self.reset == "hard":
            return xp.where(spikes != 0, xp.zeros_like(v) + self.v_reset, v)
        if self.negative == "none":
            return v - spikes * theta
        return v - xp.where(spikes > 0, spikes * theta, spikes * theta_neg)
