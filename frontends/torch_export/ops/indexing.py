"""Look-ups by integers."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site, axis_of
from ranvier.ir.core import Value


@aten("embedding.default")
def embedding(at: Site, weight: Value, indices: Value, *_: Any) -> Any:
    """Rows of a table."""
    return at("core.gather", weight, indices, axis=0)


@aten("index_select.default")
def index_select(at: Site, x: Value, axis: int, indices: Value) -> Any:
    """The given indices along an axis."""
    return at("core.gather", x, indices, axis=axis_of(axis, x))


@aten("index.Tensor")
def index(at: Site, x: Value, indices: list[Value | None]) -> Any:
    """x[:, indices]: integers along one axis."""
    named = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if len(named) != 1:
        raise Unsupported("with indices on several axes is not imported", "index one axis after the other")
    ((axis, numbers),) = named
    if numbers.type.elem.storage == "i1":
        raise Unsupported("by a mask has a result of unknown size", "use torch.where")
    return at("core.gather", x, numbers, axis=axis)
