"""Integer ops on computed sizes: what shape arithmetic is made of, evaluated while the file is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.symbols import Size, as_expr, atom, equal, less, quotient
from ranvier.frontends.onnx.tensors import Array, Constant, Sizes, settle, sizes_of
from ranvier.ir.elements import elem

DEPENDS = "depends on a size that is not known before the network runs"


def compare(how: str, a: Size, b: Size) -> int:
    """A comparison as 0 or 1; raises Unsupported when it depends on the symbols."""
    if how in ("eq", "ne"):
        found = equal(a, b)
        return _known(found if found is None or how == "eq" else not found)
    if how in ("lt", "ge"):
        found = less(a, b)
        return _known(found if found is None or how == "lt" else not found)
    found = less(b, a)
    return _known(found if found is None or how == "gt" else not found)


def _known(found: bool | None) -> int:
    if found is None:
        raise Unsupported(DEPENDS)
    return int(found)


def divide(a: Size, b: Size) -> Size:
    """Division truncated towards zero; sizes are not negative, so it is the floor."""
    if isinstance(a, int) and isinstance(b, int):
        return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    exact = quotient(a, b)
    return exact if exact is not None else as_expr(a) // b


def extreme(which: str, a: Size, b: Size) -> Size:
    """The larger or smaller of two sizes."""
    if a == b:
        return a
    below = less(a, b)
    if below is None:
        return atom(f"{which}({a}, {b})")
    return (b if below else a) if which == "max" else (a if below else b)


def _map(function: Callable[[Any, Any], Any], a: Array, b: Array) -> Array:
    out: Array = np.frompyfunc(function, 2, 1)(a, b)
    return np.asarray(out, object)


def _axes(x: Array, attributes: dict[str, Any]) -> tuple[int, ...]:
    return tuple(attributes.get("axes") or range(x.ndim))


def _slice(x: Array, axes: Sequence[int], starts: Sequence[int], stops: Sequence[int], steps: Sequence[int]) -> Array:
    where = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        where[axis] = slice(start, None if step < 0 and stop < -x.shape[axis] else stop, step)
    return x[tuple(where)]


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "nn.add": lambda a, b: a + b,
    "nn.sub": lambda a, b: a - b,
    "nn.mul": lambda a, b: a * b,
    "nn.div": divide,
    "nn.mod": lambda a, b: a % b,
    "nn.maximum": lambda a, b: extreme("max", a, b),
    "nn.minimum": lambda a, b: extreme("min", a, b),
}
_MOVES: dict[str, Callable[..., Any]] = {
    "core.reshape": lambda at, x: np.reshape(x, at["shape"]),
    "core.transpose": lambda at, x: np.transpose(x, at["perm"]),
    "core.concat": lambda at, *xs: np.concatenate(xs, at["axis"]),
    "core.slice": lambda at, x: _slice(x, at["axes"], at["starts"], at["stops"], at["steps"]),
    "core.gather": lambda at, x, i: np.take(x, i.astype(np.int64), axis=at["axis"]),
    "core.broadcast": lambda at, x: np.broadcast_to(x, at["shape"]),
    "core.select": lambda at, c, a, b: np.where(c.astype(bool), a, b),
    "core.pad": lambda at, x: np.pad(
        x, list(zip(at["before"], at["after"], strict=True)), constant_values=int(at.get("value", 0))
    ),
    "nn.neg": lambda at, x: 0 - x,
    "nn.prod": lambda at, x: np.prod(x, axis=_axes(x, at), keepdims=at.get("keep", False)),
    "nn.sum": lambda at, x: np.sum(x, axis=_axes(x, at), keepdims=at.get("keep", False)),
    "nn.cumsum": lambda at, x: np.cumsum(x, axis=at["axis"]),
}


def evaluate(op: str, operands: Sequence[Constant | Sizes], attributes: dict[str, Any]) -> Constant | Sizes:
    """An IR op on computed sizes; raises Unsupported for one that sizes are not put through."""
    first = operands[0]
    element = first.elem if isinstance(first, Sizes) else first.type.elem
    if op == "core.cast":
        target = attributes["elem"]
        if target.is_float or target.storage == "i1":
            raise Unsupported(f"turns sizes into {target}, and they depend on symbols")
        return settle(sizes_of(first), target)
    if op == "core.select":
        element = operands[1].elem if isinstance(operands[1], Sizes) else operands[1].type.elem
    if any(isinstance(t, Constant) and t.type.elem.is_float for t in operands):
        raise Unsupported("mixes real numbers with sizes that depend on symbols")
    arrays = [sizes_of(t) for t in operands]
    if op == "nn.compare":
        how = attributes["how"]
        return settle(_map(lambda a, b: compare(how, a, b), *arrays), elem("i1"))
    if op in _BINARY:
        return settle(_map(_BINARY[op], *arrays), element)
    if op in _MOVES:
        return settle(_MOVES[op](attributes, *arrays), element)
    raise Unsupported(DEPENDS)
