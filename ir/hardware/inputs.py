"""Input encodings: how levels or spikes become planes that the drivers of an array apply one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.fields import Flag, Integer, option
from ranvier.ir.records import Record

Levels = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Input(Record):
    """Base of all encodings: the value is the sum over planes of significance * plane; planes are not negative."""

    family = "input"

    def range(self) -> tuple[int, int]:
        """The smallest and the largest level that the planes can say."""
        raise NotImplementedError

    def significance(self) -> Levels:
        """What each plane counts, int64 [planes]."""
        raise NotImplementedError

    def plane(self, x: Levels, index: int) -> Levels:
        """One plane of integers x, of x's shape and dtype (not bool)."""
        raise NotImplementedError

    @property
    def largest(self) -> int:
        """The largest level of a plane: 2^d - 1 for a driver of d bits."""
        return 1

    @property
    def count(self) -> int:
        """Number of planes."""
        return len(self.significance())

    def planes(self, x: Levels) -> Levels:
        """All planes, [planes, ...]."""
        return np.stack([self.plane(x, i) for i in range(self.count)])


@dataclass(frozen=True)
class Binary(Input):
    """`binary`: bits of the level, `plane_bits` a plane, the least significant first; two's complement if signed.

    The sign bit is always a plane of its own, whose significance is -2^(bits-1).
    """

    word = "binary"
    bits: int = option(Integer(1, 32), 8, "bits of a level, the sign among them")
    signed: bool = option(Flag(), False, "levels of either sign")
    plane_bits: int = option(Integer(1, 32), 1, "bits that a driver applies at once (its DAC)")

    @property
    def _magnitude(self) -> int:
        return self.bits - self.signed

    def range(self) -> tuple[int, int]:
        """See Input."""
        return (-(1 << self._magnitude) if self.signed else 0), (1 << self._magnitude) - 1

    def significance(self) -> Levels:
        """See Input."""
        places = self.plane_bits * np.arange(math.ceil(self._magnitude / self.plane_bits), dtype=np.int64)
        sign = [-(1 << self._magnitude)] if self.signed else []
        return np.concatenate([np.int64(1) << places, np.asarray(sign, np.int64)])

    @property
    def largest(self) -> int:
        """See Input."""
        return int((1 << max(min(self.plane_bits, self._magnitude), 1)) - 1)

    def plane(self, x: Levels, index: int) -> Levels:
        """See Input."""
        if self.signed and index == self.count - 1:
            return (x < 0).astype(x.dtype)
        low = index * self.plane_bits
        width = min(self.plane_bits, self._magnitude - low)
        return (x >> low) & ((1 << width) - 1)


@dataclass(frozen=True)
class Thermometer(Input):
    """`thermometer`: `pulses` equal pulses, of which the first x are on; negative levels in pulses of their own.

    Read noise of each pulse is averaged: variance falls as 1 / pulses (GBO; card A6).
    """

    word = "thermometer"
    pulses: int = option(Integer(1, 4096), help="pulses, and the largest level")
    signed: bool = option(Flag(), False, "levels of either sign: as many pulses again, which are subtracted")

    def range(self) -> tuple[int, int]:
        """See Input."""
        return (-self.pulses if self.signed else 0), self.pulses

    def significance(self) -> Levels:
        """See Input."""
        up = np.ones(self.pulses, np.int64)
        return np.concatenate([up, -up]) if self.signed else up

    def plane(self, x: Levels, index: int) -> Levels:
        """See Input."""
        sign, pulse = divmod(index, self.pulses)
        return ((x < -pulse) if sign else (x > pulse)).astype(x.dtype)


@dataclass(frozen=True)
class Spike(Input):
    """`spike`: spikes of one step as they are: one plane of bits; two where spikes have a sign."""

    word = "spike"
    signed: bool = option(Flag(), False, "spikes of either sign: a second plane, which is subtracted")

    def range(self) -> tuple[int, int]:
        """See Input."""
        return (-1 if self.signed else 0), 1

    def significance(self) -> Levels:
        """See Input."""
        return np.asarray([1, -1] if self.signed else [1], np.int64)

    def plane(self, x: Levels, index: int) -> Levels:
        """See Input."""
        return ((x < 0) if index else (x > 0)).astype(x.dtype)
