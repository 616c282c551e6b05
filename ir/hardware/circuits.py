"""Arrays whose currents no matrix describes, because the circuit depends on the input: the family `circuit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Flag, Integer, Optional, Real, RecordOf, option
from ranvier.ir.hardware.curves import Linear
from ranvier.ir.hardware.grid import Grid
from ranvier.ir.hardware.iterative import iterate
from ranvier.ir.hardware.places import Place, places
from ranvier.ir.hardware.wires import Wires
from ranvier.ir.records import Record

Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Circuit(Record):
    """`wired`: cells of so many siemens a level between wires with resistance, solved for every vector.

    `row`, `col`, `driver`, `sense` are ohm (ranvier.ir.hardware.wires). With `gated`, an input of 0 disconnects the
    cells of its row; `iv` is the cells' current-voltage curve. The largest level of a plane is the read voltage.
    """

    family = "circuit"
    word = "wired"
    siemens: float = option(Real(0), help="conductance of one cell level")
    row: float = option(Real(0), 0.0, "ohm of a segment of a row wire")
    col: float = option(Real(0), 0.0, "ohm of a segment of a column wire")
    driver: float | None = option(Optional(Real(0)), None, "ohm before the first cell; none means a segment")
    sense: float | None = option(Optional(Real(0)), None, "ohm behind the last cell; none means a segment")
    gated: bool = option(Flag(), False, "whether an input of 0 disconnects its row")
    iv: Any = option(RecordOf("iv"), Linear(), "current-voltage curve of the cells")
    tolerance: float = option(Real(1e-12, 0.1), 1e-6, "error of Kirchhoff's voltage law, in units of the read voltage")
    iterations: int = option(Integer(1), 1000, "after which the solver gives up")

    def check(self) -> None:
        """See Record."""
        if not self.siemens:
            raise error("bad-value", f"`{self.word}`: siemens must be greater than 0")

    @property
    def wires(self) -> Wires:
        """The wires of one array."""
        return Wires(self.row, self.col, self.driver, self.sense)

    def partials(self, grid: Grid, group: int, read: int, plane: Numbers, cells: Numbers, largest: int) -> Numbers:
        """Partials [slices, arms, N, columns of the group] of one read for levels plane [N, rows of the read].

        `cells` are those of the op, [slices, arms, K, columns]; `largest` is the largest level of a plane. Rows of the
        array that are not read at once are at 0 V.
        """
        rows = grid.reads[read]
        columns = grid.group_columns(group)
        out = np.zeros((grid.slices, grid.arms, len(plane), len(columns)))
        for place in places(grid, group):
            inside = np.isin(place.rows, rows)
            if not inside.any():
                continue
            volts = np.zeros((len(plane), len(place.rows)))
            volts[:, inside] = plane / largest
            current = self._currents(place, volts, cells)
            at = np.searchsorted(columns, place.columns)
            out[place.slices, place.arms, :, at] = current.T * (largest / self.siemens)
        return out

    def _currents(self, place: Place, volts: Numbers, cells: Numbers) -> Numbers:
        g = np.asarray(cells[place.of(cells)], np.float64) * self.siemens
        how = {"gated": self.gated, "iv": self.iv, "tolerance": self.tolerance, "iterations": self.iterations}
        # Vectors that occur again, as planes of an image do, are solved once.
        distinct, back = np.unique(volts, axis=0, return_inverse=True)
        return iterate(g, distinct, self.wires, **how)[back.reshape(-1)]
