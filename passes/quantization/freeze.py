"""`freeze-quant`: what fake quantization found moves into the types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module, Value, replace_uses
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem, as_exact
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.checks import along
from ranvier.ir.ops.fake_quant import FakeQuant
from ranvier.ir.ops.q import Dequantize, Quantize, round_by
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType
from ranvier.passes.simplify.dce import eliminate


@dataclass(frozen=True)
class FreezeQuant(Pass):
    """q.fake_quant(w, s) => q.dequantize(levels) and q.fake_quant(x, s) => q.dequantize(q.quantize(x)).

    Levels of constants are computed once, in float64, and stored; scales become part of the element type, exactly.
    """

    word = "freeze-quant"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass. Raises RanvierError naming every scale that is no constant."""
        todo = [(graph, op) for graph in module.graphs.values() for op in graph.ops if isinstance(op, FakeQuant)]
        open_scales = [
            op.fail("type-mismatch", "has a scale that is computed, which no type can hold", "make it a constant")
            for _, op in todo
            if not op.scale.is_constant or op.scale.type.time is not None
        ]
        if open_scales:
            raise RanvierError([d for e in open_scales for d in e.diagnostics])
        stored: dict[tuple[Any, ...], str] = {}
        for graph, op in todo:
            b = Builder(graph, before=op, location=op.location)
            element = frozen_element(module, op)
            if op.x.is_constant and op.x.type.time is None:
                key = (op.x.resource, element)
                if key not in stored:
                    stored[key] = store_levels(module, op, element)
                levels: Value = graph.constant(stored[key])
            else:
                levels = b(Quantize, op.x, elem=element, name=f"{op.result.name}.levels")
            name = op.result.name
            made = b(Dequantize, levels)
            replace_uses(op.result, made)
            graph.erase(op)
            graph.rename(made, name)
        eliminate(module)


def frozen_element(module: Module, op: FakeQuant) -> Elem:
    """The element type of the grid of a q.fake_quant."""
    scale = np.maximum(np.asarray(module.array(op.scale), np.float64), np.finfo(np.float32).tiny)
    exact = float(scale) if op.axis is None else as_exact(scale)
    rounding: Any = op.rounding
    storage = f"{'i' if op.signed else 'u'}{op.bits}"
    return Elem(storage, Affine(exact, axis=op.axis, rounding=rounding, narrow=op.narrow))


def store_levels(module: Module, op: FakeQuant, element: Elem) -> str:
    """The name of a new resource with the levels of a constant; it keeps the constant's facts."""
    assert op.x.resource is not None
    source = module.resource(op.x.resource)
    quant = element.quant
    assert quant is not None
    x = np.asarray(source.array, np.float64)
    scale = np.asarray(module.array(op.scale), np.float64)
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    if op.axis is not None:
        scale = along(scale, op.axis % x.ndim, x.ndim)
    levels = np.clip(round_by(x / scale, quant.rounding), *op.levels).astype(element.dtype)
    kind = TensorType(op.x.type.shape, element)
    return module.add(Resource(kind, levels, facts=source.facts), f"{op.x.resource}.levels")
