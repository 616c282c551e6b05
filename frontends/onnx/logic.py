"""Comparisons, bits and choices."""

from __future__ import annotations

import numpy as np

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.tensors import Constant, Sizes, Tensor, settle, sizes_of

_RELATIONS = {"Equal": "eq", "Greater": "gt", "Less": "lt", "GreaterOrEqual": "ge", "LessOrEqual": "le"}


def _compare(n: Node) -> Tensor:
    return n.emit("nn.compare", n.input(0), n.input(1), how=_RELATIONS[n.proto.op_type])


@onnx_op("Equal", "Greater", "Less", since=7)
def compare_7(n: Node) -> Tensor:
    """A relation, element by element."""
    return _compare(n)


@onnx_op("GreaterOrEqual", "LessOrEqual", since=12)
def compare_12(n: Node) -> Tensor:
    """A relation, element by element."""
    return _compare(n)


@onnx_op("And", "Or", "Xor", since=7)
def connect(n: Node) -> Tensor:
    """Bits combined."""
    return n.emit("nn.logical", n.input(0), n.input(1), how=n.proto.op_type.lower())


@onnx_op("Not", since=1)
def negate(n: Node) -> Tensor:
    """The other bit."""
    return n.emit("nn.logical", n.input(0), how="not")


@onnx_op("Where", since=9)
def where(n: Node) -> Tensor:
    """One of two tensors, element by element."""
    condition, a, b = n.input(0), n.input(1), n.input(2)
    if isinstance(condition, Constant) and (isinstance(a, Sizes) or isinstance(b, Sizes)):
        if not isinstance(a, Constant | Sizes) or not isinstance(b, Constant | Sizes):
            raise Unsupported("chooses between data and sizes")
        return settle(np.where(condition.array, sizes_of(a), sizes_of(b)), n.elem(a))
    return n.emit("core.select", condition, a, b)


@onnx_op("IsNaN", since=9)
def is_nan(n: Node) -> Tensor:
    """What differs from itself."""
    x = n.input(0)
    return n.emit("nn.compare", x, x, how="ne")


@onnx_op("IsInf", since=10)
def is_inf(n: Node) -> Tensor:
    """Equal to infinity, of one sign or both."""
    x = n.input(0)
    signs = [s for s, name in ((1, "detect_positive"), (-1, "detect_negative")) if n.integer(name, 1)]
    if not signs:
        return n.emit(
            "nn.logical", n.emit("nn.compare", x, x, how="eq"), n.emit("nn.compare", x, x, how="ne"), how="and"
        )
    y = x if len(signs) == 1 else n.emit("nn.abs", x)
    return n.emit("nn.compare", y, n.scalar(signs[0] * np.inf, x), how="eq")


@onnx_op("Trilu", since=14)
def trilu(n: Node) -> Tensor:
    """A triangle of a matrix, zero elsewhere."""
    x = n.input(0)
    k = n.ints_at(1, "a diagonal")[0] if n.optional(1) is not None else 0
    shape = n.shape(x)
    rows, columns = shape[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Unsupported("cuts a triangle out of a matrix whose size is not known")
    ones = np.ones((rows, columns), bool)
    mask = np.triu(ones, k) if n.integer("upper", 1) else np.tril(ones, k)
    return n.emit("core.select", Constant.of(mask, hint="triangle"), x, n.scalar(0, x))
