"""Operators that only move elements: Reshape, Flatten, Squeeze, Transpose, Concat, Split, Expand, Tile, Pad, ..."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.symbols import Size, atom, equal, product, quotient, to_dim
from ranvier.frontends.onnx.tensors import Tensor
from ranvier.ir.core import Value
from ranvier.ir.types import Dim


def reshape(n: Node, t: Tensor, wanted: Sequence[Size]) -> Tensor:
    """The tensor under another shape of numbers and symbols; itself when it has that shape already."""
    have = n.shape(t)
    if tuple(wanted) == have:
        return t
    if not isinstance(t, Value):
        return n.emit("core.reshape", t, shape=tuple(_number(d) for d in wanted))
    dims = [to_dim(d) for d in wanted]
    unknown = [i for i, d in enumerate(dims) if d == "?"]
    shape: list[Dim] = [-1 if d == "?" else d for d in dims]
    open_dims = [i for i, d in enumerate(shape) if d == -1 or (isinstance(d, str) and d not in t.type.shape)]
    if len(open_dims) > 1:
        raise Unsupported("reshapes to more than one size that depends on the input's", "give the input a fixed shape")
    result = n.emit("core.reshape", t, shape=tuple(shape))
    if unknown:
        n.emitter.know(result, wanted)
    return result


def _number(size: Size) -> int:
    if not isinstance(size, int):
        raise Unsupported("gives a constant a shape that depends on the input's")
    return size


def resolve_shape(have: Sequence[Size], wanted: Sequence[Size], zero_copies: bool) -> list[Size]:
    """The shape that ONNX's Reshape means: 0 copies a dim of the input, -1 follows from the others."""
    out: list[Size] = []
    for i, d in enumerate(wanted):
        if d == 0 and zero_copies:
            if i >= len(have):
                raise ValueError(f"the shape copies dimension {i} of a tensor with {len(have)} axes")
            d = have[i]
        out.append(d)
    if out.count(-1) > 1:
        raise ValueError("the shape has more than one -1")
    if -1 in out:
        at, total = out.index(-1), product(have)
        rest = product(d for i, d in enumerate(out) if i != at)
        if rest == 0:
            raise ValueError("the shape has a -1 beside a 0")
        exact = quotient(total, rest)
        if exact is None and isinstance(total, int) and isinstance(rest, int):
            raise ValueError(f"the shape {list(wanted)} does not fit a tensor of {total} elements")
        out[at] = atom(f"?({total})/({rest})") if exact is None else exact
    return out


@onnx_op("Reshape", since=5)
def reshape_5(n: Node) -> Tensor:
    """The shape is an input, computed now."""
    x = n.input(0)
    wanted = n.sizes(1, "a shape")
    zero_copies = n.opset < 14 or n.integer("allowzero", 0) == 0
    return reshape(n, x, resolve_shape(n.shape(x), wanted, zero_copies))


