"""Normalisations."""

from __future__ import annotations

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.layout import broadcast
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.symbols import product
from ranvier.frontends.onnx.tensors import Tensor


@onnx_op("BatchNormalization", since=7)
def batch_norm(n: Node) -> Tensor:
    """With the statistics of the model (inference)."""
    n.ignore("momentum")
    if n.opset < 9 and n.integer("spatial", 1) != 1:
        raise Unsupported("has statistics for every pixel (spatial=0), which is not imported")
    if n.opset >= 14 and n.integer("training_mode", 0):
        raise Unsupported("is in training mode", "export the model in evaluation mode")
    x = n.input(0)
    params = [n.cast(n.input(i), n.elem(x)) for i in range(1, 5)]
    return n.emit("nn.batch_norm", x, *params, epsilon=n.real("epsilon", 1e-5))


@onnx_op("InstanceNormalization", since=6)
def instance_norm(n: Node) -> Tensor:
    """A group a channel."""
    x = n.input(0)
    return _groups(n, x, n.input(1), n.input(2), n.shape(x)[1])


@onnx_op("GroupNormalization", since=18)
def group_norm_18(n: Node) -> Tensor:
    """Scale and bias are one a group."""
    x = n.input(0)
    channels, groups = n.shape(x)[1], n.integer("num_groups")
    if not isinstance(channels, int) or groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels in {groups} groups")

    def spread(t: Tensor) -> Tensor:
        return n.reshape(broadcast(n, n.reshape(t, [groups, 1]), [groups, channels // groups]), [channels])

    return _groups(n, x, spread(n.input(1)), spread(n.input(2)), groups)


@onnx_op("GroupNormalization", since=21)
def group_norm_21(n: Node) -> Tensor:
    """Scale and bias are one a channel."""
    n.ignore("stash_type")
    return _groups(n, n.input(0), n.input(1), n.input(2), n.integer("num_groups"))


def _groups(n: Node, x: Tensor, scale: Tensor, bias: Tensor, groups: object) -> Tensor:
    if not isinstance(groups, int):
        raise Unsupported("normalises a number of channels that is not known")
    return n.emit("nn.group_norm", x, scale, bias, groups=groups, epsilon=n.real("epsilon", 1e-5))


@onnx_op("LayerNormalization", since=17)
def layer_norm(n: Node) -> list[Tensor]:
    """Over the axes from `axis` on, in at least float32 whatever `stash_type` says; statistics where they are used."""
    n.ignore("stash_type")
    x = n.input(0)
    axis = n.axis(n.integer("axis", -1), n.rank(x))
    epsilon = n.real("epsilon", 1e-5)
    y = n.emit("nn.layer_norm", x, n.input(1), n.optional(2), axis=axis - n.rank(x), epsilon=epsilon)
    if not any(n.proto.output[1:]):
        return [y]
    if n.elem(x).storage != "f32":
        raise Unsupported(f"gives statistics of {n.elem(x)}, which is not imported")
    axes = tuple(range(axis, n.rank(x)))
    mean = n.emit("nn.mean", x, axes=axes, keep=True)
    centred = n.emit("nn.sub", x, mean)
    variance = n.emit("nn.mean", n.emit("nn.mul", centred, centred), axes=axes, keep=True)
    spread = n.emit("nn.sqrt", n.emit("nn.add", variance, n.scalar(epsilon, x)))
    return [y, mean, n.emit("nn.reciprocal", spread)]


@onnx_op("LRN", since=1)
def local_response(n: Node) -> Tensor:
    """x / (bias + alpha * m) ** beta, where m is the mean square over a window of channels, zeros beyond the ends."""
    x, size = n.input(0), n.integer("size")
    shape = n.shape(x)
    alpha, beta, bias = n.real("alpha", 0.0001), n.real("beta", 0.75), n.real("bias", 1.0)
    squares = n.reshape(n.emit("nn.mul", x, x), [shape[0], 1, shape[1], product(shape[2:])])
    pads = ((size - 1) // 2, 0, size // 2, 0)
    means = n.emit("nn.avg_pool", squares, kernel=(size, 1), padding=pads, count_include_pad=True)
    scaled = n.emit("nn.mul", n.reshape(means, shape), n.scalar(alpha, x))
    return n.emit("nn.div", x, n.emit("nn.pow", n.emit("nn.add", scaled, n.scalar(bias, x)), n.scalar(beta, x)))
