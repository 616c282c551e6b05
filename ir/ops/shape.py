"""`core` ops that move elements about without computing: reshape, transpose, concat, slice, pad, broadcast, gather,
select, cast.

Those that take spikes keep code, steps and element type; scales that lie on an axis go where the axis goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ranvier.ir.core import require_tensor
from ranvier.ir.ops.checks import axis_of, brief, broadcast, equal_elems, wide
from ranvier.ir.ops.reshape import kept_axis, reshaped
from ranvier.ir.ops.scales import Shaped, broken, joined, moved, picked, scale_axis, with_axis
from ranvier.ir.schema import dims, element, enum, integer, ints, operand, real, variadic
from ranvier.ir.timing import PureOp
from ranvier.ir.types import Dim, SpikesType, TensorType, Type, join_dim, same_dim, show_shape


class Reshape(PureOp, name="core.reshape"):
    """The same elements in the same order under another shape. One dim may be -1; symbols stand for the batch."""

    x = operand("tensor or spikes", spikes=True)
    shape = dims(help="the new shape")

    def infer(self, x: Any) -> Type:
        """See Op."""
        shape = reshaped(self, x.shape, self.shape)
        axis = scale_axis(x)
        if axis is None:
            return moved(x, shape, None)
        kept = kept_axis(x.shape, shape, axis)
        if kept is None:
            raise broken(self, x, f"to {show_shape(shape)} does not keep")
        return moved(x, shape, kept)

    def meaning(self, x: Any) -> Any:
        """See Op: symbols of the operand have its sizes, one dim may follow from the others."""
        known = {
            d: n for d, n in zip(_dims_of(self.x.type, x), x.shape, strict=True) if isinstance(d, str) and d != "?"
        }
        return np.reshape(x, [d if isinstance(d, int) else known.get(d, -1) for d in self.shape])


class Transpose(PureOp, name="core.transpose"):
    """The axes in another order: axis i of the result is axis perm[i] of x."""

    x = operand("tensor or spikes", spikes=True)
    perm = ints(help="for each axis of the result, the axis of x")

    def infer(self, x: Any) -> Type:
        """See Op."""
        if sorted(self.perm) != list(range(x.rank)):
            raise self.fail(
                "shape-mismatch", f"has perm={list(self.perm)} for {x.rank} axes", "perm names every axis once"
            )
        axis = scale_axis(x)
        return moved(x, [x.shape[p] for p in self.perm], None if axis is None else self.perm.index(axis))

    def meaning(self, x: Any) -> Any:
        """See Op."""
        return np.transpose(x, self.perm)


class Concat(PureOp, name="core.concat"):
    """Operands one after the other along an axis; all are tensors, or all are spikes of one code."""

    xs = variadic("tensors or spikes", spikes=True)
    axis = integer(help="the axis joined along")

    def infer(self, *xs: Any) -> Type:
        """See Op."""
        if not xs:
            raise self.fail("wrong-operands", "needs at least one operand")
        first: Shaped = xs[0]
        axis = axis_of(self, self.axis, first.rank)
        shape, size = list(first.shape), _added([x.shape[axis] if x.rank > axis else "?" for x in xs])
        for other in xs[1:]:
            self._same_kind(first, other, axis)
            if other.rank != first.rank:
                raise self.fail("shape-mismatch", f"joins {first} and {other}")
            for i in range(first.rank):
                if i != axis and not same_dim(shape[i], other.shape[i]):
                    raise self.fail(
                        "shape-mismatch",
                        f"joins {show_shape(first.shape)} and {show_shape(other.shape)} along axis {axis}",
                    )
                shape[i] = join_dim(shape[i], other.shape[i])
        shape[axis] = size
        if scale_axis(first) != axis:
            return moved(first, shape, scale_axis(first))
        sizes = [x.shape[axis] for x in xs]
        if not all(isinstance(n, int) for n in sizes):
            raise broken(self, first, "joins operands of unknown size along")
        return moved(first, shape, axis).with_elem(first.elem.with_quant(joined([x.elem.quant for x in xs], sizes)))

    def _same_kind(self, a: Shaped, b: Shaped, axis: int) -> None:
        if type(a) is not type(b):
            raise self.fail(
                "spikes-misused", f"joins {a} and {b}", "put snn.psp behind the spikes, or encode the tensor"
            )
        if isinstance(a, SpikesType) and isinstance(b, SpikesType) and a.code != b.code:
            raise self.fail("type-mismatch", f"joins spikes of {a.code} and of {b.code}", "put snn.psp behind both")
        if a.elem == b.elem:
            return
        if scale_axis(a) == scale_axis(b) == axis and _but_scales(a) == _but_scales(b):
            return
        help = "put snn.psp behind both" if isinstance(a, SpikesType) else "core.cast makes them equal"
        raise self.fail("type-mismatch", f"joins {brief(a.elem)} and {brief(b.elem)}", help)

    def meaning(self, *xs: Any) -> Any:
        """See Op."""
        return np.concatenate(xs, axis=self.axis)


class Slice(PureOp, name="core.slice"):
    """x[start:stop:step] on the axes named. Negative numbers count from the end; a stop beyond it means the end."""

    x = operand("tensor or spikes", spikes=True)
    axes = ints(help="axes that are cut")
    starts = ints(help="first index, one an axis")
    stops = ints(help="index after the last, one an axis; 2147483647 for all")
    steps = ints((), "distance, one an axis; 1 if empty")

    def infer(self, x: Any) -> Type:
        """See Op."""
        shape = list(x.shape)
        kind: Shaped = x
        for axis, cut in self.cuts(x.rank).items():
            dim = shape[axis]
            if isinstance(dim, int):
                shape[axis] = len(range(*cut.indices(dim)))
            elif not _everything(cut):
                shape[axis] = "?"
            if axis == scale_axis(x) and not _everything(cut):
                quant = x.elem.quant
                if quant.group is not None:
                    raise broken(self, x, "cuts groups of")
                kind = kind.with_elem(x.elem.with_quant(picked(quant, cut)))
        return kind.with_shape(shape)

    def cuts(self, rank: int) -> dict[int, slice]:
        """The slice of each axis that is cut. Raises RanvierError when the lists do not fit."""
        steps = self.steps or (1,) * len(self.axes)
        if not len(self.axes) == len(self.starts) == len(self.stops) == len(steps):
            raise self.fail("bad-value", "needs as many starts, stops and steps as axes")
        if 0 in steps:
            raise self.fail("bad-value", "has a step of 0")
        found: dict[int, slice] = {}
        for axis, start, stop, step in zip(self.axes, self.starts, self.stops, steps, strict=True):
            at = axis_of(self, axis, rank)
            if at in found:
                raise self.fail("bad-value", f"cuts axis {at} twice")
            # -1 as the stop of a backward slice would mean the last element; far below zero means "to the front"
            found[at] = slice(start, None if step < 0 and stop <= -(2**31) + 1 else stop, step)
        return found

    def meaning(self, x: Any) -> Any:
        """See Op."""
        cuts = self.cuts(np.ndim(x))
        return x[tuple(cuts.get(i, slice(None)) for i in range(np.ndim(x)))]


class Pad(PureOp, name="core.pad"):
    """Elements put before and after each axis: a value, or what reflection, the edge or wrapping round gives.

    Negative entries crop, before anything is put on. Spikes are padded with 0 only.
    """

    x = operand("tensor or spikes", spikes=True)
    before = ints(help="how many elements come before, one an axis")
    after = ints(help="how many elements come after, one an axis")
    mode = enum("constant", "reflect", "edge", "wrap", default="constant", help="what is put there")
    value = real(0.0, "the constant")

    def infer(self, x: Any) -> Type:
        """See Op."""
        if not len(self.before) == len(self.after) == x.rank:
            raise self.fail("shape-mismatch", f"needs {x.rank} entries in before and after, one an axis")
        if isinstance(x, SpikesType) and (self.mode != "constant" or self.value != 0):
            raise self.fail("spikes-misused", "pads spikes with something else than 0", "put snn.psp before")
        axis = scale_axis(x)
        if axis is not None and (self.before[axis] or self.after[axis]):
            raise broken(self, x, "pads")
        if not isinstance(x, SpikesType) and x.elem.quant is not None and self.mode == "constant" and self.value != 0:
            raise self.fail(
                "type-mismatch", f"pads levels of {brief(x.elem)} with {self.value:g}", "put q.dequantize before"
            )
        if not x.elem.is_float and self.value % 1:
            raise self.fail("bad-value", f"pads {x.elem.storage} with {self.value:g}", "give a whole number")
        self._level(x)
        kind: Shaped = x
        return kind.with_shape([self._dim(*entry) for entry in zip(x.shape, self.before, self.after, strict=True)])

    def _dim(self, dim: Dim, before: int, after: int) -> Dim:
        if before == after == 0:
            return dim
        if not isinstance(dim, int):
            return "?"
        size = dim + before + after
        most = {"reflect": dim + min(before, 0) + min(after, 0) - 1, "wrap": dim + min(before, 0) + min(after, 0)}
        if size < 0 or (self.mode in most and max(before, after, 0) > max(most[self.mode], 0)):
            raise self.fail(
                "shape-mismatch", f"cannot put {before} before and {after} after {dim} elements with mode={self.mode}"
            )
        return size

    def _level(self, x: Any) -> int | float:
        """The stored number that stands for the value: the zero of levels."""
        quant = None if isinstance(x, SpikesType) else x.elem.quant
        if quant is None or quant.zero == 0:
            return self.value
        if isinstance(quant.zero, tuple) or float(quant.zero) % 1:
            raise self.fail(
                "type-mismatch",
                f"pads with a zero that {brief(x.elem)} cannot store as one level",
                "put q.dequantize before",
            )
        return int(quant.zero)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        pairs = list(zip(self.before, self.after, strict=True))
        x = x[tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(np.shape(x), pairs, strict=True))]
        width = [(max(b, 0), max(a, 0)) for b, a in pairs]
        if self.mode == "constant":
            return np.pad(
                x, width, mode="constant", constant_values=np.asarray(self._level(self.x.type)).astype(x.dtype)
            )
        return np.pad(x, width, mode=self.mode)  # type: ignore[call-overload]


class Broadcast(PureOp, name="core.broadcast"):
    """x repeated along axes of size 1, and along new axes in front, as numpy broadcasts."""

    needs_symbols = True
    x = operand("tensor or spikes", spikes=True)
    shape = dims(help="the new shape; a symbol is the size that the inputs give it")

    def infer(self, x: Any) -> Type:
        """See Op."""
        shape, new = list(self.shape), len(self.shape) - x.rank
        if new < 0 or any(isinstance(d, int) and d < 0 for d in shape) or "?" in shape:
            raise self.fail("shape-mismatch", f"cannot broadcast {show_shape(x.shape)} to {show_shape(shape)}")
        for i, d in enumerate(x.shape):
            if d != 1 and not same_dim(d, shape[new + i]):
                raise self.fail(
                    "shape-mismatch",
                    f"cannot broadcast {show_shape(x.shape)} to {show_shape(shape)}: {d} against {shape[new + i]}",
                )
        axis = scale_axis(x)
        if axis is None:
            return moved(x, shape, None)
        if x.shape[axis] != shape[new + axis]:
            raise broken(self, x, "repeats")
        return moved(x, shape, axis + new)

    def meaning(self, x: Any, symbols: Mapping[str, int] | None = None) -> Any:
        """See Op: symbols that the operand lacks are looked up."""
        known = dict(symbols or {})
        known.update((d, n) for d, n in zip(_dims_of(self.x.type, x), x.shape, strict=True) if isinstance(d, str))
        unknown = [d for d in self.shape if isinstance(d, str) and d not in known]
        if unknown:
            raise self.fail(
                "bad-input", f"does not know the size of {unknown[0]}", "an input of the graph must have this dim"
            )
        return np.broadcast_to(x, [d if isinstance(d, int) else known[d] for d in self.shape])


class Gather(PureOp, name="core.gather"):
    """The slices of x that integers name, along an axis (numpy.take). Negative integers count from the end."""

    x = operand("what is looked up in")
    indices = operand("integers of any shape")
    axis = integer(0, "the axis looked up along")

    def infer(self, x: Any, indices: Any) -> Type:
        """See Op."""
        if indices.elem.is_float or indices.elem.quant is not None or indices.elem.storage == "i1":
            raise self.fail(
                "type-mismatch", f"needs integers as indices, not {indices.elem}", "core.cast to i64 before"
            )
        axis, scales = axis_of(self, self.axis, x.rank), scale_axis(x)
        if scales == axis:
            raise broken(self, x, "looks up along")
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return moved(x, shape, scales if scales is None or scales < axis else scales + indices.rank - 1)

    def meaning(self, x: Any, indices: Any) -> Any:
        """See Op."""
        return np.take(x, np.asarray(indices).astype(np.int64), axis=self.axis)


class Select(PureOp, name="core.select"):
    """a where the bit is set, else b; the three broadcast as in numpy."""

    condition = operand("bits")
    a = operand("taken where the bit is set")
    b = operand("taken where it is not")

    def infer(self, condition: Any, a: Any, b: Any) -> Type:
        """See Op."""
        if condition.elem.storage != "i1" or condition.elem.quant is not None:
            raise self.fail("type-mismatch", f"needs bits as condition, not {condition.elem}", "nn.compare makes bits")
        equal_elems(self, a, b)
        shape, scales = broadcast(self, condition, a, b), scale_axis(a)
        if scales is None:
            return TensorType(shape, a.elem)
        if a.rank != b.rank or a.shape[scales] != b.shape[scales]:
            raise broken(self, a, "broadcasts")
        return TensorType(shape, with_axis(a.elem, scales + len(shape) - a.rank))

    def meaning(self, condition: Any, a: Any, b: Any) -> Any:
        """See Op."""
        return np.where(condition, a, b)


class Cast(PureOp, name="core.cast"):
    """Numbers in another element type. Reals to integers are truncated and clipped to the range (nan gives 0),
    integers to narrower ones wrap, anything to i1 says whether it is not zero. Levels are cast to and from integers as
    they are stored."""

    x = operand("a tensor")
    elem = element(help="the new element type")

    def infer(self, x: Any) -> Type:
        """See Op."""
        kind = require_tensor(self, "x", x)
        if kind.elem.quant is not None and self.elem.is_float:
            raise self.fail("type-mismatch", f"makes reals of levels of {brief(kind.elem)}", "q.dequantize does")
        if kind.elem.is_float and self.elem.quant is not None:
            raise self.fail("type-mismatch", f"makes levels of reals of {kind.elem}", "q.quantize does")
        return kind.with_elem(self.elem)

    def meaning(self, x: Any) -> Any:
        """See Op."""
        target, x = self.elem, wide(x)
        if target.is_float:
            return x
        if target.storage == "i1":
            return x != 0
        low, high = target.range
        if x.dtype.kind == "f":
            whole = np.trunc(np.where(np.isnan(x), 0, x))
            # the largest integer may not be a float: compare first, convert what is inside
            inside = np.where((whole >= low) & (whole < float(high)), whole, 0).astype(target.dtype)
            return np.where(
                whole < low, target.dtype.type(low), np.where(whole >= float(high), target.dtype.type(high), inside)
            )
        if target.bits < 8:
            levels = np.asarray(x, np.int64) & ((1 << target.bits) - 1)
            return np.where(levels > high, levels - (1 << target.bits), levels)
        return x.astype(target.dtype)


def _dims_of(kind: Type, array: Any) -> tuple[Dim, ...]:
    """The dims of an untimed array of that type."""
    return kind.shape if len(kind.shape) == np.ndim(array) else np.shape(array)


def _added(sizes: list[Dim]) -> Dim:
    total = 0
    for n in sizes:
        if not isinstance(n, int):
            return n if len(sizes) == 1 else "?"
        total += n
    return total


def _everything(cut: slice) -> bool:
    return (cut.start, cut.step) == (0, 1) and cut.stop >= 2**31 - 1


def _but_scales(kind: Shaped) -> Any:
    quant = kind.elem.quant
    assert quant is not None
    return kind.elem.storage, quant.group, quant.rounding, quant.order
