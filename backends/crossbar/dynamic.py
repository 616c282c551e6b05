"""Products whose second operand is written in every sample: how they lie on arrays, and what their partials can be."""

from __future__ import annotations

import math

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.hardware.facts import NotModelled
from ranvier.ir.hardware.grid import Grid
from ranvier.ir.ops.xbar import DynamicMatmul, OnArrays, Stored


def grid_of(op: OnArrays) -> Grid | None:
    """How one matrix of the op lies on arrays; None where its size is known only when it runs."""
    if isinstance(op, Stored):
        return op.grid
    assert isinstance(op, DynamicMatmul)
    assert op.b is not None
    depth, outputs = op.b.type.shape[-2:]
    return op.grid_of(depth, outputs) if isinstance(depth, int) and isinstance(outputs, int) else None


def matrices_of(op: DynamicMatmul) -> int:
    """Matrices that are written for one sample; axes of unknown size count as one, as the first, of samples, does."""
    lead = op.result.type.shape[:-2][1:]
    return math.prod(int(d) for d in lead if isinstance(d, int))


def slices_of(op: OnArrays) -> int:
    """Slices of a weight, which a converter may treat apart."""
    return int(op.weights.slices(op.weight_bits, op.cell_bits))


def static_largest(op: OnArrays) -> list[float]:
    """The largest partial of each slice for any operands: rows read at once * largest cell * largest drive."""
    grid = grid_of(op)
    most = op.array.parallel_rows or op.array.rows
    rows = max(map(len, grid.reads)) if grid is not None else min(most, op.array.rows)
    low, high = op.weights.range(op.weight_bits)
    one = Grid(op.array, op.weights, op.mapping, op.weight_bits, op.cell_bits, 1, 1, high - low + 1)
    cells = one.cells(np.arange(low, high + 1)[:, None])  # every level once
    largest = cells.reshape(len(cells), -1).max(1) + float(op.pedestal)
    return [float(rows * x * op.input.largest) for x in largest]


def leave_ideal(op: Op, what: str) -> str:
    """Remember that a physical effect does not reach an op, and the sentence that says so."""
    before = next((f.what for f in op.facts if isinstance(f, NotModelled)), ())
    fact = NotModelled(tuple(dict.fromkeys((*before, what))))
    op.facts = (*(f for f in op.facts if not isinstance(f, NotModelled)), fact)
    return f"%{op.result.name} stays ideal: its operand is written in every sample; {what}: not modelled"
