"""`q` on levels: products exactly in a float type that holds every sum, requantization in int64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.backends.torch_runtime.dtypes import POOR, to_torch
from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.ir.core import Op
from ranvier.ir.fixed_point import Requantizer
from ranvier.ir.ops.integer import EXACT_IN_DOUBLE, magnitude

SPATIAL = 3
EXACT_IN_SINGLE = 1 << 24


def _float(op: Op, taps: Any) -> str | None:
    """The float type that holds every sum of products exactly, None if there is none."""
    if not isinstance(taps, int) or any(v.type.elem.storage in POOR for v in op.arguments):
        return None
    bound = taps * magnitude(op.arguments[0].type) * magnitude(op.arguments[1].type)
    if bound < EXACT_IN_SINGLE:
        return "torch.float32"
    return "torch.float64" if bound < EXACT_IN_DOUBLE else None


def _sum(op: Op, w: Any, product: str, bias: str | None) -> str:
    """The product as integers, and the bias."""
    text = f"{product}.to(torch.int64)"
    return w.cast(text if bias is None else f"({text} + {bias})", op.result)  # type: ignore[no-any-return]


@pure("q.conv")
def conv(op: Op, w: Any, x: str, weight: str, bias: str | None) -> str | None:
    """F.conv1d to F.conv3d."""
    n = op.result.type.rank - 2
    shape = op.arguments[1].type.shape[1:]
    kind = _float(op, math.prod(d for d in shape if isinstance(d, int)))
    if n > SPATIAL or kind is None:
        return None
    a = op.attributes
    ones = (1,) * n
    padding = a["padding"] or (0,) * (2 * n)
    before, after = padding[:n], padding[n:]
    inner, pads = f"{x}.to({kind})", before
    if before != after:
        pairs = tuple(p for b, e in zip(reversed(before), reversed(after), strict=True) for p in (b, e))
        inner, pads = f"F.pad({inner}, {pairs})", (0,) * n
    options = f"{a['strides'] or ones}, {pads}, {a['dilations'] or ones}, {a['groups']}"
    shaped = None if bias is None else f"{bias}.reshape({(-1, *ones)})"
    return _sum(op, w, f"F.conv{n}d({inner}, {weight}.to({kind}), None, {options})", shaped)


@pure("q.linear")
def linear(op: Op, w: Any, x: str, weight: str, bias: str | None) -> str | None:
    """F.linear."""
    kind = _float(op, op.arguments[1].type.shape[1])
    return None if kind is None else _sum(op, w, f"F.linear({x}.to({kind}), {weight}.to({kind}))", bias)


@pure("q.matmul")
def matmul(op: Op, w: Any, a: str, b: str) -> str | None:
    """torch.matmul."""
    kind = _float(op, op.arguments[0].type.shape[-1])
    return None if kind is None else _sum(op, w, f"torch.matmul({a}.to({kind}), {b}.to({kind}))", None)


class Rescale:
    """A requantizer with its numbers as tensors."""

    def __init__(self, made: Requantizer, device: Any, dtype: Any):
        self.made, self.dtype = made, dtype
        self.m = [to_torch(m, device) for m in made.m]
        self.t, self.half = to_torch(made.t, device), to_torch(made.half, device)

    def __call__(self, *terms: Any) -> Any:
        """Levels."""
        import torch

        whole = [x.to(torch.int64) for x in terms]
        return self.made.apply(torch, whole, self.m, self.t, self.half).to(self.dtype)


@pure("q.requantize", "q.add")
def rescale(op: Any, w: Any, *terms: str) -> str | None:
    """Multiply, add, shift, clip."""
    from ranvier.backends.torch_runtime.dtypes import torch_dtype

    if any(v.type.elem.storage in POOR for v in (*op.arguments, op.result)):
        return None
    kernel = Rescale(op.requantizer, w.constants.device, torch_dtype(op.result.type.elem))
    return f"{w.bind(kernel, 'rescale')}({', '.join(terms)})"


@pure("q.sum")
def total(op: Any, w: Any, x: str) -> str | None:
    """The sum of integers."""
    if op.arguments[0].type.elem.storage in POOR:
        return None
    axes = op.axes_in(op.arguments[0].type.rank)
    kept = op.attributes["keep"]
    return w.cast(f"{x}.sum({axes}, {kept}, dtype=torch.int64)", op.result)  # type: ignore[no-any-return]


@pure("q.sum_pool")
def sum_pool(op: Any, w: Any, x: str) -> str | None:
    """A depthwise convolution with ones, in a float type that holds every sum."""
    a, n = op.attributes, op.result.type.rank - 2
    channels = op.result.type.shape[1]
    bound = math.prod(a["kernel"]) * magnitude(op.arguments[0].type)
    if n > SPATIAL or a["ceil_mode"] or bound >= EXACT_IN_SINGLE or not isinstance(channels, int):
        return None
    ones = (1,) * n
    padding = a["padding"] or (0,) * (2 * n)
    pairs = tuple(p for b, e in zip(reversed(padding[:n]), reversed(padding[n:]), strict=True) for p in (b, e))
    kernel = w.constants.array(np.ones((channels, 1, *a["kernel"]), np.float32), "ones")
    padded = f"F.pad({x}.to(torch.float32), {pairs})"
    options = f"{a['strides'] or ones}, 0, {a['dilations'] or ones}, {channels}"
    return w.cast(f"F.conv{n}d({padded}, {kernel}, None, {options})", op.result)  # type: ignore[no-any-return]
