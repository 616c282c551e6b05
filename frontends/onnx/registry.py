"""Handlers of ONNX operators, found by name and operator-set version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranvier.frontends.onnx.node import Node
    from ranvier.frontends.onnx.tensors import Tensor

Handler = Callable[["Node"], "Tensor | Sequence[Tensor]"]

# One file per family of operators; each declares its handlers when it is imported.
FAMILIES = (
    "activations",
    "constants",
    "control",
    "convolution",
    "elementwise",
    "indexing",
    "layout",
    "linear",
    "logic",
    "normalization",
    "pooling",
    "reduce",
    "resize",
)
_HANDLERS: dict[str, dict[int, Handler]] = {}


def onnx_op(*names: str, since: int) -> Callable[[Handler], Handler]:
    """Register the handler of operators from operator set `since` on, until a newer handler takes over."""

    def register(handler: Handler) -> Handler:
        for name in names:
            versions = _HANDLERS.setdefault(name, {})
            if since in versions and versions[since].__qualname__ != handler.__qualname__:
                raise ValueError(f"two handlers of {name} since opset {since}")
            versions[since] = handler
        return handler

    return register


def load_families() -> None:
    """Import every file of handlers."""
    for family in FAMILIES:
        import_module(f"ranvier.frontends.onnx.{family}")


def resolve(name: str, opset: int) -> Handler | None:
    """The newest handler that is not newer than an operator set, or None."""
    versions = _HANDLERS.get(name, {})
    fitting = [v for v in versions if v <= opset]
    return versions[max(fitting)] if fitting else None


def handled_names() -> list[str]:
    """Operators that have a handler, for near misses."""
    return sorted(_HANDLERS)


def coverage() -> list[tuple[str, tuple[int, ...]]]:
    """Every operator with a handler, and the operator sets from which each of its handlers holds."""
    load_families()
    return [(name, tuple(sorted(_HANDLERS[name]))) for name in sorted(_HANDLERS)]
