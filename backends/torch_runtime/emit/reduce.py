"""`nn` reductions. Sums of reals are taken in float32, in torch's own order; integers in int64."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.dtypes import literal
from ranvier.backends.torch_runtime.emit.arith import poor, whole_numbers
from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.ir.core import Op


def axes_of(op: Op) -> tuple[int, ...]:
    """The axes counted from the front; all if none is named."""
    rank = op.arguments[0].type.rank
    return tuple(sorted(a % rank for a in op.attributes["axes"])) or tuple(range(rank))


@pure("nn.sum", "nn.mean", "nn.max", "nn.min")
def reduction(op: Op, w: Any, x: str) -> str | None:
    """Sums, means and extrema over axes."""
    axes = axes_of(op)
    if poor(op):
        return None
    if not axes:
        return f"{x} * 1"
    name = {"nn.sum": "sum", "nn.mean": "mean", "nn.max": "amax", "nn.min": "amin"}[op.name]
    text = f"{x}.{name}({axes}, keepdim={op.attributes['keep']})"
    return w.cast(text, op.result) if whole_numbers(op) else text


@pure("nn.prod")
def prod(op: Op, w: Any, x: str) -> str | None:
    """Products, one axis after the other."""
    if poor(op):
        return None
    text = x + "".join(f".prod({a}, keepdim={op.attributes['keep']})" for a in reversed(axes_of(op)))
    return w.cast(text, op.result) if whole_numbers(op) else f"{text} * 1"


@pure("nn.argmax", "nn.argmin")
def arg_reduction(op: Op, w: Any, x: str) -> str | None:
    """The index of the first largest or smallest."""
    if poor(op):
        return None
    return f"K.{op.name[3:]}({x}, {op.attributes['axis']}, {op.attributes['keep']})"


@pure("nn.softmax", "nn.log_softmax")
def softmax(op: Op, w: Any, x: str) -> str:
    """Softmax and its logarithm."""
    return f"torch.{op.name[3:]}({x}, {op.attributes['axis']})"


@pure("nn.cumsum")
def cumsum(op: Op, w: Any, x: str) -> str | None:
    """Running sums."""
    if poor(op):
        return None
    return f"torch.cumsum({x}, {op.attributes['axis']}, dtype={literal(op.result.type.elem)})"
