"""Time-to-first-spike and time-to-average-spike codes (T2FSNN, DAC 2020; Park, DAC 2021; coding cards 4 and 6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.codes.base import Code
from ranvier.ir.codes.neurons import FireRule
from ranvier.ir.fields import Enum, Integer, Real, option


@dataclass(frozen=True)
class FirstSpike(Code):
    """`ttfs`: one spike at most, worth T eps(t) with eps(t) = exp(-(t - t_d) / tau), and the neuron is silent then.

    It comes at the first step whose eps the value reaches (`ceil`), or whose eps times exp(-1/(2 tau)) it reaches
    (`mid`): rounding to nearest in the logarithm (card, E10 and E12).
    """

    word = "ttfs"
    psp_class = "weight"
    needs_window = True
    may_delay = False
    integrates = True
    resets_itself = True
    trainable = ("tau", "t_d")
    tau: float = option(Real(1e-3, 1e6), 8.0, "time constant of the kernel, in steps")
    t_d: float = option(Real(-1e6, 1e6), 0.0, "delay of the kernel, in steps")
    round: str = option(Enum("mid", "ceil"), "mid", "to the nearest time, or to the later one")

    spikes_of_one = 1

    def alphabet(self) -> tuple[int, int]:
        """See Code."""
        return 0, 1

    def for_steps(self, steps: int) -> FirstSpike:
        """See Code: the last spike is worth e^-4 of the first, 2 % of the range (coding card 4: T/tau from 3 to 5)."""
        return replace(self, tau=max(steps / 4, 1.0))

    @property
    def single(self) -> bool:
        """See Code."""
        return self.spikes_of_one == 1

    def kernel(self, t: int) -> float:
        """eps(t)."""
        return math.exp(-(t - self.t_d) / self.tau)

    def bar(self, t: int) -> float:
        """The value that fires at step t."""
        return self.kernel(t) * (math.exp(-0.5 / self.tau) if self.round == "mid" else 1.0)

    def worth(self) -> float:
        """What each spike is worth of the kernel, so that all of a neuron together are worth it once."""
        return 1.0

    def last_start(self, steps: int) -> int:
        """The last step at which a neuron may begin to fire."""
        return steps - self.spikes_of_one

    def least_steps(self) -> int:
        """See Code: all spikes of a neuron lie in the window."""
        return self.spikes_of_one

    def grain(self, steps: int) -> float:
        """See Code: no initial membrane rounds; the bar does."""
        return 0.0

    def fire_init(self, xp: Any, v: Any) -> Any:
        """See Code: spikes still to come; -1 for a neuron that has not begun."""
        return v * 0 - 1

    def fire(
        self, xp: Any, rule: FireRule, state: Any, v: Any, theta: Any, theta_neg: Any, count: Any, t: int, steps: int
    ) -> tuple[Any, Any, Any]:
        """See Code: the membrane is emptied by the first spike."""
        begins = (v >= theta * (steps * self.bar(t))) & (state < 0)
        if t > self.last_start(steps):
            begins = begins & (state >= 0)
        left = xp.where(begins, xp.zeros_like(state) + self.spikes_of_one, state)
        spikes = xp.where(left > 0, xp.ones_like(v), xp.zeros_like(v))
        return xp.where(left > 0, left - 1, left), spikes, xp.where(begins | (left >= 0), xp.zeros_like(v), v)

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """See Code."""
        return None, spikes * (steps * self.worth() * self.kernel(t))

    def quantize(self, x: Any, steps: int, v0: float = 0.0) -> Any:
        """See Code: the kernel at the first step whose bar the value reaches."""
        times = range(self.last_start(steps) + 1)
        bars = np.asarray([self.bar(t) for t in times], np.float32)
        values = np.asarray([self.kernel(t) for t in times] + [0.0], np.float32)
        return values[np.searchsorted(-bars, -np.asarray(x, np.float32), side="left")]

    def relaxed(self, xp: Any, x: Any, steps: int, straight: Callable[[Any, Any], Any], *parameters: Any) -> Any:
        """See Code: the time of the spike is rounded, so the gradient in x is value / x where there is a spike."""
        tau, t_d = parameters or (self.tau, self.t_d)
        fires = x >= self.bar(self.last_start(steps))
        time = xp.clip(t_d - tau * xp.log(xp.where(fires, x, xp.ones_like(x))), 0, None)
        later = xp.ceil(time - 0.5 if self.round == "mid" else time)
        return xp.where(fires, xp.exp((t_d - straight(time, later)) / tau), xp.zeros_like(x))

    def error_bound(self, steps: int) -> float:
        """See Code: one step of the kernel at the top, or the smallest value that has a spike."""
        step = math.expm1((0.5 if self.round == "mid" else 1.0) / self.tau)
        return max(self.kernel(0) * step, self.bar(self.last_start(steps)))


@dataclass(frozen=True)
class AverageSpike(FirstSpike):
    """`ttas`: like `ttfs`, but the neuron fires in `spikes` steps in a row, each worth C T eps(t) with
    C = 1 / sum(exp(-k / tau)), so that without noise the value is that of `ttfs` (card, E13) and with noise an average.
    """

    word = "ttas"
    spikes: int = option(Integer(1, 64), 5, "spikes in all")

    @property
    def spikes_of_one(self) -> int:  # type: ignore[override]
        """How many spikes a neuron fires."""
        return self.spikes

    def worth(self) -> float:
        """See FirstSpike."""
        return 1.0 / sum(math.exp(-k / self.tau) for k in range(self.spikes))
