"""`dce`: erase what nothing uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.ir.core import Graph, Module, Op
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.control import callees
from ranvier.ir.text.values import Call, ResourceName


@dataclass(frozen=True)
class DeadCode(Pass):
    """Erase ops without users (cycles through core.delay too), graphs never called, and resources never used."""

    word = "dce"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        eliminate(module)


def eliminate(module: Module) -> int:
    """Erase everything unused; returns the number of ops erased."""
    count = 0
    reached = _reachable(module)
    for name in [n for n in module.graphs if n not in reached]:
        count += len(module.graphs.pop(name))
    for graph in module.graphs.values():
        count += _sweep(graph)
    used = _used_resources(module)
    for name in [n for n in module.resources if n not in used]:
        del module.resources[name]
        for graph in module.graphs.values():
            graph._constants.pop(name, None)
    module.tidy()
    return count


def _reachable(module: Module) -> set[str]:
    seen, stack = set(), ["main"]
    while stack:
        name = stack.pop()
        if name in seen or name not in module.graphs:
            continue
        seen.add(name)
        stack += [c for op in module.graphs[name].ops for c in callees(op)]
    return seen


def _sweep(graph: Graph) -> int:
    live: set[Op] = set()
    stack = [op for op in graph.ops if op.name == "core.return"]
    while stack:
        op = stack.pop()
        if op in live:
            continue
        live.add(op)
        stack += [v.op for v in op.arguments if v.op is not None]
    dead = [op for op in graph.ops if op not in live]
    for op in dead:
        op.drop_uses()
    for op in dead:
        graph.erase(op)
    return len(dead)


def _used_resources(module: Module) -> set[str]:
    used = {v.resource for g in module.graphs.values() for v in g.constants if v.resource is not None}
    facts: list[Any] = list(module.facts)
    for op in module.ops:
        facts += op.facts
        for r in op.results:
            facts += r.facts
    for graph in module.graphs.values():
        for arg in graph.args:
            facts += arg.facts
    for name in list(used):
        facts += module.resource(name).facts
    for fact in facts:
        written = fact.write()
        fields = written.fields.values() if isinstance(written, Call) else ()
        used |= {str(v) for v in fields if isinstance(v, ResourceName)}
    return used
