"""How one matrix on arrays is computed: a few large products, conversions in place, sums exact.

Integers below 2^24 are exact in float32 and below 2^53 in float64, whose matrix products are fast. Everything that is
linear is folded when the module is lowered: ideal converters leave one product, whatever the encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.backends.crossbar.plan import APPROXIMATE, CONVERTED, EXACT, Planned, lost
from ranvier.ir.core import Module
from ranvier.ir.hardware.adc import Adc
from ranvier.ir.hardware.facts import FoldedPlan, TransparentPartials
from ranvier.ir.hardware.grid import Grid
from ranvier.ir.hardware.transparency import transparent_partials
from ranvier.ir.ops.xbar import Mvm, Stored
from ranvier.ir.types import SpikesType

Numbers = np.ndarray[Any, Any]
SINGLE, DOUBLE = 1 << 24, 1 << 53
# Partials are computed on so many bytes at a time that they stay in the caches.
BLOCK = 6 << 20
LEAST_ROWS = 32
# Unrolled inputs are made on so many elements at a time.
UNROLLED = 1 << 23


@dataclass
class Read:
    """One read: its rows, the cells of the columns that are converted, and where their sums go.

    `sides` are (first column, columns, sign and significance, slice, outputs added to): parts of one slice and arm.
    """

    rows: Any
    cells: Numbers
    sides: list[tuple[slice, float, int, Any]]

    def conversions(self, adc: Adc) -> list[tuple[slice, float, float, float]]:
        """Columns, step, and the smallest and largest code: neighbours that are converted alike are one entry."""
        found: list[tuple[slice, float, float, float]] = []
        for columns, _, s, _ in self.sides:
            step = adc.step(s)
            low, high = (limit / step for limit in adc.limits(s))
            if found and found[-1][1:] == (step, low, high):
                found[-1] = slice(found[-1][0].start, columns.stop), step, low, high
            else:
                found.append((columns, step, low, high))
        return found


@dataclass
class Kernel:
    """A matrix on arrays, lowered. `total` is what is linear, per group; `reads` what is converted."""

    op: Mvm
    grid: Grid
    total: list[Numbers | None]
    reads: list[list[Read]]
    bias: Numbers | None
    integral: bool
    residual: bool
    planned: Planned

    def __call__(self, x: Numbers) -> Numbers:
        """The result for x [N, ...] (or [T * N, ...]): int64 levels, or float64 in real units."""
        op = self.op
        flat = x if x.ndim > 1 else x[None]
        spread = op.unrolled(flat[:1]).size if len(flat) else 1
        each = max(1, UNROLLED // max(1, spread))
        parts = [self._part(flat[i : i + each]) for i in range(0, len(flat), each)]
        out = np.concatenate(parts) if len(parts) > 1 else parts[0]
        out = out if x.ndim > 1 else out[0]
        axis = out.ndim - 1 if op.is_linear else 1
        if self.bias is not None:
            out = out + self.bias.reshape([-1 if i == axis else 1 for i in range(out.ndim)])
        return op.in_units(out, axis)

    def _part(self, x: Numbers) -> Numbers:
        op, grid = self.op, self.grid
        drawn = op.unrolled(x.astype(np.int8 if x.dtype == np.bool_ else x.dtype, copy=False))
        n, groups, p, depth = drawn.shape
        columns = []
        for g in range(groups):
            vectors = drawn[:, g].reshape(n * p, depth)
            columns.append(self._group(vectors, g).reshape(n, 1, p, grid.outputs))
        return op.folded(columns[0] if groups == 1 else np.concatenate(columns, axis=1), x)

    def _group(self, vectors: Numbers, g: int) -> Numbers:
        total = self.total[g]
        none = np.zeros((len(vectors), self.grid.outputs))
        out = none if total is None else vectors.astype(total.dtype) @ total
        if self.reads[g]:
            out = out.astype(np.float64, copy=False)
            self._add_reads(vectors, self.reads[g], out)
        if not self.integral:
            return out.astype(np.float64, copy=False)
        # what is converted may leave the range of i32, and then wraps as the meaning does
        narrow = self.op.elem.storage == "i32" and not self.reads[g]
        return out.astype(np.int32 if narrow else np.int64)

    def _add_reads(self, vectors: Numbers, reads: list[Read], out: Numbers) -> None:
        op = self.op
        counts = op.input.significance()
        widest = max(read.cells.shape[1] for read in reads)
        dtype = reads[0].cells.dtype
        each = max(LEAST_ROWS, BLOCK // (widest * len(counts) * dtype.itemsize))
        weights = counts.astype(np.float32 if self._sums_fit(counts) else np.float64)
        held = np.empty((len(counts) * each, widest), dtype)
        for start in range(0, len(vectors), each):
            part = vectors[start : start + each]
            planes = np.empty((len(counts), *part.shape), dtype)
            for i in range(len(counts)):
                planes[i] = op.input.plane(part, i)
            for read in reads:
                rows = planes[:, :, read.rows].reshape(-1, read.cells.shape[0])
                partials = held[: len(rows)] if read.cells.shape[1] == widest else None
                partials = np.matmul(rows, read.cells, out=partials)
                self._convert(partials, read)
                summed = (weights @ partials.reshape(len(counts), -1)).reshape(len(part), -1)
                for columns, power, _, outputs in read.sides:
                    out[start : start + len(part), outputs] += power * summed[:, columns].astype(np.float64)

    def _sums_fit(self, counts: Numbers) -> bool:
        """Whether sums over planes of what converters give are exact in float32."""
        if not self.integral:
            return True
        high = max(max(map(abs, self.op.adc.limits(s))) for s in range(self.grid.slices))
        if self.residual or not np.isfinite(high):
            high = self.grid.array.rows * self.grid.largest_cell * self.op.input.largest
        return bool(high * np.abs(counts).sum() < SINGLE)

    def _convert(self, partials: Numbers, read: Read) -> None:
        """Conversion in place; what the converter takes away where the rest is in `total`."""
        adc = self.op.adc
        before = partials.copy() if self.residual else None
        for columns, step, low, high in read.conversions(adc):
            mine = partials[:, columns]
            if step != 1:
                np.divide(mine, step, out=mine)
            if step != 1 or not self._whole:
                np.rint(mine, out=mine)
            if low == 0 and self._whole:
                np.minimum(mine, high, out=mine)
            else:
                np.clip(mine, low, high, out=mine)
            if step != 1:
                np.multiply(mine, step, out=mine)
        if before is not None:
            np.subtract(partials, before, out=partials)

    @property
    def _whole(self) -> bool:
        """Whether partials are integers, not negative."""
        return self.op.cells is None


def lower(module: Module, op: Mvm) -> Kernel | None:
    """The kernel of an op whose operands are constants; None where they are not."""
    constants = [op.weight, op.cells, op.bias]
    if any(v is not None and not v.is_constant for v in constants):
        return None
    weight, cells, bias = (None if v is None else module.array(v) for v in constants)
    assert weight is not None
    grid = op.grid
    real = grid.cells(weight) if cells is None else np.asarray(cells, np.float64)
    integral = not op.elem.is_float
    folded = op.adc.transparent
    mask = None if folded else _proven(module, op, real)
    done = folded or (mask is not None and bool(mask.all()))
    residual = mask is not None and not done
    linear = folded or mask is not None
    total, reads = [], []
    for g in range(grid.groups):
        matrix = _linear(op, grid, weight, real, cells is None, g, linear)
        total.append(None if matrix is None else _typed(op, matrix))
        converted = None if mask is None else ~mask[g]
        reads.append([] if done else _reads(op, grid, real, g, converted))
    sums = None if bias is None else bias.astype(np.int64)
    planned = _describe(op, grid, real, total, reads, mask)
    return Kernel(op, grid, total, reads, sums, integral, residual, planned)


def _proven(module: Module, op: Mvm, cells: Numbers) -> Numbers | None:
    """Partials that are folded: where a pass has decided so, its proof is for this converter, and it holds."""
    facts = {type(f): f for f in op.facts}
    proof = facts.get(TransparentPartials)
    if FoldedPlan not in facts or not isinstance(proof, TransparentPartials) or proof.adc != op.adc:
        return None
    if op.cells is not None:
        return None
    return np.asarray(module.resource(proof.mask).array & transparent_partials(op, cells))


def _linear(
    op: Stored, grid: Grid, weight: Numbers, cells: Numbers, ideal: bool, g: int, everything: bool
) -> Numbers | None:
    """What is added without conversion, [K, outputs] float64: all that is linear, or the digital corrections alone."""
    outputs = slice(g * grid.outputs, (g + 1) * grid.outputs)
    if everything and ideal:
        matrix = grid.matrix(weight)[:, outputs].astype(np.float64)
        # ideal cells hold no pedestal, yet what the op says is removed is removed
        return np.asarray(matrix + _lifted(op, grid)[:, None])
    out = np.zeros((grid.depth, grid.outputs))
    if everything:
        mine = cells[..., grid.group_columns(g)]
        out += np.einsum("sd,sdko->ko", grid.significance.astype(np.float64), mine[..., : grid.outputs])
        if grid.weights.dummy_column:
            for s, power in enumerate(grid.significance[:, 0]):
                out -= power * mine[s, 0][:, grid.outputs + grid.dummy_of[s]]
    correction = grid.correction(weight)
    if correction is not None:
        out += correction if correction.shape[1] == 1 else correction[:, outputs]
    out += _lifted(op, grid)[:, None]
    return out if everything or out.any() else None


def _lifted(op: Stored, grid: Grid) -> Numbers:
    lifted = 0.0 if grid.weights.dummy_column else op.pedestal * float(grid.significance.sum())
    return np.full(grid.depth, -lifted)


def _typed(op: Mvm, matrix: Numbers) -> Numbers:
    """float32 where every sum is exact in it, or where cells are real; else float64."""
    if not (matrix == np.rint(matrix)).all():
        return matrix.astype(np.float32)
    assert op.x is not None
    kind = op.x.type
    low, high = kind.code.alphabet() if isinstance(kind, SpikesType) else kind.elem.levels
    bound = np.abs(matrix).sum(0).max(initial=0) * max(abs(low), abs(high))
    return matrix.astype(np.float32) if bound < SINGLE else matrix


def _reads(op: Stored, grid: Grid, cells: Numbers, g: int, converted: Numbers | None) -> list[Read]:
    """What is converted of one group; `converted` [reads, slices, arms, columns] says which columns, all if None."""
    bound = max(len(r) for r in grid.reads) * grid.largest_cell * op.input.largest
    exact = op.cells is None
    dtype = np.float32 if not exact or bound < SINGLE else np.float64
    mine = cells[..., grid.group_columns(g)]
    found = []
    for r, rows in enumerate(grid.reads):
        blocks, sides, at = [], [], 0
        for s, powers in enumerate(grid.significance):
            for d, power in enumerate(powers):
                keep = np.arange(mine.shape[3])
                if converted is not None:
                    keep = keep[converted[r, s, d, grid.group_columns(g)]]
                blocks.append(mine[s, d][rows][:, keep])
                sides += _sides(grid, s, float(power), keep, at)
                at += len(keep)
        if at:
            whole = _as_slice(rows)
            found.append(Read(whole, np.ascontiguousarray(np.concatenate(blocks, axis=1), dtype), sides))
    return found


def corrections(op: Stored, grid: Grid, weight: Numbers, g: int) -> Numbers | None:
    """What is added digitally to one group, [K, outputs]: the encoding's part, and the pedestal's; None for nothing."""
    return _linear(op, grid, weight, np.empty(0), False, g, False)


def reads_of(op: Stored, grid: Grid, cells: Numbers, g: int) -> list[Read]:
    """Every read of one group with all its columns, slice by slice, arm by arm."""
    return _reads(op, grid, cells, g, None)


def _sides(grid: Grid, s: int, power: float, keep: Numbers, at: int) -> list[tuple[slice, float, int, Any]]:
    data = int((keep < grid.outputs).sum())
    outputs: Any = _as_slice(keep[:data])
    sides: list[tuple[slice, float, int, Any]] = []
    if data:
        sides.append((slice(at, at + data), power, s, outputs))
    for i, column in enumerate(keep[data:]):
        served = np.flatnonzero(grid.dummy_of[s] == column - grid.outputs)
        sides.append((slice(at + data + i, at + data + i + 1), -power, s, _as_slice(served)))
    return sides


def _as_slice(indices: Numbers) -> Any:
    """Neighbours as a slice, which numpy does not copy."""
    if len(indices) and (np.diff(indices) == 1).all():
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices


def _describe(
    op: Mvm, grid: Grid, cells: Numbers, total: list[Numbers | None], reads: list[list[Read]], mask: Numbers | None
) -> Planned:
    linear = sum(t is not None for t in total)
    converted = sum(map(len, reads))
    how, why = EXACT, "ideal converters: slices, arms and planes are one product"
    taken = lost(op, cells)
    if op.cells is not None:
        how, why = APPROXIMATE, "cells are real numbers: sums in float32"
    elif not op.adc.transparent:
        how = CONVERTED if taken else EXACT
        share = 0.0 if mask is None else float(mask.mean())
        why = f"{share:.1%} of the partials are proven transparent and folded" if mask is not None else "every partial"
        why += f", {op.input.count} planes in each product, converted" if converted else ""
    return Planned(op.result.name, op.name, linear, converted, how, f"{why}; {taken}" if taken else why, grid.arrays)
