"""Random networks of real-valued ops with dead code, repeated code, constants to fold and forms to bring down."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ranvier.ir.core import Builder, Module, Value
from ranvier.ir.ops import arith, nn, reduce, shape
from ranvier.ir.types import tensor

CHANNELS, SIZE = 4, 5
BLOCKS = (
    "conv", "norm", "relu", "maximum", "minimum", "clip", "select", "leaky", "prelu", "silu", "scale", "shift",
    "neutral", "reshape", "transpose", "pad", "slice", "concat", "matmul", "pool", "skip", "computed", "neg", "mean",
)  # fmt: skip


class _Net:
    def __init__(self, draw: Any):
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        self.module = Module()
        graph = self.module.new_graph("main")
        self.make = Builder(graph)
        self.values: list[Value] = [graph.argument("x", tensor("N", CHANNELS, SIZE, SIZE))]

    def constant(self, *size: int) -> Value:
        return self.make.constant((self.rng.standard_normal(size) / 2).astype(np.float32), "w")

    def number(self, *choices: float) -> Value:
        return self.make.constant(np.float32(self.draw(st.sampled_from(choices))), "c")

    def block(self, kind: str, x: Value) -> Value:
        make, c = self.make, CHANNELS
        match kind:
            case "conv":
                bias = self.constant(c) if self.draw(st.booleans()) else None
                return make(nn.Conv, x, self.constant(c, c, 3, 3), bias, padding=(1, 1, 1, 1), strides=(1, 1))
            case "norm":
                positive = [make.constant(self.rng.uniform(0.5, 1.5, c).astype(np.float32), "p") for _ in "sv"]
                return make(nn.BatchNorm, x, positive[0], self.constant(c), self.constant(c), positive[1])
            case "relu" | "neg":
                return make({"relu": arith.Relu, "neg": arith.Neg}[kind], x)
            case "maximum" | "minimum":
                op = arith.Maximum if kind == "maximum" else arith.Minimum
                pair = [x, self.number(0.0, -0.5, 1.0)]
                return make(op, *(pair if self.draw(st.booleans()) else pair[::-1]))
            case "clip":
                low = self.draw(st.sampled_from([-1.0, 0.0, 0.5]))
                return make(arith.Clip, x, low=low, high=low + self.draw(st.sampled_from([0.5, 2.0, float("inf")])))
            case "select":
                how = self.draw(st.sampled_from(["gt", "ge", "lt", "le"]))
                other = self.number(0.0) if self.draw(st.booleans()) else make(arith.Mul, x, self.number(0.25))
                return make(shape.Select, make(arith.Compare, x, self.number(0.0), how=how), x, other)
            case "leaky":
                return make(arith.Maximum, x, make(arith.Mul, x, self.number(0.25, 0.5, 2.0)))
            case "prelu":
                return make(arith.Prelu, x, self.constant(c))
            case "silu":
                return make(arith.Mul, make(arith.Sigmoid, x), x)
            case "scale":
                return make(arith.Mul, x, self.number(1.0, 0.5))
            case "shift":
                return make(arith.Add, x, self.constant(c, 1, 1))
            case "neutral":
                return make(arith.Sub, x, self.number(0.0))
            case "reshape":
                flat = make(shape.Reshape, x, shape=("N", -1))
                return make(shape.Reshape, flat, shape=("N", c, SIZE, SIZE))
            case "transpose":
                there = make(shape.Transpose, x, perm=(0, 2, 3, 1))
                return make(shape.Transpose, there, perm=self.draw(st.sampled_from([(0, 3, 1, 2), (0, 3, 2, 1)])))
            case "pad":
                return make(shape.Pad, x, before=(0, 0, 1, 0), after=(0, 0, -1, 0))
            case "slice":
                doubled = make(shape.Concat, x, x, axis=1)
                return make(shape.Slice, doubled, axes=(1,), starts=(2,), stops=(6,))
            case "concat":
                return make(shape.Concat, x, axis=self.draw(st.integers(0, 3)))
            case "matmul":
                return make(arith.Add, make(nn.Matmul, x, self.constant(SIZE, SIZE)), self.constant(SIZE))
            case "pool":
                return make(nn.MaxPool, x, kernel=(3, 3), strides=(1, 1), padding=(1, 1, 1, 1), dilations=(1, 1))
            case "skip":
                return make(arith.Add, x, self.draw(st.sampled_from(self.values)))
            case "computed":
                folded = make(arith.Neg, make(arith.Mul, self.constant(c, 1, 1), self.number(2.0)))
                return make(arith.Add, x, folded)
            case _:
                pooled = make(reduce.Mean, x, axes=(-1, -2), keep=True)
                return make(arith.Sub, x, pooled)


@st.composite
def networks(draw: Any) -> tuple[Module, Any]:
    """A module of [N, 4, 5, 5] to logits and something else, and inputs for it."""
    net = _Net(draw)
    for kind in draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=10)):
        # mostly on from the last value, sometimes from an earlier one, which leaves dead code and shared values
        x = net.values[-1] if draw(st.integers(0, 3)) else draw(st.sampled_from(net.values))
        net.values.append(net.block(kind, x))
    last = net.values[-1]
    pooled = net.make(nn.AvgPool, last, kernel=(SIZE, SIZE))
    flat = net.make(shape.Reshape, pooled, shape=("N", CHANNELS))
    net.make.returns(net.make(nn.Linear, flat, net.constant(3, CHANNELS)), draw(st.sampled_from(net.values)))
    inputs = np.random.default_rng(1).standard_normal((3, CHANNELS, SIZE, SIZE)).astype(np.float32)
    return net.module.verify(), inputs
