"""`dce`: erase what nothing uses."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.ir.core import Graph, Module, Op
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.control import callees


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
            graph.forget_constant(name)
    module.tidy()
    return count


def _reachable(module: Module) -> set[str]:
    if "main" not in module.graphs or len(module.graphs) == 1:  # a library of graphs: any may be called
        return set(module.graphs)
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
    stack = [graph.terminator]
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
    """Resources that ops use, and those that facts name, which may have facts in turn."""
    facts = list(module.facts)
    stack: list[str] = []
    for graph in module.graphs.values():
        stack += [str(v.resource) for v in graph.constants]
        facts += [f for arg in graph.args for f in arg.facts]
        for op in graph.ops:
            facts += op.facts
            for r in op.results:
                facts += r.facts
    stack += [name for f in facts for name in f.resources]
    used: set[str] = set()
    while stack:
        name = stack.pop()
        if name not in used and name in module.resources:
            used.add(name)
            stack += [n for f in module.resources[name].facts for n in f.resources]
    return used
