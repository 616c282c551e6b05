"""Modules: named graphs and their arrays. A module handed out never changes (design decision 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.graph import NAME_CHARACTERS, Graph
from ranvier.ir.op import Op, Value
from ranvier.ir.resources import Resource

if TYPE_CHECKING:
    from ranvier.ir.facts import Fact


class Module:
    """Named graphs and resources. `frozen` modules never change; `clone()` gives one to work on."""

    def __init__(self, name: str = ""):
        self.name = name
        self.graphs: dict[str, Graph] = {}
        self.resources: dict[str, Resource] = {}
        self.facts: tuple[Fact, ...] = ()
        self.frozen = False
        self._wanted: dict[str, str] = {}
        # where to go on counting for a fresh name, by hint
        self._numbers: dict[str, int] = {}

    @property
    def main(self) -> Graph:
        """The graph `@main`, where execution begins."""
        return self.graph("main")

    def graph(self, name: str) -> Graph:
        """A graph by name; raises RanvierError with the near miss."""
        if name not in self.graphs:
            raise error("unknown-name", f"the module has no graph @{name}", help=suggest(name, self.graphs))
        return self.graphs[name]

    def new_graph(self, name: str = "main") -> Graph:
        """Append an empty graph."""
        if self.frozen:
            raise error("frozen-module", "this module was handed out and never changes", help="work on module.clone()")
        if name in self.graphs:
            raise error("duplicate-name", f"two graphs are called @{name}")
        graph = self.graphs[name] = Graph(name, self)
        return graph

    def resource(self, name: str) -> Resource:
        """A resource by name; raises RanvierError with the near miss."""
        if name not in self.resources:
            raise error("unknown-name", f"the module has no resource ${name}", help=suggest(name, self.resources))
        return self.resources[name]

    def add(self, resource: Resource | np.ndarray[Any, Any], hint: str = "c", *, instead_of: str | None = None) -> str:
        """Add a resource under a name made from the hint; returns the name.

        `instead_of` names a resource whose name this one takes over when that one is no longer used (see `tidy`).
        """
        if self.frozen:
            raise error("frozen-module", "this module was handed out and never changes", help="work on module.clone()")
        if not isinstance(resource, Resource):
            resource = Resource.of(resource)
        hint = "".join(c if c in NAME_CHARACTERS or c in "-/" else "_" for c in hint).strip("/.-_") or "c"
        name, n = hint, self._numbers.get(hint, 1)
        while name in self.resources:
            n += 1
            name = f"{hint}_{n}"
        self._numbers[hint] = n
        self.resources[name] = resource.renamed(name)
        if instead_of is not None:
            self._wanted[name] = self._wanted.get(instead_of, instead_of)
        return name

    def tidy(self) -> None:
        """Give resources the names of those they were made instead of, where these are gone."""
        if self.frozen:
            raise error("frozen-module", "this module was handed out and never changes", help="work on module.clone()")
        if not any(n in self.resources and w not in self.resources for n, w in self._wanted.items()):
            self._wanted = {n: w for n, w in self._wanted.items() if n in self.resources}
            return
        named = _named_in_facts(self)
        new: dict[str, str] = {}
        for name, wanted in self._wanted.items():
            if name in self.resources and wanted not in self.resources and wanted not in named and name not in named:
                new[name] = wanted
                named.add(wanted)
        self._wanted = {n: w for n, w in self._wanted.items() if n in self.resources and n not in new}
        if not new:
            return
        self.resources = {new.get(n, n): r.renamed(new[n]) if n in new else r for n, r in self.resources.items()}
        for graph in self.graphs.values():
            for name, wanted in new.items():
                graph.rename_constant(name, wanted)

    def array(self, value: Value) -> np.ndarray[Any, Any]:
        """The array of a constant value."""
        assert value.resource is not None
        return self.resource(value.resource).array

    @property
    def ops(self) -> Iterator[Op]:
        """All ops of all graphs."""
        for graph in self.graphs.values():
            yield from graph.ops

    def freeze(self) -> Module:
        """Mark as never changing again; returns itself."""
        self.frozen = True
        return self

    def verify(self) -> Module:
        """Check every rule of the IR; raises RanvierError with all findings. Returns itself."""
        from ranvier.ir.verify import verify

        verify(self)
        return self

    def clone(self) -> Module:
        """A copy to work on: ops are new, arrays are shared, names, facts and locations are kept."""
        from ranvier.ir.clone import clone

        return clone(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Module):
            return NotImplemented
        from ranvier.ir.equality import equal

        return equal(self, other)

    __hash__ = object.__hash__

    def __str__(self) -> str:
        from ranvier.ir.text.printer import print_module

        return print_module(self)

    def __repr__(self) -> str:
        return f"<Module {self.name or '(unnamed)'}: {len(self.graphs)} graphs, {sum(1 for _ in self.ops)} ops>"


def _named_in_facts(module: Module) -> set[str]:
    """Resources that facts name: renaming them would leave the fact behind."""
    found = [module.facts, *(r.facts for r in module.resources.values())]
    for graph in module.graphs.values():
        found += [v.facts for v in graph.values if v.facts]
    found += [op.facts for op in module.ops if op.facts]
    return {name for facts in found for f in facts for name in f.resources}
