"""`K` of the lowered source: small functions that torch lacks under one name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ranvier.backends.torch_runtime.fusion import add_in_place as add_conv
from ranvier.backends.torch_runtime.windows import avg_pool, max_pool, resize

Tensor = torch.Tensor

__all__ = [
    "add_conv",
    "argmax",
    "argmin",
    "avg_pool",
    "celu",
    "chunks",
    "cross_entropy",
    "cut",
    "elu",
    "fire_signed",
    "group_norm",
    "max_pool",
    "membrane",
    "pad",
    "pad_by_index",
    "push",
    "put",
    "quantize",
    "resize",
    "room",
    "sign",
    "softplus",
    "spread",
    "take",
    "tile",
    "to_integers",
]

softplus = F.softplus


# -- steps -------------------------------------------------------------------------------------------------------------
def spread(x: Tensor, steps: int) -> Tensor:
    """[...] -> [T, ...], a view."""
    return x.unsqueeze(0).expand(steps, *x.shape)


def tile(x: Tensor, k: int) -> Tensor:
    """[B, ...] -> [k B, ...], the same k times."""
    return x.repeat(k, *[1] * (x.ndim - 1)) if k > 1 else x


def chunks(steps: int, k: int) -> Iterator[tuple[int, int]]:
    """(first step, number of steps) of runs of at most k steps."""
    for t in range(0, steps, k):
        yield t, min(k, steps - t)


def put(whole: Tensor | None, x: Tensor, t: int, n: int | None, steps: int) -> Tensor:
    """Put down step t, or n folded steps from t on, in [T, ...]."""
    if n is None:
        if whole is None:
            whole = x.new_empty((steps, *x.shape))
        whole[t] = x
        return whole
    each = x.shape[0] // n
    if whole is None:
        whole = x.new_empty((steps, each, *x.shape[1:]))
    whole[t : t + n] = x.reshape(n, each, *x.shape[1:])
    return whole


def push(rows: list[Tensor] | None, x: Tensor) -> list[Tensor]:
    """Steps collected in a list, which gradients pass through."""
    return [x] if rows is None else [*rows, x]


def membrane(x: Tensor, n: int, v0: Any) -> Tensor:
    """Membranes before the first step: like one of n steps of a current, filled with v0."""
    v = torch.zeros_like(x if n == 1 else x[: x.shape[0] // n])
    return v if v0 is None else v.add_(v0)


def room(x: Tensor, n: int) -> Tensor:
    """Room for n steps of a value that stays the same."""
    if x.ndim == 4:
        return torch.empty((n * x.shape[0], *x.shape[1:]), dtype=x.dtype, device=x.device, memory_format=_format(x))
    return x.new_empty((n * x.shape[0], *x.shape[1:]))


def _format(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def fire_signed(v: Tensor, theta: Any, theta_neg: Any, inclusive: bool, at_zero: bool, count: Tensor | None) -> Tensor:
    """Spikes of either sign, at most one a step, with a soft reset in place; with `count`, negative ones are gated.

    The count is never below zero, as no more negative spikes are let through than positive ones came before.
    """
    above, below = (torch.ge, torch.le) if inclusive else (torch.gt, torch.lt)
    up = above(v, theta, out=torch.empty_like(v))
    down = torch.lt(v, 0, out=torch.empty_like(v)) if at_zero else below(v, -theta_neg, out=torch.empty_like(v))
    if count is not None:
        torch.minimum(down, count, out=down)
    same = theta is theta_neg or (isinstance(theta, float) and isinstance(theta_neg, float) and theta == theta_neg)
    if same:
        up.sub_(down)
        v.sub_(up, alpha=theta) if isinstance(theta, float) else v.addcmul_(up, theta, value=-1)
    else:
        v.sub_(up * theta).add_(down * theta_neg)
        up.sub_(down)
    if count is not None:
        count.add_(up)
    return up


# -- elementwise -------------------------------------------------------------------------------------------------------
def sign(x: Tensor) -> Tensor:
    """-1, 0, 1, or nan."""
    return torch.where(x != x, x, torch.sign(x))


def elu(x: Tensor, alpha: float) -> Tensor:
    """x, or alpha * (exp(x) - 1) below zero."""
    return torch.where(x >= 0, x, alpha * torch.expm1(torch.clamp(x, max=0)))


def celu(x: Tensor, alpha: float) -> Tensor:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    return torch.relu(x) + torch.clamp(alpha * torch.expm1(x / alpha), max=0)


def to_integers(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Reals truncated, clipped to the range; nan gives 0."""
    whole = torch.trunc(torch.nan_to_num(x, nan=0.0, posinf=float("inf"), neginf=float("-inf")))
    info = torch.iinfo(dtype)
    inside = (whole >= float(info.min)) & (whole < float(info.max))
    out = torch.where(inside, whole, torch.zeros_like(whole)).to(dtype)
    out = torch.where(whole < float(info.min), torch.full_like(out, info.min), out)
    return torch.where(whole >= float(info.max), torch.full_like(out, info.max), out)


