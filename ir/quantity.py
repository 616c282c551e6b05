"""Numbers with units: products multiply the units, sums need equal dimensions, and a wrong unit is an error.

`Quantity(3.0, "pJ") * Quantity(2.0, "ns")` is 6 pJ ns. A unit is written as factors with integer powers, those behind
a slash inverted: `pJ`, `um^2`, `op/s`, `J s m^2`. `um2` means `um^2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ranvier.ir.diagnostics import error, register_code, suggest

register_code(
    "unit-mismatch",
    "Two quantities of different dimensions were added or compared, or one was asked for in a unit of another "
    "dimension, such as an energy in ns.",
)

BASES: dict[str, tuple[float, dict[str, int]]] = {
    "g": (1e-3, {"kg": 1}),
    "m": (1.0, {"m": 1}),
    "s": (1.0, {"s": 1}),
    "A": (1.0, {"A": 1}),
    "J": (1.0, {"kg": 1, "m": 2, "s": -2}),
    "W": (1.0, {"kg": 1, "m": 2, "s": -3}),
    "V": (1.0, {"kg": 1, "m": 2, "s": -3, "A": -1}),
    "Ohm": (1.0, {"kg": 1, "m": 2, "s": -3, "A": -2}),
    "S": (1.0, {"kg": -1, "m": -2, "s": 3, "A": 2}),
    "F": (1.0, {"kg": -1, "m": -2, "s": 4, "A": 2}),
    "Hz": (1.0, {"s": -1}),
    "op": (1.0, {"op": 1}),
    "bit": (1.0, {"bit": 1}),
    "OPS": (1.0, {"op": 1, "s": -1}),
}
"""Symbol -> (size in base units, powers of the base dimensions)."""

PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3}
PREFIXES |= {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

_FACTOR = re.compile(r"([A-Za-zµ_]+)\^?(-?\d+)?")
Powers = tuple[tuple[str, int], ...]


def declare_unit(symbol: str) -> None:
    """Add a unit with a dimension of its own, such as a time that a script measures in no known unit."""
    BASES.setdefault(symbol, (1.0, {symbol: 1}))


def parse_unit(text: str) -> Powers:
    """Powers of the unit symbols in a text, in order; raises RanvierError (bad-value) for an unknown symbol."""
    powers: dict[str, int] = {}
    for index, part in enumerate(text.split("/")):
        for word in part.split():
            if word == "1":
                continue
            found = _FACTOR.fullmatch(word)
            if found is None:
                raise error("bad-value", f"{text!r} is no unit", help="such as pJ, um^2 or op/s")
            _base(found.group(1))
            power = int(found.group(2) or 1)
            powers[found.group(1)] = powers.get(found.group(1), 0) + (-power if index else power)
    return tuple((symbol, power) for symbol, power in powers.items() if power)


def _base(symbol: str) -> tuple[float, dict[str, int]]:
    """Size and dimension of a symbol with its prefix."""
    if symbol in BASES:
        return BASES[symbol]
    if symbol[:1] in PREFIXES and symbol[1:] in BASES:
        size, dimension = BASES[symbol[1:]]
        return PREFIXES[symbol[0]] * size, dimension
    raise error("bad-value", f"no unit is called {symbol!r}", help=suggest(symbol, BASES))


def dimension_of(powers: Powers) -> dict[str, int]:
    """Powers of the base dimensions; zero ones left out."""
    found: dict[str, int] = {}
    for symbol, power in powers:
        for base, each in _base(symbol)[1].items():
            found[base] = found.get(base, 0) + each * power
    return {base: power for base, power in sorted(found.items()) if power}


def _size(powers: Powers) -> float:
    size = 1.0
    for symbol, power in powers:
        size *= _base(symbol)[0] ** power
    return size


def show_unit(powers: Powers) -> str:
    """`pJ ns um^2`, or `op/s`."""

    def factors(chosen: Iterable[tuple[str, int]]) -> str:
        return " ".join(symbol + (f"^{power}" if power != 1 else "") for symbol, power in chosen)

    above = factors((s, p) for s, p in powers if p > 0)
    below = factors((s, -p) for s, p in powers if p < 0)
    return (above or "1") + (f"/{below}" if below else "") if powers else ""


@dataclass(frozen=True, init=False)
class Quantity:
    """A value with its unit. Sums, comparisons and conversions are checked dimensionally.

    Raises RanvierError: unit-mismatch, bad-value (an unknown unit).
    """

    value: float
    powers: Powers

    def __init__(self, value: float, unit: str | Powers = ""):
        object.__setattr__(self, "value", float(value))
        object.__setattr__(self, "powers", parse_unit(unit) if isinstance(unit, str) else unit)

    @property
    def unit(self) -> str:
        """The unit as text."""
        return show_unit(self.powers)

    @property
    def dimension(self) -> dict[str, int]:
        """Powers of the base dimensions."""
        return dimension_of(self.powers)

    def to(self, unit: str) -> float:
        """The value in another unit of the same dimension."""
        powers = parse_unit(unit)
        if powers == self.powers:
            return self.value
        self._same(powers, unit)
        return self.value * (_size(self.powers) / _size(powers))

    def as_unit(self, unit: str) -> Quantity:
        """The same quantity, written in another unit."""
        return Quantity(self.to(unit), unit)

    def _same(self, powers: Powers, unit: str) -> None:
        if dimension_of(powers) != self.dimension:
            raise error("unit-mismatch", f"{self} is not of the dimension of {unit or 'a plain number'}")

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.value + other.to(self.unit), self.powers)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.value - other.to(self.unit), self.powers)

    def __mul__(self, other: Quantity | float) -> Quantity:
        if not isinstance(other, Quantity):
            return Quantity(self.value * other, self.powers)
        return Quantity(self.value * other.value, _merged(self.powers, other.powers, 1))

    __rmul__ = __mul__

    def __truediv__(self, other: Quantity | float) -> Quantity:
        if not isinstance(other, Quantity):
            return Quantity(self.value / other, self.powers)
        return Quantity(self.value / other.value, _merged(self.powers, other.powers, -1))

    def __lt__(self, other: Quantity) -> bool:
        return self.value < other.to(self.unit)

    def __le__(self, other: Quantity) -> bool:
        return self.value <= other.to(self.unit)

    def __str__(self) -> str:
        return f"{self.value:.6g} {self.unit}".strip()


def _merged(a: Powers, b: Powers, sign: int) -> Powers:
    powers: dict[str, int] = dict(a)
    for symbol, power in b:
        powers[symbol] = powers.get(symbol, 0) + sign * power
    return tuple((symbol, power) for symbol, power in powers.items() if power)


def total(quantities: Iterable[Quantity], unit: str) -> Quantity:
    """The sum in a unit; zero of that unit for none."""
    found = Quantity(0.0, unit)
    for each in quantities:
        found = found + each
    return found


READABLE: Mapping[str, tuple[str, ...]] = {
    "J": ("fJ", "pJ", "nJ", "uJ", "mJ", "J"),
    "s": ("ns", "us", "ms", "s"),
    "m^2": ("um^2", "mm^2"),
    "J s m^2": ("pJ ns um^2", "nJ us mm^2", "uJ ms mm^2", "J s m^2"),
}


def readable(quantity: Quantity | None) -> str:
    """A quantity in the largest usual unit in which it is at least 1 (4 digits); empty for None."""
    if quantity is None:
        return ""
    for base, units in READABLE.items():
        if dimension_of(parse_unit(base)) == quantity.dimension:
            fitting = [u for u in units if abs(quantity.to(u)) >= 1] or [units[0]]
            return _four(quantity.to(fitting[-1]), fitting[-1])
    return _four(quantity.value, quantity.unit)


def _four(value: Any, unit: str) -> str:
    if 1e4 <= abs(value) < 1e9:  # no exponent where digits are as short
        return f"{float(f'{value:.4g}'):,.0f} {unit}".strip()
    return f"{value:.4g} {unit}".strip()
