"""Inputs of a graph: their types, and symbols for the dimensions that the file leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.tensors import element_type
from ranvier.ir.diagnostics import error
from ranvier.ir.facts import DimName
from ranvier.ir.types import DIM, Dim, TensorType

if TYPE_CHECKING:
    from onnx import TensorShapeProto, ValueInfoProto


class DimNames:
    """Symbols of named dimensions. The first dimension that is open and leads an input is N; the others are called
    as in the file, in capitals, or S1, S2, ... where that is no symbol or taken."""

    def __init__(self, inputs: Sequence[ValueInfoProto]):
        self.symbols: dict[str, str] = {}
        self.unnamed: str | None = None
        for info in inputs:
            shape = info.type.tensor_type.shape
            if shape.dim and not shape.dim[0].HasField("dim_value"):
                if name := shape.dim[0].dim_param:
                    self.symbols[name] = "N"
                else:
                    self.unnamed = info.name
                break

    def dim(self, dim: TensorShapeProto.Dimension, owner: str, axis: int) -> Dim:
        """A dimension as a number, a symbol, or `?` where the file says nothing."""
        if dim.HasField("dim_value"):
            return int(dim.dim_value)
        if not dim.dim_param:
            return "N" if axis == 0 and owner == self.unnamed else "?"
        if dim.dim_param not in self.symbols:
            self.symbols[dim.dim_param] = self._fresh(dim.dim_param.upper())
        return self.symbols[dim.dim_param]

    def _fresh(self, wanted: str) -> str:
        taken = {*self.symbols.values(), "?", *(["N"] if self.unnamed else [])}
        if DIM.fullmatch(wanted) and not wanted.isdigit() and wanted not in taken:
            return wanted
        n = 1
        while f"S{n}" in taken:
            n += 1
        return f"S{n}"

    def facts(self) -> tuple[DimName, ...]:
        """The names in the file of the symbols that are called otherwise here."""
        return tuple(DimName(symbol=s, name=n) for n, s in self.symbols.items() if s != n)


def argument_type(info: ValueInfoProto, names: DimNames, file: str) -> TensorType:
    """The type of an input. Raises Unsupported for what is no tensor of a known rank."""
    kind = info.type
    if not kind.HasField("tensor_type"):
        raise Unsupported(
            f"is a {kind.WhichOneof('value') or 'nothing'}".replace("_type", "") + ", which is not imported"
        )
    if not kind.tensor_type.HasField("shape"):
        raise Unsupported("has no shape", "export the model with the shapes of its inputs")
    shape = tuple(names.dim(d, info.name, i) for i, d in enumerate(kind.tensor_type.shape.dim))
    if any(isinstance(d, int) and d < 0 for d in shape):
        raise error("not-onnx", f"input {info.name!r} has a negative dimension: {list(shape)}", where=file)
    return TensorType(shape, element_type(kind.tensor_type.elem_type))
