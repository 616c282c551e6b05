"""Weight encodings: how signed levels become unsigned cells, and how partial sums become the product again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Integer, Optional, option
from ranvier.ir.records import Record

Levels = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Weights(Record):
    """Base of all encodings of a matrix of levels [K, O] in `weight_bits` bits on cells of `cell_bits` bits.

    Cells are unsigned, [slices, arms, K, O]: slice s holds bits s*cell_bits and up. The product is the sum of
    significance * partial over slices and arms, plus `correction`.
    """

    family = "weights"
    arms: ClassVar[int] = 1
    """Columns that hold one slice of a weight."""
    apart: ClassVar[bool] = False
    """Whether the arms lie in different arrays."""
    dummy_column: ClassVar[bool] = False
    """Whether each array has one more column a slice, whose partial is subtracted from those of the others."""

    def stored_bits(self, weight_bits: int) -> int:
        """Bits of the unsigned number that the slices of one arm hold together."""
        raise NotImplementedError

    def range(self, weight_bits: int) -> tuple[int, int]:
        """The smallest and the largest level that can be stored."""
        raise NotImplementedError

    def stored(self, levels: Levels, weight_bits: int) -> Levels:
        """The unsigned numbers [arms, K, O] of levels [K, O]."""
        raise NotImplementedError

    def correction_weight(self, levels: Levels, weight_bits: int) -> Levels | None:
        """The integer matrix [K, O] or [K, 1] whose product with the input is added digitally; None without one."""
        return None

    def arm_signs(self) -> tuple[int, ...]:
        """The sign with which each arm counts."""
        return (1,)

    def dummy_level(self, weight_bits: int) -> int:
        """The unsigned number that a dummy column holds in every row."""
        raise NotImplementedError

    # -- what follows from the answers above -----------------------------------------------------------------------
    def slices(self, weight_bits: int, cell_bits: int) -> int:
        """Slices of one arm."""
        return math.ceil(self.stored_bits(weight_bits) / cell_bits)

    def significance(self, weight_bits: int, cell_bits: int) -> Levels:
        """What a partial of each slice and arm counts, int64 [slices, arms]."""
        powers = np.int64(1) << (cell_bits * np.arange(self.slices(weight_bits, cell_bits), dtype=np.int64))
        return powers[:, None] * np.asarray(self.arm_signs(), np.int64)[None, :]

    def cells(self, levels: Levels, weight_bits: int, cell_bits: int) -> Levels:
        """Cell levels int64 [slices, arms, K, O]. Raises RanvierError (bad-value) for a level that cannot be stored."""
        low, high = self.range(weight_bits)
        levels = np.asarray(levels).astype(np.int64)
        if levels.size and (levels.min() < low or levels.max() > high):
            raise error(
                "bad-value",
                f"weights={self} with weight_bits={weight_bits} holds levels {low}..{high}, not {levels.min()}.."
                f"{levels.max()}",
                help="raise weight_bits, or weights=offset where levels are not narrow",
            )
        return digits(self.stored(levels, weight_bits), self.slices(weight_bits, cell_bits), cell_bits)

    def levels_of(self, cells: Levels, weight_bits: int, cell_bits: int) -> Levels:
        """The unsigned numbers [arms, K, O] that slices hold: `digits` backwards."""
        powers = np.abs(self.significance(weight_bits, cell_bits)[:, 0])
        return np.asarray(np.einsum("s,sdko->dko", powers, cells))


def digits(numbers: Levels, count: int, bits: int) -> Levels:
    """Unsigned numbers [...] as digits of `bits` bits, [count, ...], the least significant first."""
    shifts = bits * np.arange(count, dtype=np.int64).reshape(-1, *[1] * numbers.ndim)
    return (numbers[None] >> shifts) & ((1 << bits) - 1)


@dataclass(frozen=True)
class Offset(Weights):
    """`offset`: w + 2^(b-1) is stored; 2^(b-1) times the sum of the inputs is subtracted digitally."""

    word = "offset"

    def stored_bits(self, weight_bits: int) -> int:
        """See Weights."""
        return weight_bits

    def range(self, weight_bits: int) -> tuple[int, int]:
        """See Weights."""
        return -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1

    def stored(self, levels: Levels, weight_bits: int) -> Levels:
        """See Weights."""
        return (levels + (1 << (weight_bits - 1)))[None]

    def correction_weight(self, levels: Levels, weight_bits: int) -> Levels | None:
        """See Weights."""
        return np.full((len(levels), 1), -(1 << (weight_bits - 1)), np.int64)


@dataclass(frozen=True)
class Dummy(Offset):
    """`dummy`: like offset, but a column of each array holds 2^(b-1) in every row and its partial is subtracted."""

    word = "dummy"
    dummy_column = True

    def correction_weight(self, levels: Levels, weight_bits: int) -> Levels | None:
        """See Weights."""
        return None

    def dummy_level(self, weight_bits: int) -> int:
        """See Weights."""
        return 1 << (weight_bits - 1)


@dataclass(frozen=True)
class Differential(Weights):
    """`differential`: one column holds max(w, 0), its neighbour max(-w, 0)."""

    word = "differential"
    arms = 2

    def stored_bits(self, weight_bits: int) -> int:
        """See Weights."""
        return weight_bits - 1

    def range(self, weight_bits: int) -> tuple[int, int]:
        """See Weights."""
        most = (1 << (weight_bits - 1)) - 1
        return -most, most

    def stored(self, levels: Levels, weight_bits: int) -> Levels:
        """See Weights."""
        return np.stack([np.maximum(levels, 0), np.maximum(-levels, 0)])

    def arm_signs(self) -> tuple[int, ...]:
        """See Weights."""
        return (1, -1)


@dataclass(frozen=True)
class TwoSided(Differential):
    """`two_sided`: like differential, but positive and negative weights lie in arrays of their own."""

    word = "two_sided"
    apart = True


@dataclass(frozen=True)
class Shift2p(Weights):
    """`shift2p`: w + 2^p is stored where w < 0; 2^p times the sum of the inputs there is subtracted digitally.

    Source: SpikeSim's NICE engine (section_ip_wts.py, `neg_wt_bits`), where p = 3 and b = 4. Without p it is b - 1.
    """

    word = "shift2p"
    p: int | None = option(Optional(Integer(1, 30)), None, "the power that is added; none means weight_bits - 1")

    def power(self, weight_bits: int) -> int:
        """p. Raises RanvierError (bad-value) when it is not below weight_bits."""
        p = weight_bits - 1 if self.p is None else self.p
        if p >= weight_bits:
            raise error(
                "bad-value", f"weights=shift2p(p={p}) with weight_bits={weight_bits}", help="p is below weight_bits"
            )
        return p

    def stored_bits(self, weight_bits: int) -> int:
        """See Weights."""
        return max(weight_bits - 1, self.power(weight_bits))

    def range(self, weight_bits: int) -> tuple[int, int]:
        """See Weights."""
        return -(1 << self.power(weight_bits)), (1 << (weight_bits - 1)) - 1

    def stored(self, levels: Levels, weight_bits: int) -> Levels:
        """See Weights."""
        return np.where(levels < 0, levels + (1 << self.power(weight_bits)), levels)[None]

    def correction_weight(self, levels: Levels, weight_bits: int) -> Levels | None:
        """See Weights."""
        return -(levels < 0).astype(np.int64) << self.power(weight_bits)
