"""The forms in which activations are imported, and the one form that each has here."""

from __future__ import annotations

import math

import numpy as np

from ranvier.ir.core import Value
from ranvier.ir.ops.activations import Clip, LeakyRelu, Prelu, Relu, Sigmoid, Silu
from ranvier.ir.ops.arith import Compare, Maximum, Minimum, Mul, Sub
from ranvier.ir.ops.shape import Cast, Select
from ranvier.ir.rewriting import Match, Rule, const, op, rewrite, var


def _uniform(r: Match, name: str) -> float:
    """The one number that a constant holds everywhere."""
    resource = r.module.resource(str(r[name].resource))
    r.require(resource.type.elem.is_float, f"{name} holds integers")
    r.require(resource.size > 0, f"{name} is empty")
    if resource.splat is not None:
        return float(resource.splat)
    r.require(resource.available, f"the array of {name} is not at hand")
    array = resource.array
    r.require(bool(np.all(array == array.flat[0])), f"{name} holds different numbers, or nan")
    return float(array.flat[0])


def _same_type(r: Match, name: str = "x") -> None:
    r.require(r[name].type == r.root.result.type, "the constant broadcasts {x} to another shape")


@rewrite("maximum(x, 0) => relu(x); maximum(x, c) => clip(x, low=c)", op(Maximum, var("x"), const("c"), commute=True))
def maximum_of_constant(r: Match) -> Value:
    """ReLU written as a maximum."""
    c = _uniform(r, "c")
    _same_type(r)
    out: Value = r.new(Relu, r["x"]) if c == 0 else r.new(Clip, r["x"], low=c)
    return out


@rewrite("minimum(x, c) => clip(x, high=c)", op(Minimum, var("x"), const("c"), commute=True))
def minimum_of_constant(r: Match) -> Value:
    """The upper half of ReLU6."""
    c = _uniform(r, "c")
    _same_type(r)
    out: Value = r.new(Clip, r["x"], high=c)
    return out


@rewrite("clip(x, 0, inf) => relu(x)", op(Clip, var("x"), low=0.0, high=math.inf))
def clip_is_relu(r: Match) -> Value:
    """ReLU written as a clip."""
    out: Value = r.new(Relu, r["x"])
    return out


@rewrite(
    "clip(clip(x, a, b), c, d) => clip(x, max(a, c), min(b, d))",
    op(Clip, op(Clip, var("x"), bind="inner"), bind="outer"),
)
def clip_of_clip(r: Match) -> Value:
    """Bounds meet where they overlap."""
    inner, outer = r.op("inner"), r.op("outer")
    r.require(max(inner.low, outer.low) <= min(inner.high, outer.high), "the two ranges do not overlap")
    out: Value = r.new(Clip, r["x"], low=max(inner.low, outer.low), high=min(inner.high, outer.high))
    return out


@rewrite("clip(relu(x), c, d) => clip(x, max(0, c), d)", op(Clip, op(Relu, var("x")), bind="outer"))
def clip_of_relu(r: Match) -> Value:
    """ReLU6 as minimum(relu(x), 6)."""
    outer = r.op("outer")
    r.require(outer.high >= max(outer.low, 0), "the clip ends below zero, or before it begins")
    out: Value = r.new(Clip, r["x"], low=max(outer.low, 0.0), high=outer.high)
    return out


@rewrite("relu(clip(x, a, b)) => clip(x, max(a, 0), b)", op(Relu, op(Clip, var("x"), bind="inner")))
def relu_of_clip(r: Match) -> Value:
    """ReLU6 as relu(minimum(x, 6))."""
    inner = r.op("inner")
    r.require(inner.high >= max(inner.low, 0), "the clip ends below zero, or before it begins")
    out: Value = r.new(Clip, r["x"], low=max(inner.low, 0.0), high=inner.high)
    return out


@rewrite("relu(relu(x)) => relu(x)", op(Relu, op(Relu, var("x"), bind="inner")))
def relu_of_relu(r: Match) -> Value:
    """ReLU does nothing twice."""
    return r["inner"]


def _against_zero(r: Match, how: str) -> None:
    r.require(r.op("compare").how in {"gt": ("gt", "ge"), "lt": ("lt", "le")}[how], "the comparison goes another way")
    r.require(_uniform(r, "zero") == 0, "the comparison is not with zero")
    _same_type(r)


_POSITIVE = op(Compare, var("x"), const("zero"), bind="compare")


