"""Gradients in place of the step's.

With u = v/theta - 1, a spike is the step of u, and its gradient is f(u), the neuron's surrogate: so
d spike / d v = f(u) / theta and d spike / d theta = -f(u) v / theta^2. With several levels, u is the distance to the
nearest level that can be reached, v/theta - clip(round(v/theta), 1, levels): all stairs have one gradient. A negative
spike mirrors it, u = -v/theta_neg - 1 (or -v/theta_neg with `lower=zero`); where a gate forbids it the gradient is 0.
The reset is differentiated as it is written: a soft reset takes spike * theta from the membrane with the spike's
surrogate gradient, a hard reset stops the gradient where the neuron has fired. The forward value is the exact spike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ranvier.ir.codes.neurons import ATan, FireRule, Rectangle, Surrogate, Triangle
from ranvier.ir.diagnostics import error, suggest

Tensor = torch.Tensor
Slope = Callable[[Any, Tensor], Tensor]

SLOPES: dict[type[Surrogate], Slope] = {
    ATan: lambda s, u: s.alpha / 2 / (1 + (math.pi / 2 * s.alpha * u) ** 2),
    Triangle: lambda s, u: s.height * torch.relu(1 - torch.abs(u)),
    Rectangle: lambda s, u: (torch.abs(u) < s.width / 2).to(u.dtype) / s.width,
}


class Attach(torch.autograd.Function):
    """The value of `exact` with the gradient f(u) with respect to u."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, exact: Tensor, surrogate: Surrogate) -> Tensor:
        """The exact value."""
        ctx.save_for_backward(u)
        ctx.surrogate = surrogate
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """f(u) times what comes in."""
        (u,) = ctx.saved_tensors
        return grads[0] * slope_of(ctx.surrogate)(ctx.surrogate, u), None, None


def slope_of(surrogate: Surrogate) -> Slope:
    """f of a surrogate: from the table, or its own `gradient(xp, u)`. Raises RanvierError when it has neither."""
    found = SLOPES.get(type(surrogate))
    if found is not None:
        return found
    if hasattr(surrogate, "gradient"):
        from ranvier.backends.torch_runtime.namespace import xp

        return lambda s, u: s.gradient(xp, u)
    known = [cls.word for cls in SLOPES]
    raise error("unsupported", f"surrogate `{surrogate}` has no gradient here", help=suggest(surrogate.word, known))


def spikes_with_gradient(
    rule: FireRule, surrogate: Surrogate, v: Tensor, exact: Tensor, theta: Any, theta_neg: Any, total: Any
) -> Tensor:
    """The exact spikes with surrogate gradients with respect to membrane and thresholds."""
    attach: Any = Attach.apply
    up = v / theta
    out: Tensor = attach(up - _level(up, rule.levels), torch.relu(exact), surrogate)
    if rule.negative == "none":
        return out
    down = -v / theta_neg
    distance = down if rule.lower == "zero" else down - _level(down, rule.levels)
    negative: Tensor = attach(distance, torch.relu(-exact), surrogate)
    allowed = v < 0 if rule.negative == "free" else (v < 0) & (total > 0)
    return torch.where(allowed, -negative, torch.where(v < 0, torch.zeros_like(out), out))


def _level(ratio: Tensor, levels: int) -> Any:
    return 1 if levels == 1 else torch.clamp(torch.round(ratio.detach()), 1, levels)
