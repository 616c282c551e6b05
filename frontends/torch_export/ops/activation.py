"""Activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site
from ranvier.ir.core import Value

PLAIN = {
    "relu.default": "nn.relu",
    "sigmoid.default": "nn.sigmoid",
    "tanh.default": "nn.tanh",
    "silu.default": "nn.silu",
    "mish.default": "nn.mish",
    "hardswish.default": "nn.hard_swish",
    "hardsigmoid.default": "nn.hard_sigmoid",
    "selu.default": "nn.selu",
}


def _plain(op: str) -> Callable[..., Any]:
    def handler(at: Site, x: Value) -> Any:
        return at(op, at.cast(x, at.elem))

    return handler


for _overload, _op in PLAIN.items():
    aten(_overload)(_plain(_op))


@aten("relu6.default")
def relu6(at: Site, x: Value) -> Any:
    """min(max(x, 0), 6)."""
    return at("nn.clip", x, low=0.0, high=6.0)


@aten("hardtanh.default")
def hardtanh(at: Site, x: Value, low: float, high: float) -> Any:
    """min(max(x, low), high): nn.Hardtanh and nn.ReLU6."""
    return at("nn.clip", x, low=float(low), high=float(high))


@aten("leaky_relu.default")
def leaky_relu(at: Site, x: Value, slope: float) -> Any:
    """x, or slope * x below zero."""
    return at("nn.leaky_relu", x, slope=float(slope))


@aten("prelu.default", "_prelu_kernel.default")
def prelu(at: Site, x: Value, slope: Value) -> Any:
    """Leaky ReLU with trained slopes, one a channel or one for all."""
    return at("nn.prelu", x, slope)


@aten("elu.default")
def elu(at: Site, x: Value, alpha: float, scale: float, input_scale: float) -> Any:
    """elu, and selu and celu as core ATen writes them."""
    if scale == 1 and input_scale == 1:
        return at("nn.elu", x, alpha=float(alpha))
    if scale == 1 and math.isclose(alpha * input_scale, 1.0):
        return at("nn.celu", x, alpha=float(alpha))
    if input_scale == 1:
        return at("nn.selu", x, alpha=float(alpha), gamma=float(scale))
    raise Unsupported(f"with scale={scale:g} and input_scale={input_scale:g} is not imported")


@aten("celu.default")
def celu(at: Site, x: Value, alpha: float) -> Any:
    """elu of x / alpha, continuous in its slope."""
    return at("nn.celu", x, alpha=float(alpha))


@aten("gelu.default")
def gelu(at: Site, x: Value, approximate: str) -> Any:
    """x times the normal distribution of x."""
    return at("nn.gelu", x, approximate=approximate)


@aten("softplus.default")
def softplus(at: Site, x: Value, beta: float, threshold: float) -> Any:
    """log(1 + exp(beta * x)) / beta. torch's threshold is where it turns to x: exact to 1e-8 from 18 on."""
    if threshold < 18:
        raise Unsupported(
            f"with threshold={threshold:g} is not imported", "thresholds of at least 18 change nothing and are"
        )
    if beta == 1:
        return at("nn.softplus", x)
    factor = at.number(float(beta), x.type.elem)
    return at("nn.div", at("nn.softplus", at("nn.mul", x, factor)), factor)


@aten("dropout.default", "native_dropout.default", "alpha_dropout.default", "feature_dropout.default")
def dropout(at: Site, x: Value, p: float, training: bool) -> Any:
    """Nothing in eval mode."""
    if training and p:
        raise Unsupported("drops at random", "call model.eval() before torch.export", "training-mode")
    return (x, None) if isinstance(at.node.meta["val"], tuple | list) else x
