"""Declared fields: what an attribute or option may hold, its default, its help, and its text form.

Op attributes, pass options, target options, spike codes and facts are all declared with the kinds of this file, so one
mechanism checks, prints, parses and documents them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Generic, TypeVar

import numpy as np

from ranvier.ir.diagnostics import suggest
from ranvier.ir.elements import Elem, elem
from ranvier.ir.text.values import Call, GraphName, Range, ResourceName, Word

T = TypeVar("T")
REQUIRED: Any = dataclasses.MISSING
LONGEST_RANGE = 1 << 16


class Kind(Generic[T]):
    """What a field may hold. `read` turns a value of the grammar or a Python value into T; `write` goes back."""

    def read(self, value: Any) -> T:
        """Check and normalise; raises ValueError with a sentence."""
        raise NotImplementedError

    def write(self, value: T) -> Any:
        """The value of the grammar that `read` gives back."""
        return value

    def describe(self) -> str:
        """What is allowed, for help tables and messages."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Integer(Kind[int]):
    """An integer within bounds."""

    min: int | None = None
    max: int | None = None

    def read(self, value: Any) -> int:
        """See Kind."""
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ValueError(f"must be an integer, not {show(value)}")
        if (self.min is not None and value < self.min) or (self.max is not None and value > self.max):
            raise ValueError(f"must be {self.describe()}, not {value}")
        return int(value)

    def describe(self) -> str:
        """See Kind."""
        return "an integer" + _bounds(self.min, self.max)


@dataclasses.dataclass(frozen=True)
class Real(Kind[float]):
    """A real number within closed bounds; rationals become floats."""

    min: float | None = None
    max: float | None = None

    def read(self, value: Any) -> float:
        """See Kind."""
        if isinstance(value, bool) or not isinstance(value, int | float | Fraction | np.integer | np.floating):
            raise ValueError(f"must be a number, not {show(value)}")
        x = float(value)
        if math.isnan(x) and (self.min is not None or self.max is not None):
            raise ValueError(f"must be {self.describe()}, not nan")
        if (self.min is not None and x < self.min) or (self.max is not None and x > self.max):
            raise ValueError(f"must be {self.describe()}, not {x:g}")
        return x

    def describe(self) -> str:
        """See Kind."""
        return "a number" + _bounds(self.min, self.max)


class Flag(Kind[bool]):
    """true or false."""

    def read(self, value: Any) -> bool:
        """See Kind."""
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"must be true or false, not {show(value)}")
        return bool(value)

    def describe(self) -> str:
        """See Kind."""
        return "true | false"


class Text(Kind[str]):
    """A quoted string; a bare word is taken too."""

    def read(self, value: Any) -> str:
        """See Kind."""
        if not isinstance(value, str) or isinstance(value, GraphName | ResourceName):
            raise ValueError(f"must be a string, not {show(value)}")
        return str(value)

    def write(self, value: str) -> Any:
        """See Kind."""
        return str(value)

    def describe(self) -> str:
        """See Kind."""
        return "a string"


class Enum(Kind[str]):
    """One of some words."""

    def __init__(self, *choices: str):
        self.choices = choices

    def read(self, value: Any) -> str:
        """See Kind; the words none, true and false are constants of the grammar elsewhere."""
        if value is None or isinstance(value, bool):
            value = Word(show(value))
        if not isinstance(value, str) or str(value) not in self.choices:
            hint = suggest(str(value), self.choices) if isinstance(value, str) else ""
            raise ValueError(
                f"must be {self.describe()}, not {show(value)}" + (f"; {hint}" if "did you" in hint else "")
            )
        return str(value)

    def write(self, value: str) -> Any:
        """See Kind."""
        return Word(value)

    def describe(self) -> str:
        """See Kind."""
        return " | ".join(self.choices)


class ListOf(Kind[tuple[T, ...]]):
    """A list of one kind; a range of integers `4..8` is a list of integers."""

    def __init__(self, item: Kind[T], length: int | None = None):
        self.item, self.length = item, length

    def read(self, value: Any) -> tuple[T, ...]:
        """See Kind."""
        if isinstance(value, Range):
            if value.stop - value.start >= LONGEST_RANGE:
                raise ValueError(f"must be {self.describe()} of at most {LONGEST_RANGE} entries, not {show(value)}")
            value = tuple(range(value.start, value.stop + 1))
        if isinstance(value, np.ndarray):
            value = tuple(value.tolist())
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"must be {self.describe()}, not {show(value)}")
        if self.length is not None and len(value) != self.length:
            raise ValueError(f"must have {self.length} entries, not {len(value)}")
        return tuple(self.item.read(v) for v in value)

    def write(self, value: tuple[T, ...]) -> Any:
        """See Kind."""
        return tuple(self.item.write(v) for v in value)

    def describe(self) -> str:
        """See Kind."""
        return f"a list, each {self.item.describe()}"


class Optional(Kind[T | None]):
    """none, or another kind."""

    def __init__(self, kind: Kind[T]):
        self.kind = kind

    def read(self, value: Any) -> T | None:
        """See Kind."""
        return None if value is None else self.kind.read(value)

    def write(self, value: T | None) -> Any:
        """See Kind."""
        return None if value is None else self.kind.write(value)

    def describe(self) -> str:
        """See Kind."""
        return f"none | {self.kind.describe()}"


