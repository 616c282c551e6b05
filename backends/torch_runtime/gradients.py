"""How gradients pass through rounding to a grid: the rules that `q.fake_quant(grad=...)` names.

A rule sees the gradient that comes in, v = x/scale, the level, its bounds and the scale, and gives (dx, dscale)
elementwise; the caller sums dscale over what shares a scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.ops.fake_quant import FakeQuant, Gradient, StraightThrough, normal

Tensor = torch.Tensor
Rule = Callable[[Any, Tensor, Tensor, Tensor, int, int, Tensor], tuple[Tensor, Tensor]]


def straight_through(
    rule: Any, g: Tensor, v: Tensor, level: Tensor, low: int, high: int, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Rounding is the identity, clipping is not; see StraightThrough."""
    inside = (v >= low) & (v <= high)
    return torch.where(inside, g, torch.zeros_like(g)), g * torch.where(inside, level - v, level)


RULES: dict[type[Gradient], Rule] = {StraightThrough: straight_through}


def rule_of(gradient: Gradient) -> Rule:
    """The formula of a rule. Raises RanvierError for one that has none here."""
    found = RULES.get(type(gradient))
    if found is None:
        help = suggest(gradient.word, [r.word for r in RULES])
        raise error("unsupported", f"gradient `{gradient}` has no formula here", help=help)
    return found


ROUND: dict[str, Callable[[Tensor], Tensor]] = {
    "half_even": torch.round,
    "half_away": lambda x: torch.sign(x) * torch.floor(torch.abs(x) + 0.5),
    "half_up": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
}


class Rounding(torch.autograd.Function):
    """scale * clip(round(x / scale)) with the gradient of a rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, kernel: FakeQuantKernel) -> Tensor:
        """The value, computed in float64 as the meaning."""
        wide = scale.detach().to(torch.float64).clamp(min=torch.finfo(torch.float32).tiny)
        v = x.detach().to(torch.float64) / wide
        v = torch.where(v != v, torch.zeros_like(v), v)
        level = torch.clamp(kernel.round(v), kernel.low, kernel.high)
        ctx.kernel = kernel
        ctx.shape = scale.shape
        ctx.save_for_backward(v.to(x.dtype), level.to(x.dtype), scale)
        return (level * wide).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The rule's gradients."""
        v, level, scale = ctx.saved_tensors
        k = ctx.kernel
        dx, each = rule_of(k.gradient)(k.gradient, grads[0], v, level, k.low, k.high, scale)
        return dx, each.sum_to_size(ctx.shape) if ctx.needs_input_grad[1] else None, None


class FakeQuantKernel:
    """q.fake_quant; the scale is shaped to broadcast."""

    def __init__(self, op: FakeQuant):
        self.low, self.high = op.levels
        self.round, self.gradient = ROUND[op.rounding], op.grad
        rule_of(op.grad)

    def __call__(self, x: Tensor, scale: Tensor) -> Tensor:
        """Reals on the grid."""
        attach: Any = Rounding.apply
        out: Tensor = attach(x, scale, self)
        return out


def noisy(run: Any, seed: int, key: str, t: int, x: Tensor, sigma: Tensor) -> Tensor:
    """q.output_noise at step t: the numbers of the meaning, but for the last bits of logarithm and cosine."""
    u = run.draw(seed, key, t, (x.shape[0], 2, *x.shape[1:]))
    out: Tensor = x + sigma * normal(torch, u).to(x.dtype)
    return out
