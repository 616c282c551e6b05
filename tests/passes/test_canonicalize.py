"""Each form in which activations, sums and shapes are imported comes down to one, which computes the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ranvier.ir.core import Builder, Module, Value
from ranvier.ir.equality import difference
from ranvier.ir.facts import Mask
from ranvier.ir.ops import arith, nn, reduce, shape
from ranvier.ir.resources import Resource
from ranvier.ir.types import tensor
from ranvier.passes.simplify.canonicalize import Canonicalize
from tests.passes.helpers import RNG, apply, close, meaning, names, real, start

Form = Callable[[Builder, Value], Value]
SHAPE = ("N", 4, 6, 6)
INPUT = np.concatenate([real(0, 3, 4, 6, 6) * 4, np.zeros((1, 4, 6, 6), np.float32)])


def c(make: Builder, number: Any) -> Value:
    return make.constant(np.asarray(number, np.float32), "c")


def greater(make: Builder, x: Value, how: str, *, swapped: bool = False, zero: Any = 0.0) -> Value:
    pair = (c(make, zero), x) if swapped else (x, c(make, zero))
    out: Value = make(arith.Compare, *pair, how=how)
    return out


def cast(make: Builder, x: Value) -> Value:
    out: Value = make(shape.Cast, x, elem="f32")
    return out


def two_relus(make: Builder, x: Value, limit: float) -> Value:
    above = make(arith.Relu, make(arith.Sub, x, c(make, limit)))
    out: Value = make(arith.Sub, make(arith.Relu, x), above)
    return out


RELU: dict[str, Form] = {
    "maximum(x, 0)": lambda m, x: m(arith.Maximum, x, c(m, 0)),
    "maximum(0, x)": lambda m, x: m(arith.Maximum, c(m, 0), x),
    "maximum(x, zeros)": lambda m, x: m(arith.Maximum, x, c(m, np.zeros((1, 4, 1, 1)))),
    "maximum(x, splat)": lambda m, x: m(arith.Maximum, x, m.constant(Resource(tensor(4, 6, 6), splat=0.0), "z")),
    "clip(x, 0)": lambda m, x: m(arith.Clip, x, low=0.0),
    "select(x > 0, x, 0)": lambda m, x: m(shape.Select, greater(m, x, "gt"), x, c(m, 0)),
    "select(x >= 0, x, 0)": lambda m, x: m(shape.Select, greater(m, x, "ge"), x, c(m, 0)),
    "select(0 < x, x, 0)": lambda m, x: m(shape.Select, greater(m, x, "lt", swapped=True), x, c(m, 0)),
    "select(x < 0, 0, x)": lambda m, x: m(shape.Select, greater(m, x, "lt"), c(m, 0), x),
    "select(x <= 0, 0, x)": lambda m, x: m(shape.Select, greater(m, x, "le"), c(m, 0), x),
    "select(0 > x, 0, x)": lambda m, x: m(shape.Select, greater(m, x, "gt", swapped=True), c(m, 0), x),
    "x * (x > 0)": lambda m, x: m(arith.Mul, x, cast(m, greater(m, x, "gt"))),
    "(x >= 0) * x": lambda m, x: m(arith.Mul, cast(m, greater(m, x, "ge")), x),
    "leaky_relu(x, 0)": lambda m, x: m(arith.LeakyRelu, x, slope=0.0),
    "prelu(x, zeros)": lambda m, x: m(arith.Prelu, x, c(m, np.zeros(4))),
    "relu(relu(x))": lambda m, x: m(arith.Relu, m(arith.Relu, x)),
    "relu(clip(x, -1))": lambda m, x: m(arith.Relu, m(arith.Clip, x, low=-1.0)),
    "clip(relu(x), -2)": lambda m, x: m(arith.Clip, m(arith.Relu, x), low=-2.0),
    "maximum(-0, x)": lambda m, x: m(arith.Maximum, c(m, -0.0), x),
}
CLIP: dict[str, Form] = {
    "clip(x, 0, 6)": lambda m, x: m(arith.Clip, x, low=0.0, high=6.0),
    "minimum(relu(x), 6)": lambda m, x: m(arith.Minimum, m(arith.Relu, x), c(m, 6)),
    "minimum(6, maximum(0, x))": lambda m, x: m(arith.Minimum, c(m, 6), m(arith.Maximum, c(m, 0), x)),
    "relu(minimum(x, 6))": lambda m, x: m(arith.Relu, m(arith.Minimum, x, c(m, 6))),
    "maximum(clip(x, -9, 6), 0)": lambda m, x: m(arith.Maximum, m(arith.Clip, x, low=-9.0, high=6.0), c(m, 0)),
    "clip(clip(x, 0), -1, 6)": lambda m, x: m(arith.Clip, m(arith.Clip, x, low=0.0), low=-1.0, high=6.0),
    "relu(x) - relu(x - 6)": lambda m, x: two_relus(m, x, 6.0),
}
LEAKY: dict[str, Form] = {
    "maximum(x, a*x)": lambda m, x: m(arith.Maximum, x, m(arith.Mul, x, c(m, 0.25))),
    "maximum(x*a, x)": lambda m, x: m(arith.Maximum, m(arith.Mul, c(m, 0.25), x), x),
    "select(x > 0, x, a*x)": lambda m, x: m(shape.Select, greater(m, x, "gt"), x, m(arith.Mul, x, c(m, 0.25))),
    "select(x < 0, a*x, x)": lambda m, x: m(shape.Select, greater(m, x, "lt"), m(arith.Mul, x, c(m, 0.25)), x),
    "select(0 <= x, x, a*x)": lambda m, x: m(
        shape.Select, greater(m, x, "le", swapped=True), x, m(arith.Mul, c(m, 0.25), x)
    ),
    "prelu(x, [a, a])": lambda m, x: m(arith.Prelu, x, c(m, np.full(4, 0.25))),
    "prelu(x, a)": lambda m, x: m(arith.Prelu, x, c(m, 0.25)),
}
SILU: dict[str, Form] = {
    "x * sigmoid(x)": lambda m, x: m(arith.Mul, x, m(arith.Sigmoid, x)),
    "sigmoid(x) * x": lambda m, x: m(arith.Mul, m(arith.Sigmoid, x), x),
}
FORMS = [
    *[(name, form, "nn.relu", {}) for name, form in RELU.items()],
    *[(name, form, "nn.clip", {"low": 0.0, "high": 6.0}) for name, form in CLIP.items()],
    *[(name, form, "nn.leaky_relu", {"slope": 0.25}) for name, form in LEAKY.items()],
    *[(name, form, "nn.silu", {}) for name, form in SILU.items()],
]


def build(form: Form, *dims: Any) -> Module:
    module, make, x = start(*(dims or SHAPE))
    make.returns(form(make, x), names=["y"])
    return module


def check(module: Module, *inputs: Any) -> Module:
    """Meaning and types are kept, the result is verified, and a second run changes nothing."""
    out, _ = apply(Canonicalize(), module)
    assert [v.type for v in out.main.outputs] == [v.type for v in module.main.outputs]
    for found, wanted in zip(meaning(out, *inputs), meaning(module, *inputs), strict=True):
        close(found, wanted, 1e-6)
    again, context = apply(Canonicalize(), out)
    assert difference(again, out) is None
    assert [a for log in context.rewrites for a in log.applied] == []
    return out


@pytest.mark.parametrize(("name", "form", "op", "attributes"), FORMS, ids=[f[0] for f in FORMS])
def test_activations(name: str, form: Form, op: str, attributes: dict[str, float]) -> None:
    out = check(build(form), INPUT)
    (found,) = [o for o in out.main.ops if o.name != "core.return"]
    assert (found.name, found.attributes) == (op, attributes)
    assert out.resources == {}


NEUTRAL: dict[str, Form] = {
    "x + 0": lambda m, x: m(arith.Add, x, c(m, 0)),
    "0 + x": lambda m, x: m(arith.Add, c(m, np.zeros((4, 1, 1))), x),
    "x - 0": lambda m, x: m(arith.Sub, x, c(m, 0)),
    "x * 1": lambda m, x: m(arith.Mul, x, c(m, np.ones((1, 1, 1, 1)))),
    "x / 1": lambda m, x: m(arith.Div, x, c(m, 1)),
    "neg(neg(x))": lambda m, x: m(arith.Neg, m(arith.Neg, x)),
    "reshape(x)": lambda m, x: m(shape.Reshape, x, shape=SHAPE),
    "reshape(reshape(x))": lambda m, x: m(shape.Reshape, m(shape.Reshape, x, shape=("N", 144)), shape=SHAPE),
    "transpose there and back": lambda m, x: m(
        shape.Transpose, m(shape.Transpose, x, perm=(0, 2, 3, 1)), perm=(0, 3, 1, 2)
    ),
    "slice of all": lambda m, x: m(shape.Slice, x, axes=(1,), starts=(0,), stops=(2**31 - 1,)),
    "slice to the end": lambda m, x: m(shape.Slice, x, axes=(1, 2), starts=(0, -6), stops=(4, 99)),
    "pad of nothing": lambda m, x: m(shape.Pad, x, before=(0,) * 4, after=(0,) * 4),
    "broadcast to itself": lambda m, x: m(shape.Broadcast, x, shape=SHAPE),
    "cast to itself": lambda m, x: m(shape.Cast, x, elem="f32"),
    "concat of one": lambda m, x: m(shape.Concat, x, axis=1),
}


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_does_nothing(name: str) -> None:
    out = check(build(NEUTRAL[name]), INPUT)
    assert names(out) == []
    assert out.resources == {}


def weight(make: Builder, *size: int, name: str = "w") -> Value:
    return make.constant(real(1, *size), name)


SPECIAL: dict[str, tuple[Form, list[str]]] = {
    "matmul": (lambda m, x: m(nn.Matmul, x, weight(m, 6, 3)), ["nn.linear"]),
    "conv + bias": (
        lambda m, x: m(arith.Add, m(nn.Conv, x, weight(m, 5, 4, 3, 3)), weight(m, 5, 1, 1, name="b")),
        ["nn.conv"],
    ),
    "bias + conv_transpose": (
        lambda m, x: m(arith.Add, weight(m, 1, 5, 1, 1, name="b"), m(nn.ConvTranspose, x, weight(m, 4, 5, 3, 3))),
        ["nn.conv_transpose"],
    ),
    "matmul + bias": (
        lambda m, x: m(arith.Add, m(nn.Matmul, x, weight(m, 6, 3)), weight(m, 3, name="b")),
        ["nn.linear"],
    ),
    "global avg_pool": (lambda m, x: m(nn.AvgPool, x, kernel=(6, 6)), ["nn.mean"]),
    "global avg_pool, flat": (
        lambda m, x: m(shape.Reshape, m(nn.AvgPool, x, kernel=(6, 6), strides=(6, 6)), shape=("N", 4)),
        ["nn.mean"],
    ),
    "mean of an image made of a series": (
        lambda m, x: m(
            reduce.Mean,
            m(shape.Reshape, x, shape=("N", 4, 6, 1, 6)),
            axes=(-1, 3, 2),
        ),
        ["nn.mean"],
    ),
    "avg_pool that counts padding, without any": (
        lambda m, x: m(nn.AvgPool, x, kernel=(2, 2), strides=(2, 2), count_include_pad=True),
        ["nn.avg_pool"],
    ),
    "mean over negative axes": (lambda m, x: m(reduce.Mean, x, axes=(-1, -2)), ["nn.mean"]),
    "conv with lists of ones and zeros": (
        lambda m, x: m(
            nn.Conv, x, weight(m, 4, 4, 3, 3), strides=(1, 1), padding=(0,) * 4, dilations=(1, 1)
        ),
        ["nn.conv"],
    ),
    "conv_transpose with lists of ones and zeros": (
        lambda m, x: m(nn.ConvTranspose, x, weight(m, 4, 4, 3, 3), strides=(1, 1), output_padding=(0, 0)),
        ["nn.conv_transpose"],
    ),
    "max_pool with lists of ones and zeros": (
        lambda m, x: m(nn.MaxPool, x, kernel=(2, 2), strides=(2, 2), padding=(0,) * 4, dilations=(1, 1)),
        ["nn.max_pool"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL)
def test_linear_and_windowed_ops(name: str) -> None:
    form, wanted = SPECIAL[name]
    out = check(build(form), INPUT)
    assert names(out) == wanted
    op = out.main.outputs[0].op
    assert op is not None
    assert [n for n in ("padding", "dilations", "output_padding") if op.attributes.get(n)] == []
    assert op.attributes.get("strides", ()) in ((), (2, 2))
    if "nn.mean" in wanted:
        assert op.attributes["axes"] == (2, 3)
    assert set(out.resources) <= {"w", "b"}


KEPT: dict[str, Form] = {
    "maximum with different numbers": lambda m, x: m(arith.Maximum, x, c(m, np.arange(6))),
    "maximum that broadcasts": lambda m, x: m(arith.Maximum, x, c(m, np.zeros((2, 1, 4, 6, 6)))),
    "maximum(x, nan)": lambda m, x: m(arith.Maximum, x, c(m, math.nan)),
    "maximum(x, 2*x)": lambda m, x: m(arith.Maximum, x, m(arith.Mul, x, c(m, 2))),
    "maximum(x, a*x) that broadcasts": lambda m, x: m(
        arith.Maximum, x, m(arith.Mul, x, c(m, np.full((2, 1, 1, 1, 1), 0.5)))
    ),
    "select(x > 1, x, 0)": lambda m, x: m(shape.Select, greater(m, x, "gt", zero=1.0), x, c(m, 0)),
    "select(x < 0, x, 0)": lambda m, x: m(shape.Select, greater(m, x, "lt"), x, c(m, 0)),
    "select(x == 0, x, 0)": lambda m, x: m(shape.Select, greater(m, x, "eq"), x, c(m, 0)),
    "select(x > 0, x, 1)": lambda m, x: m(shape.Select, greater(m, x, "gt"), x, c(m, 1)),
    "select(x > 0, x, x*x)": lambda m, x: m(shape.Select, greater(m, x, "gt"), x, m(arith.Mul, x, x)),
    "x * (x < 0)": lambda m, x: m(arith.Mul, x, cast(m, greater(m, x, "lt"))),
    "prelu(x, [a, b])": lambda m, x: m(arith.Prelu, x, c(m, np.arange(4))),
    "clips that do not overlap": lambda m, x: m(arith.Clip, m(arith.Clip, x, low=3.0, high=5.0), low=-1.0, high=1.0),
    "clip(relu(x), -2, -1)": lambda m, x: m(arith.Clip, m(arith.Relu, x), low=-2.0, high=-1.0),
    "relu(clip(x, -2, -1))": lambda m, x: m(arith.Relu, m(arith.Clip, x, low=-2.0, high=-1.0)),
    "relu(x) - relu(x + 6)": lambda m, x: two_relus(m, x, -6.0),
    "x + 0 that broadcasts": lambda m, x: m(arith.Add, x, c(m, np.zeros((2, 1, 1, 1, 1)))),
    "0 - x": lambda m, x: m(arith.Sub, c(m, 0), x),
    "1 / x": lambda m, x: m(arith.Div, c(m, 1), x),
    "reversed": lambda m, x: m(shape.Slice, x, axes=(1,), starts=(3,), stops=(-(2**31),), steps=(-1,)),
    "pad that crops": lambda m, x: m(shape.Pad, x, before=(0, 1, 0, 0), after=(0, -1, 0, 0)),
    "avg_pool over less": lambda m, x: m(nn.AvgPool, x, kernel=(5, 6)),
    "avg_pool with padding": lambda m, x: m(nn.AvgPool, x, kernel=(6, 6), padding=(1, 1, 1, 1)),
    "conv + one number a row": lambda m, x: m(arith.Add, m(nn.Conv, x, weight(m, 4, 4, 3, 3)), weight(m, 4, name="b")),
    "conv with a bias + bias": lambda m, x: m(
        arith.Add, m(nn.Conv, x, weight(m, 5, 4, 3, 3), weight(m, 5)), weight(m, 5, 1, 1, name="b")
    ),
    "transpose": lambda m, x: m(shape.Transpose, x, perm=(0, 3, 1, 2)),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_only_looks_alike_stays(name: str) -> None:
    module = build(KEPT[name])
    given = INPUT[1:3] if "conv" in name or "reversed" in name else INPUT
    if "1 / x" in name:
        given = np.abs(given[:3]) + 1
    out, _ = apply(Canonicalize(), module)
    assert names(out) == names(module)
    for found, wanted in zip(meaning(out, given), meaning(module, given), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_shared_matrix_stays() -> None:
    module, make, x = start("N", 4)
    w = weight(make, 4, 4)
    make.returns(make(nn.Matmul, make(nn.Matmul, x, w), w))
    out, context = apply(Canonicalize(), module)
    assert names(out) == ["nn.matmul", "nn.matmul"]
    reasons = {m.rule: m.reason for log in context.rewrites for m in log.misses.values()}
    assert reasons["matmul_is_linear"] == "$w is used elsewhere and would be stored twice"


def test_a_masked_matrix_stays() -> None:
    """Even a square one, whose transposed mask would be another mask of the same shape."""
    module, make, x = start("N", 4)
    mask = module.add(RNG(0).random((4, 4)) < 0.5, "mask")
    w = make.constant(Resource.of(real(0, 4, 4), (Mask(mask),)), "w")
    make.returns(make(nn.Matmul, x, w))
    out, context = apply(Canonicalize(), module)
    assert out == module
    assert out.resource("w").facts == (Mask("mask"),)
    reasons = {m.rule: m.reason for log in context.rewrites for m in log.misses.values()}
    assert reasons["matmul_is_linear"] == "$w has a mask that would have to be transposed too"


def test_names_of_resources_come_back() -> None:
    module, make, x = start("N", 6)
    h = make(nn.Matmul, x, weight(make, 6, 3, name="fc.weight"))
    h = make(arith.Add, h, make.constant(real(2, 1, 3), "fc.bias"), name="logits")
    make.returns(h)
    out = check(module, real(0, 5, 6))
    assert sorted(out.resources) == ["fc.bias", "fc.weight"]
    assert out.resource("fc.weight").type == tensor(3, 6)
    assert out.main.outputs[0].name == "logits"


def test_symbols_and_unknown_dims() -> None:
    """Reshapes of what is not known at compile time keep their meaning."""
    module, make, x = start("N", "?", 4)
    once = make(shape.Reshape, x, shape=("N", -1))
    make.returns(make(shape.Reshape, once, shape=("N", -1, 2)), make(shape.Reshape, x, shape=("N", "?", 4)))
    check(module, real(0, 3, 5, 4))
