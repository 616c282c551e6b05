"""Which partial sums a converter provably leaves as they are, for whatever comes in (imc card C2, rule E2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.ops.xbar import Stored

Numbers = np.ndarray[Any, Any]


def transparent_partials(op: Stored, cells: Numbers) -> Numbers:
    """Bits [groups, reads, slices, arms, columns] for integer cells [slices, arms, K, columns].

    A partial of a column is at most its sum times the largest input of a plane, and at least 0. A converter of unit
    steps leaves it where that lies in its range; one with larger steps leaves multiples of its step only, and of those
    just columns that are empty. Columns of other groups count as transparent.
    """
    grid, adc = op.grid, op.adc
    mask = np.ones((grid.groups, len(grid.reads), grid.slices, grid.arms, grid.columns), np.bool_)
    if adc.transparent:
        return mask
    integers = bool((cells == np.rint(cells)).all()) and not cells.min(initial=0) < 0
    for g in range(grid.groups):
        columns = grid.group_columns(g)
        for r, rows in enumerate(grid.reads):
            most = cells[:, :, rows][..., columns].sum(2) * op.input.largest
            for s in range(grid.slices):
                low, high = adc.limits(s)
                inside = (most[s] <= high) if adc.step(s) == 1 else (most[s] == 0)
                mask[g, r, s][:, columns] = inside & (low <= 0 <= high) & integers
    return mask
