"""How an op class declares its operands and attributes: descriptors that read the generic storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ranvier.ir.fields import (
    REQUIRED,
    AnyOf,
    Dims,
    ElemKind,
    Enum,
    Flag,
    GraphRef,
    Integer,
    Kind,
    ListOf,
    Optional,
    Real,
    RecordOf,
    Text,
    TypeKind,
)

if TYPE_CHECKING:
    from ranvier.ir.core import Op, Value
    from ranvier.ir.elements import Elem

T = TypeVar("T")
V = TypeVar("V")


class Operand(Generic[V]):
    """An operand field. `role` is single, optional or variadic (the last only)."""

    def __init__(self, help: str, role: str = "single", spikes: bool = False):
        self.help, self.role, self.spikes = help, role, spikes
        self.name, self.index = "", -1

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, op: None, owner: type) -> Operand[V]: ...
    @overload
    def __get__(self, op: Op, owner: type) -> V: ...
    def __get__(self, op: Op | None, owner: type) -> Any:
        if op is None:
            return self
        return list(op.operands[self.index :]) if self.role == "variadic" else op.operands[self.index]


class Attribute(Generic[T]):
    """An attribute field with its kind, default and help."""

    def __init__(self, kind: Kind[T], default: Any = REQUIRED, help: str = ""):
        self.kind, self.default, self.help = kind, default, help
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, op: None, owner: type) -> Attribute[T]: ...
    @overload
    def __get__(self, op: Op, owner: type) -> T: ...
    def __get__(self, op: Op | None, owner: type) -> Any:
        return self if op is None else op.attributes[self.name]


def operand(help: str, *, spikes: bool = False) -> Operand[Value]:
    """A required operand; `spikes=True` lets it be of a spikes type."""
    return Operand(help, "single", spikes)


def optional(help: str, *, spikes: bool = False) -> Operand[Value | None]:
    """An operand that may be left out."""
    return Operand(help, "optional", spikes)


def variadic(help: str, *, spikes: bool = False) -> Operand[list[Value]]:
    """Any number of operands; must be the last operand field."""
    return Operand(help, "variadic", spikes)


def attribute(kind: Kind[T], default: Any = REQUIRED, help: str = "") -> Attribute[T]:
    """An attribute of any kind."""
    return Attribute(kind, default, help)


def integer(
    default: Any = REQUIRED, help: str = "", *, min: int | None = None, max: int | None = None
) -> Attribute[int]:
    """An integer attribute."""
    return Attribute(Integer(min, max), default, help)


def real(
    default: Any = REQUIRED, help: str = "", *, min: float | None = None, max: float | None = None
) -> Attribute[float]:
    """A real attribute."""
    return Attribute(Real(min, max), default, help)


def flag(default: Any = REQUIRED, help: str = "") -> Attribute[bool]:
    """A true/false attribute."""
    return Attribute(Flag(), default, help)


def text(default: Any = REQUIRED, help: str = "") -> Attribute[str]:
    """A string attribute."""
    return Attribute(Text(), default, help)


def enum(*choices: str, default: Any = REQUIRED, help: str = "") -> Attribute[str]:
    """One of some words."""
    return Attribute(Enum(*choices), default, help)


def ints(default: Any = REQUIRED, help: str = "", *, min: int | None = None) -> Attribute[tuple[int, ...]]:
    """A list of integers."""
    return Attribute(ListOf(Integer(min)), default, help)


def dims(default: Any = REQUIRED, help: str = "") -> Attribute[tuple[int | str, ...]]:
    """A list of dims."""
    return Attribute(Dims(), default, help)


def element(default: Any = REQUIRED, help: str = "") -> Attribute[Elem]:
    """An element type."""
    return Attribute(ElemKind(), default, help)


def record(family: str, default: Any = REQUIRED, help: str = "") -> Attribute[Any]:
    """A record of a family, such as a spike code."""
    return Attribute(RecordOf(family), default, help)


def graph_ref(help: str = "") -> Attribute[str]:
    """The name of a graph of the module."""
    return Attribute(GraphRef(), REQUIRED, help)


def steps(default: Any = REQUIRED, help: str = "number of timesteps: an integer or a symbol") -> Attribute[int | str]:
    """A number of timesteps: an integer or a symbol."""
    return Attribute(AnyOf(Integer(1), Text()), default, help)


__all__ = [
    "Attribute",
    "Operand",
    "Optional",
    "TypeKind",
    "attribute",
    "dims",
    "element",
    "enum",
    "flag",
    "graph_ref",
    "integer",
    "ints",
    "operand",
    "optional",
    "real",
    "record",
    "steps",
    "text",
    "variadic",
]
