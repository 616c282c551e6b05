"""`nn` activation functions."""

from __future__ import annotations

import math
from typing import Any

from ranvier.backends.torch_runtime.emit.arith import poor, whole_numbers
from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.ir.core import Op

PLAIN = {
    "nn.sigmoid": "torch.sigmoid",
    "nn.softplus": "K.softplus",
    "nn.silu": "F.silu",
    "nn.mish": "F.mish",
    "nn.hard_swish": "F.hardswish",
    "nn.softsign": "F.softsign",
}


@pure(*PLAIN)
def plain(op: Op, w: Any, x: str) -> str:
    """Functions without options."""
    return f"{PLAIN[op.name]}({x})"


@pure("nn.relu")
def relu(op: Op, w: Any, x: str) -> str | None:
    """max(x, 0)."""
    if poor(op):
        return None
    return f"{x}.relu_()" if w.owned(op.arguments[0], op.result) else f"torch.relu({x})"


@pure("nn.leaky_relu")
def leaky_relu(op: Op, w: Any, x: str) -> str:
    """x, or slope * x below zero."""
    return f"F.leaky_relu({x}, {op.attributes['slope']!r})"


@pure("nn.elu")
def elu(op: Op, w: Any, x: str) -> str:
    """See nn.elu."""
    return f"K.elu({x}, {op.attributes['alpha']!r})"


@pure("nn.selu")
def selu(op: Op, w: Any, x: str) -> str:
    """See nn.selu."""
    return f"{op.attributes['gamma']!r} * K.elu({x}, {op.attributes['alpha']!r})"


@pure("nn.celu")
def celu(op: Op, w: Any, x: str) -> str:
    """See nn.celu."""
    return f"K.celu({x}, {op.attributes['alpha']!r})"


@pure("nn.gelu")
def gelu(op: Op, w: Any, x: str) -> str:
    """See nn.gelu."""
    return f"F.gelu({x}, approximate={op.attributes['approximate']!r})"


@pure("nn.hard_sigmoid")
def hard_sigmoid(op: Op, w: Any, x: str) -> str:
    """See nn.hard_sigmoid."""
    return f"torch.clamp({x} * {op.attributes['alpha']!r} + {op.attributes['beta']!r}, 0.0, 1.0)"


@pure("nn.clip")
def clip(op: Op, w: Any, x: str) -> str | None:
    """min(max(x, low), high)."""
    low, high = op.attributes["low"], op.attributes["high"]
    if whole_numbers(op):
        return None
    bounds = [f"{name}={value!r}" for name, value in (("min", low), ("max", high)) if math.isfinite(value)]
    if any(math.isnan(v) for v in (low, high)) or low == math.inf or high == -math.inf:
        return None
    return f"torch.clamp({x}, {', '.join(bounds)})" if bounds else f"{x} * 1"


@pure("nn.prelu")
def prelu(op: Op, w: Any, x: str, slope: str) -> str:
    """x, or slope * x below zero."""
    s, kind = op.operands[1], op.result.type
    assert s is not None
    shaped = f"{slope}.reshape({(-1,) + (1,) * (kind.rank - 2)})" if s.type.rank == 1 and kind.rank > 1 else slope
    return f"torch.where({x} >= 0, {x}, {x} * {shaped})"
