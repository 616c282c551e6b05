"""Which ops carry currents: linear in what varies; and which lie hidden between layers and do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.ir.core import Op, Value
from ranvier.ir.ops.activations import Clip, Prelu
from ranvier.ir.ops.arith import Add, Div, Mul, Neg, Sub
from ranvier.ir.ops.nn import Conv, ConvTranspose, Linear, Matmul
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.ops.pool import AvgPool, MaxPool
from ranvier.ir.ops.reduce import Cumsum, Mean, Sum
from ranvier.ir.ops.resize import Resize
from ranvier.ir.ops.shape import Broadcast, Cast, Concat, Gather, Pad, Reshape, Select, Slice, Transpose

if TYPE_CHECKING:
    from ranvier.passes.conversion.network import Layer

WEIGHTED = (Conv, ConvTranspose, Linear)
# linear in their first operand, the others being static
LINEAR_IN_FIRST = (AvgPool, Mean, Sum, Neg, Reshape, Transpose, Slice, Pad, Broadcast, Gather, Resize, Cumsum, Div)
# linear in all their operands together
LINEAR_IN_ALL = (Add, Sub, Concat)
# linear in each operand while the others are static
BILINEAR = (Mul, Matmul)


def is_linear(op: Op, varying: list[bool]) -> bool:
    """Whether an op is linear (or affine) in those of its operands that vary, the others being fixed."""
    if isinstance(op, LINEAR_IN_ALL):
        return True
    if isinstance(op, (*WEIGHTED, *LINEAR_IN_FIRST)):
        return not any(varying[1:])
    if isinstance(op, Cast):
        return all(v.type.elem.is_float for v in (*op.arguments, op.result))
    if isinstance(op, Select):
        return not varying[0]
    return isinstance(op, BILINEAR) and sum(varying) == 1


def why(op: Op) -> str:
    """Why an op has no spiking form."""
    if isinstance(op, Clip):
        return "an integrate-and-fire neuron clips from 0, or symmetrically"
    if isinstance(op, Prelu):
        return "its slopes must be positive constants"
    if isinstance(op, Div):
        return "a quotient of two spiking values is no sum of currents"
    if isinstance(op, BILINEAR):
        return "a product of two spiking values is no sum of currents"
    return "no integrate-and-fire neuron has this shape"


def hidden(ops: list[Op], layers: dict[Op, Layer]) -> set[Op]:
    """Ops that are no sum of currents and lie between layers: behind weights, and before weights or a neuron.

    What lies before the first weights prepares inputs, what lies behind the last is applied after the readout.
    """
    behind: set[Value] = set()
    found: list[Op] = []
    for op in ops:
        reached = [v in behind for v in op.operands if v is not None]
        if any(reached) or isinstance(op, (*WEIGHTED, Matmul)):
            behind.update(op.results)
        affine = isinstance(op, BatchNorm) and not any(reached[1:])
        pooled = isinstance(op, MaxPool)
        if any(reached) and not (op in layers or pooled or affine or is_linear(op, reached)):
            found.append(op)
    before: set[Op] = set()
    for op in reversed(ops):
        if any(u in before or u in layers or isinstance(u, (*WEIGHTED, Matmul)) for r in op.results for u in r.users):
            before.add(op)
    return before.intersection(found)
