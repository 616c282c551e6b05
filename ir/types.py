"""Types of values: tensors, tensors over time, spikes and neuron states (design decision 4)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ranvier.ir.elements import Elem, elem

if TYPE_CHECKING:
    from ranvier.ir.codes import Code

Dim = int | str
DIM = re.compile(r"[0-9]+|\?|[A-Z][A-Z0-9_]*")


def format_shape(shape: Sequence[Dim], element: Elem) -> str:
    """`Nx3x8x8xf32`."""
    return "".join(f"{d}x" for d in shape) + str(element)


@dataclass(frozen=True)
class TensorType:
    """A real, integer or quantized tensor; with `time`, one such tensor for every step.

    Dims are numbers, symbols (`N`) or `?`. `time` is a number or a symbol. As an array a timed value is [T, *shape].
    """

    shape: tuple[Dim, ...]
    elem: Elem
    time: Dim | None = None
    layout: Any = None

    @property
    def rank(self) -> int:
        """Number of axes, time not counted."""
        return len(self.shape)

    def with_time(self, time: Dim | None) -> TensorType:
        """The same tensor over another number of steps, or without time."""
        return self if time == self.time else replace(self, time=time)

    def with_shape(self, shape: Sequence[Dim]) -> TensorType:
        """The same element and time with another shape."""
        return replace(self, shape=tuple(shape))

    def with_elem(self, element: Elem) -> TensorType:
        """The same shape and time with another element type."""
        return replace(self, elem=element)

    def __str__(self) -> str:
        time = "" if self.time is None else f", T={self.time}"
        return f"tensor<{format_shape(self.shape, self.elem)}{time}{_layout(self.layout)}>"


@dataclass(frozen=True)
class SpikesType:
    """Spikes of a code over T steps: bits or small integers, worth elem.scale times the code's psp."""

    shape: tuple[Dim, ...]
    elem: Elem
    code: Code
    time: Dim
    layout: Any = None

    @property
    def rank(self) -> int:
        """Number of axes, time not counted."""
        return len(self.shape)

    def with_shape(self, shape: Sequence[Dim]) -> SpikesType:
        """The same code, element and time with another shape."""
        return replace(self, shape=tuple(shape))

    def with_elem(self, element: Elem) -> SpikesType:
        """The same spikes in another element type."""
        return replace(self, elem=element)

    def with_time(self, time: Dim | None) -> SpikesType:
        """The same spikes over another number of steps. Raises ValueError without time: spikes always have it."""
        if time is None:
            raise ValueError("spikes have a time axis")
        return replace(self, time=time)

    def __str__(self) -> str:
        return f"spikes<{format_shape(self.shape, self.elem)}, {self.code}, T={self.time}{_layout(self.layout)}>"


@dataclass(frozen=True)
class StateType:
    """What a stateful op keeps between steps; an argument and a result of a step graph."""

    shape: tuple[Dim, ...]
    elem: Elem
    layout: Any = None

    time = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __str__(self) -> str:
        return f"state<{format_shape(self.shape, self.elem)}{_layout(self.layout)}>"


Type = TensorType | SpikesType | StateType


def _layout(layout: Any) -> str:
    if layout is None:
        return ""
    from ranvier.ir.text.values import format_value

    return f", layout={format_value(layout)}"


def tensor(*shape: Dim, dtype: str | Elem = "f32", time: Dim | None = None) -> TensorType:
    """A tensor type: `tensor("N", 3, 8, 8)`, `tensor(10, dtype="i64", time=4)`."""
    return TensorType(tuple(shape), dtype if isinstance(dtype, Elem) else elem(dtype), time)


def same_dim(a: Dim, b: Dim) -> bool:
    """True unless the two are known to differ; `?` fits everything."""
    return a == b or a == "?" or b == "?"


def join_dim(a: Dim, b: Dim) -> Dim:
    """The better known one of two dims that fit."""
    return b if a == "?" else a


def broadcast_shapes(*shapes: Sequence[Dim]) -> tuple[Dim, ...]:
    """Numpy broadcasting over dims with symbols. Raises ValueError with a sentence when two dims cannot meet."""
    rank = max(map(len, shapes), default=0)
    out: list[Dim] = []
    for axis in range(-rank, 0):
        dim: Dim = 1
        for shape in shapes:
            if -axis > len(shape):
                continue
            other = shape[axis]
            if dim == 1:
                dim = other
            elif other != 1 and not same_dim(dim, other):
                raise ValueError(
                    f"shapes {' and '.join(map(show_shape, shapes))} do not broadcast: {dim} against {other}"
                )
            elif other != 1:
                dim = join_dim(dim, other)
        out.append(dim)
    return tuple(out)


def show_shape(shape: Sequence[Dim]) -> str:
    """`[N, 3, 8, 8]` for messages."""
    return "[" + ", ".join(map(str, shape)) + "]"


def element_count(shape: Sequence[Dim]) -> int:
    """Product of the dims, symbols and `?` counted as one: elements of one sample."""
    n = 1
    for d in shape:
        n *= d if isinstance(d, int) else 1
    return n
