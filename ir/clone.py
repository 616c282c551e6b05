"""Copy modules and inline graphs: names, facts, places and locations go along; arrays are shared."""

from __future__ import annotations

from ranvier.ir.core import Graph, Module, Op, Value


def clone(module: Module) -> Module:
    """A copy to work on (not frozen)."""
    out = Module(module.name)
    out.facts = module.facts
    out.resources = dict(module.resources)
    for name in module.graphs:
        out.graphs[name] = Graph(name, out)
    for name, graph in module.graphs.items():
        _clone_graph(graph, out.graphs[name])
    return out


def _clone_graph(source: Graph, target: Graph) -> None:
    mapping: dict[Value, Value] = {}
    for value in source._constants.values():
        if value.uses and value.resource is not None:
            mapping[value] = target.constant(value.resource)
    for arg in source.args:
        made = target.argument(arg.name, arg.type)
        made.facts = arg.facts
        mapping[arg] = made
    pending: list[tuple[Op, int, Value]] = []
    for op in source.ops:
        copy = copy_op(op, mapping, pending)
        _append(target, copy)
    for copy, index, value in pending:
        copy.operands[index] = mapping[value]
        mapping[value].uses[(copy, index)] = None
    target._names, target._numbers = set(source._names), dict(source._numbers)


def copy_op(op: Op, mapping: dict[Value, Value], pending: list[tuple[Op, int, Value]]) -> Op:
    """A detached copy of an op with operands mapped. Operands defined later are put down in `pending`."""
    copy = object.__new__(type(op))
    copy.location, copy.facts, copy.place = op.location, op.facts, op.place
    copy.graph = copy.prev = copy.next = None
    copy.attributes = dict(op.attributes)
    copy.operands = []
    for index, value in enumerate(op.operands):
        mapped = None if value is None else mapping.get(value)
        if value is not None and mapped is None:
            pending.append((copy, index, value))
        copy.operands.append(mapped)
        if mapped is not None:
            mapped.uses[(copy, index)] = None
    copy.results = []
    for result in op.results:
        made = Value(result.type, result.name, op=copy, index=result.index)
        made.facts = result.facts
        copy.results.append(made)
        mapping[result] = made
    return copy


def _append(graph: Graph, op: Op) -> None:
    op.graph, op.prev = graph, graph.last
    if graph.last is not None:
        graph.last.next = op
    graph.last = op
    graph.first = graph.first or op
