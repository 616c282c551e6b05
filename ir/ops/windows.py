"""Sliding windows over spatial axes: sizes with symbols, and windows of an array as a view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ranvier.ir.core import Op
from ranvier.ir.types import Dim

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Window:
    """One spatial axis of a convolution or pool: kernel, stride, padding before and after, dilation."""

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def extent(self) -> int:
        """Elements from the first to the last tap."""
        return (self.kernel - 1) * self.dilation + 1

    def size(self, dim: Dim) -> Dim:
        """How many windows there are; below 1 when the input is too small.

        With `ceil`, a last window may hang over the end, but begins in the input or the padding before (as in PyTorch).
        """
        if not isinstance(dim, int):
            # every element has its window: the size stays, whatever it is
            same = self.stride == 1 and self.before + self.after == self.extent - 1
            return dim if same else "?"
        free = dim + self.before + self.after - self.extent
        if free < 0:
            return 0
        count = free // self.stride + 1
        if self.ceil and free % self.stride and count * self.stride < dim + self.before:
            count += 1
        return count

    def overhang(self, dim: int, count: int) -> int:
        """Elements that the windows reach beyond the padding after the input; negative when they end before."""
        return (count - 1) * self.stride + self.extent - (dim + self.before + self.after)


def windows_of(
    op: Op,
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    dilations: Sequence[int],
    ceil: bool = False,
) -> list[Window]:
    """The window of each spatial axis, defaults filled in; raises RanvierError when lists do not fit the kernel."""
    n = len(kernel)
    strides, padding, dilations = (
        tuple(strides) or (1,) * n,
        tuple(padding) or (0,) * 2 * n,
        tuple(dilations) or (1,) * n,
    )
    for what, values, want in (("strides", strides, n), ("padding", padding, 2 * n), ("dilations", dilations, n)):
        if len(values) != want:
            help = "padding is the beginning of each spatial axis, then the end of each" if what == "padding" else ""
            raise op.fail(
                "shape-mismatch", f"needs {want} numbers as {what} for {n} spatial axes, not {len(values)}", help
            )
    return [Window(kernel[i], strides[i], padding[i], padding[n + i], dilations[i], ceil) for i in range(n)]


def spatial_sizes(op: Op, windows: Sequence[Window], shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """The spatial dims of the result. Raises RanvierError when the input is smaller than a window."""
    out: list[Dim] = []
    for window, dim in zip(windows, shape, strict=True):
        size = window.size(dim)
        if isinstance(size, int) and size < 1:
            raise op.fail(
                "shape-mismatch",
                f"has a window of {window.extent} elements on {dim} elements padded by {window.before + window.after}",
            )
        out.append(size)
    return tuple(out)


def padded(x: Array, windows: Sequence[Window], fill: float, *, extra: Sequence[int] = ()) -> Array:
    """x with its last axes padded as the windows say, and `extra` elements more at the end of each."""
    extra = extra or (0,) * len(windows)
    width = [(0, 0)] * (x.ndim - len(windows)) + [(w.before, w.after + e) for w, e in zip(windows, extra, strict=True)]
    return np.pad(x, width, constant_values=fill) if any(map(any, width)) else x


def taps(x: Array, windows: Sequence[Window]) -> Array:
    """A view [..., *positions, *kernel] of an array that is padded already."""
    n = len(windows)
    axes = tuple(range(x.ndim - n, x.ndim))
    view: Array = sliding_window_view(x, [w.extent for w in windows], axis=axes)
    strided = tuple(slice(None, None, w.stride) for w in windows)
    dilated = tuple(slice(None, None, w.dilation) for w in windows)
    chosen: Any = (..., *strided, *dilated)
    result: Array = view[chosen]
    return result
