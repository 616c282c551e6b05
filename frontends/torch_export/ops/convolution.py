"""Convolutions of any number of spatial axes."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site
from ranvier.ir.core import Value


@aten("convolution.default")
def convolution(
    at: Site,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Value:
    """conv1d, conv2d, conv3d and their transposes: torch takes them all to this one."""
    count = weight.type.rank - 2
    pad = at.spatial(padding, count)
    common = {
        "strides": at.spatial(stride, count),
        "padding": (*pad, *pad),
        "dilations": at.spatial(dilation, count),
        "groups": groups,
    }
    if transposed:
        out: Value = at(
            "nn.conv_transpose", x, weight, bias, output_padding=at.spatial(output_padding, count), **common
        )
    else:
        out = at("nn.conv", x, weight, bias, **common)
    return out
