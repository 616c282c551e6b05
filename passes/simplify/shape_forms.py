"""Shape ops that do nothing, or that two of which are one."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.ir.core import Value
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.ops.reduce import Mean, Reduction, Sum
from ranvier.ir.ops.reshape import reshaped
from ranvier.ir.ops.shape import Broadcast, Cast, Concat, Pad, Reshape, Slice, Transpose
from ranvier.ir.rewriting import Match, Rule, op, rewrite, var
from ranvier.ir.types import Dim


@rewrite(
    "f(x): T -> T => x, f one of reshape, slice, pad, broadcast, cast",
    op((Reshape, Slice, Pad, Broadcast, Cast), var("x")),
)
def nothing_done(r: Match) -> Value:
    """A shape op whose result has the operand's own type, every dim known or a symbol."""
    r.require(r["x"].type == r.root.result.type and "?" not in r["x"].type.shape, "the type changes")
    root = r.root
    if isinstance(root, Slice):
        r.require(all(s > 0 for s in root.steps or (1,)), "the slice runs backwards")
    if isinstance(root, Pad):
        r.require(not any(root.before) and not any(root.after), "the pad shifts {x}")
    return r["x"]


@rewrite("reshape(reshape(x)) => reshape(x)", op(Reshape, op(Reshape, var("x")), bind="outer"))
def reshape_of_reshape(r: Match) -> Value:
    """The last shape wins."""
    shape, kind = r.op("outer").shape, r["x"].type
    symbols = [d for d in shape if isinstance(d, str)]
    r.require(all(d in kind.shape and d != "?" for d in symbols), "a symbol of the shape is not one of {x}'s")
    try:
        once = reshaped(r.root, kind.shape, shape)
    except RanvierError:
        once = ()
    r.require(once == r.root.result.type.shape, "less is known of the shape without the step between")
    r.require(kind.elem.quant is None or kind.elem.quant.axis is None, "scales lie on an axis of {x}")
    out: Value = r.new(Reshape, r["x"], shape=shape)
    return out


@rewrite(
    "transpose(transpose(x, p), q) => transpose(x, p[q])",
    op(Transpose, op(Transpose, var("x"), bind="inner"), bind="outer"),
)
def transpose_of_transpose(r: Match) -> Value:
    """Permutations compose."""
    inner, outer = r.op("inner").perm, r.op("outer").perm
    out: Value = r.new(Transpose, r["x"], perm=tuple(inner[q] for q in outer))
    return out


@rewrite("transpose(x, [0, 1, ...]) => x", op(Transpose, var("x"), bind="t"))
def identity_transpose(r: Match) -> Value:
    """The axes stay where they are."""
    perm = r.op("t").perm
    r.require(perm == tuple(range(len(perm))), "the axes move")
    return r["x"]


@rewrite("concat(x) => x", op(Concat, var("x")))
def concat_of_one(r: Match) -> Value:
    """Nothing is put together."""
    r.require(len(r.root.operands) == 1, "several values are put together")
    return r["x"]


@rewrite(
    "reshape(mean(x, axes, keep)) => mean(x, axes)", op(Reshape, op((Mean, Sum), var("x"), bind="reduce"), bind="shape")
)
def reduce_then_squeeze(r: Match) -> Value:
    """Global pooling: drop the axes of size one at once."""
    reduce = r.op("reduce")
    r.require(reduce.keep, "the axes are dropped already")
    axes = reduce.axes_in(r["x"].type.rank)
    left = tuple(d for i, d in enumerate(r["x"].type.shape) if i not in axes)
    r.require(r.root.result.type.shape == left and "?" not in left, "the reshape does more than drop the axes")
    out: Value = r.new(type(reduce), r["x"], axes=axes, keep=False)
    return out


@rewrite(
    "mean(reshape(x, [n, c, 1, w]), [2, 3]) => mean(reshape(x, [n, c, w]), [2])",
    op(Reduction, op(Reshape, var("x"), bind="shape"), bind="reduce", keep=False),
)
def unsqueeze_then_reduce(r: Match) -> Value:
    """Axes of size one that are made only to be reduced: pooling in one dimension written in two."""
    reduce, kind, given = r.op("reduce"), r["x"].type, r["shape"].type.shape
    axes = reduce.axes_in(len(given))
    ones = [a for a in axes if given[a] == 1]
    left = tuple(a - sum(o < a for o in ones) for a in axes if a not in ones)
    r.require(bool(ones and left), "no axis of size one is reduced together with others")
    shape = tuple(d for i, d in enumerate(given) if i not in ones)
    r.require("?" not in shape and _reshapes(r, kind.shape, shape), "less is known of the shape without those axes")
    r.require(kind.elem.quant is None or kind.elem.quant.axis is None, "scales lie on an axis of {x}")
    out: Value = r.new(type(reduce), r.new(Reshape, r["x"], shape=shape), axes=left, keep=False)
    return out


def _reshapes(r: Match, given: Sequence[Dim], wanted: tuple[Dim, ...]) -> bool:
    try:
        return reshaped(r.root, given, wanted) == wanted
    except RanvierError:
        return False


@rewrite(
    "mean(x, [-1, -2]) => mean(x, [2, 3]), axes counted from the front and in order",
    op(Reduction, var("x"), bind="reduce"),
)
def axes_in_order(r: Match) -> Value:
    """One way to write a reduction's axes."""
    reduce = r.op("reduce")
    axes = tuple(sorted(reduce.axes_in(r["x"].type.rank)))
    r.require(axes != reduce.axes, "the axes are in order")
    out: Value = r.new(type(reduce), r["x"], axes=axes, keep=reduce.keep)
    return out


RULES: tuple[Rule, ...] = (
    nothing_done,
    reshape_of_reshape,
    transpose_of_transpose,
    identity_transpose,
    concat_of_one,
    reduce_then_squeeze,
    unsqueeze_then_reduce,
    axes_in_order,
)
