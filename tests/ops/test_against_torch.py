"""Meanings against PyTorch's functions, on random shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.ir.ops import arith, loss, nn, reduce, shape
from tests.ops.helpers import apply, close

small = st.integers(1, 5)
few = settings(derandomize=True, deadline=None, max_examples=25)
seeds = st.integers(0, 2**31)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def t(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array).copy())


def d(array: Any) -> torch.Tensor:
    """In float64: some of torch's float32 functions lose more digits than the meanings."""
    return t(array).double()


def random(seed: int, *shape: int, scale: float = 1.0) -> Any:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


CURVES: dict[Any, Callable[[torch.Tensor], torch.Tensor]] = {
    arith.Neg: torch.neg,
    arith.Abs: torch.abs,
    arith.Exp: torch.exp,
    arith.Floor: torch.floor,
    arith.Ceil: torch.ceil,
    arith.Round: torch.round,
    arith.Sign: torch.sign,
    arith.Erf: torch.erf,
    arith.Sin: torch.sin,
    arith.Cos: torch.cos,
    arith.Tanh: torch.tanh,
    arith.Sigmoid: torch.sigmoid,
    arith.Softplus: F.softplus,
    arith.Relu: F.relu,
    arith.Silu: F.silu,
    arith.Mish: F.mish,
    arith.HardSwish: F.hardswish,
    arith.HardSigmoid: F.hardsigmoid,
    arith.Softsign: F.softsign,
    arith.Elu: F.elu,
    arith.Selu: F.selu,
    arith.Celu: F.celu,
    arith.Gelu: F.gelu,
    arith.LeakyRelu: F.leaky_relu,
    arith.Sqrt: torch.sqrt,
    arith.Log: torch.log,
    arith.Reciprocal: torch.reciprocal,
}


@pytest.mark.parametrize("op", CURVES, ids=lambda op: op.name)
@given(seed=seeds, size=sizes, scale=st.sampled_from([0.1, 1.0, 10.0]))
@few
def test_unary(op: Any, seed: int, size: list[int], scale: float) -> None:
    x = random(seed, *size, scale=scale)
    if op in (arith.Sqrt, arith.Log, arith.Reciprocal):
        x = np.abs(x) + np.float32(0.01)
    close(apply(op, x), CURVES[op](d(x)))


@given(seed=seeds, size=sizes, a=st.floats(0.125, 3), b=st.floats(-2, 2))
@few
def test_unary_with_attributes(seed: int, size: list[int], a: float, b: float) -> None:
    x = random(seed, *size, scale=3)
    close(apply(arith.LeakyRelu, x, slope=b), F.leaky_relu(d(x), b))
    close(apply(arith.Elu, x, alpha=a), F.elu(d(x), a))
    close(apply(arith.Celu, x, alpha=a), F.celu(d(x), a))
    close(apply(arith.Gelu, x, approximate="tanh"), F.gelu(d(x), approximate="tanh"))
    close(apply(arith.Clip, x, low=-a, high=b), t(x).clamp(-a, b))
    slope = random(seed, size[1] if len(size) > 1 else 1)
    close(apply(arith.Prelu, x, slope), F.prelu(t(x), t(slope)))


BINARY: dict[Any, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    arith.Add: torch.add,
    arith.Sub: torch.sub,
    arith.Mul: torch.mul,
    arith.Maximum: torch.maximum,
    arith.Minimum: torch.minimum,
    arith.Mod: torch.remainder,
}


@pytest.mark.parametrize("op", [*BINARY, arith.Div, arith.Pow], ids=lambda op: op.name)
@given(seed=seeds, size=sizes, data=st.data())
@few
def test_binary(op: Any, seed: int, size: list[int], data: Any) -> None:
    shapes = [[n if data.draw(st.booleans()) else 1 for n in size] for _ in range(2)]
    shapes[1] = shapes[1][data.draw(st.integers(0, len(size))) :]
    a, b = (random(seed + i, *s) for i, s in enumerate(shapes))
    ints = [np.random.default_rng(seed + i).integers(1, 9, s) * (-1) ** i for i, s in enumerate(shapes)]
    if op is arith.Pow:
        a = np.abs(a)
        close(apply(op, a, b), torch.pow(t(a), t(b)))
        close(apply(op, ints[1], ints[0]), torch.pow(t(ints[1]), t(ints[0])))
    elif op is arith.Div:
        np.testing.assert_array_equal(apply(op, a, b), t(a) / t(b))
        close(apply(op, *ints), torch.div(t(ints[0]), t(ints[1]), rounding_mode="trunc"))
    else:
        if op is arith.Mod:
            b = np.abs(b) + np.float32(0.5)
            close(apply(op, a, b, sign="dividend"), torch.fmod(t(a), t(b)))
            close(apply(op, *ints, sign="dividend"), torch.fmod(t(ints[0]), t(ints[1])))
        np.testing.assert_array_equal(apply(op, a, b), BINARY[op](t(a), t(b)))
        close(apply(op, *ints), BINARY[op](t(ints[0]), t(ints[1])))


