"""Matrix products."""

from __future__ import annotations

from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.tensors import Constant, Tensor
from ranvier.ir.core import Value


def transposed(n: Node, t: Tensor) -> Tensor:
    """A matrix turned; the turned copy of a constant is made once, however many nodes use it."""
    if not isinstance(t, Constant):
        return n.emit("core.transpose", t, perm=(1, 0))
    if t.transposed is None:
        made = n.emit("core.transpose", t, perm=(1, 0))
        if not isinstance(made, Constant):
            return made
        made.hint = f"{t.hint}.T"
        t.transposed, made.transposed = made, t
    return t.transposed


@onnx_op("MatMul", since=1)
def matmul(n: Node) -> Tensor:
    """A product with a constant matrix is a linear layer."""
    a, b = n.input(0), n.input(1)
    if isinstance(a, Value) and isinstance(b, Constant) and len(b.shape) == 2:
        return n.emit("nn.linear", a, transposed(n, b))
    return n.emit("nn.matmul", a, b)


@onnx_op("Gemm", since=7)
def gemm(n: Node) -> Tensor:
    """alpha * A B + beta * C: a linear layer where C is a vector, else a linear layer and a sum."""
    a, b, c = n.input(0), n.input(1), n.optional(2)
    alpha, beta = n.real("alpha", 1.0), n.real("beta", 1.0)
    if n.rank(a) != 2 or n.rank(b) != 2:
        raise ValueError(f"it takes matrices, not tensors of {n.rank(a)} and {n.rank(b)} axes")
    if n.integer("transA", 0):
        a = transposed(n, a)
    weight = b if n.integer("transB", 0) else transposed(n, b)
    if alpha != 1:
        weight = n.emit("nn.mul", weight, n.scalar(alpha, weight))
    if c is None or beta == 0:
        return n.emit("nn.linear", a, weight)
    if beta != 1:
        c = n.emit("nn.mul", c, n.scalar(beta, c))
    rows, shape = n.shape(weight)[0], n.shape(c)
    if shape in ((rows,), (1, rows)):
        return n.emit("nn.linear", a, weight, n.reshape(c, [rows]))
    return n.emit("nn.add", n.emit("nn.linear", a, weight), c)
