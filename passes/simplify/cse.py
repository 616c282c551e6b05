"""`cse`: compute the same thing once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ranvier.ir.core import Graph, Module, Op, replace_uses
from ranvier.ir.fields import Integer, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.passes.simplify.dce import eliminate


@dataclass(frozen=True)
class CommonSubexpressions(Pass):
    """f(x), f(x) => one f(x); equal constants => one constant. Ops that draw random numbers are never merged."""

    word = "cse"
    hash_below: int = option(Integer(0), 1 << 20, "constants of more elements are compared by identity only")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        merge_constants(module, self.hash_below)
        for graph in module.graphs.values():
            merge_ops(graph)
        eliminate(module)


def merge_constants(module: Module, hash_below: int) -> int:
    """Let every user of a constant use the first one of equal type, facts and content; returns how many were left."""
    count = 0
    seen: dict[Hashable, str] = {}
    for name, resource in module.resources.items():
        if resource.splat is not None:
            content: Hashable = ("splat", repr(resource.splat))
        elif resource.size <= hash_below and resource.identified:
            content = resource.digest
        else:
            content = resource.origin or name
        first = seen.setdefault((resource.type, resource.facts, content), name)
        if first == name:
            continue
        for graph in module.graphs.values():
            value = graph.known_constant(name)
            if value is not None and value.uses:
                replace_uses(value, graph.constant(first))
                count += 1
    return count


def merge_ops(graph: Graph) -> int:
    """Replace an op by an earlier equal one; returns how many were, which `eliminate` erases."""
    count = 0
    seen: dict[Hashable, Op] = {}
    for op in graph.ops:
        if op.draws or not op.results or op.name == "core.delay" or any(f.sticky for f in op.facts):
            continue
        key = (type(op), tuple(op.operands), tuple(op.attributes.items()), op.place)
        first = seen.setdefault(key, op)
        if first is not op:
            count += 1
            have = {f.subject for f in first.facts}
            first.facts += tuple(f for f in op.facts if f.subject not in have)
            for old, new in zip(op.results, first.results, strict=True):
                replace_uses(old, new)
    return count