class AnyOf(Kind[Any]):
    """The first of some kinds that takes the value."""

    def __init__(self, *kinds: Kind[Any]):
        self.kinds = kinds

    def read(self, value: Any) -> Any:
        """See Kind."""
        reasons = []
        for kind in self.kinds:
            try:
                return kind.read(value)
            except ValueError as why:
                reasons.append(str(why))
        hints = [r[r.index("did you mean") :] for r in reasons if "did you mean" in r]
        raise ValueError(f"must be {self.describe()}, not {show(value)}" + (f"; {hints[0]}" if hints else ""))

    def write(self, value: Any) -> Any:
        """See Kind."""
        for kind in self.kinds:
            try:
                if kind.read(value) == value:
                    return kind.write(value)
            except ValueError:
                continue
        raise ValueError(f"{value!r} is of no declared kind")

    def describe(self) -> str:
        """See Kind."""
        return " | ".join(k.describe() for k in self.kinds)


class Dims(Kind[tuple[int | str, ...]]):
    """A list of dims: integers (-1 allowed), symbols and `?`."""

    def read(self, value: Any) -> tuple[int | str, ...]:
        """See Kind."""
        if isinstance(value, Range | str) or not isinstance(value, Sequence):
            raise ValueError(f"must be a list of dims, not {show(value)}")
        for v in value:
            if isinstance(v, bool) or not isinstance(v, int | np.integer | str):
                raise ValueError(f"must be a list of integers and symbols, not {show(value)}")
        return tuple(str(v) if isinstance(v, str) else int(v) for v in value)

    def write(self, value: tuple[int | str, ...]) -> Any:
        """See Kind."""
        return tuple(v if isinstance(v, int) else "?" if v == "?" else Word(v) for v in value)

    def describe(self) -> str:
        """See Kind."""
        return "a list of dims"


class ElemKind(Kind[Elem]):
    """An element type such as f32 or i8@affine(scale=0.5)."""

    def read(self, value: Any) -> Elem:
        """See Kind."""
        if isinstance(value, Elem):
            return value
        if isinstance(value, str):
            try:
                return elem(str(value))
            except ValueError as why:
                raise ValueError(f"must be an element type: {why}") from None
        raise ValueError(f"must be an element type, not {show(value)}")

    def write(self, value: Elem) -> Any:
        """See Kind."""
        return value if value.quant is not None else Word(value.storage)

    def describe(self) -> str:
        """See Kind."""
        return "an element type"


class GraphRef(Kind[str]):
    """`@name` of a graph of the module."""

    def read(self, value: Any) -> str:
        """See Kind."""
        if not isinstance(value, str) or isinstance(value, Word):
            raise ValueError(f"must be a graph such as @body, not {show(value)}")
        return str(value)

    def write(self, value: str) -> Any:
        """See Kind."""
        return GraphName(value)

    def describe(self) -> str:
        """See Kind."""
        return "@graph"


class ResourceRef(Kind[str]):
    """`$name` of a resource of the module."""

    def read(self, value: Any) -> str:
        """See Kind."""
        if not isinstance(value, str) or isinstance(value, Word):
            raise ValueError(f"must be a resource such as $w, not {show(value)}")
        return str(value)

    def write(self, value: str) -> Any:
        """See Kind."""
        return ResourceName(value)

    def describe(self) -> str:
        """See Kind."""
        return "$resource"


class TypeKind(Kind[Any]):
    """A type such as tensor<Nx10xf32>."""

    def read(self, value: Any) -> Any:
        """See Kind."""
        if not hasattr(value, "rank") or isinstance(value, np.ndarray):
            raise ValueError(f"must be a type, not {show(value)}")
        return value

    def describe(self) -> str:
        """See Kind."""
        return "a type"


class RecordOf(Kind[Any]):
    """A registered record of a family: a word or a call such as `rate` or `phase(period=8)`."""

    def __init__(self, family: str):
        self.family = family

    def read(self, value: Any) -> Any:
        """See Kind."""
        from ranvier.ir.records import Record, read_record

        if isinstance(value, Record):
            if value.family != self.family:
                raise ValueError(f"must be a {self.family}, not a {value.family}")
            return value
        if isinstance(value, Word):
            return read_record(self.family, Call(str(value)))
        if isinstance(value, str) and not isinstance(value, GraphName | ResourceName):
            from ranvier.ir.text.values import parse_value

            return self.read(parse_value(value))
        if isinstance(value, Call):
            return read_record(self.family, value)
        raise ValueError(f"must be a {self.family}, not {show(value)}")

    def write(self, value: Any) -> Any:
        """See Kind."""
        return value.write()

    def describe(self) -> str:
        """See Kind."""
        from ranvier.ir.records import known

        return " | ".join(known(self.family)) or f"a {self.family}"


def option(kind: Kind[Any], default: Any = REQUIRED, help: str = "") -> Any:
    """Declare a dataclass field of a Record or Pass: its kind, default and help."""
    meta = {"kind": kind, "help": help}
    if default is REQUIRED:
        return dataclasses.field(metadata=meta)
    return dataclasses.field(default=default, metadata=meta)


def show(value: Any) -> str:
    """A value for a message, in the grammar where it has a form there."""
    from ranvier.ir.text.values import format_value

    try:
        return format_value(value)
    except TypeError:
        return repr(value)


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None:
        return f" of at least {low:g}"
    return f" of at most {high:g}" if high is not None else ""