def quantize(
    x: Tensor, scale: Any, zero: Any, rounding: str, shifted: bool, low: int, high: int, dtype: torch.dtype
) -> Tensor:
    """Levels of reals; see q.quantize."""
    quotient = torch.nan_to_num(x.to(torch.float64) / scale, nan=0.0, posinf=float("inf"), neginf=float("-inf"))
    if shifted:
        quotient = quotient + zero
    if rounding == "half_even":
        level = torch.round(quotient)
    elif rounding == "half_away":
        level = torch.sign(quotient) * torch.floor(torch.abs(quotient) + 0.5)
    else:
        level = torch.floor(quotient + 0.5) if rounding == "half_up" else torch.floor(quotient)
    if not shifted:
        level = level + zero
    return torch.clamp(level, low, high).to(dtype)


# -- shapes ------------------------------------------------------------------------------------------------------------
def cut(x: Tensor, cuts: dict[int, slice]) -> Tensor:
    """Slices with steps of either sign."""
    for axis, c in cuts.items():
        index = torch.arange(x.shape[axis], device=x.device)[0:0]
        index = torch.tensor(range(*c.indices(x.shape[axis])), dtype=torch.int64, device=x.device)
        x = x.index_select(axis, index)
    return x


def pad(x: Tensor, pairs: tuple[int, ...], level: float) -> Tensor:
    """A constant around, or cropped where negative; pairs from the last axis."""
    crop = tuple(min(p, 0) for p in pairs)
    if any(crop):
        x = F.pad(x, crop)
    more = tuple(max(p, 0) for p in pairs)
    if not any(more):
        return x
    if x.dtype == torch.bool:
        return F.pad(x.to(torch.uint8), more, value=int(level != 0)).to(torch.bool)
    return F.pad(x, more, value=level)


def pad_by_index(x: Tensor, before: tuple[int, ...], after: tuple[int, ...], mode: Any) -> Tensor:
    """Reflection, edge and wrapping round: every axis indexed."""
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        if not b and not a:
            continue
        kept = np.arange(x.shape[axis])[max(-b, 0) : x.shape[axis] - max(-a, 0)]
        index = np.pad(kept, (max(b, 0), max(a, 0)), mode=mode)
        x = x.index_select(axis, torch.from_numpy(index).to(x.device))
    return x


def take(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """numpy.take, with negative indices."""
    flat = indices.reshape(-1).to(torch.int64)
    flat = torch.where(flat < 0, flat + x.shape[axis], flat)
    return x.index_select(axis, flat).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def argmax(x: Tensor, axis: int, keep: bool) -> Tensor:
    """The index of the first largest."""
    return torch.argmax(x.to(torch.uint8) if x.dtype == torch.bool else x, axis, keep)


def argmin(x: Tensor, axis: int, keep: bool) -> Tensor:
    """The index of the first smallest."""
    return torch.argmin(x.to(torch.uint8) if x.dtype == torch.bool else x, axis, keep)


# -- layers ------------------------------------------------------------------------------------------------------------
def group_norm(x: Tensor, groups: int, scale: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """Group norm that also takes one element a group."""
    grouped = x.reshape(x.shape[0], groups, -1)
    y = F.layer_norm(grouped, (grouped.shape[-1],), None, None, epsilon).reshape(x.shape)
    spread_ = (-1,) + (1,) * (x.ndim - 2)
    y = y if scale is None else y * scale.reshape(spread_)
    return y if bias is None else y + bias.reshape(spread_)


def cross_entropy(logits: Tensor, labels: Tensor, fail: Callable[..., Exception]) -> Tensor:
    """Mean of -log_softmax at the labels. Raises RanvierError when a label is no class."""
    labels = labels.to(torch.int64)
    classes = logits.shape[1]
    if labels.numel():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise fail("bad-input", f"was given labels {low}..{high} for {classes} classes")
    return F.cross_entropy(logits, labels).to(torch.float32)
