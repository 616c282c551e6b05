"""Convolutions, plain and transposed."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.symbols import Size
from ranvier.frontends.onnx.tensors import Tensor

AUTO = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def kernel_of(n: Node, weight: Tensor) -> tuple[int, ...]:
    """The spatial sizes of the weight; raises ValueError when the attribute says otherwise."""
    spatial = n.shape(weight)[2:]
    if not spatial:
        raise ValueError(f"a weight of shape {list(n.shape(weight))} has no kernel")
    kernel = tuple(_int(d, "has a kernel whose size is not known") for d in spatial)
    if n.ints("kernel_shape", kernel) != kernel:
        raise ValueError(f"kernel_shape is {list(n.ints('kernel_shape') or ())}, but the weight's is {list(kernel)}")
    return kernel


def per_axis(n: Node, name: str, count: int, default: int) -> tuple[int, ...]:
    """A list attribute with one entry a spatial axis."""
    found = n.ints(name, (default,) * count) or (default,) * count
    if len(found) != count:
        raise ValueError(f"{name} has {len(found)} entries for {count}")
    return found


def auto_pads(
    n: Node, sizes: Sequence[Size], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...]:
    """Padding at the begin of each axis, then at the ends, also where `auto_pad` leaves it to be computed."""
    count = len(kernel)
    how = n.text("auto_pad", "NOTSET") or "NOTSET"
    pads = per_axis(n, "pads", 2 * count, 0)
    if how == "NOTSET":
        return pads
    if how not in AUTO:
        raise ValueError(f"auto_pad is {how!r}")
    if how == "VALID":
        return (0,) * 2 * count
    totals = [_same(d, k, s, e) for d, k, s, e in zip(sizes, kernel, strides, dilations, strict=True)]
    return halves(totals, how == "SAME_UPPER")


def halves(totals: Sequence[int], more_at_the_end: bool) -> tuple[int, ...]:
    """Totals of padding shared between begin and end."""
    small = [t // 2 for t in totals]
    large = [t - t // 2 for t in totals]
    return (*small, *large) if more_at_the_end else (*large, *small)


def _same(size: Size, kernel: int, stride: int, dilation: int) -> int:
    """What must be put on for ceil(size / stride) windows."""
    extent = (kernel - 1) * dilation + 1
    if stride == 1:
        return extent - 1
    if not isinstance(size, int):
        raise Unsupported("computes its padding from a size that is not known", "give the input a fixed shape")
    if stride < 1:
        raise ValueError(f"a stride of {stride}")
    return max((-(-size // stride) - 1) * stride + extent - size, 0)


@onnx_op("Conv", since=1)
def conv(n: Node) -> Tensor:
    """A convolution over any number of spatial axes."""
    x, weight, bias = n.input(0), n.input(1), n.optional(2)
    kernel = kernel_of(n, weight)
    strides, dilations = per_axis(n, "strides", len(kernel), 1), per_axis(n, "dilations", len(kernel), 1)
    pads = auto_pads(n, n.shape(x)[2:], kernel, strides, dilations)
    cropped, pads = crop_first(n, x, pads)
    return n.emit(
        "nn.conv",
        cropped,
        weight,
        bias,
        strides=strides,
        padding=pads,
        dilations=dilations,
        groups=n.integer("group", 1),
    )


def crop_first(n: Node, x: Tensor, pads: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
    """Negative padding crops the input beforehand."""
    if min(pads, default=0) >= 0:
        return x, pads
    half = len(pads) // 2
    before, after = ([0, 0, *(min(p, 0) for p in part)] for part in (pads[:half], pads[half:]))
    return n.emit("core.pad", x, before=tuple(before), after=tuple(after)), tuple(max(p, 0) for p in pads)


@onnx_op("ConvTranspose", since=1)
def conv_transpose(n: Node) -> Tensor:
    """The adjoint of a convolution; `output_shape` and `auto_pad` say how much is cut from the result."""
    x, weight, bias = n.input(0), n.input(1), n.optional(2)
    kernel = kernel_of(n, weight)
    count = len(kernel)
    strides, dilations = per_axis(n, "strides", count, 1), per_axis(n, "dilations", count, 1)
    more = per_axis(n, "output_padding", count, 0)
    how = n.text("auto_pad", "NOTSET") or "NOTSET"
    pads = per_axis(n, "pads", 2 * count, 0)
    sizes = n.shape(x)[2:]
    wanted = n.ints("output_shape")
    if wanted is None and how in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(_int(d) * s for d, s in zip(sizes, strides, strict=True))
    if wanted is not None:
        wanted = wanted[-count:]
        full = [
            s * (_int(d) - 1) + o + (k - 1) * e + 1
            for d, k, s, e, o in zip(sizes, kernel, strides, dilations, more, strict=True)
        ]
        totals = [f - w for f, w in zip(full, wanted, strict=True)]
        more = tuple(o + max(-t, 0) for o, t in zip(more, totals, strict=True))
        pads = halves([max(t, 0) for t in totals], how == "SAME_UPPER")
    elif how == "VALID":
        pads = (0,) * 2 * count
    elif how not in AUTO:
        raise ValueError(f"auto_pad is {how!r}")
    extra = {"output_padding": more} if any(more) else {}
    groups = n.integer("group", 1)
    return n.emit(
        "nn.conv_transpose", x, weight, bias, strides=strides, padding=pads, dilations=dilations, groups=groups, **extra
    )


def _int(size: Size, otherwise: str = "computes its padding from a size that is not known") -> int:
    if not isinstance(size, int):
        raise Unsupported(otherwise, "give the input a fixed shape")
    return size