@onnx_op("Flatten", since=1)
def flatten(n: Node) -> Tensor:
    """Two axes: what is before `axis`, and the rest."""
    x = n.input(0)
    shape = n.shape(x)
    axis = n.integer("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    if not 0 <= axis <= len(shape):
        raise ValueError(f"axis {axis} of a tensor with {len(shape)} axes")
    return reshape(n, x, [product(shape[:axis]), product(shape[axis:])])


def _axes(n: Node, index: int, since: int) -> list[int] | None:
    """Axes from the attribute, or since an opset from an input; None when not given."""
    if n.opset < since:
        given = n.ints("axes")
        return None if given is None else list(given)
    return None if n.optional(index) is None else n.ints_at(index, "axes")


@onnx_op("Squeeze", since=1)
def squeeze(n: Node) -> Tensor:
    """Axes of size 1 taken out; all of them when none is named."""
    x = n.input(0)
    shape = n.shape(x)
    given = _axes(n, 1, 13)
    if given is None:
        if any(not isinstance(d, int) for d in shape):
            raise Unsupported("takes out all axes of size 1 of a shape with symbols", "name the axes")
        axes = {i for i, d in enumerate(shape) if d == 1}
    else:
        axes = {n.axis(a, len(shape)) for a in given}
        for i in axes:
            if not isinstance(shape[i], int):
                raise Unsupported("takes out an axis whose size is not known", "give the input a fixed shape")
            if shape[i] != 1:
                raise ValueError(f"axis {i} is of size {shape[i]}, not 1")
    return reshape(n, x, [d for i, d in enumerate(shape) if i not in axes])


@onnx_op("Unsqueeze", since=1)
def unsqueeze(n: Node) -> Tensor:
    """New axes of size 1, at their places in the result."""
    x = n.input(0)
    given = _axes(n, 1, 13)
    if given is None:
        raise ValueError("axes are missing")
    rank = n.rank(x) + len(given)
    axes = {n.axis(a, rank) for a in given}
    if len(axes) < len(given):
        raise ValueError(f"an axis is named twice in {given}")
    rest = iter(n.shape(x))
    return reshape(n, x, [1 if i in axes else next(rest) for i in range(rank)])


@onnx_op("Transpose", since=1)
def transpose(n: Node) -> Tensor:
    """Axes in another order, reversed when none is given."""
    x = n.input(0)
    perm = n.ints("perm", tuple(reversed(range(n.rank(x))))) or ()
    return x if perm == tuple(range(n.rank(x))) else n.emit("core.transpose", x, perm=perm)


@onnx_op("Concat", since=4)
def concat(n: Node) -> Tensor:
    """Tensors one after the other."""
    xs = n.all_inputs()
    axis = n.axis(n.integer("axis"), n.rank(xs[0]))
    kept = [x for x in xs if n.shape(x)[axis : axis + 1] != (0,) or n.rank(x) != n.rank(xs[0])] or xs[:1]
    if len(kept) == 1:
        return kept[0]
    result = n.emit("core.concat", *kept, axis=axis)
    if isinstance(result, Value):
        shape = list(n.shape(result))
        total: Size = 0
        for x in kept:
            total = total + n.shape(x)[axis]
        shape[axis] = total
        n.emitter.know(result, shape)
    return result


def cut(n: Node, x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Elements start to stop of an axis."""
    return n.emit("core.slice", x, axes=(axis,), starts=(start,), stops=(stop,), steps=(1,))


@onnx_op("Split", since=2)
def split(n: Node) -> list[Tensor]:
    """Parts of an axis, equal ones when no sizes are given."""
    x = n.input(0)
    axis = n.axis(n.integer("axis", 0), n.rank(x))
    size, count = n.shape(x)[axis], len(n.proto.output)
    given = list(n.ints("split") or ()) if n.opset < 13 else n.ints_at(1, "sizes") if n.optional(1) is not None else []
    if n.opset >= 18 and n.has("num_outputs"):
        count = n.integer("num_outputs")
        if count != len(n.proto.output):
            raise ValueError(f"num_outputs is {count} for {len(n.proto.output)} outputs")
    if not given:
        if not isinstance(size, int):
            raise Unsupported("splits an axis of unknown size into equal parts")
        each = -(-size // count)
        if n.opset < 18 and each * count != size:
            raise ValueError(f"{size} elements in {count} equal parts")
        given = [max(0, min(each, size - i * each)) for i in range(count)]
    if len(given) != len(n.proto.output) or min(given) < 0 or (isinstance(size, int) and sum(given) != size):
        raise ValueError(f"sizes {given} for {len(n.proto.output)} outputs and an axis of {size}")
    if len(given) == 1:
        return [x]
    ends = list(accumulate(given))
    return [cut(n, x, axis, end - part, end) for part, end in zip(given, ends, strict=True)]


@onnx_op("Expand", since=8)
def expand(n: Node) -> Tensor:
    """Broadcast to a shape; dims that are larger in the input stay."""
    return broadcast(n, n.input(0), n.sizes(1, "a shape"))


def broadcast(n: Node, x: Tensor, wanted: Sequence[Size]) -> Tensor:
    """The tensor broadcast together with a shape."""
    have = n.shape(x)
    rank = max(len(have), len(wanted))
    left = [1] * (rank - len(have)) + list(have)
    right = [1] * (rank - len(wanted)) + list(wanted)
    out = [a if b == 1 or equal(a, b) else b if a == 1 else _differ(a, b) for a, b in zip(left, right, strict=True)]
    if tuple(out) == have:
        return x
    dims = [to_dim(d) for d in out]
    if "?" in dims:
        raise Unsupported("broadcasts to a size that depends on the input's", "give the input a fixed shape")
    return n.emit("core.broadcast", x, shape=tuple(dims))


def _differ(a: Size, b: Size) -> Size:
    if equal(a, b) is False:
        raise ValueError(f"a dimension of {a} does not broadcast to {b}")
    return a


@onnx_op("Tile", since=6)
def tile(n: Node) -> Tensor:
    """Copies side by side: a new axis before each that is repeated, broadcast, and taken in again."""
    x = n.input(0)
    repeats = n.ints_at(1, "repeats")
    shape = n.shape(x)
    if len(repeats) != len(shape) or min(repeats, default=1) < 0:
        raise ValueError(f"repeats {repeats} for {len(shape)} axes")
    if all(r == 1 for r in repeats):
        return x
    apart: list[Size] = []
    spread: list[Size] = []
    for r, d in zip(repeats, shape, strict=True):
        apart += [d] if r == 1 else [1, d]
        spread += [d] if r == 1 else [r, d]
    return reshape(n, broadcast(n, reshape(n, x, apart), spread), [r * d for r, d in zip(repeats, shape, strict=True)])


@onnx_op("Pad", since=2)
def pad(n: Node) -> Tensor:
    """Elements put on, or taken off, before and after each axis."""
    x = n.input(0)
    rank = n.rank(x)
    mode = n.text("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise Unsupported(f"has mode {mode!r}, which is not imported")
    if n.opset < 11:
        pads, value = list(n.ints("pads") or ()), n.real("value", 0.0)
    else:
        pads = n.ints_at(1, "pads")
        value = float(n.constant(2, "a value").reshape(-1)[0]) if n.optional(2) is not None else 0.0
    axes = list(range(rank))
    if n.opset >= 18 and n.optional(3) is not None:
        axes = [n.axis(a, rank) for a in n.ints_at(3, "axes")]
    if len(pads) != 2 * len(axes):
        raise ValueError(f"{len(pads)} pads for {len(axes)} axes")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[len(axes) + i]
    if not any(pads):
        return x
    attributes = {"value": value} if mode == "constant" else {}
    return n.emit("core.pad", x, before=tuple(before), after=tuple(after), mode=mode, **attributes)


@onnx_op("DepthToSpace", since=1)
def depth_to_space(n: Node) -> Tensor:
    """Blocks of channels become blocks of pixels."""
    x = n.input(0)
    b = n.integer("blocksize")
    mode = n.text("mode", "DCR")
    batch, channels, height, width = _image(n, x)
    depth = quotient(channels, b * b) if b > 0 else None
    if depth is None or mode not in ("DCR", "CRD"):
        raise ValueError(f"{channels} channels in blocks of {b} with mode {mode!r}")
    if mode == "DCR":
        apart, perm = [batch, b, b, depth, height, width], (0, 3, 4, 1, 5, 2)
    else:
        apart, perm = [batch, depth, b, b, height, width], (0, 1, 4, 2, 5, 3)
    y = n.emit("core.transpose", reshape(n, x, apart), perm=perm)
    return reshape(n, y, [batch, depth, height * b, width * b])


@onnx_op("SpaceToDepth", since=1)
def space_to_depth(n: Node) -> Tensor:
    """Blocks of pixels become blocks of channels."""
    x = n.input(0)
    b = n.integer("blocksize")
    if n.opset >= 28 and n.text("mode", "DCR") != "DCR":
        raise Unsupported("has a mode other than DCR, which is not imported")
    batch, channels, height, width = _image(n, x)
    rows, columns = (quotient(d, b) if b > 0 else None for d in (height, width))
    if rows is None or columns is None:
        raise ValueError(f"an image of {height} x {width} in blocks of {b}")
    y = n.emit("core.transpose", reshape(n, x, [batch, channels, rows, b, columns, b]), perm=(0, 3, 5, 1, 2, 4))
    return reshape(n, y, [batch, channels * b * b, rows, columns])


def _image(n: Node, x: Tensor) -> tuple[Size, Size, Size, Size]:
    shape = n.shape(x)
    if len(shape) != 4:
        raise ValueError(f"it takes 4 axes, not {len(shape)}")
    return shape[0], shape[1], shape[2], shape[3]
