"""Pooling."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site, static
from ranvier.ir.core import Value


def _window(at: Site, x: Value, count: int, kernel: Any, stride: Any, padding: Any) -> dict[str, tuple[int, ...]]:
    if x.type.rank != count + 2:
        raise Unsupported(f"of a value with {x.type.rank} axes is not imported", "add the batch axis to the input")
    size, pad = at.spatial(kernel, count), at.spatial(padding, count)
    return {"kernel": size, "strides": at.spatial(stride, count) if stride else size, "padding": (*pad, *pad)}


def _axes(at: Site) -> int:
    name = at.node.target._schema.name
    return next(n for n in (1, 2, 3) if f"pool{n}d" in name)


@aten("max_pool1d.default", "max_pool2d.default", "max_pool3d.default")
def max_pool(at: Site, x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Any:
    """The largest of each window."""
    count = _axes(at)
    window = _window(at, x, count, kernel, stride, padding)
    return at("nn.max_pool", x, dilations=at.spatial(dilation, count), ceil_mode=ceil, **window)


@aten("max_pool1d_with_indices.default", "max_pool2d_with_indices.default", "max_pool3d_with_indices.default")
def max_pool_with_indices(at: Site, *arguments: Any) -> Any:
    """The same in core ATen; the indices are not imported."""
    return max_pool(at, *arguments), None


@aten("avg_pool1d.default")
def avg_pool1d(at: Site, x: Value, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool) -> Any:
    """The mean of each window."""
    return avg_pool(at, x, kernel, stride, padding, ceil, count_pad, None)


@aten("avg_pool2d.default", "avg_pool3d.default")
def avg_pool(
    at: Site, x: Value, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool, divisor: int | None
) -> Any:
    """The mean of each window."""
    if divisor is not None:
        raise Unsupported("with divisor_override is not imported", "multiply the plain mean by a number")
    window = _window(at, x, _axes(at), kernel, stride, padding)
    counted = count_pad and any(window["padding"])
    return at("nn.avg_pool", x, ceil_mode=ceil, count_include_pad=counted, **window)


@aten(
    "adaptive_avg_pool1d.default",
    "adaptive_avg_pool2d.default",
    "adaptive_avg_pool3d.default",
    "_adaptive_avg_pool2d.default",
    "_adaptive_avg_pool3d.default",
)
def adaptive_avg_pool(at: Site, x: Value, size: Any) -> Any:
    """The mean over equal windows; over everything it is nn.mean."""
    count = _axes(at)
    if all(s == 1 for s in size):
        return at("nn.mean", x, axes=tuple(range(x.type.rank - count, x.type.rank)), keep=True)
    window = _equal_windows(at, x, size, count)
    return x if window is None else at("nn.avg_pool", x, kernel=window, strides=window)


@aten("adaptive_max_pool1d.default", "adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_max_pool(at: Site, x: Value, size: Any) -> Any:
    """The largest of equal windows; over everything it is nn.max."""
    count = _axes(at)
    if all(s == 1 for s in size):
        return at("nn.max", x, axes=tuple(range(x.type.rank - count, x.type.rank)), keep=True), None
    window = _equal_windows(at, x, size, count)
    return x if window is None else at("nn.max_pool", x, kernel=window, strides=window), None


def _equal_windows(at: Site, x: Value, size: Any, count: int) -> tuple[int, ...] | None:
    """The window that gives `size` results an axis; None when there is nothing to pool."""
    given, wanted = x.type.shape[-count:], static(at.spatial(size, count))
    if x.type.rank != count + 2:
        raise Unsupported(f"of a value with {x.type.rank} axes is not imported", "add the batch axis to the input")
    if any(not isinstance(n, int) or n % s for n, s in zip(given, wanted, strict=True)):
        raise Unsupported(
            f"from {list(given)} to {wanted} is not imported", "only sizes that divide the input's are, and 1"
        )
    window = tuple(int(n) // s for n, s in zip(given, wanted, strict=True))
    return None if set(window) == {1} else window
