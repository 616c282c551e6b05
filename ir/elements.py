"""Element types: storage bits and, for quantized elements, what a level is worth."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, Literal

import numpy as np

Exact = int | float | Fraction
ELEMENT = re.compile(r"(?:bf16|f16|f32|f64|[iu](?:64|32|16|[1-8]))(?![A-Za-z0-9_])")
Rounding = Literal["half_even", "half_away", "half_up", "floor"]


@dataclass(frozen=True)
class Affine:
    """real = scale * (level - zero), with exact scales.

    `scale` and `zero` are one number, or one per index of `axis`, or per group of `group` indices of it. `zero` may be
    a half. `order` says whether quantization rounds before or after the zero is added. A `narrow` map leaves out the
    lowest level of a signed storage, so that levels lie symmetric around zero.
    """

    scale: Exact | tuple[Exact, ...]
    zero: Exact | tuple[Exact, ...] = 0
    axis: int | None = None
    group: int | None = None
    rounding: Rounding = "half_even"
    order: Literal["round_then_shift", "shift_then_round"] = "round_then_shift"
    narrow: bool = False

    def __post_init__(self) -> None:
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,)
        if isinstance(self.scale, tuple) and self.axis is None:
            raise ValueError("several scales need an axis")
        if not all(s > 0 and math.isfinite(s) for s in scales):
            raise ValueError("a scale must be positive and finite")
        zeros = self.zero if isinstance(self.zero, tuple) else (self.zero,)
        if not all(Fraction(z).limit_denominator(2) == Fraction(z) for z in zeros):
            raise ValueError("a zero must be a multiple of one half")

    def __hash__(self) -> int:  # scales may be hundreds of numbers and types are hashed often
        cached = self.__dict__.get("_hash")
        if cached is None:
            key = (self.scale, self.zero, self.axis, self.group, self.rounding, self.order, self.narrow)
            cached = hash(key)
            object.__setattr__(self, "_hash", cached)
        return int(cached)

    def scales(self, rank: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
        """The scale as an array that broadcasts against a value of `rank` axes (groups repeated)."""
        return self._spread(self.scale, rank, dtype)

    def zeros(self, rank: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
        """The zero as an array that broadcasts like `scales`."""
        return self._spread(self.zero, rank, dtype)

    def _spread(self, numbers: Exact | tuple[Exact, ...], rank: int, dtype: Any) -> np.ndarray[Any, Any]:
        if not isinstance(numbers, tuple):
            return np.asarray(float(numbers), dtype)
        array = np.asarray([float(n) for n in numbers], dtype)
        if self.group is not None:
            array = np.repeat(array, self.group)
        assert self.axis is not None
        shape = [1] * rank
        shape[self.axis] = array.size
        return array.reshape(shape)


@dataclass(frozen=True)
class Elem:
    """An element type: a storage name (`f32`, `i8`, `u4`, `i1`, ...) and, if quantized, its affine map."""

    storage: str
    quant: Affine | None = None

    def __post_init__(self) -> None:
        if not ELEMENT.fullmatch(self.storage):
            raise ValueError(f"no element type is called {self.storage!r}")
        if self.quant is not None and self.is_float:
            raise ValueError(f"{self.storage} cannot be quantized")

    @property
    def bits(self) -> int:
        """Storage bits of one element."""
        return int(self.storage.lstrip("bfiu"))

    @property
    def is_float(self) -> bool:
        """True for f16, bf16, f32 and f64."""
        return "f" in self.storage

    @property
    def is_signed(self) -> bool:
        """True for floats and for iN with N > 1; i1 is a bit."""
        return self.is_float or (self.storage[0] == "i" and self.storage != "i1")

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest integer that the storage holds. Raises TypeError for floats."""
        if self.is_float:
            raise TypeError(f"{self.storage} is no integer type")
        if self.is_signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    @property
    def levels(self) -> tuple[int, int]:
        """Smallest and largest level that quantization gives: the range, but for the lowest where the map is narrow."""
        low, high = self.range
        return (max(low, -high) if self.quant is not None and self.quant.narrow and low < 0 else low), high

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type that holds one element; sub-byte integers lie in a byte, bits in bool."""
        return _dtype(self.storage)

    def with_quant(self, quant: Affine | None) -> Elem:
        """The same storage with another affine map."""
        return replace(self, quant=quant)

    def __str__(self) -> str:
        if self.quant is None:
            return self.storage
        from ranvier.ir.text.values import format_value

        return f"{self.storage}@{format_value(quant_call(self.quant))}"


@cache
def _dtype(storage: str) -> np.dtype[Any]:
    if storage == "i1":
        return np.dtype(np.bool_)
    if storage == "bf16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)  # type: ignore[no-any-return]
    kind, bits = storage[0], int(storage[1:])
    return np.dtype(f"{kind}{max(bits, 8) // 8}")


@cache
def elem(storage: str) -> Elem:
    """The plain element type of that name (interned)."""
    return Elem(storage)


def elem_of(dtype: Any) -> Elem:
    """The element type of a numpy dtype; raises ValueError for one that Ranvier does not hold."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return elem("i1")
    if dtype.name == "bfloat16":
        return elem("bf16")
    if dtype.kind in "fiu" and dtype.itemsize <= 8:
        return elem(f"{dtype.kind}{dtype.itemsize * 8}")
    raise ValueError(f"numpy type {dtype} has no element type here")


def smallest_integer(lo: int, hi: int) -> Elem:
    """The smallest storage that holds lo..hi: i1 for bits, i2 for ternary, then u4, i4, u8, ..."""
    if lo >= 0 and hi <= 1:
        return elem("i1")
    for bits in (2, 4, 8, 16, 32, 64):
        candidate = elem(f"{'i' if lo < 0 else 'u'}{bits}")
        if candidate.range[0] <= lo and hi <= candidate.range[1]:
            return candidate
    raise ValueError(f"no integer element holds {lo}..{hi}")


def quant_call(quant: Affine) -> Any:
    """The affine map as a value of the text grammar, defaults left out."""
    from ranvier.ir.text.values import Call, Word

    fields: dict[str, Any] = {"scale": quant.scale}
    for name, default in (("zero", 0), ("axis", None), ("group", None)):
        if getattr(quant, name) != default:
            fields[name] = getattr(quant, name)
    for name, usual in (("rounding", "half_even"), ("order", "round_then_shift")):
        if getattr(quant, name) != usual:
            fields[name] = Word(getattr(quant, name))
    if quant.narrow:
        fields["narrow"] = True
    return Call("affine", (), fields)


def quant_of(name: str, fields: dict[str, Any]) -> Affine:
    """The inverse of `quant_call`; raises ValueError naming what is wrong."""
    if name != "affine":
        raise ValueError(f"unknown quantization {name!r}; known: affine")
    known = {"scale", "zero", "axis", "group", "rounding", "order", "narrow"}
    if extra := set(fields) - known:
        raise ValueError(f"affine has no field {sorted(extra)[0]!r}")
    if "scale" not in fields:
        raise ValueError("affine needs a scale")
    read: dict[str, Any] = {k: str(v) if k in ("rounding", "order") else v for k, v in fields.items()}
    return Affine(**read)


def as_exact(values: Sequence[float] | np.ndarray[Any, Any]) -> tuple[float, ...]:
    """Scales of a numpy array as the float64 numbers they are exactly."""
    return tuple(float(v) for v in np.asarray(values).ravel())
