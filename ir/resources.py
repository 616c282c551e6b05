"""Arrays of a module: loaded when needed, shared between clones, read-only, identified by content or origin."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.ir.diagnostics import error
from ranvier.ir.elements import elem_of
from ranvier.ir.facts import Fact
from ranvier.ir.types import TensorType

INLINE = 16


@dataclass(frozen=True)
class Origin:
    """Where an array lies: a safetensors file and key (or another file and a byte range).

    `folder` is where a relative file is to be looked for; it is not printed, and unknown ("") for text that comes from
    nowhere.
    """

    file: str
    key: str = ""
    offset: int = 0
    length: int = 0
    folder: str = ""

    def same(self, other: Origin) -> bool:
        """Whether both name one place; where a folder is unknown, the name of the file has to do."""
        known = self.folder == other.folder or not (self.folder and other.folder)
        return known and replace(self, folder="") == replace(other, folder="")


class Resource:
    """A named constant. Give `array`, or `load` with an `origin`, or `splat` (one number for every element).

    `type` is the tensor's type; an array of a timed type is [T, *shape]. Arrays handed out are read-only.
    """

    __slots__ = ("_array", "_hash", "_load", "_lock", "facts", "name", "origin", "splat", "type")

    def __init__(
        self,
        type: TensorType,
        array: np.ndarray[Any, Any] | None = None,
        *,
        load: Callable[[], np.ndarray[Any, Any]] | None = None,
        origin: Origin | None = None,
        splat: int | float | bool | None = None,
        digest: str | None = None,
        name: str = "",
        facts: tuple[Fact, ...] = (),
    ):
        self.type, self.origin, self.name, self.facts = type, origin, name, facts
        self.splat = None if splat is None else _number(splat, type)
        self._load, self._hash = load, digest
        self._lock = threading.Lock()
        self._array: np.ndarray[Any, Any] | None = None
        if array is not None:
            self._array = self._checked(np.asarray(array))

    @staticmethod
    def of(array: Any, facts: tuple[Fact, ...] = ()) -> Resource:
        """A resource of a numpy array, with the element type of its dtype."""
        array = np.asarray(array)
        return Resource(TensorType(array.shape, elem_of(array.dtype)), array, facts=facts)

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The array, loaded on first use. Raises RanvierError when it is not at hand."""
        with self._lock:
            if self._array is None:
                if self.splat is not None:
                    return np.broadcast_to(np.asarray(self.splat, self.type.elem.dtype), self._shape())
                if self._load is None:
                    raise error(
                        "missing-data",
                        f"the array of ${self.name} is not at hand",
                        help="give the file that holds it, or parse the text with resources=",
                    )
                self._array = self._checked(np.asarray(self._load()))
            return self._array

    @property
    def available(self) -> bool:
        """Whether `array` can be had."""
        return self._array is not None or self._load is not None or self.splat is not None

    @property
    def identified(self) -> bool:
        """Whether the content is known, be it by its digest alone."""
        return self.available or self._hash is not None

    @property
    def digest(self) -> str:
        """SHA-256 of dtype, shape and bytes; computed when first needed."""
        if self._hash is None:
            array = self.array
            head = f"{self.type.elem.storage}{list(array.shape)}".encode()
            self._hash = hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
        return self._hash

    @property
    def size(self) -> int:
        """Number of elements; known without loading."""
        return math.prod(self._shape())

    @property
    def inline(self) -> bool:
        """Whether the text form holds the numbers themselves."""
        there = self._array is not None or self._load is not None
        small = self.splat is None and self.size <= INLINE and there and self.origin is None
        return small and not _other_nans(self.array)

    def same(self, other: Resource) -> bool:
        """Equal in type and content; the same origin counts as the same content."""
        if self is other:
            return True
        if self.type != other.type or self.facts != other.facts:
            return False
        if self.splat is not None and other.splat is not None:
            return self.splat == other.splat or (self.splat != self.splat and other.splat != other.splat)
        if self._array is not None and self._array is other._array:
            return True
        if self.origin is not None and other.origin is not None and self.origin.same(other.origin):
            return True
        if not (self.identified and other.identified):
            return self.identified == other.identified
        return self.digest == other.digest

    def renamed(self, name: str) -> Resource:
        """The same array under another name."""
        return self._copy(name=name)

    def with_facts(self, facts: tuple[Fact, ...]) -> Resource:
        """The same array with other facts."""
        return self._copy(facts=facts)

    def _copy(self, **changes: Any) -> Resource:
        out = Resource(
            self.type, load=self._load, origin=self.origin, splat=self.splat, name=self.name, facts=self.facts
        )
        out._array, out._hash = self._array, self._hash
        if out._array is None and out._load is None and self.splat is None and self.available:
            out._load = lambda: self.array
        for key, value in changes.items():
            setattr(out, key, value)
        return out

    def _shape(self) -> tuple[int, ...]:
        time = () if self.type.time is None else (self.type.time,)
        return tuple(int(d) for d in (*time, *self.type.shape))

    def _checked(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        want = self.type.elem.dtype
        if tuple(array.shape) != self._shape():
            raise error("shape-mismatch", f"${self.name}: array of shape {list(array.shape)} for type {self.type}")
        array = (
            np.array(array, dtype=want, order="C", copy=True) if array.dtype != want or array.flags.writeable else array
        )
        if self.type.elem.bits < 8 and want != np.bool_ and array.size:
            low, high = self.type.elem.range
            if array.min() < low or array.max() > high:
                raise error("bad-value", f"${self.name}: {self.type.elem.storage} holds {low} to {high}")
        array.flags.writeable = False
        return array


def _other_nans(array: np.ndarray[Any, Any]) -> bool:
    """Whether there are nans with a sign or a payload, which `nan` in a text would not give back."""
    if array.dtype.kind not in "fV" or not (odd := np.isnan(array)).any():
        return False
    usual = np.asarray(math.nan, array.dtype).tobytes()
    return any(x.tobytes() != usual for x in array[odd])


def _number(value: Any, kind: TensorType) -> int | float | bool:
    """A number as the element type stores it. Raises ValueError for what is none, or is out of range."""
    elem = kind.elem
    if elem.storage == "i1":
        if value not in (0, 1):
            raise ValueError(f"i1 holds true or false, not {value}")
        return bool(value)
    whole = isinstance(value, int | np.integer) or (isinstance(value, float | np.floating) and value == value // 1)
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise ValueError(f"{value!r} is no number")
    if elem.is_float:
        with np.errstate(over="ignore"):
            return float(np.asarray(value, elem.dtype))
    low, high = elem.range
    if not whole or not low <= value <= high:
        raise ValueError(f"{elem.storage} holds whole numbers from {low} to {high}, not {value}")
    return int(value)


def open_safetensors(path: str | Path) -> Mapping[str, Callable[[], np.ndarray[Any, Any]]]:
    """Loaders of the arrays of a safetensors file, one a key; an array is read when its loader is called.

    Raises RanvierError when the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = str(path)
    try:
        with safe_open(path, framework="np") as handle:
            keys = list(handle.keys())
    except FileNotFoundError:
        raise error(
            "missing-data", f"there is no file {path}", help="the weights lie beside the text; move them together"
        ) from None
    except SafetensorError as why:
        raise error("missing-data", f"{path} is no whole safetensors file: {why}") from None

    def loader(key: str) -> Callable[[], np.ndarray[Any, Any]]:
        def load() -> np.ndarray[Any, Any]:
            import ml_dtypes  # noqa: F401  (numpy learns bfloat16)

            with safe_open(path, framework="np") as handle:
                return np.asarray(handle.get_tensor(key))

        return load

    return {key: loader(key) for key in keys}
