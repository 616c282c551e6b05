"""The wires of one array: resistances of segments, what drives and senses them, and their temperature."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ranvier.ir.diagnostics import error

# Annealed copper at 20 degrees Celsius, the International Annealed Copper Standard (NBS Handbook 100, 1966, table 1);
# aluminium at 20 degrees: the same handbook series (NBS Handbook 109, 1972, electrical-conductor grade).
# Both are cited without a copy at hand to check the tables against.
REFERENCE_K = 293.15
COEFFICIENT_PER_K = {"copper": 0.00393, "aluminium": 0.00403}


@dataclass(frozen=True)
class Wires:
    """Resistances in ohm of a segment of a row wire and of a column wire, of a row's driver and of a column's sense.

    Rows are driven at column 0, columns are sensed behind the last row at virtual ground. `driver` and `sense` are the
    whole resistance between source and first cell, last cell and ground; none is one more segment of wire. With
    `phases` columns sharing one converter, those that wait float: column j is sensed in phase j % phases.
    Raises RanvierError (bad-value) for a negative resistance.
    """

    row: float = 0.0
    col: float = 0.0
    driver: float | None = None
    sense: float | None = None
    phases: int = 1

    def __post_init__(self) -> None:
        for name in ("row", "col", "driver", "sense"):
            ohm = getattr(self, name)
            if ohm is not None and not (0 <= ohm < float("inf")):
                raise error("bad-value", f"a resistance must be at least 0 ohm and finite, not {name}={ohm:g}")
        if self.phases < 1:
            raise error("bad-value", f"columns are read in at least one phase, not {self.phases}")

    @property
    def first(self) -> float:
        """Resistance between a row's source and its first cell."""
        return self.row if self.driver is None else self.driver

    @property
    def last(self) -> float:
        """Resistance between a column's last cell and virtual ground."""
        return self.col if self.sense is None else self.sense

    @property
    def lossless(self) -> bool:
        """Whether no voltage is lost anywhere: the effective conductances are the cells'."""
        return not (self.row or self.col or self.first or self.last)

    def at(self, kelvin: float, metal: str = "copper") -> Wires:
        """These wires, given at 20 degrees Celsius, at another temperature; driver and sense are left alone.

        rho(T) = rho(293.15 K) (1 + alpha (T - 293.15 K)), alpha of the metal in bulk (`COEFFICIENT_PER_K`). Narrow
        wires have smaller coefficients, which is not modelled.
        Raises RanvierError (bad-value) where the linear law gives no positive resistance, unknown-name for a metal.
        """
        if metal not in COEFFICIENT_PER_K:
            raise error("unknown-name", f"no metal is called {metal!r}", help=f"known: {', '.join(COEFFICIENT_PER_K)}")
        factor = 1 + COEFFICIENT_PER_K[metal] * (kelvin - REFERENCE_K)
        if not factor > 0:
            raise error("bad-value", f"{kelvin:g} K is below the range of the linear law of {metal}'s resistance")
        return replace(self, row=self.row * factor, col=self.col * factor)
