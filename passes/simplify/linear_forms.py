"""Sums and products with constants, and the linear ops that take them in."""

from __future__ import annotations

import numpy as np

from ranvier.ir.core import Value
from ranvier.ir.ops.arith import Add, Div, Mul, Neg, Sub
from ranvier.ir.ops.nn import Conv, ConvTranspose, Linear, Matmul
from ranvier.ir.ops.pool import AvgPool
from ranvier.ir.ops.reduce import Mean
from ranvier.ir.rewriting import Match, Rule, const, op, rewrite, var
from ranvier.ir.types import element_count


def _number(r: Match, name: str) -> float | None:
    """The one number that a constant holds, None if several."""
    resource = r.module.resource(str(r[name].resource))
    if resource.size == 0 or not resource.available:
        return None
    if resource.splat is not None:
        return float(resource.splat)
    if resource.size > 1 << 20:
        return None
    array = resource.array
    return float(array.flat[0]) if bool(np.all(array == array.flat[0])) else None


def _neutral(r: Match, number: float) -> Value:
    r.require(_number(r, "c") == number, f"the constant is not {number:g}")
    r.require(r["x"].type == r.root.result.type, "the constant broadcasts {x} to another shape")
    return r["x"]


@rewrite("x + 0 => x", op(Add, var("x"), const("c"), commute=True))
def plus_zero(r: Match) -> Value:
    """Zero is neutral."""
    return _neutral(r, 0.0)


@rewrite("x - 0 => x", op(Sub, var("x"), const("c")))
def minus_zero(r: Match) -> Value:
    """Zero is neutral."""
    return _neutral(r, 0.0)


@rewrite("x * 1 => x", op(Mul, var("x"), const("c"), commute=True))
def times_one(r: Match) -> Value:
    """One is neutral."""
    return _neutral(r, 1.0)


@rewrite("x / 1 => x", op(Div, var("x"), const("c")))
def over_one(r: Match) -> Value:
    """One is neutral."""
    return _neutral(r, 1.0)


@rewrite("neg(neg(x)) => x", op(Neg, op(Neg, var("x"))))
def negative_twice(r: Match) -> Value:
    """Signs cancel."""
    return r["x"]


@rewrite("matmul(x, W) => linear(x, W^T), W a constant matrix", op(Matmul, var("x"), const("w")))
def matmul_is_linear(r: Match) -> Value:
    """A product with a constant matrix is a linear op; its weight is [out, in]."""
    r.require(r["w"].type.rank == 2 and r["x"].type.rank >= 2, "{w} is no matrix")
    r.require(not r["x"].is_constant, "both sides are constants")
    r.untimed("w")
    r.without_mask("w", "that would have to be transposed too")
    r.require(r.sole_use("w"), "{w} is used elsewhere and would be stored twice")
    out: Value = r.new(Linear, r["x"], r.constant(r.array("w").T, like="w"))
    return out


_LINEAR = op((Linear, Conv, ConvTranspose), var("x"), const("w"), bind="linear", uses=1)


@rewrite(
    "conv(x, w) + c => conv(x, w, c), c one number a channel; likewise linear",
    op(Add, _LINEAR, const("c"), commute=True),
)
def bias_of_linear(r: Match) -> Value:
    """A sum with one number a channel is the bias."""
    linear = r.op("linear")
    r.require(len(linear.arguments) == 2, "there is a bias already")
    kind = linear.result.type
    channels = -1 if isinstance(linear, Linear) else 1
    size = kind.shape[channels]
    shape = [1] * kind.rank
    shape[channels] = size if isinstance(size, int) else 0
    given = r["c"].type
    r.untimed("c")
    r.require(kind == r.root.result.type, "the constant broadcasts the result")
    r.require(
        given.rank <= kind.rank and [1] * (kind.rank - given.rank) + list(given.shape) == shape,
        "the constant is not one number a channel",
    )
    r.without_mask("c", "whose shape would change")
    r.require(r.module.resource(str(r["c"].resource)).available, "the array of {c} is not at hand")
    bias = r["c"] if given.rank == 1 else r.constant(r.array("c").reshape(-1), like="c")
    out: Value = r.new(type(linear), r["x"], r["w"], bias, **linear.attributes)
    return out


@rewrite("avg_pool(x) over all positions => mean(x, [2, 3], keep)", op(AvgPool, var("x"), bind="pool"))
def global_pool(r: Match) -> Value:
    """A window as large as its input."""
    pool, kind = r.op("pool"), r["x"].type
    r.require(pool.kernel == kind.shape[2:] and not any(pool.padding), "the window is smaller than {x}")
    r.require(element_count(pool.result.type.shape[2:]) == 1, "there are several windows")
    out: Value = r.new(Mean, r["x"], axes=tuple(range(2, kind.rank)), keep=True)
    return out


RULES: tuple[Rule, ...] = (
    plus_zero,
    minus_zero,
    times_one,
    over_one,
    negative_twice,
    matmul_is_linear,
    bias_of_linear,
    global_pool,
)
