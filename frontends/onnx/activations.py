"""Activation functions."""

from __future__ import annotations

from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.symbols import Size, product
from ranvier.frontends.onnx.tensors import Tensor


@onnx_op("Relu", since=6)
def relu(n: Node) -> Tensor:
    """max(x, 0)."""
    return n.emit("nn.relu", n.input(0))


@onnx_op("LeakyRelu", since=6)
def leaky_relu(n: Node) -> Tensor:
    """alpha * x below zero."""
    return n.emit("nn.leaky_relu", n.input(0), slope=n.real("alpha", 0.01))


@onnx_op("PRelu", since=7)
def prelu(n: Node) -> Tensor:
    """A slope that broadcasts to x as numpy does; one slope a channel goes over as a vector."""
    x, slope = n.input(0), n.input(1)
    rank, shape = n.rank(x), n.shape(slope)
    if rank > 2 and len(shape) == rank - 1 and all(d == 1 for d in shape[1:]):
        slope = n.reshape(slope, [shape[0]])
    elif rank > 2 and len(shape) == 1:
        slope = n.reshape(slope, [1] * (rank - 1) + list(shape))
    return n.emit("nn.prelu", x, slope)


@onnx_op("Elu", since=6)
def elu(n: Node) -> Tensor:
    """alpha * (exp(x) - 1) below zero."""
    return n.emit("nn.elu", n.input(0), alpha=n.real("alpha", 1.0))


@onnx_op("Selu", since=6)
def selu(n: Node) -> Tensor:
    """A scaled elu."""
    alpha, gamma = n.real("alpha", 1.6732632), n.real("gamma", 1.050701)
    return n.emit("nn.selu", n.input(0), alpha=alpha, gamma=gamma)


@onnx_op("Celu", since=12)
def celu(n: Node) -> Tensor:
    """An elu that is smooth for every alpha."""
    return n.emit("nn.celu", n.input(0), alpha=n.real("alpha", 1.0))


@onnx_op("Gelu", since=20)
def gelu(n: Node) -> Tensor:
    """x times the normal distribution, by erf or tanh."""
    return n.emit("nn.gelu", n.input(0), approximate=n.text("approximate", "none"))


@onnx_op("HardSigmoid", since=6)
def hard_sigmoid(n: Node) -> Tensor:
    """A line between 0 and 1."""
    return n.emit("nn.hard_sigmoid", n.input(0), alpha=n.real("alpha", 0.2), beta=n.real("beta", 0.5))


@onnx_op("HardSwish", since=14)
def hard_swish(n: Node) -> Tensor:
    """x times a line between 0 and 1."""
    return n.emit("nn.hard_swish", n.input(0))


@onnx_op("Swish", since=24)
def swish(n: Node) -> Tensor:
    """x * sigmoid(alpha * x)."""
    x, alpha = n.input(0), n.real("alpha", 1.0)
    if alpha == 1:
        return n.emit("nn.silu", x)
    return n.emit("nn.mul", x, n.emit("nn.sigmoid", n.emit("nn.mul", x, n.scalar(alpha, x))))


@onnx_op("Mish", since=18)
def mish(n: Node) -> Tensor:
    """x * tanh(softplus(x))."""
    return n.emit("nn.mish", n.input(0))


@onnx_op("Softplus", "Softsign", since=1)
def soft(n: Node) -> Tensor:
    """log(1 + exp(x)), or x / (1 + |x|)."""
    return n.emit(f"nn.{n.proto.op_type.lower()}", n.input(0))


@onnx_op("Softmax", "LogSoftmax", since=1)
def softmax_1(n: Node) -> Tensor:
    """Over all axes from `axis` on, taken as one."""
    x = n.input(0)
    shape = n.shape(x)
    axis = n.axis(n.integer("axis", 1), n.rank(x))
    if all(d == 1 for d in shape[axis + 1 :]):
        return n.emit(_softmax(n), x, axis=axis)
    flat: list[Size] = [product(shape[:axis]), product(shape[axis:])]
    return n.reshape(n.emit(_softmax(n), n.reshape(x, flat), axis=-1), shape)


@onnx_op("Softmax", "LogSoftmax", since=13)
def softmax_13(n: Node) -> Tensor:
    """Over one axis."""
    return n.emit(_softmax(n), n.input(0), axis=n.integer("axis", -1))


def _softmax(n: Node) -> str:
    return "nn.softmax" if n.proto.op_type == "Softmax" else "nn.log_softmax"
