"""Small networks built op by op, with random or dyadic weights: what tests of passes and backends convert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module, Op, Value
from ranvier.ir.locations import FileLoc
from ranvier.ir.ops.activations import Relu
from ranvier.ir.ops.arith import Add
from ranvier.ir.ops.nn import Conv, ConvTranspose, Linear
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.ops.pool import AvgPool, MaxPool
from ranvier.ir.ops.reduce import Mean
from ranvier.ir.ops.shape import Reshape
from ranvier.ir.types import tensor

Array = np.ndarray[Any, Any]


class Net:
    """A graph under construction: `net.conv(x, 8)` adds a layer with weights of its own and gives its result.

    With `dyadic`, weights and biases are small multiples of 1/4, so that sums are exact in float32.
    """

    def __init__(self, *inputs: Sequence[int], seed: int = 0, dyadic: bool = False):
        self.module = Module("net")
        self.b = Builder(self.module.new_graph("main"))
        self.rng, self.dyadic = np.random.default_rng(seed), dyadic
        self.line = 0
        self.inputs = [self.b.graph.argument(f"x{i}" if i else "x", tensor("N", *s)) for i, s in enumerate(inputs)]

    def __call__(self, op: type[Op], *operands: Value | None, **attributes: Any) -> Any:
        """Any op; the place of the n-th op is line n of `net.py`."""
        self.line += 1
        return self.b(op, *operands, location=FileLoc("net.py", self.line), **attributes)

    def weight(self, *shape: int, fan: int = 1, name: str = "w") -> Value:
        """A random constant; its spread keeps activations of about the same size from layer to layer."""
        if self.dyadic:
            array = self.rng.integers(-3, 4, shape) / 4
        else:
            array = self.rng.standard_normal(shape) * np.sqrt(2 / fan)
        return self.constant(array, name)

    def constant(self, array: Any, name: str = "c") -> Value:
        """A constant in float32."""
        return self.b.constant(np.asarray(array, np.float32), name)

    def bias(self, channels: int) -> Value:
        """A small random bias."""
        array = self.rng.integers(-2, 3, channels) / 4 if self.dyadic else self.rng.standard_normal(channels) * 0.1
        return self.constant(array, "b")

    def conv(self, x: Value, channels: int, kernel: int = 3, stride: int = 1, *, bias: bool = True) -> Value:
        """A convolution with `same` padding."""
        size = int(x.type.shape[1])
        weight = self.weight(channels, size, kernel, kernel, fan=size * kernel**2)
        padding = (kernel // 2,) * 4
        given = self.bias(channels) if bias else None
        out: Value = self(Conv, x, weight, given, strides=(stride, stride), padding=padding)
        return out

    def up(self, x: Value, channels: int) -> Value:
        """A transposed convolution that doubles the image."""
        size = int(x.type.shape[1])
        weight = self.weight(size, channels, 2, 2, fan=size)
        out: Value = self(ConvTranspose, x, weight, self.bias(channels), strides=(2, 2))
        return out

    def linear(self, x: Value, features: int, *, bias: bool = True) -> Value:
        """A linear layer on the last axis."""
        size = int(x.type.shape[-1])
        out: Value = self(Linear, x, self.weight(features, size, fan=size), self.bias(features) if bias else None)
        return out

    def batch_norm(self, x: Value) -> Value:
        """Batch normalization with statistics that do something."""
        size = int(x.type.shape[1])
        ranges = ((0.5, 1.5), (-0.3, 0.3), (-0.3, 0.3), (0.5, 1.5))
        scale, shift, mean, var = (self.constant(self.rng.uniform(*r, size)) for r in ranges)
        out: Value = self(BatchNorm, x, scale, shift, mean, var)
        return out

    def relu(self, x: Value) -> Value:
        """max(x, 0)."""
        out: Value = self(Relu, x)
        return out

    def max_pool(self, x: Value) -> Value:
        """Over 2x2 windows."""
        out: Value = self(MaxPool, x, kernel=(2, 2), strides=(2, 2))
        return out

    def avg_pool(self, x: Value) -> Value:
        """Over 2x2 windows."""
        out: Value = self(AvgPool, x, kernel=(2, 2), strides=(2, 2))
        return out

    def head(self, x: Value, classes: int = 5) -> Value:
        """Mean over the image and a linear layer, or a linear layer alone."""
        if x.type.rank > 2:
            x = self(Mean, x, axes=tuple(range(2, x.type.rank)))
        return self.linear(x, classes)

    def flatten(self, x: Value) -> Value:
        """One row a sample."""
        out: Value = self(Reshape, x, shape=("N", -1))
        return out

    def done(self, *outputs: Value) -> Module:
        """The verified, frozen module."""
        self.b.returns(*outputs)
        return self.module.verify().freeze()


def around(activation: Callable[[Net, Value], Value], *, seed: int = 0, channels: int = 6) -> Module:
    """conv, `activation`, conv, ReLU, mean, linear on images of 3x6x6."""
    net = Net((3, 6, 6), seed=seed)
    x = activation(net, net.conv(net.inputs[0], channels))
    return net.done(net.head(net.relu(net.conv(x, 8))))


def residual(*, seed: int = 0, dyadic: bool = False, classes: int = 5) -> Module:
    """Stem, a residual block, a strided convolution, average pool, linear: five ReLUs on images of 2x8x8."""
    net = Net((2, 8, 8), seed=seed, dyadic=dyadic)
    x = net.relu(net.conv(net.inputs[0], 4))
    y = net.conv(net.relu(net.conv(x, 4)), 4)
    x = net.relu(net(Add, y, x))
    x = net.relu(net.conv(net.avg_pool(x), 6))
    x = net.relu(net.linear(net.flatten(x), 8))
    return net.done(net.linear(x, classes))


def images(samples: int, *shape: int, seed: int = 1, dyadic: bool = False) -> Array:
    """Random inputs, dyadic if asked."""
    rng = np.random.default_rng(seed)
    made = rng.integers(-4, 5, (samples, *shape)) / 4 if dyadic else rng.standard_normal((samples, *shape))
    return made.astype(np.float32)
