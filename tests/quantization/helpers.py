"""Random small networks with residual adds and pools, quantized and lowered; arithmetic in exact rationals."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Builder, Module, Op, Value
from ranvier.ir.ops import arith, nn, reduce, shape
from ranvier.ir.ops.activations import Relu
from ranvier.ir.types import tensor

Array = np.ndarray[Any, Any]
RUNTIME = TorchRuntime()
SIZE = 6


def output(module: Module, *inputs: Array) -> Array:
    """The first output, by PyTorch."""
    return np.asarray(RUNTIME.run(module, inputs).outputs[0])


@st.composite
def networks(draw: Any) -> tuple[Module, Array]:
    """Convolutions with strides, groups and padding, residual adds, pools, a linear layer; and inputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    module = Module("random")
    graph = module.new_graph("main")
    b = Builder(graph)
    x: Value = graph.argument("x", tensor("N", 3, SIZE, SIZE))
    channels = 3

    def weight(*size: int) -> Value:
        made = rng.standard_normal(size) * 2.0 ** rng.integers(-3, 3, (size[0], *[1] * (len(size) - 1)))
        if draw(st.integers(0, 5)) == 0:
            made[0] = 0  # a pruned channel
        return b.constant(made.astype(np.float32), "w")

    def conv(x: Value, out: int, groups: int = 1) -> Value:
        bias = b.constant(rng.standard_normal(out).astype(np.float32), "b") if draw(st.booleans()) else None
        each = x.type.shape[1] // groups
        return b(nn.Conv, x, weight(out, each, 3, 3), bias, padding=(1, 1, 1, 1), groups=groups)

    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["plain", "residual", "grouped", "max", "average", "shifted"]))
        x = b(Relu, conv(x, 4)) if kind != "shifted" else conv(x, 4)
        channels = 4
        if kind == "residual":
            skip = x if draw(st.booleans()) else conv(x, channels)
            x = b(Relu, b(arith.Add, conv(x, channels), skip))
        elif kind == "grouped":
            x = b(Relu, conv(x, channels, groups=2))
        elif kind == "max":
            x = b(nn.MaxPool, x, kernel=(3, 3), padding=(1, 1, 1, 1))
        elif kind == "average":
            x = b(nn.AvgPool, x, kernel=(3, 3), padding=(1, 1, 1, 1), count_include_pad=True)
    x = b(reduce.Mean, x, axes=(2, 3)) if draw(st.booleans()) else b(shape.Reshape, x, shape=("N", -1))
    x = b(nn.Linear, x, weight(5, int(x.type.shape[1])), b.constant(rng.standard_normal(5).astype(np.float32), "b"))
    b.returns(x)
    images = rng.standard_normal((4, 3, SIZE, SIZE)).astype(np.float32)
    return module.verify().freeze(), images if draw(st.booleans()) else np.abs(images)


def quantized(module: Module, data: Array, options: str = "", rest: str = "freeze-quant, lower-integer") -> Module:
    """The module with quantization, and what follows it."""
    return rv.opt(module, f"quantize{{{options}}}" + (f", {rest}" if rest else ""), data=data)


# -- rationals ---------------------------------------------------------------------------------------------------------
def half_up(x: Fraction) -> int:
    """Rounded to the nearest integer, halves upwards."""
    return math.floor(x + Fraction(1, 2))


def rescaled(op: Op, arrays: list[Array], *, exact_factors: bool = False) -> Array:
    """q.requantize and q.add in rationals: with the op's own factors m / 2^t, or with those of the types exactly."""
    made: Any = op
    quant = made.elem.quant
    low, high = made.elem.levels
    out = np.empty(np.broadcast_shapes(*(a.shape for a in arrays)), np.int64)
    r = made.requantizer
    factors = []
    for i, (value, m) in enumerate(zip(op.arguments, r.m, strict=True)):
        if exact_factors:
            scales = value.type.elem.quant.scale
            several = isinstance(scales, tuple)
            each = [Fraction(s) / Fraction(quant.scale) for s in (scales if several else (scales,))]
            axis = value.type.elem.quant.axis % value.type.rank if several else 0
            table = np.empty(len(each), object)
            table[:] = each
            grid = table.reshape([-1 if several and k == axis else 1 for k in range(out.ndim)])
        else:
            grid = np.vectorize(lambda m, t: Fraction(int(m), 1 << int(t)), otypes=[object])(m, r.t)
        factors.append(np.broadcast_to(grid, out.shape))
        arrays[i] = np.broadcast_to(arrays[i], out.shape)
    for at in itertools.product(*map(range, out.shape)):
        total = sum((Fraction(int(a[at])) * f[at] for a, f in zip(arrays, factors, strict=True)), Fraction(0))
        out[at] = min(max(half_up(total) + int(quant.zero), low), high)
    return out
