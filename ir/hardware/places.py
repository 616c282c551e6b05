"""Which cells of a logical matrix lie in which array, and so share wires.

The columns of one output stand side by side, slice by slice and in each slice arm by arm; the columns of all outputs
in order fill one array after the other, and dummy columns come last in theirs. The cells of an array that is not full
lie next to drivers and converters; what it does not use is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.hardware.grid import Grid

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Place:
    """The cells of one array among [slices, arms, K, columns]: its rows, and what each of its columns holds."""

    rows: Array
    slices: Array
    arms: Array
    columns: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that are in use."""
        return len(self.rows), len(self.columns)

    def of(self, cells: Array) -> tuple[Array, Array, Array, Array]:
        """The index that takes this array out of the cells, [rows, columns]."""
        return self.slices[None], self.arms[None], self.rows[:, None], self.columns[None]


def places(grid: Grid, only: int | None = None) -> Iterator[Place]:
    """Every array of a grid, or those of one group."""
    for group in range(grid.groups) if only is None else (only,):
        for arms in [[d] for d in range(grid.arms)] if grid.weights.apart else [range(grid.arms)]:
            order = np.stack(np.meshgrid(range(grid.outputs), range(grid.slices), arms, indexing="ij"), -1).reshape(
                -1, 3
            )
            order[:, 0] += group * grid.outputs
            for block in range(grid.blocks):
                own = order[block * grid.usable_columns : (block + 1) * grid.usable_columns]
                if grid.weights.dummy_column:
                    column = grid.groups * grid.outputs + group * grid.blocks + block
                    own = np.concatenate([own, [(column, s, 0) for s in range(grid.slices)]])
                for rows in grid.row_groups:
                    yield Place(rows, own[:, 1], own[:, 2], own[:, 0])


def over_arrays(grid: Grid, cells: Array, solve: Callable[[Array], Array]) -> tuple[Array, int]:
    """`solve` on every array of cells [slices, arms, K, columns], and how many arrays there are.

    `solve` takes and gives arrays of one size, [count, rows, columns].
    """
    by_shape: dict[tuple[int, int], list[Place]] = {}
    for place in places(grid):
        by_shape.setdefault(place.shape, []).append(place)
    out = np.empty(cells.shape, np.float64)
    for same in by_shape.values():
        solved = solve(np.stack([cells[place.of(cells)] for place in same]))
        for place, values in zip(same, solved, strict=True):
            out[place.of(out)] = values
    return out, sum(map(len, by_shape.values()))
