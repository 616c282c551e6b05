"""`solve-parasitics`: wires have resistance, so that a cell conducts less the farther it is from driver and sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.backends.crossbar.mapping_options import KEEP_HELP
from ranvier.backends.crossbar.passes.keep import is_solved, without
from ranvier.backends.crossbar.passes.physical import cells_of, mapped, note_ideal, with_cells
from ranvier.backends.crossbar.physics.effective import effective
from ranvier.ir.core import Graph, Module
from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Enum, Flag, Optional, Real, RecordOf, option
from ranvier.ir.hardware.chip import Chip, Parasitics
from ranvier.ir.hardware.circuits import Circuit
from ranvier.ir.hardware.curves import Linear
from ranvier.ir.hardware.iterative import iterate
from ranvier.ir.hardware.places import over_arrays
from ranvier.ir.hardware.wires import COEFFICIENT_PER_K, REFERENCE_K, Wires
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import describe
from ranvier.ir.ops.xbar import NoisyMvm, Stored
from ranvier.ir.ops.xbar_circuit import CircuitMvm

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SolveParasitics(Pass):
    """Replace cells by effective conductances of the arrays they lie in: IR drop, exactly, at the cost of no IR drop.

    `exact` eliminates the circuit (linear cells, all rows driven, 0 V is driven too); `iterative` finds the same by a
    fixed point to `tolerance`; `off` leaves ideal wires. Gated and nonlinear cells have no effective conductances, as
    their circuit depends on the input: with `iterative` they become xbar.circuit_mvm, solved vector by vector when the
    network runs, which is slow. Columns that wait for their converter are grounded, or `floating`. Needs `program`,
    which says how many siemens a level is. Matrices that are written in every sample keep ideal wires, with a note.
    """

    word = "solve-parasitics"
    method: str = option(Enum("exact", "iterative", "off"), "exact", "folded once, or solved for each vector")
    r_wire: float = option(Real(0), 0.0, "ohm of a segment between two cells, in rows and columns, at 20 degrees C")
    r_row: float | None = option(Optional(Real(0)), None, "ohm of a segment of a row; none means r_wire")
    r_col: float | None = option(Optional(Real(0)), None, "ohm of a segment of a column; none means r_wire")
    r_driver: float | None = option(Optional(Real(0)), None, "ohm between driver and first cell; none means a segment")
    r_sense: float | None = option(Optional(Real(0)), None, "ohm between last cell and sense; none means a segment")
    idle: str = option(Enum("grounded", "floating"), "grounded", "columns that wait for a shared converter")
    gated: bool = option(Flag(), False, "whether an input of 0 disconnects the cells of its row")
    iv: Any = option(RecordOf("iv"), Linear(), "current-voltage curve of the cells")
    tolerance: float = option(Real(1e-12, 0.1), 1e-6, "of the iterative solver, in units of the read voltage")
    kelvin: float = option(Real(1), REFERENCE_K, "temperature of the wires")
    metal: str = option(Enum(*COEFFICIENT_PER_K), "copper", "what the wires are made of")
    keep: bool = option(Flag(), False, KEEP_HELP)

    def check(self) -> None:
        """See Record."""
        if self._by_vector and self.method == "exact":
            what = "gated cells leave the circuit" if self.gated else f"cells with iv={self.iv} are not linear"
            raise error(
                "bad-value",
                f"`{self.word}`: {what}, so no effective conductances describe every input",
                help="method=iterative solves the circuit of every vector",
            )
        if self._by_vector and self.idle == "floating":
            raise error(
                "bad-value",
                f"`{self.word}`: circuits of single vectors keep waiting columns at ground, and idle={self.idle}",
                help="idle=grounded",
            )
        self.wires(1)

    @property
    def _by_vector(self) -> bool:
        return self.gated or not self.iv.linear

    def wires(self, cols_per_adc: int) -> Wires:
        """The wires of one array."""
        row, col = (self.r_wire if r is None else r for r in (self.r_row, self.r_col))
        phases = cols_per_adc if self.idle == "floating" else 1
        return Wires(row, col, self.r_driver, self.r_sense, phases).at(self.kelvin, self.metal)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass. Raises RanvierError for ops whose cells were not programmed."""
        if self.method == "off" or (self.wires(1).lossless and self.iv.linear):
            context.note("wires are ideal")
            return
        kept = [op for _, op in mapped(module) if self.keep and is_solved(op)]
        if not kept:
            note_ideal(module, "wires" if self.iv.linear else f"wires, cells with iv={self.iv}", context)
        for graph, op in without(kept, mapped(module), f"r_wire={self.r_wire:g}", context):
            chip = next((f for f in op.facts if isinstance(f, Chip)), None)
            if chip is None:
                raise error(
                    "bad-value",
                    f"`{self.word}`: nothing says how many siemens a cell level of {op!r} is",
                    where=describe(op.location),
                    help="run program{device=...} before",
                )
            if self._by_vector:
                self._leave_circuit(graph, op, chip, module, context)
            else:
                self._solve(graph, op, chip, module, context)

    def _solve(self, graph: Graph, op: Stored, chip: Chip, module: Module, context: PassContext) -> None:
        wires = self.wires(op.array.cols_per_adc)
        cells = np.asarray(cells_of(module, op), np.float64)
        found, arrays = over_arrays(op.grid, cells * chip.siemens, lambda g: self._currents(g, wires))
        found /= chip.siemens
        lost = 1 - float(found.sum() / cells.sum()) if cells.any() else 0.0
        how = "row-Schur" if self.method == "exact" else f"fixed point to {self.tolerance:g}"
        name = op.result.name
        fact = Parasitics(f"row {wires.row:g} ohm, column {wires.col:g} ohm a segment", how, lost)
        with_cells(graph, op, found, op.pedestal, fact)
        context.note(f"{name}: {arrays} arrays solved ({how}); the wires take {100 * lost:.3g} % of the mean current")

    def _leave_circuit(self, graph: Graph, op: Stored, chip: Chip, module: Module, context: PassContext) -> None:
        wires, name = self.wires(1), op.result.name
        circuit = Circuit(
            chip.siemens, wires.row, wires.col, wires.driver, wires.sense, self.gated, self.iv, self.tolerance
        )
        if isinstance(op, NoisyMvm):
            raise op.fail("bad-value", "has read noise, which circuits of single vectors do not have", "sigma=0")
        cells = np.asarray(cells_of(module, op))
        with_cells(graph, op, cells, op.pedestal, kind=CircuitMvm, circuit=circuit)
        context.note(f"{name}: approximate: the circuit of every vector is solved to {self.tolerance:g} when it runs")

    def _currents(self, g: Array, wires: Wires) -> Array:
        if self.method == "exact":
            return effective(g, wires)
        unit = np.eye(g.shape[1])
        return np.stack([iterate(one, unit, wires, tolerance=self.tolerance) for one in g])
