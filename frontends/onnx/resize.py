"""Resize and its forerunner Upsample."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.symbols import Size, to_dim
from ranvier.frontends.onnx.tensors import Tensor

COORDINATES = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
ROUNDING = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _mode(n: Node) -> str:
    mode = n.text("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        raise Unsupported(f"has mode {mode!r}, which is not imported")
    return mode


def _old(n: Node, scales: Sequence[float]) -> Tensor:
    """Before opset 11: asymmetric coordinates, and the nearest element below."""
    mode = _mode(n)
    if mode == "nearest" and min(scales, default=1) < 1:
        raise Unsupported(
            "takes the nearest element when it shrinks, which opsets below 11 leave undefined",
            "export with opset 11 or newer",
        )
    rounding = {"rounding": "floor"} if mode == "nearest" else {}
    return n.emit("nn.resize", n.input(0), scales=tuple(scales), mode=mode, coordinates="asymmetric", **rounding)


@onnx_op("Upsample", since=7)
def upsample_7(n: Node) -> Tensor:
    """Scales are an attribute."""
    found = n.raw("scales")
    if found is None:
        raise ValueError("attribute 'scales' is missing")
    return _old(n, [float(s) for s in found.floats])


@onnx_op("Upsample", since=9)
def upsample_9(n: Node) -> Tensor:
    """Scales are an input. The operator ends with opset 9."""
    if n.opset > 9:
        raise ValueError(f"the operator does not exist in opset {n.opset}")
    return _old(n, [float(s) for s in n.constant(1, "scales").ravel()])


@onnx_op("Resize", since=10)
def resize_10(n: Node) -> Tensor:
    """Scales are an input."""
    return _old(n, [float(s) for s in n.constant(1, "scales").ravel()])


@onnx_op("Resize", since=11)
def resize_11(n: Node) -> Tensor:
    """Scales or sizes, for all axes or for those named."""
    x = n.input(0)
    n.optional(1)  # roi is of tf_crop_and_resize alone
    mode, coordinates = _mode(n), n.text("coordinate_transformation_mode", "half_pixel")
    if coordinates not in COORDINATES:
        raise Unsupported(f"has coordinates {coordinates!r}, which are not imported")
    attributes: dict[str, object] = {"mode": mode, "coordinates": coordinates}
    rounding = n.text("nearest_mode", "round_prefer_floor")
    if mode == "nearest":
        if rounding not in ROUNDING:
            raise ValueError(f"nearest_mode is {rounding!r}")
        attributes["rounding"] = rounding
    a, outside = n.real("cubic_coeff_a", -0.75), n.integer("exclude_outside", 0)
    if mode == "cubic":
        attributes["cubic_a"] = a
        if outside:
            raise Unsupported("leaves out what lies outside (exclude_outside=1), which is not imported")
    n.ignore("extrapolation_value")  # of tf_crop_and_resize alone
    if n.opset >= 18 and n.integer("antialias", 0) and mode != "nearest":
        raise Unsupported("smooths before it shrinks (antialias=1), which is not imported")
    return n.emit("nn.resize", x, **_target(n, x, coordinates == "align_corners"), **attributes)


def _target(n: Node, x: Tensor, corners: bool) -> dict[str, object]:
    """Scales or sizes of all axes as attributes of nn.resize."""
    rank = n.rank(x)
    axes = list(range(rank))
    if n.opset >= 18 and (named := n.ints("axes")) is not None:
        axes = [n.axis(a, rank) for a in named]
    if n.opset >= 18 and n.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("keeps the aspect ratio, which is not imported")
    given = n.optional(2)
    if given is not None and n.shape(given) != (0,):
        scales = [1.0] * rank
        found = [float(s) for s in n.constant(2, "scales").ravel()]
        n.optional(3)
        if len(found) != len(axes):
            raise ValueError(f"{len(found)} scales for {len(axes)} axes")
        for axis, scale in zip(axes, found, strict=True):
            scales[axis] = scale
        if corners and not all(_whole(d, s) for d, s in zip(n.shape(x), scales, strict=True)):
            why = "aligns the corners of an axis whose new size is rounded, which ONNX and onnxruntime take differently"
            raise Unsupported(why, "export it with sizes instead of scales")
        return {"scales": tuple(scales)}
    sizes: list[Size] = list(n.shape(x))
    wanted = n.sizes(3, "sizes")
    if len(wanted) != len(axes):
        raise ValueError(f"{len(wanted)} sizes for {len(axes)} axes")
    for axis, size in zip(axes, wanted, strict=True):
        sizes[axis] = size
    dims = [to_dim(d) for d in sizes]
    if any(d == "?" and n.shape(x)[i] != sizes[i] for i, d in enumerate(dims)):
        raise Unsupported("resizes to a size that depends on the input's", "give the input a fixed shape")
    return {"sizes": tuple(dims)}


def _whole(size: Size, scale: float) -> bool:
    """Whether a scaled axis has a whole number of elements."""
    return scale == 1 or (isinstance(size, int) and float(size * scale).is_integer())