@given(seed=seeds, size=sizes, keep=st.booleans(), data=st.data())
@few
def test_reductions(seed: int, size: list[int], keep: bool, data: Any) -> None:
    x = random(seed, *size)
    axes = data.draw(st.lists(st.integers(0, len(size) - 1), min_size=1, unique=True))
    signed = [a - len(size) if data.draw(st.booleans()) else a for a in axes]
    close(apply(reduce.Sum, x, axes=signed, keep=keep), t(x).sum(axes, keep))
    close(apply(reduce.Mean, x, axes=signed, keep=keep), t(x).mean(axes, keep))
    close(apply(reduce.Max, x, axes=signed, keep=keep), t(x).amax(axes, keep))
    close(apply(reduce.Min, x, axes=signed, keep=keep), t(x).amin(axes, keep))
    axis = axes[0]
    close(apply(reduce.Prod, x, axes=(axis,), keep=keep), t(x).prod(axis, keep))
    close(apply(reduce.Argmax, x, axis=axis, keep=keep), t(x).argmax(axis, keep))
    close(apply(reduce.Argmin, x, axis=axis, keep=keep), t(x).argmin(axis, keep))
    close(apply(reduce.Softmax, x, axis=axis), t(x).softmax(axis))
    close(apply(reduce.LogSoftmax, x, axis=axis), t(x).log_softmax(axis))
    close(apply(reduce.Cumsum, x, axis=axis), t(x).cumsum(axis))
    close(apply(reduce.Sum, x), t(x).sum())


@st.composite
def windows(draw: Any) -> dict[str, Any]:
    """Geometry of a convolution over one to three axes, kernels inside the padded input."""
    n = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    found: dict[str, Any] = {"kernel": each(1, 3), "stride": each(1, 3), "dilation": each(1, 2), "padding": each(0, 2)}
    extents = [(k - 1) * d + 1 for k, d in zip(found["kernel"], found["dilation"], strict=True)]
    found["size"] = tuple(extent + draw(st.integers(0, 3)) for extent in extents)
    return found


def attributes(w: dict[str, Any]) -> dict[str, Any]:
    return {"strides": w["stride"], "padding": w["padding"] * 2, "dilations": w["dilation"]}


@given(seed=seeds, w=windows(), groups=st.integers(1, 3), bias=st.booleans(), batch=st.sampled_from([1, 3]))
@few
def test_conv(seed: int, w: dict[str, Any], groups: int, bias: bool, batch: int) -> None:
    n = len(w["size"])
    x, weight = random(seed, batch, 2 * groups, *w["size"]), random(seed + 1, 3 * groups, 2, *w["kernel"])
    b = random(seed + 2, 3 * groups) if bias else None
    function = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    want = function(t(x), t(weight), None if b is None else t(b), w["stride"], w["padding"], w["dilation"], groups)
    close(apply(nn.Conv, x, weight, b, groups=groups, **attributes(w)), want)


