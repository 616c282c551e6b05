"""What a spike code answers. Functions take an array namespace `xp`: any runtime can run and differentiate them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ranvier.ir.codes.neurons import FireRule
from ranvier.ir.elements import Elem, smallest_integer
from ranvier.ir.records import Record, on_missing


@dataclass(frozen=True)
class Code(Record):
    """Base of all codes. Values are in units of the spikes' scale: 1.0 is the scale itself.

    A subclass gives the alphabet, the firing rule (`fire_init`, `fire`), the psp (`psp_init`, `psp_step`), its
    `error_bound`, an encoder and a decode where the defaults do not fit, and answers the questions below for support
    tables. A membrane of T steps has taken in T times the mean current, and so the psp's mean is the value.
    """

    family = "code"

    psp_class: ClassVar[Literal["constant", "weight", "history"]] = "constant"
    needs_window: ClassVar[bool] = False
    needs_stepwise: ClassVar[bool] = False
    takes_slopes: ClassVar[bool] = True
    """Whether negative spikes may have a threshold of their own, which gives activations a slope below zero."""
    may_delay: ClassVar[bool] = True
    integrates: ClassVar[bool] = False
    """Whether an integrate-and-fire neuron fires this code."""
    resets_itself: ClassVar[bool] = False
    """Whether the code alone says what its spikes leave of the membrane, whatever the neuron's reset."""
    trainable: ClassVar[tuple[str, ...]] = ()
    """Real fields that may be operands while they are trained (`snn.code_value`), and are fields again afterwards."""

    def alphabet(self) -> tuple[int, int]:
        """Smallest and largest spike value."""
        raise NotImplementedError

    @property
    def signed(self) -> bool:
        """Whether a spike may be negative."""
        return self.alphabet()[0] < 0

    @property
    def largest(self) -> int:
        """The largest count of spikes that one step can carry."""
        return max(abs(n) for n in self.alphabet())

    @property
    def bits(self) -> int:
        """Bits of one spike's payload: 1 where a spike only says that it is there; a sign takes one more."""
        lo, hi = self.alphabet()
        return max(1, (hi - lo).bit_length()) if self.largest > 1 else 1 + (lo < 0)

    def units(self, spikes: Any) -> Any:
        """How many times a target adds its weight, shifted or not, because of each spike (numpy, integers)."""
        return np.abs(spikes)

    @property
    def plain(self) -> bool:
        """Whether neurons fire by the plain integrate-and-fire rule, without remembering anything."""
        return type(self).fire is Code.fire

    @property
    def single(self) -> bool:
        """Whether a neuron fires once a window at most, so that the time of its first spike is its value."""
        return False

    @property
    def activation(self) -> str:
        """The activation that a neuron of this code computes by itself (`silu` for nn.silu); "" where it clips."""
        return ""

    @property
    def label(self) -> str:
        """How messages name the code: as it is written, but without tables of numbers."""
        return str(self)

    @property
    def random(self) -> bool:
        """Whether the encoder draws random numbers."""
        return False

    def with_sign(self, signed: bool) -> Code:
        """The same code with or without negative spikes; raises ValueError when it has no such form."""
        if signed != self.signed:
            raise ValueError(f"{self.label} has no {'signed' if signed else 'unsigned'} form")
        return self

    def element(self) -> Elem:
        """The smallest storage that holds the alphabet."""
        return smallest_integer(*self.alphabet())

    # -- firing ----------------------------------------------------------------------------------------------------
    def fire_init(self, xp: Any, v: Any) -> Any:
        """What the firing rule remembers before the first step; None for codes that remember nothing."""
        return None

    def fire(
        self, xp: Any, rule: FireRule, state: Any, v: Any, theta: Any, theta_neg: Any, count: Any, t: int, steps: int
    ) -> tuple[Any, Any, Any]:
        """One step of a neuron whose membrane v is charged: (state, spikes, membrane after them).

        `count` is the signed number of spikes so far. The psp of all spikes fired adds up to what v has lost.
        """
        spikes = rule.count(xp, v, theta, theta_neg, count)
        return state, spikes, rule.fall(xp, v, spikes, theta, theta_neg)

    def fixed_steps(self) -> int | None:
        """The number of steps of a window, where the code has only one."""
        return None

    def least_steps(self) -> int:
        """The shortest window in which a neuron can fire at all."""
        return 1

    def default_steps(self) -> int | None:
        """The number of steps that suits the code, where there is one."""
        return self.fixed_steps()

    def for_steps(self, steps: int) -> Code:
        """The code of this kind that suits a window of `steps`; raises RanvierError when there is none so long."""
        return self

    def cycle(self, steps: int) -> int:
        """The number of steps that a value takes whatever the schedule: the whole window, or any number (1)."""
        return steps if self.needs_window else 1

    def grain(self, steps: int) -> float:
        """The least amount that a spike takes from the membrane, in units of the threshold."""
        return 1.0

    @property
    def reach(self) -> float:
        """The largest value of a window in units of the scale, on which thresholds are set."""
        return float(self.largest)

    def round_offset(self, fraction: float, steps: int) -> float:
        """The initial membrane, in units of the threshold, for v0 = `fraction` of the least spike."""
        return fraction * self.grain(steps)

    def quantize(self, x: Any, steps: int, v0: float = 0.0) -> Any:
        """The value that a layer_sync neuron gives for a constant current x, in units of the scale (numpy).

        v0 is in units of the threshold. This default fires the code step by step; codes override it in closed form.
        """
        return self._fired(x, steps, v0, self.needs_stepwise)

    def quantize_stepwise(self, x: Any, steps: int, v0: float = 0.0) -> Any:
        """The value that a stepwise neuron gives for a constant current x: `quantize` where spikes do not grow.

        A code that fires by the plain rule says the same of a current that comes step by step as of its window (card,
        E3); one whose spikes have weights or a history does not.
        """
        if self.needs_window or self.plain:
            return self.quantize(x, steps, v0)
        return self._fired(x, steps, v0, True)

    def _fired(self, x: Any, steps: int, v0: float, stepwise: bool) -> Any:
        """The decoded window of a neuron that is charged with x at each step, or with the whole window before."""
        rule = FireRule(self.largest, negative="free" if self.signed else "none", lower="zero")
        x = np.asarray(x, np.float32)
        v = x * 0 + np.float32(v0) if stepwise else (x * steps + v0).astype(np.float32)
        one, count = np.float32(1), np.zeros_like(v)
        fired, read, rows = self.fire_init(np, v), self.psp_init(np, v), []
        for t in range(steps):
            v = v + x if stepwise else v
            fired, spikes, v = self.fire(np, rule, fired, v, one, one, count, t, steps)
            count = count + spikes
            read, value = self.psp_step(np, read, spikes, t, steps)
            rows.append(value)
        return self.decode(np, np.stack(rows), steps)

    def relaxed(self, xp: Any, x: Any, steps: int, straight: Callable[[Any, Any], Any], *parameters: Any) -> Any:
        """`quantize` as a function that has a gradient, for x in units of the scale.

        `straight(smooth, exact)` has the value of `exact` and the gradient of `smooth`; `parameters` are the trainable
        fields as numbers of the namespace. This default rounds in the value itself: it clips to what a window says.
        """
        return xp.clip(x, -self.reach if self.signed else 0.0, self.reach)

    # -- the doors -------------------------------------------------------------------------------------------------
    def encode_init(self, xp: Any, x: Any) -> Any:
        """The encoder's state before the first step."""
        return xp.zeros_like(x), None

    def encode_step(self, xp: Any, state: Any, x: Any, t: int, steps: int, draw: Callable[[], Any]) -> tuple[Any, Any]:
        """Spikes of step t for values x in units of the scale; `draw()` gives uniform numbers of x's shape.

        This default charges a neuron with the whole window at once, or step by step for codes that need it so,
        rounding to nearest, and lets it fire.
        """
        v, fired = state
        if t == 0:
            v = x * (0 if self.needs_stepwise else steps) + self.round_offset(0.5, steps)
            fired = self.fire_init(xp, v)
        v = v + x if self.needs_stepwise else v
        rule = FireRule(self.largest, negative="free" if self.signed else "none", lower="zero")
        one = xp.ones_like(v)
        fired, spikes, v = self.fire(xp, rule, fired, v, one, one, v * 0, t, steps)
        return (v, fired), spikes

    def psp_init(self, xp: Any, like: Any) -> Any:
        """The psp's state before the first step; None for codes without history."""
        return None

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """What the spikes of step t are worth downstream, as reals in units of the scale.

        Its mean over the window is the value that the spikes stand for, so that currents of all codes add up.
        """
        raise NotImplementedError

    def decode(self, xp: Any, values: Any, steps: int) -> Any:
        """The real value from the psp of all steps, [T, ...] -> [...]: their mean."""
        return values.sum(0) / steps

    # -- noise -----------------------------------------------------------------------------------------------------
    def after_deletion(self, p: float) -> float | None:
        """The expected value of spikes of which each event is lost with probability p, over the value without loss.

        1 - p where every event adds its worth by itself; None where no one factor says it, as what a spike is worth
        depends on those before it.
        """
        return None if self.psp_class == "history" else 1.0 - p

    def after_shift(self, t: int, shift: int, steps: int) -> float | None:
        """What a spike of step t is worth that arrives `shift` steps later, over its worth at t; None as above.

        Nothing outside of the window.
        """
        if self.psp_class == "history":
            return None
        if not 0 <= t + shift < steps:
            return 0.0
        one = np.ones(())
        moved, here = (float(self.psp_step(np, None, one, s, steps)[1]) for s in (t + shift, t))
        return moved / here

    def error_bound(self, steps: int) -> float:
        """Largest |decode(encode(x)) - x| for x in range, in units of the scale (expected error if random)."""
        raise NotImplementedError


def _load_code(word: str) -> type[Record] | None:
    from ranvier.ir.plugins import load_plugin
    from ranvier.ir.records import record_class

    load_plugin("ranvier.codes", word)
    return record_class("code", word)


on_missing("code", _load_code)
