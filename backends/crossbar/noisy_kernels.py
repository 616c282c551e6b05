"""How a matrix whose cells fluctuate is computed: the products and draws of the op's meaning, in float32.

Each read of each plane is one product of all slices and arms; noise and converters work on it in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.backends.crossbar.kernels import Read, corrections, reads_of
from ranvier.backends.crossbar.plan import APPROXIMATE, Planned, lost
from ranvier.ir.core import Module
from ranvier.ir.hardware.grid import Grid
from ranvier.ir.hardware.noise import normals
from ranvier.ir.ops.xbar import NoisyMvm

Numbers = np.ndarray[Any, Any]
# Partials are made on so many bytes at a time.
BLOCK = 1 << 22


@dataclass
class NoisyKernel:
    """A noisy matrix, lowered; `squares` are the variances of each read's cells, None where all are sigma^2."""

    op: NoisyMvm
    grid: Grid
    added: list[Numbers | None]
    reads: list[list[Read]]
    squares: list[list[Numbers | None]]
    bias: Numbers | None
    planned: Planned

    def __call__(self, x: Numbers, moment: Any) -> Numbers:
        """The result for x [N, ...] at one step."""
        op, grid = self.op, self.grid
        drawn = op.unrolled(x.astype(np.int8 if x.dtype == np.bool_ else x.dtype, copy=False))
        n, groups, p, _ = drawn.shape
        out = np.zeros((n, groups, p, grid.outputs))
        widest = max(r.cells.shape[1] for reads in self.reads for r in reads)
        each = max(1, BLOCK // max(1, 4 * p * widest))
        for start in range(0, n, each):
            ids = np.asarray(moment.sample_ids)[start : start + each]
            for g in range(groups):
                vectors = drawn[start : start + each, g].reshape(-1, grid.depth)
                self._group(vectors, g, ids, moment, out[start : start + each, g])
        if not op.elem.is_float:
            out = out.astype(np.int64)
        found = op.folded(out, x)
        axis = found.ndim - 1 if op.is_linear else 1
        if self.bias is not None:
            found = found + self.bias.reshape([-1 if i == axis else 1 for i in range(found.ndim)])
        return op.in_units(found, axis)

    def _group(self, vectors: Numbers, g: int, ids: Numbers, moment: Any, out: Numbers) -> None:
        """Add one group's sums to `out` [n, P, outputs]."""
        op, reads, sums = self.op, self.reads[g], out.reshape(-1, self.grid.outputs)
        added = self.added[g]
        if added is not None:
            sums += vectors @ added
        for i, counts in enumerate(op.input.significance()):
            plane = op.input.plane(vectors, i).astype(np.float32)
            for r, read in enumerate(reads):
                rows = np.ascontiguousarray(plane[:, read.rows])
                partials = self._noise(rows, g, i, r, ids, moment)
                partials += rows @ read.cells
                self._convert(partials, read)
                for columns, power, _, outputs in read.sides:
                    sums[:, outputs] += (counts * power) * partials[:, columns]

    def _noise(self, rows: Numbers, g: int, plane: int, r: int, ids: Numbers, moment: Any) -> Numbers:
        """Noise of one read [n * P, columns of all slices and arms], as the op's meaning draws it."""
        op, grid, n = self.op, self.grid, len(ids)
        part = (g * op.input.count + plane) * len(grid.reads) + r
        width = self.reads[g][r].cells.shape[1] // (grid.slices * grid.arms)
        p = len(rows) // n
        drawn = normals(op.seed, op.key, moment.trial, ids, moment.t, (n, grid.slices * grid.arms, p, width), part)
        if p > 1:
            drawn = drawn.transpose(0, 2, 1, 3)
        noise = drawn.reshape(len(rows), -1)
        squares = self.squares[g][r]
        if squares is None:
            noise *= op.sigma * np.sqrt(np.einsum("nk,nk->n", rows, rows))[:, None].astype(np.float32)
        else:
            spread = (rows * rows) @ squares
            np.maximum(spread, 0, out=spread)
            noise *= np.sqrt(spread, out=spread)
        return np.asarray(noise)

    def _convert(self, partials: Numbers, read: Read) -> None:
        for columns, _, s, _ in read.sides:
            mine, step = partials[:, columns], self.op.adc.step(s)
            if step == 0:
                continue
            low, high = (limit / step for limit in self.op.adc.limits(s))
            if step != 1:
                np.divide(mine, step, out=mine)
            np.rint(mine, out=mine)
            np.clip(mine, low, high, out=mine)
            if step != 1:
                np.multiply(mine, step, out=mine)


def lower_noisy(module: Module, op: NoisyMvm) -> NoisyKernel | None:
    """The kernel of an op whose operands are constants; None where they are not."""
    constants = [op.weight, op.cells, op.bias, op.variance]
    if any(v is not None and not v.is_constant for v in constants):
        return None
    weight, cells, bias, variance = (None if v is None else module.array(v) for v in constants)
    assert weight is not None
    grid = op.grid
    real = grid.cells(weight) if cells is None else np.asarray(cells, np.float64)
    groups = range(grid.groups)
    added = [corrections(op, grid, weight, g) for g in groups]
    reads = [reads_of(op, grid, real, g) for g in groups]
    spread = op.cell_squares(weight, cells) if variance is None else variance
    squares = [_squares(grid, spread, g) for g in groups]
    why = f"{op.noise if variance is None else 'given'} read noise: sums in float32"
    taken = lost(op, real)
    why += f"; {taken}" if taken else ""
    count = sum(map(len, reads)) * op.input.count
    planned = Planned(op.result.name, op.name, sum(a is not None for a in added), count, APPROXIMATE, why, grid.arrays)
    return NoisyKernel(op, grid, added, reads, squares, None if bias is None else bias.astype(np.int64), planned)


def _squares(grid: Grid, variance: Numbers | None, g: int) -> list[Numbers | None]:
    """Variances of the cells of each read, [rows, slices * arms * columns]."""
    if variance is None:
        return [None] * len(grid.reads)
    mine = variance[..., grid.group_columns(g)]
    flat = [mine[:, :, rows].transpose(2, 0, 1, 3) for rows in grid.reads]
    return [np.ascontiguousarray(f.reshape(len(f), -1), np.float32) for f in flat]
