"""Reductions over axes."""

from __future__ import annotations

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.tensors import Tensor
from ranvier.ir.elements import elem

_PLAIN = {
    "ReduceSum": "nn.sum",
    "ReduceMean": "nn.mean",
    "ReduceMax": "nn.max",
    "ReduceMin": "nn.min",
    "ReduceProd": "nn.prod",
}
_COMPOSED = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")


def _axes(n: Node) -> tuple[int, ...] | None:
    """The axes counted from the front: all of them when none is named, None when that means to reduce nothing."""
    rank = n.rank(n.input(0))
    since = 13 if n.proto.op_type == "ReduceSum" else 18
    if n.opset < since:
        given = list(n.ints("axes") or ())
        keep_all = False
    else:
        given = n.ints_at(1, "axes") if n.optional(1) is not None else []
        keep_all = n.integer("noop_with_empty_axes", 0) == 1
    if not given:
        return None if keep_all else tuple(range(rank))
    return tuple(sorted({n.axis(a, rank) for a in given})) if rank else ()


@onnx_op(*_PLAIN, since=1)
def plain(n: Node) -> Tensor:
    """One reduction; extrema of bits are taken as numbers."""
    x, axes, keep = n.input(0), _axes(n), n.integer("keepdims", 1) == 1
    if axes is None:
        return x
    kind = n.elem(x)
    if kind.storage == "i1":
        return n.cast(_reduce(n, _PLAIN[n.proto.op_type], n.cast(x, elem("u8")), axes, keep), kind)
    return _reduce(n, _PLAIN[n.proto.op_type], x, axes, keep)


def _reduce(n: Node, op: str, x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return n.emit(op, x, axes=axes, keep=keep) if axes else x


@onnx_op(*_COMPOSED, since=1)
def composed(n: Node) -> Tensor:
    """A sum of something, or something of a sum."""
    x, axes, keep, op = n.input(0), _axes(n), n.integer("keepdims", 1) == 1, n.proto.op_type
    if axes is None:
        raise Unsupported("reduces no axis, which is not imported")
    if op == "ReduceL1":
        return _reduce(n, "nn.sum", n.emit("nn.abs", x), axes, keep)
    if op == "ReduceLogSum":
        return n.emit("nn.log", _reduce(n, "nn.sum", x, axes, keep))
    if op == "ReduceLogSumExp":
        return _log_sum_exp(n, x, axes, keep)
    total = _reduce(n, "nn.sum", n.emit("nn.mul", x, x), axes, keep)
    return total if op == "ReduceSumSquare" else n.emit("nn.sqrt", total)


def _log_sum_exp(n: Node, x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """With the largest element taken out, so that the exponential does not overflow."""
    top = _reduce(n, "nn.max", x, axes, True)
    rest = n.emit("nn.log", _reduce(n, "nn.sum", n.emit("nn.exp", n.emit("nn.sub", x, top)), axes, True))
    out = n.emit("nn.add", rest, top)
    return out if keep else n.reshape(out, [d for i, d in enumerate(n.shape(x)) if i not in axes])


@onnx_op("ArgMax", "ArgMin", since=1)
def arg(n: Node) -> Tensor:
    """The index of an extremum, the first of equals or the last."""
    x = n.input(0)
    axis, keep = n.axis(n.integer("axis", 0), n.rank(x)), n.integer("keepdims", 1) == 1
    op = f"nn.{n.proto.op_type.lower()}"
    if n.opset < 12 or not n.integer("select_last_index", 0):
        return n.emit(op, x, axis=axis, keep=keep)
    size = n.shape(x)[axis]
    if not isinstance(size, int):
        raise Unsupported("looks for the last of equals on an axis of unknown size")
    turned = n.emit("core.slice", x, axes=(axis,), starts=(-1,), stops=(-(2**31) + 1,), steps=(-1,))
    found = n.emit(op, turned, axis=axis, keep=keep)
    return n.emit("nn.sub", n.scalar(size - 1, found), found)
