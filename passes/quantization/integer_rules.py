"""The rewrites of `lower-integer`, named by their algebra; d(q) is q.dequantize, s a scale."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ranvier.ir.core import Op, Value
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import elem
from ranvier.ir.ops.activations import Relu
from ranvier.ir.ops.arith import Add, Mul
from ranvier.ir.ops.integer import QConv, QLinear, QMatmul, fits, magnitude, scale_factors
from ranvier.ir.ops.nn import AvgPool, Conv, Linear, Matmul, MaxPool
from ranvier.ir.ops.q import Dequantize, Quantize
from ranvier.ir.ops.reduce import Mean, Sum
from ranvier.ir.ops.requantize import QAdd, QSum, QSumPool, Requantize
from ranvier.ir.ops.shape import Pad, Reshape, Slice, Transpose
from ranvier.ir.ops.snn import Psp
from ranvier.ir.resources import Resource
from ranvier.ir.rewriting import Match, NoMatch, Pattern, Rule, const, maybe, op, rewrite, var
from ranvier.ir.types import TensorType

WIDEST_BIAS = 1 << 62


def real(name: str) -> Pattern:
    """Reals that stand for levels."""
    return op(Dequantize, var(name))


def check(kind: type[Op], *operands: Any, **attributes: Any) -> None:
    """Go on only if an op takes these operands; the reason is the op's own."""
    try:
        kind(*operands, **attributes).drop_uses()
    except RanvierError as why:
        raise NoMatch(why.diagnostics[0].message) from None


def build(r: Match, kind: type[Op], *operands: Any, **attributes: Any) -> Value:
    """An op, if it takes these operands."""
    check(kind, *operands, **attributes)
    made: Value = r.new(kind, *operands, **attributes)
    return made


# -- products ----------------------------------------------------------------------------------------------------------
def sums(x: Value, w: Value, taps: int, bias: np.ndarray[Any, Any] | None) -> str:
    """The storage of the sums: wide enough for any levels and this bias."""
    most = 0 if bias is None or not bias.size else int(np.abs(bias).max())
    bound = taps * magnitude(x.type) * magnitude(w.type) + most
    return "i32" if fits(bound, "i32") else "i64"


def bias_levels(r: Match, x: Value, w: Value) -> np.ndarray[Any, Any] | None:
    """The bias in levels of the sums, rounded half to even from the exact quotient."""
    value = r.get("b")
    if value is None:
        return None
    r.untimed("b")
    scales = [a * b for a in scale_factors(x.type) for b in scale_factors(w.type)]
    numbers = np.asarray(r.module.array(value), np.float64)
    r.require(bool(np.isfinite(numbers).all()), "bias {b} is not finite")
    scales = scales * len(numbers) if len(scales) == 1 else scales
    levels = [round(Fraction(float(n)) / s) for n, s in zip(numbers, scales, strict=True)]
    r.require(all(abs(n) < WIDEST_BIAS for n in levels), "bias {b} is too large for 64-bit sums at this scale")
    return np.asarray(levels, np.int64)


def product(r: Match, kind: type[Op], taps: int, **attributes: Any) -> Value:
    """d(q.kind(x, w, bias levels))."""
    x, w = r["x"], r["w"]
    r.untimed("w")
    bias = bias_levels(r, x, w)
    storage = sums(x, w, taps, bias)
    check(kind, x, w, accumulator=storage, **attributes)
    operands: list[Value | None] = [x, w]
    if bias is not None:
        held = Resource(TensorType(bias.shape, elem(storage)), bias.astype(elem(storage).dtype))
        graph = r.root.graph
        assert graph is not None
        operands.append(graph.constant(r.module.add(held, f"{r['b'].resource}.levels")))
    acc = r.new(kind, *operands, accumulator=storage, name=f"{r.root.result.name}.sums", **attributes)
    out: Value = r.new(Dequantize, acc)
    return out


def _taps(w: Value) -> int:
    return math.prod(int(d) for d in w.type.shape[1:])


@rewrite(
    "conv(d(x), d(w), b) => d(q.conv(x, w, round(b / (s_x s_w))))",
    op(Conv, real("x"), op(Dequantize, const("w")), maybe(const("b")), bind="linear"),
)
def conv(r: Match) -> Value:
    """Levels in, sums of products out."""
    return product(r, QConv, _taps(r["w"]), **r.op("linear").attributes)


@rewrite(
    "linear(d(x), d(w), b) => d(q.linear(x, w, round(b / (s_x s_w))))",
    op(Linear, real("x"), op(Dequantize, const("w")), maybe(const("b"))),
)
def linear(r: Match) -> Value:
    """Levels in, sums of products out."""
    return product(r, QLinear, _taps(r["w"]))


