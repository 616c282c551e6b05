"""What the passes of physics share: the ops on arrays, their cells, and how an op gets others."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.backends.crossbar.devices import write_limited
from ranvier.backends.crossbar.dynamic import leave_ideal
from ranvier.ir.core import Builder, Graph, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import collect
from ranvier.ir.elements import Elem, elem
from ranvier.ir.facts import Fact
from ranvier.ir.hardware.partials import is_integral
from ranvier.ir.interfaces import PassContext
from ranvier.ir.ops.q import Dequantize, Quantize
from ranvier.ir.ops.requantize import Requantize
from ranvier.ir.ops.xbar import DynamicMatmul, NoisyMvm, OnArrays, Stored, product_elem
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType

Array = np.ndarray[Any, Any]


def mapped(module: Module) -> list[tuple[Graph, Stored]]:
    """The ops whose matrix stays in arrays, with their graphs."""
    return [(graph, op) for graph in module.graphs.values() for op in graph.ops if isinstance(op, Stored)]


def on_arrays(module: Module) -> list[tuple[Graph, OnArrays]]:
    """All ops on arrays, with their graphs."""
    return [(graph, op) for graph in module.graphs.values() for op in graph.ops if isinstance(op, OnArrays)]


def written(module: Module) -> list[DynamicMatmul]:
    """The ops whose matrix is written in every sample."""
    return [op for _, op in on_arrays(module) if isinstance(op, DynamicMatmul)]


def note_ideal(module: Module, what: str, context: PassContext) -> None:
    """Say, in notes and on the ops, which products a physical effect does not reach."""
    for op in written(module):
        context.note(leave_ideal(op, what))


def check_writable(module: Module, device: Any) -> None:
    """Raise RanvierError naming every op that would write arrays for each inference on a device that cannot."""
    if device.writable:
        return
    collect(d for op in written(module) for d in write_limited(op, device).diagnostics)


def cells_of(module: Module, op: Stored) -> Array:
    """The cells of an op, [slices, arms, K, columns]: those that were set, or the ideal levels plus the pedestal."""
    assert op.weight is not None
    if op.cells is not None:
        return module.array(op.cells)
    return op.grid.cells(module.array(op.weight)) + op.pedestal


def changed(graph: Graph, op: OnArrays, facts: tuple[Fact, ...] = (), kind: type[Op] | None = None, **new: Any) -> Op:
    """Put an op in the place of another: other attributes or operands (by name), or another class of op.

    Where the result is no longer integers, its readers get real numbers: q.requantize becomes q.quantize, q.dequantize
    goes, and every other reader gets the real numbers rounded to the levels that it had.
    """
    kind = kind or type(op)
    values = {f.name: op.operands[i] for i, f in enumerate(op.operand_fields)}
    attributes = {k: v for k, v in op.attributes.items() if k in kind.attribute_fields}
    for name, value in new.items():
        (values if any(f.name == name for f in kind.operand_fields) else attributes)[name] = value
    attributes["elem"] = _elem(op, values, attributes, getattr(kind, "disturbed", False))
    operands = [values.get(f.name) for f in kind.operand_fields]
    name = op.result.name
    kept = tuple(f for f in op.facts if not any(isinstance(f, type(g)) for g in facts))
    made: Value = Builder(graph, op, op.location)(kind, *operands, **attributes)
    assert made.op is not None
    made.op.facts, made.op.place = (*kept, *facts), op.place
    made.facts = op.result.facts
    _read_as(graph, op.result, made)
    graph.erase(op)
    graph.rename(made, name)
    return made.op


def _elem(op: OnArrays, values: dict[str, Value | None], attributes: dict[str, Any], noisy: bool) -> Elem:
    """Levels as long as all is integral, as map-crossbar chose them, else f32."""
    integral = is_integral(attributes["adc"], attributes["pedestal"], values.get("cells"), noisy)
    if integral and not op.elem.is_float:
        return op.elem
    return elem("f32")


def _read_as(graph: Graph, old: Value, made: Value) -> None:
    if made.type == old.type:
        replace_uses(old, made)
        return
    assert isinstance(old.type, TensorType)
    rounded: Value | None = None
    for reader in old.users:
        build = Builder(graph, reader, reader.location)
        if isinstance(reader, Dequantize):
            replace_uses(reader.result, made)
            graph.erase(reader)
        elif isinstance(reader, Requantize) and len(reader.arguments) == 1:
            name = reader.result.name
            levels = build(Quantize, made, elem=reader.attributes["elem"])
            replace_uses(reader.result, levels)
            graph.erase(reader)
            graph.rename(levels, name)
        elif rounded is None:
            after = Builder(graph, made.op.next if made.op is not None else None, reader.location)
            rounded = after(Quantize, made, elem=old.type.elem)
    if rounded is not None:
        replace_uses(old, rounded)


def with_cells(graph: Graph, op: Stored, cells: Array, pedestal: float, *facts: Fact, **new: Any) -> Op:
    """The op with real cells; `new` as in `changed`."""
    assert graph.module is not None
    name = graph.module.add(Resource.of(np.ascontiguousarray(cells, np.float32)), f"{op.result.name}.cells")
    return changed(graph, op, facts, cells=graph.constant(name), pedestal=pedestal, **new)


__all__ = [
    "NoisyMvm",
    "cells_of",
    "changed",
    "check_writable",
    "mapped",
    "note_ideal",
    "on_arrays",
    "product_elem",
    "with_cells",
    "written",
]