@rewrite(
    "select(x > 0, x, 0) => relu(x); select(x > 0, x, a*x) => leaky_relu(x, a)",
    op(Select, _POSITIVE, var("x"), var("y")),
)
def select_positive(r: Match) -> Value:
    """ReLU and leaky ReLU written with a comparison; x > 0 and x >= 0 choose alike since both sides meet at 0."""
    _against_zero(r, "gt")
    out: Value
    if r["y"].is_constant:
        r.require(_uniform(r, "y") == 0, "the other side is not zero")
        out = r.new(Relu, r["x"])
        return out
    out = r.new(LeakyRelu, r["x"], slope=_slope_of(r, r["y"]))
    return out


@rewrite(
    "select(x < 0, 0, x) => relu(x); select(x < 0, a*x, x) => leaky_relu(x, a)",
    op(Select, _POSITIVE, var("y"), var("x")),
)
def select_negative(r: Match) -> Value:
    """ReLU and leaky ReLU written as masking what is negative."""
    _against_zero(r, "lt")
    out: Value
    if r["y"].is_constant:
        r.require(_uniform(r, "y") == 0, "what replaces negative values is not zero")
        out = r.new(Relu, r["x"])
        return out
    out = r.new(LeakyRelu, r["x"], slope=_slope_of(r, r["y"]))
    return out


_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}


@rewrite("c < x => x > c, and so on: constants stand on the right", op(Compare, const("c"), var("x"), bind="compare"))
def constant_on_the_right(r: Match) -> Value:
    """One way to write a comparison with a constant."""
    r.require(not r["x"].is_constant, "both sides are constants")
    out: Value = r.new(Compare, r["x"], r["c"], how=_MIRRORED[r.op("compare").how])
    return out


@rewrite("x * (x > 0) => relu(x)", op(Mul, var("x"), op(Cast, _POSITIVE), commute=True))
def times_sign(r: Match) -> Value:
    """ReLU written as a product with its own mask."""
    _against_zero(r, "gt")
    out: Value = r.new(Relu, r["x"])
    return out


def _slope_of(r: Match, value: Value) -> float:
    """a of a value that is a*x."""
    made = value.op
    r.require(isinstance(made, Mul), "the other side is not a multiple of {x}")
    assert made is not None
    sides = [v for v in made.arguments if v is not r["x"]]
    r.require(len(sides) == 1 and sides[0].is_constant, "the other side is not a multiple of {x}")
    r.values["a"] = sides[0]
    return _uniform(r, "a")


@rewrite(
    "maximum(x, a*x) => leaky_relu(x, a), 0 < a < 1",
    op(Maximum, var("x"), op(Mul, var("x"), const("a"), commute=True), commute=True),
)
def maximum_is_leaky(r: Match) -> Value:
    """Leaky ReLU written as a maximum."""
    a = _uniform(r, "a")
    _same_type(r)
    r.require(0 < a < 1, f"{a:g} is not between 0 and 1")
    out: Value = r.new(LeakyRelu, r["x"], slope=a)
    return out


@rewrite("leaky_relu(x, 0) => relu(x)", op(LeakyRelu, var("x"), slope=0.0))
def leaky_is_relu(r: Match) -> Value:
    """A leak of nothing."""
    out: Value = r.new(Relu, r["x"])
    return out


@rewrite("prelu(x, [a, a, ...]) => leaky_relu(x, a)", op(Prelu, var("x"), const("a")))
def prelu_is_leaky(r: Match) -> Value:
    """One slope for all channels."""
    out: Value = r.new(LeakyRelu, r["x"], slope=_uniform(r, "a"))
    return out


@rewrite("x * sigmoid(x) => silu(x)", op(Mul, var("x"), op(Sigmoid, var("x")), commute=True))
def silu_form(r: Match) -> Value:
    """SiLU, also called swish."""
    out: Value = r.new(Silu, r["x"])
    return out


@rewrite(
    "relu(x) - relu(x - c) => clip(x, 0, c), c >= 0",
    op(Sub, op(Relu, var("x")), op(Relu, op(Sub, var("x"), const("c")))),
)
def two_relus(r: Match) -> Value:
    """A clipped ReLU as the difference of two."""
    c = _uniform(r, "c")
    r.require(c >= 0, "c is negative")
    _same_type(r)
    out: Value = r.new(Clip, r["x"], low=0.0, high=c)
    return out


RULES: tuple[Rule, ...] = (
    maximum_of_constant,
    minimum_of_constant,
    clip_is_relu,
    clip_of_clip,
    clip_of_relu,
    relu_of_clip,
    relu_of_relu,
    select_positive,
    select_negative,
    constant_on_the_right,
    times_sign,
    maximum_is_leaky,
    leaky_is_relu,
    prelu_is_leaky,
    silu_form,
    two_relus,
)
