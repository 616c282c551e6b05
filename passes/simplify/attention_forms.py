"""Attention as exporters write it: scales before the products of matrices, transposes by way of a flattened batch."""

from __future__ import annotations

import math

import numpy as np

from ranvier.ir.core import Value
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.ops.arith import Mul
from ranvier.ir.ops.nn import Matmul
from ranvier.ir.ops.reshape import reshaped
from ranvier.ir.ops.shape import Reshape, Transpose
from ranvier.ir.rewriting import Match, Rule, const, op, rewrite, var
from ranvier.passes.simplify.uniform import uniform


def _factor(r: Match, name: str) -> float:
    """The number of a constant factor that broadcasts nothing."""
    number = uniform(r.module, r[name])
    r.require(number is not None, f"{name} is not one number, or is masked, or differs from step to step")
    assert number is not None
    return number


def _scalar(r: Match, number: float, like: str) -> Value:
    return r.builder.constant(r[like].type.elem.dtype.type(number), str(r[like].resource or "c"))


def _scaled(r: Match) -> None:
    scaled = r.op("scaled")
    r.require(scaled.result.type == r["a"].type, "the constant broadcasts {a} to another shape")
    r.require(not r["b"].is_constant, "{b} is a constant, which may take the factor in itself")


_SCALED = op(Mul, var("a"), const("c"), bind="scaled", uses=1, commute=True)


@rewrite("matmul(a * c, b) => matmul(a, b) * c, c one number", op(Matmul, _SCALED, var("b")))
def scale_of_left(r: Match) -> Value:
    """Scale scores, not queries."""
    _scaled(r)
    number = _factor(r, "c")
    product = r.new(Matmul, r["a"], r["b"])
    out: Value = r.new(Mul, product, _scalar(r, number, "c"))
    return out


@rewrite("matmul(b, a * c) => matmul(b, a) * c, c one number", op(Matmul, var("b"), _SCALED))
def scale_of_right(r: Match) -> Value:
    """Scale scores, not keys."""
    _scaled(r)
    number = _factor(r, "c")
    product = r.new(Matmul, r["b"], r["a"])
    out: Value = r.new(Mul, product, _scalar(r, number, "c"))
    return out


@rewrite(
    "(x * c) * d => x * (c*d), c and d one number each",
    op(Mul, op(Mul, var("x"), const("c"), bind="inner", uses=1, commute=True), const("d"), commute=True),
)
def scale_of_scale(r: Match) -> Value:
    """Factors multiply."""
    r.require(r["x"].type == r["inner"].type == r.root.result.type, "a constant broadcasts {x} to another shape")
    r.require(not r["x"].is_constant, "{x} is a constant too")
    number = _factor(r, "c") * _factor(r, "d")
    with np.errstate(over="ignore", under="ignore"):
        held = float(r["c"].type.elem.dtype.type(number))
    r.require(math.isclose(held, number, rel_tol=0.01), "the product of the factors is too large or too small")
    out: Value = r.new(Mul, r["x"], _scalar(r, number, "c"))
    return out


@rewrite(
    "reshape(transpose(reshape(x, [-1, l, d]), [0, 2, 1]), [..., d, l]) => "
    "transpose(reshape(x, [..., l, d]), [..., last two swapped])",
    op(
        Reshape,
        op(Transpose, op(Reshape, var("x"), bind="flat"), bind="swap", perm=(0, 2, 1)),
        bind="outer",
    ),
)
def transpose_of_flattened(r: Match) -> Value:
    """A transpose of matrices does not need their batch in one axis."""
    length, depth = r["flat"].type.shape[1:]
    wanted, kind = r.root.result.type.shape, r["x"].type
    r.require(len(wanted) >= 3 and wanted[-2:] == (depth, length), "the outer shape takes the matrices apart")
    r.require(isinstance(length, int) and isinstance(depth, int), "the matrices have unknown sizes")
    r.require(kind.elem.quant is None or kind.elem.quant.axis is None, "scales lie on an axis of {x}")
    shape = (*wanted[:-2], length, depth)
    try:
        known = reshaped(r.root, kind.shape, shape)
    except RanvierError:
        known = ()
    r.require("?" not in shape and known == shape, "less is known of the shape without the step between")
    rank = len(shape)
    out: Value = r.new(Transpose, r.new(Reshape, r["x"], shape=shape), perm=(*range(rank - 2), rank - 1, rank - 2))
    return out


RULES: tuple[Rule, ...] = (scale_of_left, scale_of_right, scale_of_scale, transpose_of_flattened)
