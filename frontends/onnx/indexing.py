"""Slice and Gather."""

from __future__ import annotations

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.symbolic import DEPENDS
from ranvier.frontends.onnx.symbols import Size, atom, less
from ranvier.frontends.onnx.tensors import Constant, Tensor
from ranvier.ir.core import Value
from ranvier.ir.ops.shape import Slice

END = 2**31 - 1
Cut = tuple[int, int, int, int]


@onnx_op("Slice", since=1)
def slice_1(n: Node) -> Tensor:
    """Bounds are attributes."""
    starts, ends = n.ints("starts"), n.ints("ends")
    if starts is None or ends is None:
        raise ValueError("starts or ends are missing")
    axes = n.ints("axes", tuple(range(len(starts)))) or ()
    return _slice(n, list(starts), list(ends), list(axes), [1] * len(starts))


@onnx_op("Slice", since=10)
def slice_10(n: Node) -> Tensor:
    """Bounds are inputs, computed now."""
    starts, ends = n.sizes(1, "starts"), n.sizes(2, "ends")
    axes = n.ints_at(3, "axes") if n.optional(3) is not None else list(range(len(starts)))
    steps = n.ints_at(4, "steps") if n.optional(4) is not None else [1] * len(starts)
    return _slice(n, starts, ends, axes, steps)


def _slice(n: Node, starts: list[Size], ends: list[Size], axes: list[int], steps: list[int]) -> Tensor:
    x = n.input(0)
    shape, rank = n.shape(x), n.rank(x)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("starts, ends, axes and steps differ in number")
    cuts: list[Cut] = []
    sizes = list(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        at = n.axis(axis, rank)
        first, last = _bound(start, shape[at]), _bound(end, shape[at])
        if step < 0:
            first, last = _backwards(shape[at], first, last)
        if (first, step) == (0, 1) and last >= END:
            continue
        cuts.append((at, first, last, step))
        sizes[at] = _left(shape[at], first, last, step)
    if not cuts:
        return x
    base, cuts = _with_inner(n, x, cuts)
    ats, firsts, lasts, strides = (tuple(c) for c in zip(*cuts, strict=True))
    result = n.emit("core.slice", base, axes=ats, starts=firsts, stops=lasts, steps=strides)
    if isinstance(result, Value) and all(s is not None for s in sizes):
        n.emitter.know(result, [s if s is not None else 0 for s in sizes])
    return result


def _with_inner(n: Node, x: Tensor, cuts: list[Cut]) -> tuple[Tensor, list[Cut]]:
    """A slice of a slice on other axes, as in x[:, ::2, ::2], is one slice; exporters write an axis a node."""
    inner = x.op if isinstance(x, Value) else None
    if not isinstance(inner, Slice) or inner.result.uses or {a for a, *_ in cuts} & set(inner.axes):
        return x, cuts
    n.emitter.superseded.append(inner)
    base = inner.operands[0]
    assert base is not None
    before = list(zip(inner.axes, inner.starts, inner.stops, inner.steps or (1,) * len(inner.axes), strict=True))
    return base, before + cuts


def _bound(bound: Size, size: Size) -> int:
    """A bound as a number: from the end where it is the size less something, far away where it is at least the size."""
    if isinstance(bound, int):
        return max(-END, min(END, bound))
    if bound == size or less(size, bound):
        return END
    back = size - bound
    if isinstance(back, int) and back > 0:
        return -back
    raise Unsupported(f"has bounds of which one {DEPENDS}")


def _backwards(size: Size, first: int, last: int) -> tuple[int, int]:
    """Bounds of a slice with a negative step: ONNX moves a start before the front to the front, Python does not."""
    if isinstance(size, int):
        if size == 0:
            return 0, 0
        first = max(0, min(size - 1, first + size if first < 0 else first))
        last = max(-1, min(size - 1, last + size if last < 0 else last))
        return first, -END if last < 0 else last
    if first < -1 or -END < last < 0:
        raise Unsupported("runs backwards over an axis of unknown size")
    return first, last


def _left(size: Size, first: int, last: int, step: int) -> Size:
    """The size of what a slice leaves, as far as it is known; otherwise an unknown of its own."""
    if isinstance(size, int):
        return len(range(*slice(first, None if step < 0 and last <= -END else last, step).indices(size)))
    if step == 1 and first >= 0 and last == END:
        left = size - first
    elif step == 1 and first >= 0 and last < 0:
        left = size + last - first
    else:
        return atom(f"?({size})[{first}:{last}:{step}]")
    return left


@onnx_op("Gather", since=1)
def gather(n: Node) -> Tensor:
    """Slices that integers name; one constant integer cuts a slice out."""
    x, indices = n.input(0), n.input(1)
    axis = n.axis(n.integer("axis", 0), n.rank(x))
    if isinstance(x, Value) and isinstance(indices, Constant) and indices.size == 1 and len(indices.shape) < 2:
        at = int(indices.array.reshape(-1)[0])
        size = n.shape(x)[axis]
        if isinstance(size, int) and not -size <= at < size:
            raise ValueError(f"index {at} of an axis of {size}")
        cut = n.emit("core.slice", x, axes=(axis,), starts=(at,), stops=(END if at == -1 else at + 1,), steps=(1,))
        shape = list(n.shape(x))
        n.emitter.know(cut, [*shape[:axis], 1, *shape[axis + 1 :]])
        shape[axis : axis + 1] = list(indices.shape)
        # on an axis of unknown size the slice may be empty, as far as its type knows
        return n.reshape(cut, shape)
    if isinstance(x, Constant) and isinstance(indices, Constant) and indices.size:
        size = x.shape[axis]
        if int(indices.array.min()) < -size or int(indices.array.max()) >= size:
            raise ValueError(f"an index is outside an axis of {size}")
    return n.emit("core.gather", x, indices, axis=axis)
