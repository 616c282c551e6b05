"""Sums, means, extrema, softmax and other functions along axes."""

from __future__ import annotations

import math
from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site, axis_of
from ranvier.ir.core import Value
from ranvier.ir.elements import elem


def axes_of(x: Value, axes: Any) -> tuple[int, ...]:
    """Axes counted from the front; all where torch names none."""
    if axes is None or axes == []:
        return tuple(range(x.type.rank))
    given = axes if isinstance(axes, list) else [axes]
    return tuple(sorted(axis_of(a, x) for a in given))


def reduce(at: Site, op: str, x: Value, axes: Any = None, keep: bool = False) -> Any:
    """A reduction in the result's element type; of a value without axes it is the value."""
    x = at.cast(x, at.elem)
    return x if x.type.rank == 0 else at(op, x, axes=axes_of(x, axes), keep=keep)


@aten("mean.default")
def mean_all(at: Site, x: Value, _: Any) -> Any:
    """The mean of everything."""
    return reduce(at, "nn.mean", x)


@aten("mean.dim")
def mean(at: Site, x: Value, axes: Any, keep: bool, _: Any) -> Any:
    """The mean over axes."""
    return reduce(at, "nn.mean", x, axes, keep)


@aten("sum.default")
def sum_all(at: Site, x: Value, _: Any) -> Any:
    """The sum of everything."""
    return reduce(at, "nn.sum", x)


@aten("sum.dim_IntList")
def sum_axes(at: Site, x: Value, axes: Any, keep: bool, _: Any) -> Any:
    """The sum over axes."""
    return reduce(at, "nn.sum", x, axes, keep)


@aten("prod.default")
def prod_all(at: Site, x: Value, _: Any) -> Any:
    """The product of everything."""
    return reduce(at, "nn.prod", x)


@aten("prod.dim_int")
def prod(at: Site, x: Value, axis: int, keep: bool, _: Any) -> Any:
    """The product over an axis."""
    return reduce(at, "nn.prod", x, axis, keep)


@aten("amax.default")
def amax(at: Site, x: Value, axes: Any, keep: bool) -> Any:
    """The largest over axes."""
    return reduce(at, "nn.max", x, axes, keep)


@aten("amin.default")
def amin(at: Site, x: Value, axes: Any, keep: bool) -> Any:
    """The smallest over axes."""
    return reduce(at, "nn.min", x, axes, keep)


@aten("max.default")
def max_all(at: Site, x: Value) -> Any:
    """The largest of all."""
    return reduce(at, "nn.max", x)


@aten("min.default")
def min_all(at: Site, x: Value) -> Any:
    """The smallest of all."""
    return reduce(at, "nn.min", x)


@aten("max.dim")
def max_with_index(at: Site, x: Value, axis: int, keep: bool) -> Any:
    """The largest along an axis, and where it is."""
    axis = axis_of(axis, x)
    return at("nn.max", x, axes=(axis,), keep=keep), at("nn.argmax", x, axis=axis, keep=keep)


@aten("min.dim")
def min_with_index(at: Site, x: Value, axis: int, keep: bool) -> Any:
    """The smallest along an axis, and where it is."""
    axis = axis_of(axis, x)
    return at("nn.min", x, axes=(axis,), keep=keep), at("nn.argmin", x, axis=axis, keep=keep)


@aten("argmax.default")
def argmax(at: Site, x: Value, axis: int | None, keep: bool) -> Any:
    """Where the largest is."""
    return _where(at, "nn.argmax", x, axis, keep)


@aten("argmin.default")
def argmin(at: Site, x: Value, axis: int | None, keep: bool) -> Any:
    """Where the smallest is."""
    return _where(at, "nn.argmin", x, axis, keep)


def _where(at: Site, op: str, x: Value, axis: int | None, keep: bool) -> Any:
    if axis is None:
        raise Unsupported("over all axes is not imported", "name the axis")
    return at(op, x, axis=axis_of(axis, x), keep=keep)


@aten("any.dim", "any.dims")
def any_axes(at: Site, x: Value, axes: Any, keep: bool) -> Any:
    """Whether any is not zero."""
    return _count(at, "nn.max", x, axes, keep)


@aten("any.default")
def any_all(at: Site, x: Value) -> Any:
    """Whether any is not zero."""
    return _count(at, "nn.max", x, None, False)


def _count(at: Site, op: str, x: Value, axes: Any, keep: bool) -> Any:
    set_ = at.cast(at.cast(x, elem("i1")), elem("i8"))
    return at("core.cast", at(op, set_, axes=axes_of(x, axes), keep=keep), elem=elem("i1"))


@aten("var.correction")
def var(at: Site, x: Value, axes: Any, correction: float | None, keep: bool) -> Any:
    """The variance over axes: the sum of squares about the mean over the count less the correction."""
    taken = axes_of(x, axes)
    sizes = [x.type.shape[a] for a in taken]
    if any(not isinstance(n, int) for n in sizes):
        raise Unsupported("over a symbolic size is not imported", "export with fixed sizes but the batch")
    count = math.prod(int(n) for n in sizes)
    rest = count - (1.0 if correction is None else float(correction))
    if rest <= 0:
        raise Unsupported(f"of {count} numbers less {correction} is not defined", "take the variance over more numbers")
    centred = at("nn.sub", x, at("nn.mean", x, axes=taken, keep=True))
    mean_square = at("nn.mean", at("nn.mul", centred, centred), axes=taken, keep=keep)
    return mean_square if rest == count else at("nn.mul", mean_square, at.number(count / rest, at.elem))


@aten("linalg_vector_norm.default")
def vector_norm(at: Site, x: Value, order: float, axes: Any, keep: bool, _: Any) -> Any:
    """The norm of order 1, 2 or infinity over axes."""
    x = at.cast(x, at.elem)
    taken = axes_of(x, axes)
    if order == 2:
        return at("nn.sqrt", at("nn.sum", at("nn.mul", x, x), axes=taken, keep=keep))
    if order in (1, math.inf):
        return at("nn.sum" if order == 1 else "nn.max", at("nn.abs", x), axes=taken, keep=keep)
    raise Unsupported(f"of order {order:g} is not imported", "orders 1, 2 and inf are")


@aten("_softmax.default", "softmax.int", "_safe_softmax.default")
def softmax(at: Site, x: Value, axis: int, _: Any) -> Any:
    """exp(x) over its sum along an axis."""
    return at("nn.softmax", at.cast(x, at.elem), axis=axis_of(axis, x))


@aten("_log_softmax.default", "log_softmax.int")
def log_softmax(at: Site, x: Value, axis: int, _: Any) -> Any:
    """The logarithm of the softmax."""
    return at("nn.log_softmax", at.cast(x, at.elem), axis=axis_of(axis, x))


@aten("cumsum.default")
def cumsum(at: Site, x: Value, axis: int, _: Any) -> Any:
    """Running sums along an axis."""
    return at("nn.cumsum", at.cast(x, at.elem), axis=axis_of(axis, x))
