"""Pools over windows and over whole images."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.onnx.convolution import auto_pads, per_axis
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.tensors import Tensor


def _window(n: Node, x: Tensor) -> dict[str, Any]:
    kernel = n.ints("kernel_shape")
    if not kernel:
        raise ValueError("attribute 'kernel_shape' is missing")
    count = len(kernel)
    if n.rank(x) != count + 2:
        raise ValueError(f"a kernel of {count} axes for an input of {n.rank(x)} axes")
    strides, dilations = per_axis(n, "strides", count, 1), per_axis(n, "dilations", count, 1)
    found: dict[str, Any] = {"kernel": kernel, "strides": strides, "dilations": dilations}
    found["padding"] = auto_pads(n, n.shape(x)[2:], kernel, strides, dilations)
    # with auto_pad the number of windows is fixed by it
    found["ceil_mode"] = n.integer("ceil_mode", 0) == 1 and n.text("auto_pad", "NOTSET") in ("NOTSET", "")
    return found


@onnx_op("MaxPool", since=1)
def max_pool(n: Node) -> Tensor:
    """The largest of each window; `storage_order` is of the indices, which are not imported."""
    x = n.input(0)
    n.ignore("storage_order")
    return n.emit("nn.max_pool", x, **_window(n, x))


@onnx_op("AveragePool", since=7)
def average_pool(n: Node) -> Tensor:
    """The mean of each window."""
    x = n.input(0)
    window = _window(n, x)
    if all(d == 1 for d in window["dilations"]):
        del window["dilations"]
    return n.emit("nn.avg_pool", x, **window, count_include_pad=n.integer("count_include_pad", 0) == 1)


@onnx_op("GlobalAveragePool", "GlobalMaxPool", since=1)
def global_pool(n: Node) -> Tensor:
    """One number a channel, the axes kept."""
    x = n.input(0)
    op = "nn.mean" if n.proto.op_type == "GlobalAveragePool" else "nn.max"
    axes = tuple(range(2, n.rank(x)))
    return n.emit(op, x, axes=axes, keep=True) if axes else x
