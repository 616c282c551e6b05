"""Other shapes of the same elements: views, permutations, expansion, joining."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site, axis_of, static
from ranvier.ir.core import Value


@aten(
    "view.default",
    "_unsafe_view.default",
    "reshape.default",
    "flatten.using_ints",
    "unflatten.int",
    "unsqueeze.default",
    "squeeze.default",
    "squeeze.dim",
    "squeeze.dims",
)
def reshape(at: Site, x: Value, *_: Any) -> Any:
    """Every view that keeps the order of the elements: torch has worked out the shape."""
    return at.reshape(x, at.shape)


@aten("permute.default")
def permute(at: Site, x: Value, perm: Any) -> Any:
    """The axes in another order."""
    order = tuple(axis_of(p, x) for p in perm)
    return x if order == tuple(range(x.type.rank)) else at("core.transpose", x, perm=order)


@aten("transpose.int")
def transpose(at: Site, x: Value, a: int, b: int) -> Any:
    """Two axes exchanged."""
    order = list(range(x.type.rank))
    a, b = axis_of(a, x), axis_of(b, x)
    order[a], order[b] = b, a
    return permute(at, x, order)


@aten("t.default")
def matrix_transpose(at: Site, x: Value) -> Any:
    """A matrix turned."""
    return permute(at, x, reversed(range(x.type.rank)))


@aten("expand.default")
def expand(at: Site, x: Value, *_: Any) -> Any:
    """Axes of size 1 repeated."""
    shape = at.shape
    if shape == x.type.shape and "?" not in shape:
        return x
    if "?" in shape:
        raise Unsupported("to a size that is computed of symbolic ones is not imported", "expand to plain sizes")
    return at("core.broadcast", x, shape=shape)


@aten("copy.default")
def copy(at: Site, _: Value, source: Value, *rest: Any) -> Any:
    """What is written over a value: the source in its shape and element type."""
    return expand(at, at.cast(source, at.elem))


@aten("cat.default")
def cat(at: Site, xs: list[Value], axis: int) -> Any:
    """Values one after the other along an axis; torch leaves out empty vectors."""
    parts = [at.cast(x, at.elem) for x in xs if x.type.shape != (0,) or len(at.shape) == 1]
    return parts[0] if len(parts) == 1 else at("core.concat", *parts, axis=axis % len(at.shape))


@aten("stack.default")
def stack(at: Site, xs: list[Value], axis: int) -> Any:
    """Values side by side along a new axis."""
    axis %= len(at.shape)
    one = (*at.shape[:axis], 1, *at.shape[axis + 1 :])
    return cat(at, [at.reshape(x, one) for x in xs], axis)


@aten("repeat.default")
def repeat(at: Site, x: Value, counts: Any) -> Any:
    """Copies along axes, new axes in front."""
    x = at.reshape(x, (*(1,) * (len(counts) - x.type.rank), *x.type.shape))
    for axis, count in enumerate(counts):
        if isinstance(count, int):
            x = x if count == 1 else at("core.concat", *[x] * count, axis=axis)
        elif x.type.shape[axis] != 1 or count == "?":
            raise Unsupported("by a symbolic count is not imported", "repeat axes of size 1 only")
    return x if all(isinstance(c, int) for c in counts) else at("core.broadcast", x, shape=_dims(x, counts))


def _dims(x: Value, counts: Any) -> tuple[Any, ...]:
    return tuple(d if isinstance(c, int) else c for d, c in zip(x.type.shape, counts, strict=True))


@aten("roll.default")
def roll(at: Site, x: Value, shifts: Any, axes: Any) -> Any:
    """Elements moved round along axes."""
    if not axes:
        raise Unsupported("over all axes at once is not imported", "name the axes")
    for shift, axis in zip(static(shifts), axes, strict=True):
        axis = axis_of(axis, x)
        size = x.type.shape[axis]
        if not isinstance(size, int):
            raise Unsupported("along a symbolic size is not imported", "export with fixed sizes but the batch")
        if size and (cut := -shift % size):
            back = at("core.slice", x, axes=(axis,), starts=(cut,), stops=(2**31 - 1,), steps=(1,))
            front = at("core.slice", x, axes=(axis,), starts=(0,), stops=(cut,), steps=(1,))
            x = at("core.concat", back, front, axis=axis)
    return x
