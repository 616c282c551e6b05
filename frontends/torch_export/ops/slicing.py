"""Parts of a value: slices, splits, and writing into a part."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site, axis_of, static
from ranvier.ir.core import Value
from ranvier.ir.types import Dim

END = 2**31 - 1


def cut(at: Site, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Any:
    """x[start:stop:step] along an axis; x itself where nothing is left out.

    A slice of a slice that nobody else uses becomes one op on both axes, as in x[:, ::2, ::2].
    """
    size = x.type.shape[axis]
    if start == 0 and step == 1 and (stop >= END or (isinstance(size, int) and stop >= size)):
        return x
    part = {"axes": (axis,), "starts": (start,), "stops": (min(stop, END),), "steps": (step,)}
    inner = x.op
    if inner is not None and inner.name == "core.slice" and not x.uses and axis not in inner.attributes["axes"]:
        source = at.node.args[0]
        if hasattr(source, "users") and len(source.users) == 1:
            part = {key: (*inner.attributes[key], *numbers) for key, numbers in part.items()}
            return at("core.slice", inner.operands[0], **part)
    return at("core.slice", x, **part)


@aten("slice.Tensor")
def slice_(at: Site, x: Value, axis: int, start: Any, stop: Any, step: Any) -> Any:
    """x[start:stop:step] along an axis."""
    axis = axis_of(axis, x)
    size: Dim = x.type.shape[axis]
    start, stop = start or 0, END if stop is None or (stop == size and isinstance(stop, str)) else stop
    first, last, distance = static([start, stop, step])
    return cut(at, x, axis, first, last, distance)


@aten("select.int")
def select(at: Site, x: Value, axis: int, index: Any) -> Any:
    """x[index] along an axis, which goes."""
    (number,), axis = static([index]), axis_of(axis, x)
    size = x.type.shape[axis]
    if isinstance(size, int):
        number %= size
    part = cut(at, x, axis, number, END if number == -1 else number + 1)
    return at.reshape(part, (*x.type.shape[:axis], *x.type.shape[axis + 1 :]))


@aten("split_with_sizes.default", "split.sizes", "unsafe_split_with_sizes.default")
def split_with_sizes(at: Site, x: Value, sizes: Any, axis: int) -> Any:
    """Parts of the given sizes, one after the other."""
    axis, start, parts = axis_of(axis, x), 0, []
    for size in static(sizes):
        parts.append(cut(at, x, axis, start, start + size))
        start += size
    return tuple(parts)


@aten("split.Tensor", "unsafe_split.Tensor")
def split(at: Site, x: Value, size: int, axis: int) -> Any:
    """Equal parts; the last may be smaller."""
    return split_with_sizes(at, x, [part.shape[axis] for part in at.node.meta["val"]], axis)


@aten("chunk.default")
def chunk(at: Site, x: Value, _: int, axis: int) -> Any:
    """Some equal parts; the last may be smaller."""
    return split(at, x, 0, axis)


@aten("unbind.int")
def unbind(at: Site, x: Value, axis: int) -> Any:
    """Every index along an axis, which goes."""
    return tuple(select(at, x, axis, i) for i in range(len(at.node.meta["val"])))


@aten("slice_scatter.default")
def slice_scatter(at: Site, x: Value, source: Value, axis: int, start: Any, stop: Any, step: Any) -> Any:
    """x with x[start:stop] replaced: how an assignment to a part is exported."""
    axis = axis_of(axis, x)
    size = x.type.shape[axis]
    if step != 1:
        raise Unsupported(f"with step {step} is not imported", "build the value with torch.cat")
    if not isinstance(size, int):
        if (start or 0) == 0 and (stop is None or stop == size or stop >= END):
            return source
        raise Unsupported("along a symbolic size is not imported", "build the value with torch.cat")
    (first, last, _) = slice(*static([start or 0, END if stop is None else stop])).indices(size)
    pieces = [cut(at, x, axis, 0, first)] if first > 0 else []
    pieces += [source]
    pieces += [cut(at, x, axis, last, END)] if last < size else []
    return pieces[0] if len(pieces) == 1 else at("core.concat", *pieces, axis=axis)


@aten("select_scatter.default")
def select_scatter(at: Site, x: Value, source: Value, axis: int, index: int) -> Any:
    """x with x[index] replaced."""
    axis = axis_of(axis, x)
    size = x.type.shape[axis]
    if not isinstance(size, int):
        raise Unsupported("along a symbolic size is not imported", "build the value with torch.cat")
    row = at.reshape(source, (*x.type.shape[:axis], 1, *x.type.shape[axis + 1 :]))
    return slice_scatter(at, x, row, axis, index % size, index % size + 1, 1)


@aten("flip.default")
def flip(at: Site, x: Value, axes: Any) -> Any:
    """The order turned round along axes."""
    count, axes = len(axes), tuple(axis_of(a, x) for a in axes)
    return at("core.slice", x, axes=axes, starts=(-1,) * count, stops=(-(2**31),) * count, steps=(-1,) * count)
