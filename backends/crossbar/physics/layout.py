"""Which cells of a logical matrix lie in which array, and so share wires.

The columns of one output stand side by side, slice by slice and in each slice arm by arm; the columns of all outputs
in order fill one array after the other. Arms that lie apart fill arrays of their own. The cells of an array that is not
full lie next to drivers and converters; what it does not use is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def over_arrays(
    cells: Array, row_groups: Sequence[Array], columns: int, apart: bool, solve: Callable[[Array], Array]
) -> tuple[Array, int]:
    """`solve` on every array of cells [S, D, K, O], and how many arrays there are.

    `row_groups` are the rows (indices into K) of each array, `columns` how many of its columns hold weights. `solve`
    takes and gives arrays of one shape, [B, rows, columns].
    """
    slices, arms, _, outputs = cells.shape
    parts = [slice(d, d + 1) for d in range(arms)] if apart else [slice(0, arms)]
    out, count = np.empty_like(cells), 0
    for part in parts:
        # [K, O * S * D]: neighbours on a row wire are neighbours here
        flat = np.ascontiguousarray(cells[:, part].transpose(2, 3, 0, 1)).reshape(cells.shape[2], -1)
        solved = np.empty_like(flat)
        for rows, blocks in _same_shape(row_groups, flat.shape[1], columns):
            grid = np.stack([flat[group][:, block] for group in rows for block in blocks])
            count += len(grid)
            for values, (group, block) in zip(solve(grid), ((g, b) for g in rows for b in blocks), strict=True):
                solved[group, block] = values
        shape = (cells.shape[2], outputs, slices, part.stop - part.start)
        out[:, part] = solved.reshape(shape).transpose(2, 3, 0, 1)
    return out, count


def _same_shape(row_groups: Sequence[Array], total: int, columns: int) -> list[tuple[list[Array], list[slice]]]:
    """Row groups of equal length with blocks of equal width."""
    by_length: dict[int, list[Array]] = {}
    for group in row_groups:
        by_length.setdefault(len(group), []).append(group)
    by_width: dict[int, list[slice]] = {}
    for start in range(0, total, columns):
        block = slice(start, min(start + columns, total))
        by_width.setdefault(block.stop - block.start, []).append(block)
    return [(rows, blocks) for rows in by_length.values() for blocks in by_width.values()]
