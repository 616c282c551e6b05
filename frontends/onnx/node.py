"""One node as a handler sees it: inputs and attributes by name, and what was not looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.frontends.onnx.emitter import Emitter
from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.symbolic import DEPENDS
from ranvier.frontends.onnx.symbols import Size
from ranvier.frontends.onnx.tensors import Array, Constant, Sizes, Tensor, sizes_of
from ranvier.ir.core import Value
from ranvier.ir.elements import Elem

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, NodeProto

    from ranvier.frontends.onnx.importer import Scope


class Node:
    """A node being imported. A handler reads it through these methods; an attribute or input that it leaves unread is
    refused, so that a newer form of an operator is never taken for an older one."""

    def __init__(self, proto: NodeProto, inputs: Sequence[Tensor | None], opset: int, scope: Scope):
        self.proto, self.inputs, self.opset, self.scope = proto, inputs, opset, scope
        self.emitter: Emitter = scope.emitter
        self._attributes: dict[str, AttributeProto] = {a.name: a for a in proto.attribute}
        self._read: set[str] = set()
        self._taken: set[int] = set()

    # -- inputs --------------------------------------------------------------------------------------------------------
    def input(self, index: int) -> Tensor:
        """A required input."""
        found = self.optional(index)
        if found is None:
            raise ValueError(f"input {index} is missing")
        return found

    def optional(self, index: int) -> Tensor | None:
        """An input that may be left out."""
        self._taken.add(index)
        return self.inputs[index] if index < len(self.inputs) else None

    def all_inputs(self) -> list[Tensor]:
        """Every input; raises ValueError when there is none."""
        if not self.inputs:
            raise ValueError("it has no inputs")
        return [self.input(i) for i in range(len(self.inputs))]

    def constant(self, index: int, what: str) -> Array:
        """An input that must be known now, as an array."""
        t = self.input(index)
        if not isinstance(t, Constant):
            raise Unsupported(f"has {what} that {DEPENDS if isinstance(t, Sizes) else 'is computed from data'}")
        return t.array

    def sizes(self, index: int, what: str) -> list[Size]:
        """A one-dimensional integer input, as numbers and symbols; a data-dependent one is refused."""
        t = self.input(index)
        if isinstance(t, Value):
            raise Unsupported(f"has {what} that is computed from data")
        found: list[Size] = sizes_of(t).ravel().tolist()
        return found

    def ints_at(self, index: int, what: str) -> list[int]:
        """A one-dimensional integer input that must be numbers."""
        found = self.sizes(index, what)
        if not all(isinstance(x, int) for x in found):
            raise Unsupported(f"has {what} that {DEPENDS}")
        return [int(x) for x in found]  # type: ignore[arg-type]

    # -- attributes ----------------------------------------------------------------------------------------------------
    def _find(self, name: str, kind: int) -> AttributeProto | None:
        self._read.add(name)
        found = self._attributes.get(name)
        if found is not None and found.type != kind:
            raise ValueError(f"attribute {name!r} has the wrong type")
        return found

    def has(self, name: str) -> bool:
        """Whether an attribute is given."""
        return name in self._attributes

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute; without a default it is required."""
        found = self._find(name, 2)
        if found is None and default is None:
            raise ValueError(f"attribute {name!r} is missing")
        return int(found.i) if found is not None else int(default or 0)

    def real(self, name: str, default: float) -> float:
        """A real attribute: the shortest decimal that is the file's float32, so 0.01 and not 0.009999999776482582."""
        found = self._find(name, 1)
        return float(str(np.float32(found.f))) if found is not None else default

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        found = self._find(name, 3)
        return found.s.decode("utf-8", "replace") if found is not None else default

    def ints(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
        """A list of integers, or the default."""
        found = self._find(name, 7)
        return tuple(int(i) for i in found.ints) if found is not None else None if default is None else tuple(default)

    def raw(self, name: str) -> AttributeProto | None:
        """An attribute of any type."""
        self._read.add(name)
        return self._attributes.get(name)

    def graph(self, name: str) -> GraphProto:
        """A subgraph."""
        found = self._find(name, 5)
        if found is None:
            raise ValueError(f"attribute {name!r} is missing")
        return found.g

    def ignore(self, *names: str) -> None:
        """Say of attributes that they make no difference to what the node computes."""
        self._read.update(names)

    def check_all_read(self, results: int) -> None:
        """Raise Unsupported for attributes, inputs or outputs that the handler knows nothing of."""
        for name in self._attributes:
            if name not in self._read:
                raise Unsupported(f"has the attribute {name!r}, which is not imported")
        for index, t in enumerate(self.inputs):
            if t is not None and index not in self._taken:
                raise Unsupported(f"has an input number {index + 1}, which is not imported")
        if any(name for name in self.proto.output[results:]):
            raise Unsupported(f"has an output number {results + 1}, which is not imported")

    # -- building ------------------------------------------------------------------------------------------------------
    def emit(self, name: str, *operands: Tensor | None, **attributes: Any) -> Tensor:
        """The result of an IR op on some tensors."""
        return self.emitter.emit(name, *operands, **attributes)

    def shape(self, t: Tensor) -> tuple[Size, ...]:
        """The shape of a tensor in numbers and symbols."""
        return self.emitter.shape(t)

    def rank(self, t: Tensor) -> int:
        """Number of axes."""
        return len(t.shape) if not isinstance(t, Value) else t.type.rank

    def elem(self, t: Tensor) -> Elem:
        """The element type."""
        return self.emitter.element(t)

    def scalar(self, x: float | int | bool, like: Tensor) -> Constant:
        """A scalar constant of a tensor's element type."""
        return Constant.of(np.asarray(x), self.elem(like), hint=f"{x:g}".replace("-", "minus_"))

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front; raises ValueError when there is no such axis."""
        if not -rank <= axis < max(rank, 1):
            raise ValueError(f"axis {axis} of a tensor with {rank} axes")
        return axis % rank if rank else 0

    def cast(self, t: Tensor, element: Elem) -> Tensor:
        """The tensor with another element type; itself when it has it already."""
        return t if self.elem(t) == element else self.emit("core.cast", t, elem=element)

    def reshape(self, t: Tensor, shape: Sequence[Size]) -> Tensor:
        """The tensor in a shape of numbers and symbols; itself when it has that shape already."""
        from ranvier.frontends.onnx.layout import reshape

        return reshape(self, t, shape)
