"""`xbar`: products on arrays whose circuit depends on the input, so that no matrix describes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.hardware.circuits import Circuit
from ranvier.ir.ops.xbar import Stored
from ranvier.ir.schema import record
from ranvier.ir.timing import PureOp
from ranvier.ir.types import Type

Numbers = np.ndarray[Any, Any]


class CircuitMvm(Stored, PureOp, name="xbar.circuit_mvm"):
    """xbar.mvm on arrays whose circuit depends on the input (gated or nonlinear cells): solved vector by vector.

    The meaning is a fixed point to the circuit's tolerance: not exact, and compared with the solution of every node.
    """

    disturbed = True
    circuit = record(Circuit.family, help="wires and cells")

    def infer(self, x: Any, weight: Any, cells: Any, bias: Any) -> Type:
        """See Op."""
        if cells is None:
            raise self.fail("missing-option", "needs cells, which say what conducts", "program{device=...} sets them")
        return self.result_type(x, weight, cells, bias)

    def meaning(self, x: Any, weight: Any, cells: Any, bias: Any) -> Any:
        """See Op."""
        return self.product(x, weight, cells, bias, lambda start, part, plane, _: self.currents(part, plane, cells))

    def currents(self, part: int, plane: Numbers, cells: Numbers) -> Numbers:
        """Partials [slices, arms, N, P, columns] of one read of one plane [N, P, R]."""
        grid = self.grid
        group, read = part // (self.input.count * len(grid.reads)), part % len(grid.reads)
        n, p, rows = plane.shape
        vectors = plane.reshape(n * p, rows)
        found = self.circuit.partials(grid, group, read, vectors, cells, self.input.largest)
        return np.asarray(found.reshape(*found.shape[:2], n, p, found.shape[3]))
