"""Which axes of an op's operands its result keeps: for sizes that a type can only give as `?`."""

from __future__ import annotations

from collections.abc import Callable

from ranvier.ir.core import Op, Value
from ranvier.ir.ops.arith import Compare, Logical
from ranvier.ir.ops.elementwise import Binary, Unary
from ranvier.ir.ops.nn import BatchNorm, Conv, ConvTranspose, GroupNorm, LayerNorm, Linear, Matmul
from ranvier.ir.ops.pool import Pool
from ranvier.ir.ops.reduce import Cumsum, LogSoftmax, Softmax
from ranvier.ir.ops.shape import Cast, Concat, Select, Slice, Transpose

ALIGNED = (
    Binary,
    Unary,
    Compare,
    Logical,
    Cast,
    Select,
    Softmax,
    LogSoftmax,
    Cumsum,
    BatchNorm,
    GroupNorm,
    LayerNorm,
)
Kept = Callable[[int, Value], "int | None"]


def axes_kept(op: Op) -> Kept | None:
    """A function from an axis of the result and an operand to that operand's axis of the same size, or None."""
    rank, first = op.result.type.rank, op.operands[0]

    def aligned(i: int, v: Value) -> int | None:
        at = i - rank + v.type.rank
        return at if at >= 0 and v.type.shape[at] != 1 else None

    if isinstance(op, ALIGNED):
        return aligned
    if isinstance(op, Linear | Matmul):
        return lambda i, v: i if v is first and i < rank - 1 and v.type.rank == rank else None
    if isinstance(op, Conv | ConvTranspose | Pool):
        return lambda i, v: 0 if v is first and i == 0 else None
    if isinstance(op, Transpose):
        perm = op.perm
        return lambda i, v: perm[i]
    if isinstance(op, Slice):
        cut = {a % rank for a in op.axes}
        return lambda i, v: None if i in cut else i
    if isinstance(op, Concat):
        joined = op.axis % rank
        return lambda i, v: None if i == joined else i
    return None
