"""Arrays, and how the rows of one logical matrix are laid on them (in-memory computing card, parts A and D3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.fields import Integer, Optional, option
from ranvier.ir.records import Record

Indices = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Array(Record):
    """`array`: rows x cols cells, read `parallel_rows` rows at a time; `cols_per_adc` columns share one converter."""

    family = "array"
    word = "array"
    rows: int = option(Integer(1), 128, "rows of cells, each driven by one input")
    cols: int = option(Integer(1), 128, "columns of cells, each summing a current")
    parallel_rows: int | None = option(Optional(Integer(1)), None, "rows read at once; none means all")
    cols_per_adc: int = option(Integer(1), 8, "columns that share one converter, one after the other")

    def reads(self, group: Indices) -> list[Indices]:
        """The rows of one array in the portions that are read at once, in order."""
        at_once = self.parallel_rows or self.rows
        return [group[i : i + at_once] for i in range(0, len(group), at_once)]


@dataclass(frozen=True)
class Mapping(Record):
    """Base of all mappings: which rows of a matrix [K, O] one array holds. Row c * taps + p is tap p of channel c."""

    family = "mapping"

    def row_groups(self, channels: int, taps: int, rows: int) -> list[Indices]:
        """Indices into K, one list an array; together every row once."""
        raise NotImplementedError


@dataclass(frozen=True)
class Im2col(Mapping):
    """`im2col`: the unrolled matrix, `rows` rows after `rows` rows."""

    word = "im2col"

    def row_groups(self, channels: int, taps: int, rows: int) -> list[Indices]:
        """See Mapping."""
        return _chunks(np.arange(channels * taps), rows)


@dataclass(frozen=True)
class KernelSplit(Mapping):
    """`kernel_split`: arrays of their own for each tap of the kernel, `rows` channels each (SpikeSim, 2210.12899)."""

    word = "kernel_split"

    def row_groups(self, channels: int, taps: int, rows: int) -> list[Indices]:
        """See Mapping."""
        return [part * taps + tap for tap in range(taps) for part in _chunks(np.arange(channels), rows)]


@dataclass(frozen=True)
class WholeKernel(Mapping):
    """`whole_kernel`: whole kernels only, floor(rows / taps) channels an array (MNSIM 2.0).

    A kernel that is larger than an array takes several arrays of its own.
    """

    word = "whole_kernel"

    def row_groups(self, channels: int, taps: int, rows: int) -> list[Indices]:
        """See Mapping."""
        if taps > rows:
            kernels = np.arange(channels * taps).reshape(channels, taps)
            return [part for kernel in kernels for part in _chunks(kernel, rows)]
        return _chunks(np.arange(channels * taps), rows // taps * taps)


def _chunks(indices: Any, size: int) -> list[Indices]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def column_blocks(columns: int, usable: int) -> int:
    """How many arrays stand side by side for so many physical columns."""
    return math.ceil(columns / usable)
