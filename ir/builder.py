"""Insert ops at one place of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.ir.graph import Graph
from ranvier.ir.locations import Location
from ranvier.ir.op import Op, Value
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType


class Builder:
    """Inserts ops at one place of a graph: `b(nn.Conv, x, w, strides=(1, 1))` gives the result value(s)."""

    def __init__(self, graph: Graph, before: Op | None = None, location: Location | None = None):
        self.graph, self.before, self.location = graph, before, location
        self.created: list[Op] = []

    def __call__(self, op: type[Op], *operands: Value | None, name: str | Sequence[str] = "", **attributes: Any) -> Any:
        """Insert an op; returns its result, or a tuple of results when there are several."""
        made = op(*operands, location=attributes.pop("location", None) or self.location, **attributes)
        self.graph.insert(made, self.before, [name] if isinstance(name, str) else name)
        self.created.append(made)
        return made.results[0] if len(made.results) == 1 else tuple(made.results)

    def constant(self, array: Any, hint: str = "c", *, type: TensorType | None = None) -> Value:
        """A new resource of the module as a value of the graph."""
        assert self.graph.module is not None
        resource = (
            array if isinstance(array, Resource) else Resource.of(array) if type is None else Resource(type, array)
        )
        return self.graph.constant(self.graph.module.add(resource, hint))

    def returns(self, *values: Value, names: Sequence[str] = (), roles: Sequence[str] = ()) -> Op:
        """End the graph."""
        from ranvier.ir.ops.core import Return

        names = list(names) or [v.name for v in values]
        made = Return(
            *values, names=tuple(names), roles=tuple(roles) or ("output",) * len(values), location=self.location
        )
        return self.graph.insert(made)
