"""Between which integers levels lie: from what quantization clips to, and the weights themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.diagnostics import RanvierError, register_code
from ranvier.ir.elements import elem
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.integer import QConv, QLinear, QMatmul
from ranvier.ir.ops.nn import MaxPool
from ranvier.ir.ops.requantize import QSum, QSumPool
from ranvier.ir.ops.shape import Pad, Reshape, Slice, Transpose
from ranvier.ir.types import SpikesType

Interval = tuple[int, int]

register_code(
    "integer-overflow", "A sum of levels can leave its storage for some input. Wider sums (accumulator=i64) hold it."
)


@dataclass(frozen=True)
class VerifyInteger(Pass):
    """Check that no sum of levels can leave its storage, by interval arithmetic over the weights as they are.

    The module stays as it is; the bounds are put down in a table. Raises RanvierError (integer-overflow) naming every
    op that can.
    """

    word = "verify-integer"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        found, rows = [], []
        for graph in module.graphs.values():
            for value, (low, high) in intervals(module, graph).items():
                op = value.op
                if not isinstance(op, QConv | QLinear | QMatmul):
                    continue
                bits = max(_bits(low), _bits(high))
                rows.append({"sums": repr(value), "least": low, "most": high, "bits": bits, "storage": op.accumulator})
                least, most = elem(op.accumulator).range
                if low < least or high > most:
                    message = f"gives sums from {low} to {high}, which {op.accumulator} does not hold"
                    found.append(op.fail("integer-overflow", message, "accumulator=i64"))
        if found:
            raise RanvierError([d for e in found for d in e.diagnostics])
        context.tables["sums"] = rows
        if not rows:
            context.note("there are no sums of levels")


def _bits(x: int) -> int:
    """Bits of two's complement that hold a number."""
    return (x if x >= 0 else -x - 1).bit_length() + 1


def intervals(module: Module, graph: Graph) -> dict[Value, Interval]:
    """The least and the largest integer that each value of levels or spikes can take, for any input."""
    known: dict[Value, Interval] = {}
    for op in graph.ops:
        for result in op.results:
            if result.type.elem.is_float:
                continue
            known[result] = _result(module, op, known) if len(op.results) == 1 else _of_type(result)
    return known


def _of_type(value: Value) -> Interval:
    if isinstance(value.type, SpikesType):
        return tuple(value.type.code.alphabet())  # type: ignore[return-value]
    return value.type.elem.levels


def _operand(module: Module, value: Value, known: dict[Value, Interval]) -> Interval:
    if not value.is_constant:
        return known.get(value, _of_type(value))
    resource = module.resource(str(value.resource))
    if not resource.available or not resource.size:
        return _of_type(value)
    return int(resource.array.min()), int(resource.array.max())


def _result(module: Module, op: Op, known: dict[Value, Interval]) -> Interval:
    kind = _of_type(op.result)
    if isinstance(op, QConv | QLinear):
        return _product(module, op, known)
    if isinstance(op, QMatmul):
        return _matmul(op, _operand(module, op.a, known), _operand(module, op.b, known))
    if isinstance(op, QSum | QSumPool):
        x = op.arguments[0]
        low, high = _operand(module, x, known)
        axes = [x.type.shape[a] for a in op.axes_in(x.type.rank)] if isinstance(op, QSum) else list(op.kernel)
        count = math.prod(d for d in axes if isinstance(d, int))
        if isinstance(op, QSumPool):  # windows may hang over the edge
            low, high = min(low, 0), max(high, 0)
        return count * low, count * high
    if isinstance(op, Reshape | Transpose | Slice | MaxPool):
        return _operand(module, op.arguments[0], known)
    if isinstance(op, Pad) and op.value == 0 and op.mode == "constant":
        low, high = _operand(module, op.x, known)
        return min(low, 0), max(high, 0)
    return kind


def _product(module: Module, op: Any, known: dict[Value, Interval]) -> Interval:
    low, high = _operand(module, op.x, known)
    if isinstance(op, QConv):  # padding
        low, high = min(low, 0), max(high, 0)
    if not op.weight.is_constant or not module.resource(str(op.weight.resource)).available:
        taps = math.prod(d for d in op.weight.type.shape[1:] if isinstance(d, int))
        least, most = _operand(module, op.weight, known)
        corners = [taps * a * b for a in (low, high) for b in (least, most)]
        return min(corners), max(corners)
    w = np.asarray(module.array(op.weight), np.int64).reshape(op.weight.type.shape[0], -1)
    positive, negative = np.maximum(w, 0).sum(1), np.minimum(w, 0).sum(1)
    bias = 0 if op.bias is None else np.asarray(_bias(module, op.bias))
    least_, most_ = positive * low + negative * high + bias, positive * high + negative * low + bias
    return int(least_.min()), int(most_.max())


def _bias(module: Module, bias: Value) -> Any:
    if bias.is_constant and module.resource(str(bias.resource)).available:
        return module.array(bias).astype(np.int64)
    return np.zeros(1, np.int64)


def _matmul(op: QMatmul, a: Interval, b: Interval) -> Interval:
    taps = op.a.type.shape[-1]
    corners = [(taps if isinstance(taps, int) else 1) * x * y for x in a for y in b]
    return min(corners), max(corners)
