"""Integer arithmetic as what it stands for: fake quantization and real products, through which gradients pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module, Op, Value
from ranvier.ir.diagnostics import error
from ranvier.ir.elements import Elem
from ranvier.ir.locations import describe
from ranvier.ir.ops.arith import Add
from ranvier.ir.ops.fake_quant import FakeQuant
from ranvier.ir.ops.integer import QConv, QLinear, QMatmul, magnitude
from ranvier.ir.ops.nn import AvgPool, Conv, Linear, Matmul
from ranvier.ir.ops.q import Dequantize, Quantize
from ranvier.ir.ops.reduce import Mean, Sum
from ranvier.ir.ops.requantize import QAdd, QSum, QSumPool, Requantize
from ranvier.ir.types import SpikesType, TensorType, element_count

Array = np.ndarray[Any, Any]
MOST_BITS = 8


@dataclass(frozen=True)
class Layer:
    """A product of levels with weights, in the raised network.

    `x` and `y` are its input and result in real units, `scale` what one level of x is worth, `most` the largest
    magnitude of a level, `vectors` how many vectors a sample drives through the matrix.
    """

    name: str
    x: Value
    y: Value
    scale: float
    most: int
    signed: bool
    vectors: int


@dataclass
class Raised:
    """A network in real numbers and its layers; unfrozen, to be added to."""

    module: Module
    layers: list[Layer] = field(default_factory=list)


def raised(module: Module, by: str) -> Raised:
    """The network of reals that an integer network stands for; rounding is q.fake_quant with its gradient.

    Raises RanvierError (unsupported) for several graphs, spikes, and integer ops without a real form.
    """
    if len(module.graphs) > 1:
        raise error("unsupported", f"`{by}`: several graphs", help="run `inline` before")
    return _Raising(module, by).run()


class _Raising:
    def __init__(self, module: Module, by: str):
        self.old, self.by = module, by
        self.new = Module(module.name)
        self.b = Builder(self.new.new_graph())
        self.at: dict[Value, Value] = {}
        self.layers: list[Layer] = []

    def run(self) -> Raised:
        """Everything, op by op."""
        for arg in self.old.main.args:
            self.at[arg] = self.b.graph.argument(arg.name, arg.type)
        last = self.old.main.terminator
        for op in self.old.main.ops:
            if op is last:
                break
            if any(isinstance(v.type, SpikesType) for v in (*op.arguments, *op.results)):
                raise self.refuse(op, "works on spikes, whose encoding is given")
            self.b.location = op.location
            make = next((RULES[k] for k in type(op).__mro__ if k in RULES), None)
            made = make(self, op) if make is not None else self.copied(op)
            for old, new in zip(op.results, made if isinstance(made, tuple) else (made,), strict=True):
                self.at[old] = new
        values = [self.real(v) for v in last.arguments]
        self.b.returns(*values, names=last.attributes["names"], roles=last.attributes["roles"])
        return Raised(self.new, self.layers)

    def refuse(self, op: Op, why: str) -> Any:
        """The error about an op."""
        return error("unsupported", f"`{self.by}`: {op!r} {why}", where=describe(op.location))

    def real(self, value: Value) -> Value:
        """A value in real units."""
        if value in self.at:
            return self.at[value]
        assert isinstance(value.type, TensorType)
        resource = self.old.resource(str(value.resource))
        quant = value.type.elem.quant
        if quant is None:
            made = self.b.graph.constant(self.new.add(resource, resource.name))
        else:
            rank = value.type.rank
            levels = resource.array.astype(np.float64) - quant.zeros(rank, np.float64)
            made = self.b.constant((levels * quant.scales(rank, np.float64)).astype(np.float32), str(value.resource))
        self.at[value] = made
        return made

    def copied(self, op: Op) -> Any:
        """The same op on reals."""
        if op.name.startswith("q.") and not isinstance(op, FakeQuant):
            raise self.refuse(op, "has no real form here")
        operands = [None if v is None else self.real(v) for v in op.operands]
        return self.b(type(op), *operands, name=[r.name for r in op.results], **op.attributes)

    def grid(self, x: Value, element: Elem, op: Op) -> Value:
        """x rounded to the levels of an element type."""
        quant = element.quant
        assert quant is not None
        if quant.axis is not None or quant.zero != 0 or not 2 <= element.bits <= MOST_BITS:
            raise self.refuse(op, f"gives {element}: only 2 to {MOST_BITS} bits of one scale and zero=0 are trained")
        signed = element.range[0] < 0
        assert not isinstance(quant.scale, tuple)
        scale = self.b.constant(np.float32(float(quant.scale)), f"{op.result.name}.scale")
        narrow = signed and element.levels[0] > element.range[0]
        made: Value = self.b(
            FakeQuant, x, scale, bits=element.bits, signed=signed, narrow=narrow, rounding=quant.rounding,
            name=op.result.name,
        )  # fmt: skip
        return made

    def product(self, op: Any, kind: type[Op]) -> Value:
        """A linear op on levels, whose bias counts levels of the result."""
        operands = [self.real(op.operands[0]), self.real(op.operands[1])]
        if op.operands[2] is not None:
            quant = op.result.type.elem.quant
            scales = np.asarray(quant.scale if isinstance(quant.scale, tuple) else (quant.scale,), np.float64)
            bias = self.old.array(op.operands[2]).astype(np.float64) * scales
            operands.append(self.b.constant(bias.astype(np.float32), f"{op.result.name}.bias"))
        kept = {k: v for k, v in op.attributes.items() if k in kind.attribute_fields}
        made: Value = self.b(kind, *operands, name=op.result.name, **kept)
        x, shape = op.x.type, op.result.type.shape
        positions = shape[2:] if kind is Conv else shape[1:-1]
        scale = float(x.elem.quant.scale)
        self.layers.append(
            Layer(op.result.name, operands[0], made, scale, magnitude(x), x.elem.range[0] < 0, element_count(positions))
        )
        return made

    def pooled(self, op: Any) -> Value:
        """A mean over windows."""
        if not op.mean:
            raise self.refuse(op, "sums windows, and has no real form here")
        kept = {k: v for k, v in op.attributes.items() if k in AvgPool.attribute_fields}
        made: Value = self.b(AvgPool, self.real(op.x), name=op.result.name, **{**kept, "count_include_pad": True})
        return made


def _sum(r: _Raising, op: Any) -> Value:
    made: Value = r.b(Mean if op.mean else Sum, r.real(op.x), axes=op.axes, keep=op.keep, name=op.result.name)
    return made


def _add(r: _Raising, op: Any) -> Value:
    total = r.real(op.operands[0])
    for term in op.operands[1:]:
        total = r.b(Add, total, r.real(term))
    return r.grid(total, op.elem, op)


RULES: dict[type[Op], Callable[[_Raising, Any], Value]] = {
    Quantize: lambda r, op: r.grid(r.real(op.x), op.elem, op),
    Requantize: lambda r, op: r.grid(r.real(op.x), op.elem, op),
    Dequantize: lambda r, op: r.real(op.x),
    QConv: lambda r, op: r.product(op, Conv),
    QLinear: lambda r, op: r.product(op, Linear),
    QMatmul: lambda r, op: r.b(Matmul, r.real(op.a), r.real(op.b), name=op.result.name),
    QAdd: _add,
    QSum: _sum,
    QSumPool: lambda r, op: r.pooled(op),
}
