"""What a handler works with: one call in the exported graph, and the place where its ops go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.frontends.torch_export.constants import element_of
from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.ir.core import Value
from ranvier.ir.elements import Elem
from ranvier.ir.ops import op_class
from ranvier.ir.resources import Resource
from ranvier.ir.types import Dim, TensorType

if TYPE_CHECKING:
    from ranvier.frontends.torch_export.importer import Importer


class Site:
    """A call of an ATen op. Calling a site inserts an op: `at("nn.conv", x, weight, strides=(2, 2))`."""

    def __init__(self, importer: Importer, node: Any):
        self.importer, self.node = importer, node

    def __call__(self, op: str, *operands: Value | None, **attributes: Any) -> Any:
        """Insert an op; the result's name comes from the module path, its location from the user's line."""
        builder = self.importer.builder
        return builder(op_class(op), *operands, name=self.importer.names.hint(self.node, op), **attributes)

    # -- the result as torch describes it ----------------------------------------------------------------------------
    @property
    def result(self) -> Any:
        """The (first) result as a fake tensor."""
        value = self.node.meta["val"]
        return value[0] if isinstance(value, tuple | list) else value

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Dims of the (first) result."""
        return self.importer.symbols.shape(self.result.shape)

    @property
    def elem(self) -> Elem:
        """Element type of the (first) result."""
        return element_of(self.result.dtype, "the result")

    def common_elem(self, *arguments: int) -> Elem:
        """The element type that torch promotes some arguments to (tensors and numbers)."""
        import torch

        args = [self.node.args[i] for i in arguments]
        metas = [a.meta["val"] if hasattr(a, "meta") else a for a in args]
        return element_of(torch.result_type(*metas), "the operands")

    # -- constants ---------------------------------------------------------------------------------------------------
    def constant(self, array: Any, hint: str = "c") -> Value:
        """An array as a resource; equal small arrays of one import are one resource."""
        return self.importer.constant(np.asarray(array), hint)

    def number(self, value: Any, kind: Elem) -> Value:
        """A number as a resource without axes. Raises Unsupported for a number that depends on the batch."""
        if isinstance(value, str):
            raise Unsupported("computes with the batch size or another symbolic size", "export with a fixed batch")
        return self.constant(np.asarray(value, kind.dtype), _number_name(value))

    def filled(self, value: float, size: int, kind: Elem, hint: str) -> Value:
        """A vector of one number."""
        resource = Resource(TensorType((size,), kind), splat=value)
        return self.importer.resource(resource, ("splat", value, size, kind), hint)

    def cast(self, x: Any, kind: Elem) -> Value:
        """A value or number as a value of an element type."""
        if not isinstance(x, Value):
            return self.number(x, kind)
        if x.type.elem == kind:
            return x
        if x.is_constant and (x.type.rank == 0 or not x.type.elem.is_float):  # a range, a mask: not a weight
            return self.constant(self.importer.module.array(x).astype(kind.dtype), x.resource or "c")
        out: Value = self("core.cast", x, elem=kind)
        return out

    # -- shapes ------------------------------------------------------------------------------------------------------
    def reshape(self, x: Value, shape: Sequence[Dim]) -> Value:
        """`x` in another shape; sizes that no dim names become -1."""
        if tuple(shape) == x.type.shape and "?" not in shape:
            return x
        free = [d for d in shape if isinstance(d, str)]
        if len(free) > 1:
            raise Unsupported(
                f"gives the shape {list(shape)} with several symbolic sizes", "export with fixed sizes but the batch"
            )
        out: Value = self("core.reshape", x, shape=tuple(-1 if d == "?" else d for d in shape))
        return out

    def spatial(self, numbers: Sequence[int], count: int) -> tuple[int, ...]:
        """One number for each spatial axis; torch lets one number stand for all."""
        given = tuple(static(numbers))
        return given * count if len(given) == 1 else given


def static(numbers: Sequence[Any]) -> list[int]:
    """Integers out of an argument list; raises Unsupported when one is symbolic."""
    if any(not isinstance(n, int) for n in numbers):
        raise Unsupported("takes a symbolic size here", "export with fixed sizes but the batch")
    return list(numbers)


def rank_of(x: Value) -> int:
    """Number of axes."""
    return x.type.rank


def axis_of(axis: int, x: Value) -> int:
    """An axis counted from the front."""
    return axis % max(x.type.rank, 1)


def _number_name(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value).lower()
    return "c_" + text.replace("-", "minus_").replace("+", "").replace(".", "_")
