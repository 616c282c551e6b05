"""`fs_table`: few-spikes neurons for any activation, by tables of thresholds, falls and values (coding card 8)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ranvier.ir.codes.base import Code
from ranvier.ir.codes.neurons import FireRule
from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Enum, ListOf, Real, option

FUNCTIONS = ("relu", "silu", "gelu", "sigmoid", "tanh", "exp")
LONGEST = 24
GRID = 1 << 14


def activation(function: str, x: Any) -> Any:
    """One of FUNCTIONS at x, in float64. Its op is called `nn.<function>`."""
    from ranvier.ir.ops.elementwise import erf, sigmoid  # ops import codes

    x = np.asarray(x, np.float64)
    if function == "relu":
        return np.maximum(x, 0.0)
    if function == "silu":
        return x * sigmoid(x)
    if function == "gelu":
        return x * 0.5 * (1.0 + erf(x / math.sqrt(2.0)))
    if function == "sigmoid":
        return sigmoid(x)
    if function == "tanh":
        return np.tanh(x)
    if function == "exp":
        return np.exp(x)
    raise KeyError(function)


@dataclass(frozen=True)
class FewSpikesTable(Code):
    """`fs_table`: a neuron that stands for an activation itself; its current is what the activation is applied to.

    With T, h, d the tables and v(1) = x: z(t) = H(v(t) - T(t)), v(t+1) = v(t) - h(t) z(t), y = sum_t d(t) z(t)
    (Stöckl & Maass 2021). H(0) = 1, and the fall of step t comes after the spike of step t; tables that were trained
    with the fall before the spike are another neuron. The membrane of K steps holds K times the mean current, so
    thresholds and falls are counted K times, and a spike is worth K d(t), whose mean over the window is y.

    The tables are in units of the scale: with a scale s the neuron gives s f(x / s). Unlike in other codes, what the
    membrane loses is not what the spikes are worth.
    """

    word = "fs_table"
    psp_class = "weight"
    needs_window = True
    integrates = True
    function: str = option(Enum(*FUNCTIONS), help="the activation that the neuron stands for")
    thresholds: tuple[float, ...] = option(ListOf(Real()), help="T(t), a number for each step")
    falls: tuple[float, ...] = option(ListOf(Real()), help="h(t): what a spike takes from the membrane")
    values: tuple[float, ...] = option(ListOf(Real()), help="d(t): what a spike is worth")
    low: float = option(Real(), -8.0, "where the range begins that the tables are made for")
    high: float = option(Real(), 8.0, "where it ends")

    def check(self) -> None:
        """See Record."""
        lengths = [len(self.thresholds), len(self.falls), len(self.values)]
        if len(set(lengths)) > 1 or not 1 <= lengths[0] <= LONGEST:
            said = ", ".join(map(str, lengths))
            raise error(
                "bad-value",
                f"`fs_table`: thresholds, falls and values have {said} numbers",
                help=f"give each the same number of steps, 1 to {LONGEST}",
            )
        if not all(map(math.isfinite, (*self.falls, *self.values))) or any(map(math.isnan, self.thresholds)):
            raise error("bad-value", "`fs_table`: falls and values must be finite, and no threshold nan")
        if not -math.inf < self.low < self.high < math.inf:
            raise error("bad-value", f"`fs_table`: the range {self.low:g} .. {self.high:g} is empty or infinite")

    @property
    def K(self) -> int:
        """The number of steps."""
        return len(self.values)

    @property
    def activation(self) -> str:
        """See Code."""
        return self.function

    @property
    def label(self) -> str:
        """See Code."""
        return f"{self.word}({self.function}, K={self.K})"

    def alphabet(self) -> tuple[int, int]:
        """See Code."""
        return 0, 1

    def fixed_steps(self) -> int | None:
        """See Code."""
        return self.K

    @property
    def reach(self) -> float:
        """See Code."""
        return float(sum(max(d, 0.0) for d in self.values))

    def grain(self, steps: int) -> float:
        """See Code."""
        return steps * min((abs(h) for h in self.falls if h), default=0.0)

    def round_offset(self, fraction: float, steps: int) -> float:
        """See Code: tables are made for a membrane that begins with nothing."""
        return 0.0

    def fire(
        self, xp: Any, rule: FireRule, state: Any, v: Any, theta: Any, theta_neg: Any, count: Any, t: int, steps: int
    ) -> tuple[Any, Any, Any]:
        """See Code: a spike at the threshold of step t, and then the fall of step t."""
        spikes = rule.count(xp, v, theta * (steps * self.thresholds[t]), theta_neg, count)
        fall = theta * (steps * self.falls[t])
        return state, spikes, rule.fall(xp, v, spikes, fall, fall)

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """See Code."""
        return None, spikes * (steps * self.values[t])

    def after_shift(self, t: int, shift: int, steps: int) -> float | None:
        """See Code; None for a spike that is worth nothing where it is."""
        return super().after_shift(t, shift, steps) if self.values[t] else None

    def apply(self, x: Any) -> Any:
        """What the neuron gives for a constant current x, in units of the scale (numpy, float64)."""
        v = np.array(x, np.float64)
        y = np.zeros_like(v)
        for T, h, d in zip(self.thresholds, self.falls, self.values, strict=True):
            z = v >= T
            v -= h * z
            y += d * z
        return y

    def error_bound(self, steps: int) -> float:
        """The largest |y - f(x)| at 16384 points of the range, in units of the scale."""
        return _largest_error(self)


@lru_cache(maxsize=256)
def _largest_error(code: FewSpikesTable) -> float:
    x = np.linspace(code.low, code.high, GRID)
    return float(np.abs(code.apply(x) - activation(code.function, x)).max())
