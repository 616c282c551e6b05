"""The table from ATen overloads to the functions that import them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}
F = TypeVar("F", bound=Handler)


def aten(*overloads: str) -> Callable[[F], F]:
    """Register the handler of some ATen overloads, such as `"convolution.default"`.

    A handler takes the call site and every argument of the overload's schema in order, keyword-only ones and defaults
    included: tensors as values, symbolic integers as dims. It gives the value of the result; a tuple where torch gives
    several (None for a result that has no counterpart here).
    """

    def register(handler: F) -> F:
        for overload in overloads:
            if overload in HANDLERS:
                raise ValueError(f"aten.{overload} has two handlers")
            HANDLERS[overload] = handler
        return handler

    return register


def overload_name(target: Any) -> str:
    """`convolution.default` for torch.ops.aten.convolution.default; `namespace::name.overload` for other libraries."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return getattr(target, "__name__", str(target))
    namespace, name = schema.name.split("::")
    full = f"{name}.{schema.overload_name or 'default'}"
    return full if namespace == "aten" else f"{namespace}::{full}"
