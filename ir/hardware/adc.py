"""Converters: what becomes of a partial sum before it is added digitally. A range never depends on the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Integer, ListOf, Optional, Real, option
from ranvier.ir.records import Record


@dataclass(frozen=True)
class Adc(Record):
    """Base of all converters of partials in units of one cell level times one input level."""

    family = "adc"

    @property
    def transparent(self) -> bool:
        """Whether every partial passes unchanged, be it an integer or not."""
        return False

    @property
    def integral(self) -> bool:
        """Whether what comes out is an integer whatever goes in."""
        return False

    def limits(self, slice: int) -> tuple[float, float]:
        """The smallest and the largest partial of a slice that comes out unclipped."""
        raise NotImplementedError

    def step(self, slice: int) -> float:
        """The least significant step for partials of a slice; 0 for a converter without steps."""
        raise NotImplementedError

    def convert(self, partials: Any, slice: int) -> Any:
        """What the digital side receives: clip(rint(p / lsb), low, high) * lsb."""
        raise NotImplementedError

    def check_slices(self, slices: int) -> None:
        """Raise RanvierError when the converter is set for another number of slices."""


@dataclass(frozen=True)
class Ideal(Adc):
    """`ideal`: partials pass unchanged."""

    word = "ideal"

    @property
    def transparent(self) -> bool:
        """See Adc."""
        return True

    def limits(self, slice: int) -> tuple[float, float]:
        """See Adc."""
        return -np.inf, np.inf

    def step(self, slice: int) -> float:
        """See Adc."""
        return 0.0

    def convert(self, partials: Any, slice: int) -> Any:
        """See Adc."""
        return partials


@dataclass(frozen=True)
class Uniform(Adc):
    """Base of converters with equal steps: code = clip(rint(p / lsb), low, high), worth code * lsb.

    `lsb` is one number, or one a slice. The range is low..high in codes, 0..2^bits - 1 if it is not given.
    """

    bits: int = option(Integer(1, 32), help="resolution")
    lsb: tuple[float, ...] = option(ListOf(Real(0)), (1.0,), "worth of one code, in cell levels; one, or one a slice")
    low: int | None = option(Optional(Integer()), None, "smallest code; none means 0")
    high: int | None = option(Optional(Integer()), None, "largest code; none means low + 2^bits - 1")

    def check(self) -> None:
        """See Record: a range of at most 2^bits codes, steps above zero."""
        low, high = self.codes
        if not self.lsb or not all(0 < x < np.inf for x in self.lsb):
            raise error("bad-value", f"`{self.word}`: lsb must be numbers above 0", help="lsb=[1.0] keeps integers")
        if not 0 < high - low < 1 << self.bits:
            raise error(
                "bad-value",
                f"`{self.word}`: {self.bits} bits are codes {low}..{low + (1 << self.bits) - 1}, not {low}..{high}",
                help="raise bits, or narrow low and high",
            )

    @property
    def codes(self) -> tuple[int, int]:
        """The smallest and the largest code."""
        low = 0 if self.low is None else self.low
        return low, low + (1 << self.bits) - 1 if self.high is None else self.high

    @property
    def integral(self) -> bool:
        """See Adc."""
        return all(float(x).is_integer() for x in self.lsb)

    def step(self, slice: int) -> float:
        """See Adc."""
        return self.lsb[0] if len(self.lsb) == 1 else self.lsb[slice]

    def limits(self, slice: int) -> tuple[float, float]:
        """See Adc."""
        low, high = self.codes
        return low * self.step(slice), high * self.step(slice)

    def convert(self, partials: Any, slice: int) -> Any:
        """See Adc."""
        step = self.step(slice)
        return np.clip(np.rint(partials / step), *self.codes) * step

    def check_slices(self, slices: int) -> None:
        """See Adc."""
        if len(self.lsb) not in (1, slices):
            raise error(
                "bad-value", f"`{self.word}` has {len(self.lsb)} lsb for {slices} slices", help="one, or one a slice"
            )


@dataclass(frozen=True)
class Flash(Uniform):
    """`flash`: 2^bits - 1 comparators at once, one cycle a conversion."""

    word = "flash"


@dataclass(frozen=True)
class Sar(Uniform):
    """`sar`: successive approximation, one cycle a bit."""

    word = "sar"


@dataclass(frozen=True)
class Ramp(Uniform):
    """`ramp`: one comparator a column against a common ramp, 2^bits cycles."""

    word = "ramp"
