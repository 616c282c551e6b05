"""Which values of a graph are quantized: weights, and the activations that linear ops and means read."""

from __future__ import annotations

from ranvier.ir.core import Graph, Op, Value
from ranvier.ir.ops.fake_quant import FakeQuant
from ranvier.ir.ops.integer import Product
from ranvier.ir.ops.nn import AvgPool, Conv, ConvTranspose, Linear, Matmul, MaxPool
from ranvier.ir.ops.q import Dequantize
from ranvier.ir.ops.reduce import Mean, Sum
from ranvier.ir.ops.shape import Pad, Reshape, Slice, Transpose
from ranvier.ir.ops.time import Repeat
from ranvier.ir.types import TensorType

WEIGHTED = (Conv, ConvTranspose, Linear)
LINEAR = (*WEIGHTED, Matmul)
MEANS = (AvgPool, Mean, Sum)
MOVES = (Reshape, Transpose, Slice, Pad, MaxPool)
"""Ops that move elements or choose among them: quantization may as well come before them."""


def source(value: Value) -> Value:
    """The value whose elements these are, behind ops that only move elements or repeat them over time."""
    while value.op is not None and isinstance(value.op, (*MOVES, Repeat)) and not _pads(value.op):
        value = value.op.arguments[0]
    return value


def _pads(op: Op) -> bool:
    return isinstance(op, Pad) and (op.mode != "constant" or op.value != 0)


def on_spikes(value: Value) -> bool:
    """Whether a value is computed step by step from spikes; the steps of an input are not."""
    return value.type.time is not None and value.op is not None


def is_quantized(value: Value) -> bool:
    """Whether a value lies on a grid already."""
    return isinstance(value.op, FakeQuant | Dequantize | Product)


def is_real(value: Value) -> bool:
    """Whether a value holds reals that may be quantized."""
    return isinstance(value.type, TensorType) and value.type.elem.is_float


def weight_of(op: Op) -> Value | None:
    """The constant weight of a linear op that is quantized with it; None where it has none."""
    if not isinstance(op, LINEAR):
        return None
    for index in (1, 0) if isinstance(op, Matmul) else (1,):
        value = op.operands[index]
        if value is not None and value.is_constant and value.type.time is None and is_real(value):
            return value
    return None


def reaches_linear(value: Value) -> bool:
    """Whether a linear op reads a value, or what ops that only move elements make of it."""
    return any(
        isinstance(user, LINEAR) or (isinstance(user, MOVES) and reaches_linear(user.result)) for user in value.users
    )


def is_stored(value: Value) -> bool:
    """Whether a matrix product reads a value, or what movers make of it, as its second operand: as a weight is."""
    return any(
        (isinstance(user, Matmul) and user.operands[1] is value)
        or (isinstance(user, (*MOVES, Repeat)) and is_stored(user.result))
        for user in value.users
    )


def activations(graph: Graph) -> list[Value]:
    """The values to be quantized, in order: what linear ops and means read, and is neither constant nor spikes."""
    found: dict[Value, None] = {}
    for op in graph.ops:
        if not isinstance(op, LINEAR) and not (isinstance(op, MEANS) and reaches_linear(op.result)):
            continue
        read = op.operands[:2] if isinstance(op, LINEAR) else op.operands[:1]
        for value in read:
            if value is None:
                continue
            origin = source(value)
            if not origin.is_constant and is_real(origin) and not on_spikes(origin) and not is_quantized(origin):
                found[origin] = None
    return list(found)
