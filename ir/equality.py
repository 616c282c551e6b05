"""Equality of modules: graphs, names, types, attributes, facts, resources. Locations do not count."""

from __future__ import annotations

from ranvier.ir.core import Graph, Module, Op, Value


def equal(a: Module, b: Module) -> bool:
    """Whether two modules are the same up to locations and unused resources' order."""
    return difference(a, b) is None


def difference(a: Module, b: Module) -> str | None:
    """A sentence about the first difference, or None."""
    if a is b:
        return None
    if a.name != b.name:
        return f"names {a.name!r} and {b.name!r}"
    if a.facts != b.facts:
        return "facts of the module"
    if list(a.graphs) != list(b.graphs):
        return f"graphs {list(a.graphs)} and {list(b.graphs)}"
    if a.resources.keys() != b.resources.keys():
        return f"resources {sorted(a.resources.keys() ^ b.resources.keys())[:3]}"
    for name, resource in a.resources.items():
        if not resource.same(b.resources[name]):
            return f"resource ${name}"
    for name in a.graphs:
        found = _graphs(a.graphs[name], b.graphs[name])
        if found:
            return f"@{name}: {found}"
    return None


def _graphs(a: Graph, b: Graph) -> str | None:
    if [_value(v) for v in a.args] != [_value(v) for v in b.args]:
        return "arguments"
    one, other = a.first, b.first
    while one is not None and other is not None:
        found = _ops(one, other)
        if found:
            return f"{one!r} and {other!r}: {found}"
        one, other = one.next, other.next
    return None if one is None and other is None else f"one goes on with {one or other!r}"


def _ops(a: Op, b: Op) -> str | None:
    if type(a) is not type(b):
        return "different ops"
    if [repr(v) for v in a.operands] != [repr(v) for v in b.operands]:
        return "operands"
    if a.attributes != b.attributes and repr(a.attributes) != repr(b.attributes):
        changed = [k for k in a.attributes if a.attributes[k] != b.attributes.get(k)]
        return f"attributes {changed}"
    if a.facts != b.facts or a.place != b.place:
        return "facts or place"
    if [_value(v) for v in a.results] != [_value(v) for v in b.results]:
        return "results"
    return None


def _value(v: Value) -> tuple[object, ...]:
    return v.name, v.type, v.facts
