"""`inline`: the ops of a graph in place of each call of it."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.ir.clone import copy_op
from ranvier.ir.core import Graph, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import error
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import derive, describe
from ranvier.ir.ops.control import Call, callees

ROUNDS = 2
"""How often types are inferred anew: what a delay takes is known only behind it."""


@dataclass(frozen=True)
class Inline(Pass):
    """Put the ops of a graph in place of each `core.call` of it, in every graph, calls inside included.

    Each call site gets its own copies, as each has its own state; names of values get the name of the call's result in
    front. Graphs that nothing calls any more go; `core.if` and `core.loop` stay. Random ops keep their keys, so they
    draw what they drew; a graph with random ops that is called more than once is refused, since no two ops may share a
    key.
    """

    word = "inline"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        count = inline_calls(module)
        if count:
            context.note(f"{count} calls were replaced by what they run")


def inline_calls(module: Module) -> int:
    """Inline the calls in every graph of a module; returns how many there were.

    Raises RanvierError (unsupported) where copies of a random op would share its key.
    """
    before = _called(module)
    count = sum(_inline_in(graph) for graph in module.graphs.values())
    for name in before - _called(module):
        del module.graphs[name]
    keys: dict[str, Op] = {}
    for op in module.ops:
        random = op.draws and getattr(op, "is_random", True)
        if random and keys.setdefault(op.attributes["key"], op) is not op:
            message = f"`inline`: {op!r} draws by the key {op.attributes['key']!r} in more than one call of its graph"
            help = "write the graph once for each call, each random op with a key of its own"
            raise error("unsupported", message, where=describe(op.location), help=help)
    return count


def _called(module: Module) -> set[str]:
    return {name for op in module.ops for name in callees(op)}


def _inline_in(graph: Graph) -> int:
    count = 0
    while (call := next((op for op in graph.ops if isinstance(op, Call)), None)) is not None:
        _inline(call, graph)
        count += 1
    if count:
        _infer(graph)
    return count


def _inline(call: Call, graph: Graph) -> None:
    assert graph.module is not None
    callee = graph.module.graph(call.graph_name)
    mapping: dict[Value, Value] = {}
    for value in callee.constants:
        assert value.resource is not None
        mapping[value] = graph.constant(value.resource)
    for arg, given in zip(callee.args, call.arguments, strict=True):
        mapping[arg] = given
        _keep_facts(given, arg)
    pending: list[tuple[Op, int, Value]] = []
    for op in callee.ops:
        if op.name == "core.return":
            continue
        copy = copy_op(op, mapping, pending)
        copy.location = derive("inline", [op.location, call.location])
        copy.place = copy.place or call.place
        graph.insert(copy, call, [f"{call.result.name}.{r.name}" for r in op.results])
    for copy, index, value in pending:
        copy.set_operand(index, mapping[value])
    for result, output in zip(call.results, callee.outputs, strict=True):
        replace_uses(result, mapping[output])
    graph.erase(call)


def _keep_facts(given: Value, arg: Value) -> None:
    """What is known of an argument is known of what is given for it, unless more is known there."""
    if not given.is_constant:
        have = {f.subject for f in given.facts}
        given.facts += tuple(f for f in arg.facts if f.subject not in have)


def _infer(graph: Graph) -> None:
    """Types from the operands: those of a callee may have left dims open that are known here."""
    for _ in range(ROUNDS):
        for op in graph.ops:
            for result, kind in zip(op.results, op.infer_types(), strict=True):
                result.type = kind
