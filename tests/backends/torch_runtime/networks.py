"""Small spiking networks with dyadic numbers: their spikes are exact, whatever the order of execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.ir.codes import Rate
from ranvier.ir.core import Builder, Graph, Module, Value
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.ops import arith, core, neurons, nn, reduce, shape, snn
from ranvier.ir.ops import time as timing
from ranvier.ir.types import tensor

Array = np.ndarray[Any, Any]
PER_CHANNEL = (0.5, 1.0, 0.25, 2.0)


def dyadic(r: np.random.Generator, *size: int, parts: int = 16) -> Array:
    """Multiples of 1/parts between -1 and 1."""
    return (r.integers(-parts, parts, size, endpoint=True) / parts).astype(np.float32)


def residual(
    *,
    steps: int | str = 6,
    scale: Any = 1.0,
    schedule: Any = "stepwise",
    signed: bool = False,
    encoder: str = "",
    v0: float = 0.0,
    split_bias: str = "",
    **options: Any,
) -> Module:
    """Two convolutions with neurons, a residual connection, a strided shortcut by slice and pad, and a mean readout.

    `scale` is what a spike is worth: a number, or one a channel. `encoder` makes the input spikes of rate code.
    """
    r = np.random.default_rng(5)
    module = Module("residual")
    graph = module.new_graph()
    b = Builder(graph)
    code = Rate(signed=signed)
    storage = "i2" if signed else "i1"

    def fire(x: Value) -> Value:
        channels = x.type.shape[1]
        numbers = tuple(PER_CHANNEL[i % 4] for i in range(int(channels))) if isinstance(scale, tuple) else scale
        quant = Affine(numbers, axis=1) if isinstance(numbers, tuple) else Affine(numbers)
        start = b.constant(np.float32(v0), "v0") if v0 else None
        negative = options.get("negative", "free" if signed else "none")
        rest = {k: v for k, v in options.items() if k != "negative"}
        spikes, _, _ = b(
            neurons.Neuron,
            x,
            None,
            start,
            code=code,
            elem=Elem(storage, quant),
            schedule=schedule,
            negative=negative,
            **rest,
        )
        return b(snn.Psp, spikes)  # type: ignore[no-any-return]

    def conv(x: Value, out: int, stride: int = 1) -> Value:
        weight = b.constant(dyadic(r, out, int(x.type.shape[1]), 3, 3) / 2, "w")
        bias = b.constant(dyadic(r, out), "b")
        where = {"strides": (stride, stride), "padding": (1, 1, 1, 1)}
        if split_bias:
            return b(snn.BiasCurrent, b(nn.Conv, x, weight, **where), bias, when=split_bias)  # type: ignore[no-any-return]
        return b(nn.Conv, x, weight, bias, **where)  # type: ignore[no-any-return]

    x = graph.argument("x", tensor("N", 3, 8, 8))
    if encoder:
        h = b(snn.Psp, b(snn.Encode, x, code=Rate(encoder=encoder), steps=steps, key="input"))
    else:
        h = b(timing.Repeat, x, steps=steps)
    h = fire(conv(h, 4))
    h = fire(b(arith.Add, conv(fire(conv(h, 4)), 4), h))
    cut = b(shape.Slice, h, axes=(2, 3), starts=(0, 0), stops=(2**31 - 1,) * 2, steps=(2, 2))
    skip = b(shape.Pad, cut, before=(0, 2, 0, 0), after=(0, 2, 0, 0))
    h = fire(b(arith.Add, skip, conv(h, 8, 2)))
    flat = b(shape.Reshape, b(reduce.Mean, h, axes=(2, 3), keep=True), shape=("N", 8))
    y = b(nn.Linear, flat, b.constant(dyadic(r, 5, 8), "out"))
    running, _ = b(timing.Accumulate, y, mode="mean")
    b.returns(b(timing.Last, running), h, running, names=["logits", "spikes", "running"])
    return module.verify().freeze()


def images(n: int, seed: int = 3) -> Array:
    """Dyadic images."""
    return dyadic(np.random.default_rng(seed), n, 3, 8, 8, parts=8)


def backward(steps: int = 7) -> Module:
    """A layer that sees a later layer's spikes of two steps before."""
    r = np.random.default_rng(6)
    module = Module("backward")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 4, time=steps))
    late = b(core.Delay, x, b.constant(np.float32(0), "zero"), steps=2)
    h = b(arith.Add, x, b(nn.Linear, late, b.constant(dyadic(r, 4, 4), "back")))
    h = b(snn.Psp, b(neurons.Neuron, h, code="rate")[0])
    top = b(snn.Psp, b(neurons.Neuron, b(nn.Linear, h, b.constant(dyadic(r, 4, 4), "up")), code="rate")[0])
    late.op.set_operand(0, top)
    b.returns(top, b(timing.Last, h), names=["top", "last"])
    return module.verify().freeze()


Build = Callable[[Module], Graph]
