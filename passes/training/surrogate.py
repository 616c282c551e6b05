"""Surrogate networks: every activation replaced by what its neuron says in a window, as a function with a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.codes import Code
from ranvier.ir.core import Builder, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import error
from ranvier.ir.facts import NeuronCode
from ranvier.ir.locations import derive, describe
from ranvier.ir.ops.code_value import CodeValue
from ranvier.ir.ops.nn import Conv, ConvTranspose, Linear
from ranvier.ir.ops.norm import BatchNorm
from ranvier.passes.conversion.network import Layer


@dataclass(frozen=True)
class Neuron:
    """An activation of the surrogate: its op, and the resources that hold the trainable fields of its code."""

    op: CodeValue
    layer: Layer
    theta: Value
    parameters: tuple[Value, ...]

    def trained(self, module: Module, definition: str) -> NeuronCode:
        """What `module`, a trained copy of the surrogate, has made of the code."""
        found = {n: float(module.array(v)) for n, v in zip(self.layer.code.trainable, self.parameters, strict=True)}
        code: Code = replace(self.layer.code, **found)
        theta = tuple(map(float, self.layer.theta.reshape(-1)))
        axis = self.layer.axis if len(theta) > 1 else None
        return NeuronCode(code, self.op.steps, theta, axis, definition)


@dataclass(frozen=True)
class Surrogate:
    """A module in which `neurons` stand at the places of activations, by their names."""

    module: Module
    neurons: dict[str, Neuron]


def surrogate(
    module: Module, layers: Mapping[Op, Layer], steps: int, *, v0: float = 0.0, trainable: bool = False, by: str = ""
) -> Surrogate:
    """The network that computes for every neuron the value of its window: what `convert-snn` with layer_sync deploys.

    It equals the mean over T of the spiking network's currents bit for bit where sums are exact. `layers` are the
    neurons of activations of `module`, which stays as it is; `v0` is a fraction of the least spike. With `trainable`
    the trainable fields of codes are operands, rounded to f32.
    """
    net = module.clone()
    at = {v.name: v for v in net.main.values}
    neurons = {
        a.result.name: _place(net, at[a.result.name], layer, steps, v0, trainable, by) for a, layer in layers.items()
    }
    return Surrogate(net, neurons)


def _place(net: Module, activation: Value, layer: Layer, steps: int, v0: float, trainable: bool, by: str) -> Neuron:
    op, name = activation.op, activation.name
    assert op is not None
    if layer.code.activation or (layer.shape.below is not None and not np.all(layer.shape.below == 1)):
        raise error(
            "unsupported",
            f"{op!r} is neither a ReLU nor a clip: its neuron has no surrogate here",
            where=describe(op.location),
            help="replace it by ReLU, or convert without training",
        )
    b = Builder(net.main, op, derive(by, [op.location]))
    shape = [1] * activation.type.rank
    if layer.theta.size > 1:
        assert layer.axis is not None
        shape[layer.axis] = layer.theta.size
    theta = b.constant(layer.theta.reshape(shape if layer.theta.size > 1 else ()).astype(np.float32), f"{name}.theta")
    fields = layer.code.trainable if trainable else ()
    parameters = tuple(b.constant(np.float32(getattr(layer.code, f)), f"{name}.{f}") for f in fields)
    signed = layer.code.signed
    made = b(
        CodeValue, op.operands[0], theta, *parameters, code=layer.code, steps=steps, key=name,
        v0=layer.code.round_offset(v0, steps), lower="zero" if signed else "threshold",
        negative=("free" if layer.shape.below is not None else "gated") if signed else "none", name=name,
    )  # fmt: skip
    replace_uses(activation, made)
    net.main.erase(op)
    net.main.rename(made, name)
    return Neuron(made.op, layer, theta, parameters)


def weights(module: Module) -> list[str]:
    """The resources that are trained: weights and biases, and scale and bias of batch norms."""
    found: dict[str, None] = {}
    for op in module.main.ops:
        last = 3 if isinstance(op, BatchNorm | Conv | ConvTranspose | Linear) else 1
        for v in op.operands[1:last]:
            if v is not None and v.resource is not None and v.type.elem.is_float:
                found[v.resource] = None
    return list(found)


def relax(module: Module, bypass: float, seed: int) -> Module:
    """The surrogate with another probability of the real activation, and other draws."""
    out = module.clone()
    for op in out.main.ops:
        if isinstance(op, CodeValue):
            op.set(bypass=bypass, seed=seed)
    return out.verify().freeze()


def losses(net: Surrogate, target: Value, extra: list[tuple[str, Any]], loss: type[Op]) -> None:
    """End the surrogate with its objective: `loss` of the first output, and the terms in `extra`, as role=loss."""
    graph = net.module.main
    last = graph.terminator
    outputs, names, roles = graph.outputs, last.attributes["names"], last.attributes["roles"]
    graph.erase(last)
    b = Builder(graph, None, last.location)
    terms = [("loss", b(loss, outputs[0], target, name="loss")), *extra]
    b.returns(
        *outputs, *(v for _, v in terms), names=[*names, *(n for n, _ in terms)], roles=[*roles, *["loss"] * len(terms)]
    )
