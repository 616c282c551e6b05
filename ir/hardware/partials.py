"""The meaning of a matrix on arrays: every partial sum, converted, shifted and added; float64 and int64 numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.ir.hardware.adc import Adc
from ranvier.ir.hardware.grid import Grid
from ranvier.ir.hardware.inputs import Input

Numbers = np.ndarray[Any, Any]
Disturb = Callable[[int, Numbers, Numbers], Numbers]


def is_integral(adc: Adc, pedestal: float, cells: object, noisy: bool = False) -> bool:
    """Whether sums are integers whatever comes in: ideal cells without noise, or converters that give integers."""
    return (adc.integral or (cells is None and not noisy and adc.transparent)) and float(pedestal).is_integer()


def accumulate(
    grid: Grid,
    input: Input,
    adc: Adc,
    x: Numbers,
    weight: Numbers,
    cells: Numbers | None = None,
    pedestal: float = 0.0,
    disturb: Disturb | None = None,
) -> Numbers:
    """Sums [N, groups, P, outputs] for integers x [N, groups, P, K]: int64 where all is integral, else float64.

    Each plane, read, slice, arm and column has a partial of its own. `disturb(part, plane, partials)` may change
    partials [slices, arms, N, P, columns] before they are converted; `part` numbers (group, plane, read).
    """
    integral = is_integral(adc, pedestal, cells, disturb is not None)
    real = np.asarray(grid.cells(weight) if cells is None else cells, np.float64)
    extra = grid.correction(weight)
    out = np.zeros((*x.shape[:3], grid.outputs), np.int64 if integral else np.float64)
    x = np.asarray(x, np.int64)
    for group in range(grid.groups):
        mine = real[..., grid.group_columns(group)]
        added = _digital(grid, extra, group, pedestal)
        for i, counts in enumerate(input.significance()):
            plane = input.plane(x[:, group], i).astype(np.float64)
            total = np.zeros(out[:, group].shape, out.dtype)
            for r, rows in enumerate(grid.reads):
                part = (group * input.count + i) * len(grid.reads) + r
                total += _read(grid, adc, plane[..., rows], mine[:, :, rows], out.dtype, part, disturb)
            if added is not None:
                total += (plane @ added).astype(out.dtype)
            out[:, group] += counts * total
    return out


def _read(
    grid: Grid, adc: Adc, plane: Numbers, cells: Numbers, dtype: Any, part: int, disturb: Disturb | None
) -> Numbers:
    """One read of one plane [N, P, R] on cells [S, D, R, columns]: [N, P, outputs]."""
    n, p, rows = plane.shape
    partials = np.matmul(plane.reshape(n * p, rows), cells).reshape(*cells.shape[:2], n, p, cells.shape[3])
    if disturb is not None:
        partials = disturb(part, plane, partials)
    total = np.zeros((n, p, grid.outputs), dtype)
    for s, powers in enumerate(grid.significance):
        digital = adc.convert(partials[s], s).astype(dtype)
        for d, power in enumerate(powers):
            total += power * digital[d][..., : grid.outputs]
            if grid.weights.dummy_column:
                total -= power * digital[d][..., grid.outputs + grid.dummy_of[s]]
    return total


def _digital(grid: Grid, correction: Numbers | None, group: int, pedestal: float) -> Numbers | None:
    """What is added digitally to each plane, as a matrix [K, outputs or 1]: the encoding's part, and the pedestal's."""
    added = correction
    if added is not None and added.shape[1] > 1:
        added = added[:, group * grid.outputs : (group + 1) * grid.outputs]
    lifted = 0.0 if grid.weights.dummy_column else pedestal * float(grid.significance.sum())
    if lifted:
        base = np.full((grid.depth, 1), -lifted)
        added = base if added is None else added + base
    return None if added is None else added.astype(np.float64)
