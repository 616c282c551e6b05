"""Pools with uneven padding, and resize: what torch has no single function for, from the ops' own index rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ranvier.ir.ops.resize import cubic, nearest

Tensor = torch.Tensor


def _unfolded(x: Tensor, op: Any, fill: float) -> Tensor:
    """[N, C, *positions, *kernel] of the padded input, a view."""
    windows = op.windows()
    extra = op.overhang(windows, tuple(x.shape[2:]))
    pairs = [p for w, e in zip(reversed(windows), reversed(extra), strict=True) for p in (w.before, w.after + e)]
    x = F.pad(x, pairs, value=fill)
    for axis, w in enumerate(windows, start=2):
        x = x.unfold(axis, w.extent, w.stride)[..., :: w.dilation]
    return x


def max_pool(x: Tensor, op: Any) -> Tensor:
    """The largest of each window."""
    view = _unfolded(x, op, -math.inf)
    return view.amax(tuple(range(-len(op.kernel), 0)))


def avg_pool(x: Tensor, op: Any) -> Tensor:
    """Sums of the windows over the op's own counts."""
    ones = np.ones((1, 1, *x.shape[2:]), np.float64)
    size = math.prod(op.kernel)
    sums = _unfolded(x, op, 0.0).sum(tuple(range(-len(op.kernel), 0)))
    counts = torch.from_numpy(_counts(op, ones) * size).to(x.device, x.dtype)
    return sums / counts


def _counts(op: Any, ones: Any) -> Any:
    """Elements that count in each window, as a part of the window's size."""
    windows = op.windows()
    extra = op.overhang(windows, ones.shape[2:])
    inner = [(0, 0), (0, 0), *[(w.before, w.after) for w in windows]]
    counted = np.pad(ones, inner, constant_values=1.0 if op.count_include_pad else 0.0)
    counted = np.pad(counted, [(0, 0), (0, 0), *[(0, e) for e in extra]])
    view = torch.from_numpy(counted)
    for axis, w in enumerate(windows, start=2):
        view = view.unfold(axis, w.extent, w.stride)[..., :: w.dilation]
    total = view.sum(tuple(range(-len(windows), 0))).clamp(min=1)
    return (total / math.prod(op.kernel)).numpy()


def resize(x: Tensor, op: Any) -> Tensor:
    """Axis by axis with the op's points."""
    for axis, size in enumerate(tuple(x.shape)):
        if op.sizes:
            wanted = op.sizes[axis]
            out = wanted if isinstance(wanted, int) else size
            step = size / out
        else:
            out, step = math.floor(size * op.scales[axis]), 1 / op.scales[axis]
        if out != size or step != 1:
            x = _resample(x, op, axis, out, step)
    return x


def _resample(x: Tensor, op: Any, axis: int, out: int, step: float) -> Tensor:
    size = x.shape[axis]
    point = op.points(size, out, step)
    if op.mode == "nearest":
        return x.index_select(axis, _index(np.clip(nearest(point, op.rounding), 0, size - 1), x))
    if op.mode == "linear":
        point = np.clip(point, 0, size - 1)
    first = np.floor(point).astype(np.int64)
    fraction = point - first
    if op.mode == "linear":
        weights = [(0, 1 - fraction), (1, fraction)]
    else:
        weights = list(zip((-1, 0, 1, 2), cubic(fraction, op.cubic_a), strict=True))
    shape = (1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1)
    total: Any = 0
    for offset, weight in weights:
        part = x.index_select(axis, _index(np.clip(first + offset, 0, size - 1), x))
        total = total + part * torch.from_numpy(weight).to(x.device, x.dtype).reshape(shape)
    return total  # type: ignore[no-any-return]


def _index(index: Any, x: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(index)).to(x.device)
