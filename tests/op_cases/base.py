"""One op on given arrays, as a module: what the cases of every op are made of."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.ir.codes import Code, Rate
from ranvier.ir.core import Builder, Graph, Module, Op
from ranvier.ir.elements import Elem, elem, elem_of
from ranvier.ir.types import SpikesType, TensorType, Type

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Given:
    """An operand: its array, its type, and whether it is a constant of the module or an argument of the graph."""

    array: Array
    type: Type
    constant: bool = False


@dataclass(frozen=True)
class OpCase:
    """`build(module)` makes `@main` around one op; `arrays` are its inputs. `exact`: equal bit for bit."""

    name: str
    op: type[Op]
    build: Callable[[Module], Graph]
    arrays: tuple[Array, ...]
    exact: bool = False
    tags: frozenset[str] = field(default_factory=frozenset)

    def module(self) -> Module:
        """A new module with the op in it."""
        module = Module(self.name)
        self.build(module)
        return module


def value(
    array: Any, *, time: bool = False, batch: bool = False, dtype: str | Elem | None = None, constant: bool = False
) -> Given:
    """A tensor operand. With `time` the first axis is T; with `batch` the first axis of the type is the symbol N."""
    array = np.asarray(array)
    kind = elem_of(array.dtype) if dtype is None else dtype if isinstance(dtype, Elem) else elem(dtype)
    array = array.astype(kind.dtype)
    shape: tuple[Any, ...] = array.shape[1:] if time else array.shape
    if batch:
        shape = ("N", *shape[1:])
    return Given(array, TensorType(shape, kind, len(array) if time else None), constant)


def weight(array: Any) -> Given:
    """A constant operand."""
    return value(array, constant=True)


def spikes(array: Any, *, code: Code | None = None, element: Elem | None = None, batch: bool = False) -> Given:
    """A spikes operand, [T, ...]."""
    code = code or Rate()
    kind = element or code.element()
    array = np.asarray(array).astype(kind.dtype)
    shape: tuple[Any, ...] = ("N", *array.shape[2:]) if batch else array.shape[1:]
    return Given(array, SpikesType(shape, kind, code, len(array)))


def case(name: str, op: type[Op], *operands: Given | None, exact: bool = False, **attributes: Any) -> OpCase:
    """The case of an op on operands; what is not constant becomes an argument."""

    def build(module: Module) -> Graph:
        graph = module.new_graph("main")
        build_op = Builder(graph)
        values = []
        for i, given in enumerate(operands):
            if given is None:
                values.append(None)
            elif given.constant:
                assert isinstance(given.type, TensorType)
                values.append(build_op.constant(given.array, f"c{i}", type=given.type))
            else:
                values.append(graph.argument(f"x{i}", given.type))
        found = build_op(op, *values, **attributes)
        build_op.returns(*(found if isinstance(found, tuple) else (found,)))
        return graph

    arrays = tuple(g.array for g in operands if g is not None and not g.constant)
    return OpCase(f"{op.name}[{name}]", op, build, arrays, exact)


class Draw:
    """Random arrays from a generator that is seeded by a name, so that one case never shifts another."""

    def __init__(self, name: str):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def real(self, *shape: int, scale: float = 1.0) -> Array:
        """Normal numbers."""
        return (self.rng.standard_normal(shape) * scale).astype(np.float32)

    def positive(self, *shape: int) -> Array:
        """Numbers from 0.25 to 2."""
        return self.rng.uniform(0.25, 2, shape).astype(np.float32)

    def dyadic(self, *shape: int, low: float = -2.0, high: float = 2.0) -> Array:
        """Multiples of 1/8: sums and products of these are exact."""
        return (self.rng.integers(int(low * 8), int(high * 8), shape, endpoint=True) / 8).astype(np.float32)

    def ints(self, *shape: int, low: int = -9, high: int = 9, dtype: Any = np.int64) -> Array:
        """Integers, both ends included."""
        return self.rng.integers(low, high, shape, endpoint=True).astype(dtype)

    def bits(self, *shape: int, p: float = 0.5) -> Array:
        """Bits that are set with probability p."""
        return self.rng.random(shape) < p


Cases = Iterator[OpCase]
Operands = Sequence[Given | None]