@rewrite("matmul(d(a), d(b)) => d(q.matmul(a, b))", op(Matmul, real("a"), real("b")))
def matmul(r: Match) -> Value:
    """Both operands may change."""
    a, b = r["a"], r["b"]
    k = a.type.shape[-1]
    storage = sums(a, b, k if isinstance(k, int) else 1, None)
    return r.new(Dequantize, build(r, QMatmul, a, b, accumulator=storage))  # type: ignore[no-any-return]


def spikes(r: Match) -> None:
    """Go on only if a spike is worth its scale at every step, whatever came before."""
    kind = r["x"].type
    r.require(kind.code.psp_class == "constant", "a spike of {x} is not worth the same at every step")  # type: ignore[union-attr]
    low, high = kind.code.alphabet()  # type: ignore[union-attr]
    sent = np.arange(low, high + 1, dtype=np.float64)
    worth = kind.code.psp_step(np, kind.code.psp_init(np, sent), sent, 0, 1)[1]  # type: ignore[union-attr]
    r.require(bool((np.asarray(worth) == sent).all()), "a spike of {x} is not worth its scale times what it counts")


@rewrite(
    "conv(psp(x), d(w), b) => d(q.conv(x, w, round(b / (s_x s_w)))), a spike worth s_x",
    op(Conv, op(Psp, var("x")), op(Dequantize, const("w")), maybe(const("b")), bind="linear"),
)
def conv_spikes(r: Match) -> Value:
    """Spikes are levels."""
    spikes(r)
    return product(r, QConv, _taps(r["w"]), **r.op("linear").attributes)


@rewrite(
    "linear(psp(x), d(w), b) => d(q.linear(x, w, round(b / (s_x s_w)))), a spike worth s_x",
    op(Linear, op(Psp, var("x")), op(Dequantize, const("w")), maybe(const("b"))),
)
def linear_spikes(r: Match) -> Value:
    """Spikes are levels."""
    spikes(r)
    return product(r, QLinear, _taps(r["w"]))


def step_weights(r: Match) -> Value:
    """What a spike of x is worth at each step, in units of its scale, as a timed constant.

    Goes on only if that follows from the step alone, and differs from step to step.
    """
    kind: Any = r["x"].type
    r.require(kind.code.psp_class == "weight", "what a spike of {x} is worth depends on the spikes before")
    r.require(isinstance(kind.time, int), "the steps of {x} are not known")
    r.require(r.get("b") is None, "bias {b} would be weighted as spikes are")
    one = np.ones(1)
    worth = [kind.code.psp_step(np, kind.code.psp_init(np, one), one, t, kind.time)[1] for t in range(kind.time)]
    held = Resource(TensorType((), elem("f32"), time=kind.time), np.asarray(worth, np.float32).reshape(-1))
    graph = r.root.graph
    assert graph is not None
    return graph.constant(r.module.add(held, f"{r['x'].name}.worth"))


@rewrite(
    "conv(psp(x), d(w)) => d(q.conv(x, w)) * worth(t), a spike worth s_x worth(t)",
    op(Conv, op(Psp, var("x")), op(Dequantize, const("w")), maybe(const("b")), bind="linear"),
)
def conv_weighted_spikes(r: Match) -> Value:
    """A weight of a step comes after the sum."""
    worth = step_weights(r)
    return r.new(Mul, product(r, QConv, _taps(r["w"]), **r.op("linear").attributes), worth)  # type: ignore[no-any-return]


@rewrite(
    "linear(psp(x), d(w)) => d(q.linear(x, w)) * worth(t), a spike worth s_x worth(t)",
    op(Linear, op(Psp, var("x")), op(Dequantize, const("w")), maybe(const("b"))),
)
def linear_weighted_spikes(r: Match) -> Value:
    """A weight of a step comes after the sum."""
    worth = step_weights(r)
    return r.new(Mul, product(r, QLinear, _taps(r["w"])), worth)  # type: ignore[no-any-return]


# -- moves and means ---------------------------------------------------------------------------------------------------
@rewrite("move(d(x)) => d(move(x))", op((Reshape, Transpose, Slice, MaxPool), real("x"), bind="move"))
def move(r: Match) -> Value:
    """Elements are moved, left out or chosen by order: levels as well as reals."""
    moving = r.op("move")
    return r.new(Dequantize, build(r, type(moving), r["x"], **moving.attributes))  # type: ignore[no-any-return]


@rewrite("pad(d(x), 0) => d(pad(x, 0))", op(Pad, real("x"), bind="pad"))
def pad(r: Match) -> Value:
    """Zero is a level."""
    padding = r.op("pad")
    r.require(padding.mode != "constant" or padding.value == 0, "it pads with something else than 0")
    return r.new(Dequantize, build(r, Pad, r["x"], **padding.attributes))  # type: ignore[no-any-return]


@rewrite("mean(d(x)) => d(q.sum(x)), a level worth s/n", op((Mean, Sum), real("x"), bind="sum"))
def reduction(r: Match) -> Value:
    """Sums are integers; the division is in the scale."""
    total = r.op("sum")
    made = build(r, QSum, r["x"], axes=total.axes, keep=total.keep, mean=isinstance(total, Mean))
    return r.new(Dequantize, made)  # type: ignore[no-any-return]


