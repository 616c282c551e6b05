"""How one logical matrix lies on arrays: rows, columns, slices, and how many arrays and conversions that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ranvier.ir.diagnostics import error
from ranvier.ir.hardware.arrays import Array, Indices, Mapping, column_blocks
from ranvier.ir.hardware.weights import Weights, digits

Levels = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Grid:
    """A matrix [groups, K = channels * taps, outputs] on arrays; `channels` and `outputs` are those of one group.

    The physical columns of one output stand side by side, slice by slice, in each slice arm by arm; all outputs in
    order fill one array after the other. Groups fill arrays of their own, arms too where they lie apart.
    """

    array: Array
    weights: Weights
    mapping: Mapping
    weight_bits: int
    cell_bits: int
    channels: int
    taps: int
    outputs: int
    groups: int = 1

    @property
    def depth(self) -> int:
        """K: rows of the matrix of one group."""
        return self.channels * self.taps

    @cached_property
    def row_groups(self) -> list[Indices]:
        """The rows of the matrix that each array holds."""
        return self.mapping.row_groups(self.channels, self.taps, self.array.rows)

    @cached_property
    def reads(self) -> list[Indices]:
        """The rows of the matrix that are read at once: a partial sum is one of these."""
        return [read for group in self.row_groups for read in self.array.reads(group)]

    @cached_property
    def slices(self) -> int:
        """Slices of a weight."""
        return self.weights.slices(self.weight_bits, self.cell_bits)

    @property
    def arms(self) -> int:
        """Columns of a slice."""
        return self.weights.arms

    @property
    def usable_columns(self) -> int:
        """Columns of an array that hold weights. Raises RanvierError where dummy columns leave none."""
        usable = self.array.cols - (self.slices if self.weights.dummy_column else 0)
        if usable < 1:
            raise error(
                "bad-value",
                f"weights={self.weights} takes {self.slices} of {self.array.cols} columns of an array for itself",
                help="raise cols or cell_bits",
            )
        return usable

    @property
    def physical_columns(self) -> int:
        """Columns that hold the weights of one group, in one array beside the other (arms apart counted once)."""
        return self.outputs * self.slices * (1 if self.weights.apart else self.arms)

    @cached_property
    def blocks(self) -> int:
        """Arrays that stand side by side."""
        return column_blocks(self.physical_columns, self.usable_columns)

    @property
    def arrays(self) -> int:
        """Arrays in all."""
        return len(self.row_groups) * self.blocks * self.groups * (self.arms if self.weights.apart else 1)

    @property
    def columns(self) -> int:
        """The last axis of `cells`: outputs of all groups, then the dummy columns of each block of each group."""
        return self.groups * (self.outputs + (self.blocks if self.weights.dummy_column else 0))

    def group_columns(self, group: int) -> Indices:
        """The columns of one group: its outputs, then its dummy columns."""
        own = np.arange(group * self.outputs, (group + 1) * self.outputs)
        if not self.weights.dummy_column:
            return own
        first = self.groups * self.outputs + group * self.blocks
        return np.concatenate([own, np.arange(first, first + self.blocks)])

    @cached_property
    def dummy_of(self) -> Indices:
        """The dummy column, of those of its group, that belongs to each slice and output: [slices, outputs]."""
        place = np.arange(self.outputs)[None, :] * self.slices + np.arange(self.slices)[:, None]
        return place // self.usable_columns

    @property
    def significance(self) -> Levels:
        """What a partial of each slice and arm counts, [slices, arms]."""
        return self.weights.significance(self.weight_bits, self.cell_bits)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of `cells`: [slices, arms, K, columns]."""
        return self.slices, self.arms, self.depth, self.columns

    def matrix(self, weight: Levels) -> Levels:
        """Logical levels int64 [K, outputs of all groups] of a weight [outputs, ...]."""
        return np.asarray(weight).astype(np.int64).reshape(len(weight), -1).T

    def cells(self, weight: Levels) -> Levels:
        """Ideal cell levels int64 of a weight. Raises RanvierError for a level that cannot be stored."""
        stored = self.weights.cells(self.matrix(weight), self.weight_bits, self.cell_bits)
        if not self.weights.dummy_column:
            return stored
        level = np.asarray(self.weights.dummy_level(self.weight_bits), np.int64)
        dummy = digits(level, self.slices, self.cell_bits)[:, None, None, None]
        extra = np.broadcast_to(dummy, (self.slices, self.arms, self.depth, self.groups * self.blocks))
        return np.concatenate([stored, extra], axis=3)

    def correction(self, weight: Levels) -> Levels | None:
        """The integer matrix [K, outputs of all groups], or [K, 1], that is added digitally; None without one."""
        return self.weights.correction_weight(self.matrix(weight), self.weight_bits)

    @property
    def largest_cell(self) -> int:
        """The largest level of a cell."""
        return (1 << self.cell_bits) - 1

    def lossless_bits(self, largest_input: int) -> int:
        """Bits of a converter that no integer partial exceeds: log2(rows * (2^c - 1) * (2^d - 1) + 1)."""
        most = max(len(read) for read in self.reads) * self.largest_cell * largest_input
        return math.ceil(math.log2(most + 1))
