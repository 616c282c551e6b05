"""Puts ops into the module while a file is read: folds what is constant, keeps track of sizes, names results."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.frontends.onnx.axes import axes_kept
from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.symbolic import DEPENDS, evaluate
from ranvier.frontends.onnx.symbols import Size, from_dim, to_dim
from ranvier.frontends.onnx.tensors import Array, Constant, Sizes, Tensor
from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.elements import Elem
from ranvier.ir.facts import ImportedName
from ranvier.ir.locations import Location
from ranvier.ir.ops import op_class
from ranvier.ir.types import TensorType

FOLDED = 1 << 16
"""Constant results of at most so many elements are computed while the file is read; the rest is `fold-constants`'s."""
MOVES = ("core.reshape", "core.transpose", "core.cast")
"""Ops on constants that are always folded, lazily where the array is large: they cost no more than loading it."""


def legal(name: str) -> str:
    """An ONNX name as a name of the text form: ASCII letters, digits, `_` and `.`."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("._") or "v"


class Emitter:
    """Writes into one graph of a module. `hint` and `location` are those of the node being imported."""

    def __init__(self, module: Module, graph: Graph, known: dict[Value, tuple[Size, ...]]):
        self.module, self.graph, self.known = module, graph, known
        self.hint = ""
        self.location: Location | None = None
        self.created: list[Value] = []
        self.superseded: list[Op] = []

    # -- sizes ---------------------------------------------------------------------------------------------------------
    def shape(self, t: Tensor) -> tuple[Size, ...]:
        """The shape with everything that is known about symbols; each unknown dim is an atom of its own."""
        if not isinstance(t, Value):
            return t.shape
        if t not in self.known:
            self.known[t] = tuple(from_dim(d, f"?{len(self.known)}.{i}") for i, d in enumerate(t.type.shape))
        return self.known[t]

    def know(self, t: Tensor, shape: Sequence[Size]) -> None:
        """Remember what the sizes of a value are where its type can only say `?`."""
        if isinstance(t, Value) and "?" in t.type.shape and len(shape) == t.type.rank:
            self.known[t] = tuple(shape)

    # -- constants -----------------------------------------------------------------------------------------------------
    def value(self, t: Tensor) -> Value:
        """The tensor as a value of the graph; a constant becomes a resource on first use."""
        if isinstance(t, Value):
            return t
        if isinstance(t, Sizes):
            raise Unsupported(f"computes with a tensor that {DEPENDS}")
        if t.resource is None:
            t.resource = self.module.add(t.to_resource(), re.sub(r"[^A-Za-z0-9_.\-/]", "_", t.hint))
        return self.graph.constant(t.resource)

    # -- ops -----------------------------------------------------------------------------------------------------------
    def emit(self, name: str, *operands: Tensor | None, **attributes: Any) -> Tensor:
        """The result of an op: computed at once where the operands are constants or sizes, else a new value."""
        there = [t for t in operands if t is not None]
        if there and not any(isinstance(t, Value) for t in there):
            if any(isinstance(t, Sizes) for t in there):
                return evaluate(name, there, attributes)  # type: ignore[arg-type]
            folded = self._fold(name, operands, attributes)
            if folded is not None:
                return folded
        return self.emit_all(name, *operands, **attributes)[0]

    def emit_all(self, name: str, *operands: Tensor | None, **attributes: Any) -> list[Value]:
        """All results of a new op."""
        values = [None if t is None else self.value(t) for t in operands]
        op = op_class(name)(*values, location=self.location, **attributes)
        short = name.split(".")[-1]
        self.graph.insert(op, names=[f"{self.hint}.{short}" if self.hint else short] * len(op.results))
        if len(op.results) == 1:
            self._carry(op)
        self.created.extend(op.results)
        return op.results

    def _fold(self, name: str, operands: Sequence[Any], attributes: dict[str, Any]) -> Constant | None:
        """The op on constants, or None where it is left to the module because it is large."""
        stand_ins = [None if t is None else Value(t.type, t.hint, resource=t.hint) for t in operands]
        op = op_class(name)(*stand_ins, location=self.location, **attributes)
        kind = op.result.type
        if not isinstance(kind, TensorType) or not all(isinstance(d, int) for d in kind.shape):
            return None
        sizes = [math.prod(kind.shape), *(t.size for t in operands if t is not None)]
        hint = f"{self.hint}.{name.split('.')[-1]}" if self.hint else "c"

        def compute() -> Array:
            with np.errstate(all="ignore"):
                given = [None if t is None else t.array for t in operands]
                found = op.meaning(*given, *[None] * (len(op.operands) - len(given)))
            return np.asarray(found).astype(kind.elem.dtype, copy=False)

        first = operands[0]
        if name in MOVES and first is not None:
            hint = first.hint
            if first.splat is not None and name != "core.cast":
                return Constant(kind, splat=first.splat, hint=hint)
        if max(sizes) <= FOLDED:
            return Constant(kind, compute(), hint=hint)
        if name == "core.broadcast" and first is not None and first.size == 1:
            return Constant(kind, splat=first.array.reshape(-1)[0].item(), hint=hint)
        return Constant(kind, load=compute, hint=hint) if name in MOVES else None

    def _carry(self, op: Op) -> None:
        """Hand what is known about unknown sizes through ops that keep axes."""
        result = op.result
        if "?" not in result.type.shape:
            return
        kept = axes_kept(op)
        shape = list(self.shape(result))
        for i, size in enumerate(shape):
            if to_dim(size) != "?":
                continue
            for v in op.arguments:
                at = kept(i, v) if kept is not None else None
                if at is not None and 0 <= at < v.type.rank:
                    shape[i] = self.shape(v)[at]
                    break
        self.known[result] = tuple(shape)

    def drop_superseded(self) -> None:
        """Erase ops that a later one took in, where nothing else uses them."""
        for op in reversed(self.superseded):
            if op.graph is self.graph and not op.result.uses:
                self.graph.erase(op)

    # -- names ---------------------------------------------------------------------------------------------------------
    def call(self, t: Tensor, name: str, made: Sequence[Value]) -> None:
        """Give a result that is among the values just made the name that it bears in the file."""
        if not name or not isinstance(t, Value) or t not in made:
            return
        self.graph.rename(t, legal(name))
        if t.name != name:
            t.facts += (ImportedName(name),)

    def element(self, t: Tensor) -> Elem:
        """The element type."""
        if isinstance(t, Sizes):
            return t.elem
        assert isinstance(t.type, TensorType)
        return t.type.elem
