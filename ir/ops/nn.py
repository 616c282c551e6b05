"""`nn`: convolutions and matrix products. Pools, normalisations and resize lie in files of their own, named here too.

Products of reals are accumulated in float64, those of integers in int64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.ops.checks import Array, along, equal_elems, numbers, vector, widest
from ranvier.ir.ops.norm import BatchNorm, GroupNorm, LayerNorm
from ranvier.ir.ops.pool import AvgPool, MaxPool
from ranvier.ir.ops.resize import Resize
from ranvier.ir.ops.windows import Window, padded, spatial_sizes, taps, windows_of
from ranvier.ir.schema import integer, ints, operand, optional
from ranvier.ir.timing import PureOp
from ranvier.ir.types import Dim, TensorType, Type, broadcast_shapes, element_count, same_dim, show_shape

__all__ = [
    "AvgPool",
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "Matmul",
    "MaxPool",
    "Resize",
]

# Convolutions are computed on so many window elements at a time that these take about 64 MB.
CHUNK = 8_000_000


class Conv(PureOp, name="nn.conv"):
    """Convolution over the spatial axes: y[n, o, p] = bias[o] + sum over c, k of weight[o, c, k] x[n, c, p*stride +
    k*dilation - padding], each group of output channels seeing its group of input channels.

    x is [N, C, *spatial], weight [O, C/groups, *kernel], y [N, O, *positions].
    """

    x = operand("input [N, C, *spatial]")
    weight = operand("weight [O, C/groups, *kernel]")
    bias = optional("one number an output channel")
    strides = ints((), "step of the window, one a spatial axis; 1 if empty", min=1)
    padding = ints((), "zeros before each spatial axis, then after each; 0 if empty", min=0)
    dilations = ints((), "distance of the taps, one a spatial axis; 1 if empty", min=1)
    groups = integer(1, "groups of channels that do not see each other", min=1)

    def infer(self, x: Any, weight: Any, bias: Any) -> Type:
        """See Op."""
        check_channels(self, x, weight, bias)
        out, each = weight.shape[:2]
        expect_channels(self, x, each if each == "?" else each * self.groups)
        if isinstance(out, int) and out % self.groups:
            raise self.fail("shape-mismatch", f"has {out} output channels in {self.groups} groups")
        vector(self, "bias", bias, out)
        return TensorType((x.shape[0], out, *spatial_sizes(self, self.windows(weight.shape[2:]), x.shape[2:])), x.elem)

    def windows(self, kernel: tuple[Any, ...]) -> list[Window]:
        """The window on each spatial axis."""
        return windows_of(self, kernel, self.strides, self.padding, self.dilations)

    def meaning(self, x: Any, weight: Any, bias: Any) -> Any:
        """See Op."""
        x, weight = widest(x), widest(weight)
        out = convolve(
            padded(x, self.windows(weight.shape[2:]), 0), weight, self.windows(weight.shape[2:]), self.groups
        )
        return out if bias is None else out + along(widest(bias), 1, out.ndim)

    def macs(self) -> int:
        """See Op."""
        assert self.weight is not None
        return element_count(self.result.type.shape[1:]) * element_count(self.weight.type.shape[1:])


class ConvTranspose(PureOp, name="nn.conv_transpose"):
    """The adjoint of nn.conv: each input element adds its multiple of the kernel to the output, `strides` apart.

    x is [N, C, *spatial], weight [C, O/groups, *kernel]; an output axis has (in - 1) * stride - padding before and
    after + dilation * (kernel - 1) + 1 + output_padding elements.
    """

    x = operand("input [N, C, *spatial]")
    weight = operand("weight [C, O/groups, *kernel]")
    bias = optional("one number an output channel")
    strides = ints((), "distance of the kernels, one a spatial axis; 1 if empty", min=1)
    padding = ints((), "what is cut before each spatial axis, then after each; 0 if empty", min=0)
    output_padding = ints((), "rows more at the end of each spatial axis; 0 if empty", min=0)
    dilations = ints((), "distance of the taps, one a spatial axis; 1 if empty", min=1)
    groups = integer(1, "groups of channels that do not see each other", min=1)

    def infer(self, x: Any, weight: Any, bias: Any) -> Type:
        """See Op."""
        check_channels(self, x, weight, bias)
        channels, each = weight.shape[:2]
        expect_channels(self, x, channels)
        if isinstance(channels, int) and channels % self.groups:
            raise self.fail("shape-mismatch", f"has {channels} input channels in {self.groups} groups")
        out = each if not isinstance(each, int) else each * self.groups
        vector(self, "bias", bias, out)
        sizes: list[Dim] = []
        windows, more = self.windows(weight.shape[2:])
        for dim, w, e in zip(x.shape[2:], windows, more, strict=True):
            if e and e >= max(w.stride, w.dilation):
                raise self.fail(
                    "bad-value",
                    f"has output_padding {e} with stride {w.stride} and dilation {w.dilation}",
                    "it must be smaller",
                )
            size: Dim = "?"
            if isinstance(dim, int):
                size = (dim - 1) * w.stride - w.before - w.after + w.extent + e
                if size < 1:
                    raise self.fail(
                        "shape-mismatch",
                        f"cuts {w.before + w.after} of {size + w.before + w.after} elements of an axis",
                    )
            sizes.append(size)
        return TensorType((x.shape[0], out, *sizes), x.elem)

    def windows(self, kernel: tuple[Any, ...]) -> tuple[list[Window], tuple[int, ...]]:
        """The window and the output padding of each spatial axis."""
        more = self.output_padding or (0,) * len(kernel)
        if len(more) != len(kernel):
            raise self.fail("shape-mismatch", f"needs {len(kernel)} numbers as output_padding, not {len(more)}")
        return windows_of(self, kernel, self.strides, self.padding, self.dilations), more

    def meaning(self, x: Any, weight: Any, bias: Any) -> Any:
        """See Op: zeros between the elements of x, then a convolution with the mirrored kernel."""
        x, weight = widest(x), widest(weight)
        windows, more = self.windows(weight.shape[2:])
        spread = np.zeros(
            (*x.shape[:2], *[(n - 1) * w.stride + 1 for n, w in zip(x.shape[2:], windows, strict=True)]), x.dtype
        )
        spread[(slice(None), slice(None), *[slice(None, None, w.stride) for w in windows])] = x
        mirrored = np.flip(weight, tuple(range(2, weight.ndim)))
        grouped = mirrored.reshape(self.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
        kernels = grouped.reshape(-1, grouped.shape[2], *weight.shape[2:])
        full = [
            Window(w.kernel, 1, w.extent - 1, w.extent - 1 + e, w.dilation) for w, e in zip(windows, more, strict=True)
        ]
        out = convolve(padded(spread, full, 0), kernels, full, self.groups)
        kept: Any = (..., *[slice(w.before, n - w.after) for w, n in zip(windows, out.shape[2:], strict=True)])
        out = out[kept]
        return out if bias is None else out + along(widest(bias), 1, out.ndim)

    def macs(self) -> int:
        """See Op."""
        assert self.x is not None
        assert self.weight is not None
        return element_count(self.x.type.shape[1:]) * element_count(self.weight.type.shape[1:])


class Linear(PureOp, name="nn.linear"):
    """y = x weight^T + bias on the last axis. x is [..., in], weight [out, in], y [..., out]."""

    x = operand("input [..., in]")
    weight = operand("weight [out, in]")
    bias = optional("one number an output")

    def infer(self, x: Any, weight: Any, bias: Any) -> Type:
        """See Op."""
        numbers(self, x, weight, bias)
        equal_elems(self, x, weight, bias)
        if weight.rank != 2:
            raise self.fail("shape-mismatch", f"needs a weight [out, in], not {show_shape(weight.shape)}")
        if x.rank < 1 or not same_dim(x.shape[-1], weight.shape[1]):
            raise self.fail(
                "shape-mismatch",
                f"needs {weight.shape[1]} inputs on the last axis of x, which is {show_shape(x.shape)}",
            )
        vector(self, "bias", bias, weight.shape[0])
        return TensorType((*x.shape[:-1], weight.shape[0]), x.elem)

    def meaning(self, x: Any, weight: Any, bias: Any) -> Any:
        """See Op."""
        out = widest(x) @ widest(weight).T
        return out if bias is None else out + widest(bias)

    def macs(self) -> int:
        """See Op."""
        assert self.weight is not None
        return _samplewise(self.result.type.shape) * element_count(self.weight.type.shape[1:])


class Matmul(PureOp, name="nn.matmul"):
    """The matrix product of the last two axes, the others broadcast (numpy.matmul, vectors included)."""

    a = operand("left operand [..., n, k]")
    b = operand("right operand [..., k, m]")

    def infer(self, a: Any, b: Any) -> Type:
        """See Op."""
        numbers(self, a, b)
        equal_elems(self, a, b)
        if not a.rank or not b.rank:
            raise self.fail("shape-mismatch", "multiplies a scalar", "nn.mul does")
        left, right = a.shape, b.shape
        inner = right[-2] if b.rank > 1 else right[0]
        if not same_dim(left[-1], inner):
            raise self.fail(
                "shape-mismatch", f"multiplies {show_shape(left)} by {show_shape(right)}: {left[-1]} against {inner}"
            )
        try:
            lead = broadcast_shapes(left[:-2], right[:-2])
        except ValueError as why:
            raise self.fail("shape-mismatch", str(why)) from None
        rows = left[-2:-1]
        columns = right[-1:] if b.rank > 1 else ()
        return TensorType((*lead, *rows, *columns), a.elem)

    def meaning(self, a: Any, b: Any) -> Any:
        """See Op."""
        return np.matmul(widest(a), widest(b))

    def macs(self) -> int:
        """See Op."""
        assert self.a is not None
        return _samplewise(self.result.type.shape) * element_count(self.a.type.shape[-1:])


def check_channels(op: Op, x: Any, weight: Any, bias: Any) -> None:
    """Raise RanvierError unless x is [N, C, *spatial] and the weight has its rank."""
    numbers(op, x, weight, bias)
    equal_elems(op, x, weight, bias)
    if x.rank < 3 or weight.rank != x.rank:
        want = "an input [N, C, *spatial] and a weight of as many axes"
        raise op.fail("shape-mismatch", f"needs {want}, not {show_shape(x.shape)} and {show_shape(weight.shape)}")
    if not all(isinstance(k, int) for k in weight.shape[2:]):
        raise op.fail("shape-mismatch", f"needs a kernel of known size, not {show_shape(weight.shape[2:])}")


def expect_channels(op: Op, x: Any, channels: Any) -> None:
    """Raise RanvierError unless axis 1 of x has so many channels."""
    if not same_dim(x.shape[1], channels):
        raise op.fail("shape-mismatch", f"has a weight for {channels} input channels, but x is {show_shape(x.shape)}")


def convolve(x: Array, weight: Array, windows: list[Window], groups: int) -> Array:
    """Convolution of a padded input, by matrix products over window elements (im2col)."""
    view = taps(x, windows)
    n, spatial = len(windows), view.shape[2 : 2 + len(windows)]
    kernels = weight.reshape(groups, weight.shape[0] // groups, -1)
    out = np.empty((len(x), weight.shape[0], *spatial), np.result_type(x, weight))
    # [N, C, *positions, *kernel] -> [N, groups, positions, C/groups * kernel]
    order = (0, 1, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n))
    each = max(1, CHUNK // max(1, math.prod(view.shape[1:])))
    for start in range(0, len(x), each):
        part = view[start : start + each]
        part = part.reshape(len(part), groups, -1, *view.shape[2:])
        columns = part.transpose(order).reshape(len(part), groups, math.prod(spatial), -1)
        product = columns @ kernels.swapaxes(1, 2)
        out[start : start + each] = product.swapaxes(2, 3).reshape(len(part), weight.shape[0], *spatial)
    return out


def _samplewise(shape: tuple[Dim, ...]) -> int:
    """Elements of one sample: the first of several axes is the batch."""
    return element_count(shape[1:]) if len(shape) > 1 else element_count(shape)
