"""Tensors of one number whose shape depends on the batch; those of fixed shape are constants already."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site


def filled(at: Site, value: Any) -> Any:
    """A number in the result's shape."""
    number = at.number(value, at.elem)
    if not at.shape:
        return number
    if "?" in at.shape:
        raise Unsupported("of a size that is computed of symbolic ones is not imported", "use plain sizes")
    return at("core.broadcast", number, shape=at.shape)


@aten("full.default")
def full(at: Site, _: Any, value: Any, *rest: Any) -> Any:
    """A number everywhere."""
    return filled(at, value)


@aten("full_like.default", "new_full.default")
def full_like(at: Site, x: Any, *rest: Any) -> Any:
    """A number everywhere, in another value's shape or a given one."""
    return filled(at, rest[1] if at.node.target._schema.name.endswith("new_full") else rest[0])


@aten("zeros.default", "zeros_like.default", "new_zeros.default")
def zeros(at: Site, *_: Any) -> Any:
    """0 everywhere."""
    return filled(at, 0)


@aten("ones.default", "ones_like.default", "new_ones.default")
def ones(at: Site, *_: Any) -> Any:
    """1 everywhere."""
    return filled(at, 1)
