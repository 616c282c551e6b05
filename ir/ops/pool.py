"""`nn`: pools over spatial windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.ops.checks import numbers, wide, widest
from ranvier.ir.ops.windows import Window, padded, spatial_sizes, taps, windows_of
from ranvier.ir.schema import flag, ints, operand
from ranvier.ir.timing import PureOp
from ranvier.ir.types import Dim, TensorType, Type, show_shape


class Pool(PureOp):
    """Base of the pools. x is [N, C, *spatial]; the kernel has one entry a spatial axis.

    With `ceil_mode` a last window may hang over the end, but begins in the input or in the padding before it.
    """

    x = operand("input [N, C, *spatial]")
    kernel = ints(help="size of the window, one a spatial axis", min=1)
    strides = ints((), "step of the window, one a spatial axis; 1 if empty", min=1)
    padding = ints((), "elements before each spatial axis, then after each; 0 if empty", min=0)
    dilations = ints((), "distance of the taps, one a spatial axis; 1 if empty", min=1)
    ceil_mode = flag(False, "count windows that hang over the end")

    def infer(self, x: Any) -> Type:
        """See Op."""
        if not (isinstance(self, MaxPool) and keeps_order(x)):
            numbers(self, x, integers=isinstance(self, MaxPool))
        return TensorType(self.pooled_shape(x), x.elem)

    def pooled_shape(self, x: Any) -> tuple[Dim, ...]:
        """The shape of the result. Raises RanvierError when the windows do not fit the input."""
        if not self.kernel or x.rank != len(self.kernel) + 2:
            raise self.fail(
                "shape-mismatch", f"has a kernel of {len(self.kernel)} axes for an input {show_shape(x.shape)}"
            )
        windows = self.windows()
        for w in windows:
            if max(w.before, w.after) >= w.extent:
                raise self.fail(
                    "bad-value",
                    f"has a padding of {max(w.before, w.after)} for windows of {w.extent}",
                    "pad less than a window",
                )
        return (*x.shape[:2], *spatial_sizes(self, windows, x.shape[2:]))

    def windows(self) -> list[Window]:
        """The window on each spatial axis."""
        return windows_of(self, self.kernel, self.strides, self.padding, self.dilations, self.ceil_mode)

    def overhang(self, windows: list[Window], shape: tuple[int, ...]) -> list[int]:
        """How far the windows of each axis reach beyond the padding."""
        sizes = [w.size(n) for w, n in zip(windows, shape, strict=True)]
        return [max(w.overhang(n, int(size)), 0) for w, n, size in zip(windows, shape, sizes, strict=True)]

    def taps(self, x: Any, fill: float) -> Any:
        """A view [N, C, *positions, *kernel] of the padded input."""
        windows = self.windows()
        return taps(padded(x, windows, fill, extra=self.overhang(windows, x.shape[2:])), windows)


def keeps_order(x: Any) -> bool:
    """Whether a type holds levels that are ordered as the reals they stand for within each channel."""
    quant = x.elem.quant
    return quant is not None and (quant.axis is None or quant.axis % x.rank <= 1)


class MaxPool(Pool, name="nn.max_pool"):
    """The largest element of each window; padding counts as -inf (or the smallest integer). Levels of a quantized type
    are taken too, as a larger level stands for a larger real."""

    def meaning(self, x: Any) -> Any:
        """See Op."""
        x = wide(x)
        fill = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        view = self.taps(x, fill)
        return view.max(axis=tuple(range(-len(self.kernel), 0)))


class AvgPool(Pool, name="nn.avg_pool"):
    """The mean of each window: over the elements of the input in it, or with `count_include_pad` over those of the
    padding too. What hangs over the padding never counts."""

    count_include_pad = flag(False, "divide by the elements of the padding too")

    def meaning(self, x: Any) -> Any:
        """See Op."""
        x = widest(x)
        axes = tuple(range(-len(self.kernel), 0))
        counted = np.ones((1, 1, *x.shape[2:]))
        if self.count_include_pad:
            counted = padded(counted, self.windows(), 1)
            windows = self.windows()
            view = taps(
                padded(counted, [Window(1)] * len(windows), 0, extra=self.overhang(windows, x.shape[2:])), windows
            )
        else:
            view = self.taps(counted, 0)
        return self.taps(x, 0).sum(axis=axes) / np.maximum(view.sum(axis=axes), 1)