@rewrite("avg_pool(d(x)) => d(q.sum_pool(x)), a level worth s/n", op(AvgPool, real("x"), bind="pool"))
def avg_pool(r: Match) -> Value:
    """Where every window has as many elements."""
    pool = r.op("pool")
    r.require(pool.count_include_pad or not any(pool.padding), "windows at the edge have fewer elements")
    r.require(not pool.ceil_mode, "the last window may have fewer elements")
    attributes = {k: v for k, v in pool.attributes.items() if k != "count_include_pad"}
    return r.new(Dequantize, build(r, QSumPool, r["x"], mean=True, **attributes))  # type: ignore[no-any-return]


@rewrite("mean(psp(x)) => d(q.sum(x)), a spike worth s/n", op((Mean, Sum), op(Psp, var("x")), bind="sum"))
def reduction_of_spikes(r: Match) -> Value:
    """Counts of spikes are levels."""
    spikes(r)
    return reduction.build(r)  # type: ignore[return-value]


@rewrite("avg_pool(psp(x)) => d(q.sum_pool(x)), a spike worth s/n", op(AvgPool, op(Psp, var("x")), bind="pool"))
def avg_pool_of_spikes(r: Match) -> Value:
    """Counts of spikes are levels."""
    spikes(r)
    return avg_pool.build(r)  # type: ignore[return-value]


@rewrite(
    "mean(psp(x)) => d(q.sum(x)) * worth(t), a spike worth s/n worth(t)",
    op((Mean, Sum), op(Psp, var("x")), bind="sum"),
)
def reduction_of_weighted_spikes(r: Match) -> Value:
    """A weight of a step comes after the sum."""
    worth = step_weights(r)
    return r.new(Mul, reduction.build(r), worth)  # type: ignore[no-any-return, arg-type]


@rewrite(
    "linear(d(x) * c, d(w)) => linear(d(x), d(w)) * c, c one number, or one a step",
    op((Conv, Linear), op(Mul, real("x"), const("c")), op(Dequantize, const("w")), maybe(const("b")), bind="linear"),
)
def factor_behind(r: Match) -> Value:
    """A number comes after the sum as well as before it."""
    r.require(not r["c"].type.shape, "{c} is not one number")
    r.require(r.get("b") is None, "bias {b} would be multiplied, too")
    linear_op = r.op("linear")
    inner = linear_op.operands[0].op.operands[0]
    made = r.new(type(linear_op), inner, linear_op.operands[1], **linear_op.attributes)
    return r.new(Mul, made, r["c"])  # type: ignore[no-any-return]


# -- requantization ----------------------------------------------------------------------------------------------------
def unsigned(r: Match) -> None:
    """Go on only if the levels begin at zero, so that clipping them is the ReLU."""
    r.require(r.op("q").elem.levels[0] == 0, "levels of {q} go below zero, and so would the ReLU's result")
    r.require(r.op("q").elem.quant.zero == 0, "the zero of {q} is no level 0")


@rewrite("quantize(d(x)) => q.requantize(x)", op(Quantize, real("x"), bind="q"))
def requantize(r: Match) -> Value:
    """One rounding."""
    if r["x"].type == r.root.result.type:
        return r["x"]
    return build(r, Requantize, r["x"], elem=r.op("q").elem)


@rewrite("quantize(relu(d(x))) => q.requantize(x), unsigned", op(Quantize, op(Relu, real("x")), bind="q"))
def requantize_relu(r: Match) -> Value:
    """The clip at level 0 is the ReLU."""
    unsigned(r)
    return build(r, Requantize, r["x"], elem=r.op("q").elem)


@rewrite("quantize(add(d(x), d(y))) => q.add(x, y)", op(Quantize, op(Add, real("x"), real("y")), bind="q"))
def add(r: Match) -> Value:
    """A residual connection."""
    return build(r, QAdd, r["x"], r["y"], elem=r.op("q").elem)


@rewrite(
    "quantize(relu(add(d(x), d(y)))) => q.add(x, y), unsigned",
    op(Quantize, op(Relu, op(Add, real("x"), real("y"))), bind="q"),
)
def add_relu(r: Match) -> Value:
    """A residual connection, clipped at level 0."""
    unsigned(r)
    return build(r, QAdd, r["x"], r["y"], elem=r.op("q").elem)


RULES: tuple[Rule, ...] = (
    conv, linear, matmul, conv_spikes, linear_spikes, conv_weighted_spikes,
    linear_weighted_spikes, move, pad, reduction, avg_pool,
    reduction_of_spikes, avg_pool_of_spikes, reduction_of_weighted_spikes, factor_behind,
    requantize, requantize_relu, add, add_relu,
)  # fmt: skip
