"""Which activations an integrate-and-fire neuron can stand for, and with what shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Module, Op, Value
from ranvier.ir.facts import NeuronCode
from ranvier.ir.ops.activations import Clip, LeakyRelu, Prelu, Relu
from ranvier.ir.ops.pool import MaxPool
from ranvier.ir.ops.reduce import Max
from ranvier.ir.ops.shape import Reshape
from ranvier.ir.rewriting import Match, op, rewrite, var


@dataclass(frozen=True)
class Shape:
    """clip(z, -high or 0, high) with slope `below` for negative z: what a neuron computes in the mean.

    `high` bounds the range (ReLU6), `below` is the slope under zero: None for nothing, 1.0 for a symmetric clip.
    """

    high: float | None = None
    below: np.ndarray[Any, Any] | None = None


def shape_of(module: Module, activation: Op) -> Shape | None:
    """The neuron's shape for an activation, or None when no integrate-and-fire neuron has it.

    A fact may name a code whose neurons compute the activation themselves, such as a fitted few-spikes table.
    """
    fact = activation.results[0].fact(NeuronCode) if activation.results else None
    if fact is not None and fact.code.activation and activation.name == f"nn.{fact.code.activation}":
        return Shape()
    if isinstance(activation, Relu):
        return Shape()
    if isinstance(activation, Clip):
        if activation.low == 0 and activation.high > 0:
            return Shape(None if np.isinf(activation.high) else activation.high)
        if activation.low == -activation.high and 0 < activation.high < np.inf:
            return Shape(activation.high, np.ones(1, np.float32))
        return None
    if isinstance(activation, LeakyRelu) and activation.slope > 0:
        return Shape(below=np.full(1, activation.slope, np.float32))
    if isinstance(activation, Prelu) and activation.slope.is_constant:
        slope = np.asarray(module.array(activation.slope), np.float32)
        if slope.size in (1, activation.result.type.shape[1]) and (slope > 0).all():
            return Shape(below=slope.reshape(-1))
    return None


_MONOTONE = (Relu, Clip, LeakyRelu)


@rewrite("max(x, [2, 3, ...]) => max_pool(x) over all positions", op(Max, var("x"), bind="max"))
def global_max_pool(r: Match) -> Value:
    """A global max-pool, however it is written, so that it goes before the neuron like every other."""
    reduce, kind = r.op("max"), r["x"].type
    r.require(kind.rank > 2, "{x} has no positions")
    r.require(reduce.axes_in(kind.rank) == tuple(range(2, kind.rank)), "other axes than the positions are reduced")
    r.require(all(isinstance(d, int) for d in kind.shape[2:]), "the positions of {x} are not counted")
    pooled = r.new(MaxPool, r["x"], kernel=kind.shape[2:])
    out: Value = pooled if reduce.keep else r.new(Reshape, pooled, shape=r.root.result.type.shape)
    return out


@rewrite(
    "max_pool(f(x)) => f(max_pool(x)), f not decreasing", op(MaxPool, op(_MONOTONE, var("x"), bind="f"), bind="pool")
)
def pool_before_activation(r: Match) -> Value:
    """Exact for every function that does not decrease (coding card 9): the pool then sees currents, not spikes."""
    f = r.op("f")
    r.require(not isinstance(f, LeakyRelu) or f.slope >= 0, "the activation decreases below zero")
    pooled = r.new(MaxPool, r["x"], name=f"{r.root.result.name}.in", **r.op("pool").attributes)
    out: Value = r.new(type(f), pooled, **f.attributes)
    out.facts += tuple(fact for fact in f.result.facts if isinstance(fact, NeuronCode))
    return out


POOLING = (global_max_pool, pool_before_activation)
