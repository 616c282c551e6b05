"""Interpolation by nearest, linear and cubic neighbours."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site, static
from ranvier.ir.core import Value


def resize(at: Site, x: Value, size: Any, scales: Any, **how: Any) -> Any:
    """nn.resize to a size, or by factors where torch was given those: positions then follow the factors exactly."""
    if scales and all(s is not None for s in scales):
        return at("nn.resize", x, scales=(1.0, 1.0, *map(float, scales)), **how)
    wanted = static(size) if size else static(at.shape[2:])
    return at("nn.resize", x, sizes=(*x.type.shape[:2], *wanted), **how)


def _positions(corners: bool) -> str:
    return "align_corners" if corners else "half_pixel"


@aten("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
def nearest(at: Site, x: Value, size: Any, scales: Any) -> Any:
    """The neighbour at floor(position / scale)."""
    return resize(at, x, size, scales, mode="nearest", coordinates="asymmetric", rounding="floor")


@aten("upsample_nearest1d.default", "upsample_nearest2d.default", "upsample_nearest3d.default")
def nearest_by_axis(at: Site, x: Value, size: Any, *scales: Any) -> Any:
    """The same with one factor an argument."""
    return nearest(at, x, size, scales)


@aten("_upsample_nearest_exact1d.vec", "_upsample_nearest_exact2d.vec", "_upsample_nearest_exact3d.vec")
def nearest_exact(at: Site, x: Value, size: Any, scales: Any) -> Any:
    """The neighbour whose middle is nearest."""
    return resize(at, x, size, scales, mode="nearest", coordinates="half_pixel", rounding="round_prefer_ceil")


@aten("_upsample_nearest_exact1d.default", "_upsample_nearest_exact2d.default", "_upsample_nearest_exact3d.default")
def nearest_exact_by_axis(at: Site, x: Value, size: Any, *scales: Any) -> Any:
    """The same with one factor an argument."""
    return nearest_exact(at, x, size, scales)


@aten("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_trilinear3d.vec")
def linear(at: Site, x: Value, size: Any, corners: bool, scales: Any) -> Any:
    """A weighted mean of the neighbours on both sides of each axis."""
    return resize(at, x, size, scales, mode="linear", coordinates=_positions(corners))


@aten("upsample_linear1d.default", "upsample_bilinear2d.default", "upsample_trilinear3d.default")
def linear_by_axis(at: Site, x: Value, size: Any, corners: bool, *scales: Any) -> Any:
    """The same with one factor an argument."""
    return linear(at, x, size, corners, scales)


@aten("upsample_bicubic2d.vec")
def cubic(at: Site, x: Value, size: Any, corners: bool, scales: Any) -> Any:
    """A cubic of four neighbours on each axis, with a = -0.75."""
    return resize(at, x, size, scales, mode="cubic", coordinates=_positions(corners), cubic_a=-0.75)


@aten("upsample_bicubic2d.default")
def cubic_by_axis(at: Site, x: Value, size: Any, corners: bool, *scales: Any) -> Any:
    """The same with one factor an argument."""
    return cubic(at, x, size, corners, scales)