@given(seed=seeds, w=windows(), groups=st.integers(1, 3), bias=st.booleans(), more=st.integers(0, 2))
@few
def test_conv_transpose(seed: int, w: dict[str, Any], groups: int, bias: bool, more: int) -> None:
    n = len(w["size"])
    x, weight = random(seed, 2, 2 * groups, *w["size"]), random(seed + 1, 2 * groups, 3, *w["kernel"])
    b = random(seed + 2, 3 * groups) if bias else None
    extra = tuple(min(more, max(s, d) - 1) for s, d in zip(w["stride"], w["dilation"], strict=True))
    axes = zip(w["size"], w["stride"], w["kernel"], w["dilation"], strict=True)
    grown = [(i - 1) * s + (k - 1) * d + 1 for i, s, k, d in axes]
    w["padding"] = tuple(min(p, (g - 1) // 2) for p, g in zip(w["padding"], grown, strict=True))
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
    bias_t = None if b is None else t(b)
    want = function(t(x), t(weight), bias_t, w["stride"], w["padding"], extra, groups, w["dilation"])
    close(apply(nn.ConvTranspose, x, weight, b, groups=groups, output_padding=extra, **attributes(w)), want)


@given(seed=seeds, w=windows(), ceil=st.booleans(), count=st.booleans())
@few
def test_pools(seed: int, w: dict[str, Any], ceil: bool, count: bool) -> None:
    n = len(w["size"])
    x = random(seed, 2, 3, *w["size"])
    # torch pads at most half a kernel
    w["padding"] = tuple(min(p, k // 2) for p, k in zip(w["padding"], w["kernel"], strict=True))
    largest = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]
    want = largest(t(x), w["kernel"], w["stride"], w["padding"], w["dilation"], ceil)
    np.testing.assert_array_equal(apply(nn.MaxPool, x, kernel=w["kernel"], ceil_mode=ceil, **attributes(w)), want)
    mean = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1]
    want = mean(t(x), w["kernel"], w["stride"], w["padding"], ceil, count)
    same = {**attributes(w), "dilations": ()}
    close(apply(nn.AvgPool, x, kernel=w["kernel"], ceil_mode=ceil, count_include_pad=count, **same), want)


@given(seed=seeds, rows=small, inner=st.integers(1, 7), out=small, lead=st.lists(st.integers(1, 3), max_size=2))
@few
def test_products(seed: int, rows: int, inner: int, out: int, lead: list[int]) -> None:
    x, weight, b = random(seed, *lead, rows, inner), random(seed + 1, out, inner), random(seed + 2, out)
    close(apply(nn.Linear, x, weight, b), F.linear(t(x), t(weight), t(b)))
    close(apply(nn.Linear, x, weight), F.linear(t(x), t(weight)))
    y = random(seed + 3, *lead[1:], inner, out)
    close(apply(nn.Matmul, x, y), torch.matmul(t(x), t(y)))
    close(apply(nn.Matmul, x, y[(0,) * len(lead[1:])][:, 0]), torch.matmul(t(x), t(y[(0,) * len(lead[1:])][:, 0])))


@given(seed=seeds, channels=st.sampled_from([1, 2, 4, 6]), size=st.lists(small, max_size=2), batch=small)
@few
def test_norms(seed: int, channels: int, size: list[int], batch: int) -> None:
    x = random(seed, batch, channels, *size) + 3
    scale, bias, mean = (random(seed + i, channels) for i in (1, 2, 3))
    var = np.abs(random(seed + 4, channels)) + np.float32(0.1)
    want = F.batch_norm(d(x), d(mean), d(var), d(scale), d(bias), eps=1e-3)
    close(apply(nn.BatchNorm, x, scale, bias, mean, var, epsilon=1e-3), want)
    inner = (channels, *size)
    s, b = random(seed + 5, *inner), random(seed + 6, *inner)
    close(apply(nn.LayerNorm, x, s, b, axis=1), F.layer_norm(d(x), inner, d(s), d(b)))
    close(apply(nn.LayerNorm, x), F.layer_norm(d(x), x.shape[-1:]))
    # torch refuses to normalise one element
    for groups in {1, channels, 2 if channels % 2 == 0 else 1} if x[0, 0].size > 1 else ():
        want = F.group_norm(d(x), groups, d(scale), d(bias))
        close(apply(nn.GroupNorm, x, scale, bias, groups=groups), want)


@given(seed=seeds, h=st.integers(1, 5), w=st.integers(1, 5), oh=st.integers(1, 9), ow=st.integers(1, 9))
@few
def test_resize(seed: int, h: int, w: int, oh: int, ow: int) -> None:
    x = random(seed, 2, 3, h, w)
    to = {"sizes": (2, 3, oh, ow)}
    for mode, name in (("linear", "bilinear"), ("cubic", "bicubic")):
        for coordinates in ("half_pixel", "align_corners"):
            want = F.interpolate(t(x), (oh, ow), mode=name, align_corners=coordinates == "align_corners")
            close(apply(nn.Resize, x, mode=mode, coordinates=coordinates, **to), want)
    exact = F.interpolate(t(x), (oh, ow), mode="nearest-exact")
    np.testing.assert_array_equal(apply(nn.Resize, x, rounding="round_prefer_ceil", **to), exact)


@given(seed=seeds, classes=st.integers(1, 6), size=st.lists(st.integers(1, 3), max_size=2), batch=st.integers(1, 4))
@few
def test_losses(seed: int, classes: int, size: list[int], batch: int) -> None:
    logits = random(seed, batch, classes, *size, scale=5)
    labels = np.random.default_rng(seed).integers(0, classes, (batch, *size))
    close(apply(loss.CrossEntropy, logits, labels), F.cross_entropy(t(logits), t(labels)))
    target = random(seed + 1, batch, classes, *size)
    close(apply(loss.Mse, logits, target), F.mse_loss(t(logits), t(target)))


@given(seed=seeds, size=st.lists(st.integers(2, 4), min_size=3, max_size=3), data=st.data())
@few
def test_pad(seed: int, size: list[int], data: Any) -> None:
    x = random(seed, 1, *size)
    before, after = ([data.draw(st.integers(0, n - 1)) for n in size[1:]] for _ in range(2))
    flat = [p for pair in reversed(list(zip(before, after, strict=True))) for p in pair]
    for mode, name in (("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular")):
        want = F.pad(t(x), flat, mode=name)
        close(apply(shape.Pad, x, before=(0, 0, *before), after=(0, 0, *after), mode=mode), want)
    cut = [data.draw(st.integers(-1, 2)) for _ in flat]
    pairs = list(zip(cut[0::2], cut[1::2], strict=True))[::-1]
    if all(n + b + a > 0 for n, (b, a) in zip(size[1:], pairs, strict=True)):
        before, after = zip(*pairs, strict=True)
        found = apply(shape.Pad, x, before=(0, 0, *before), after=(0, 0, *after), value=1.5)
        close(found, F.pad(t(x), cut, value=1.5))
