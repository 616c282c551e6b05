"""The rules that every module keeps; all findings are reported at once, each by name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.diagnostics import Diagnostic, RanvierError, collect
from ranvier.ir.facts import Fact
from ranvier.ir.locations import describe
from ranvier.ir.timing import PureOp, StatefulOp, is_cycle, regions
from ranvier.ir.types import DIM, SpikesType


def verify(module: Module) -> None:
    """Raise RanvierError with every broken rule, or return."""
    collect(findings(module))


def findings(module: Module) -> Iterator[Diagnostic]:
    """Every broken rule of a module."""
    for graph in module.graphs.values():
        yield from _structure(module, graph)
        yield from _types(graph)
        yield from _cycles(graph)
    yield from _facts(module)
    yield from _calls(module)
    yield from _random_keys(module)


def _found(code: str, message: str, op: Op | None = None, graph: Graph | None = None, help: str = "") -> Diagnostic:
    where = describe(op.location) if op is not None else ""
    place = f"@{graph.name}: " if graph is not None else ""
    return Diagnostic(code, place + message, where, help)


def _structure(module: Module, graph: Graph) -> Iterator[Diagnostic]:
    names: set[str] = set()
    for value in graph.values:
        if value.name in names or not value.name:
            yield _found("duplicate-name", f"two values are called %{value.name}", value.op, graph)
        names.add(value.name)
        yield from _dims(value)
    defined: set[Value] = set(graph.args)
    before: Op | None = None
    for op in graph.ops:
        if op.graph is not graph or op.prev is not before or any(r.op is not op for r in op.results):
            yield _found("broken-use-list", f"{op!r} is not linked to its neighbours and results", op, graph)
        for index, v in enumerate(op.operands):
            yield from _operand(module, graph, op, index, v, defined)
        defined.update(op.results)
        if op.name == "core.return" and op.next is not None:
            yield _found("no-return", "core.return is not the last op", op, graph)
        before = op
    for v in itertools.chain(graph.values, graph.constants):
        for user, index in v.uses:
            if user.graph is not graph or index >= len(user.operands) or user.operands[index] is not v:
                yield _found("broken-use-list", f"{v!r} lists a use by {user!r} that is not there", user, graph)
    if graph.last is None or graph.last.name != "core.return":
        yield _found("no-return", "the graph does not end in core.return", graph.last, graph)


def _operand(
    module: Module, graph: Graph, op: Op, index: int, v: Value | None, defined: set[Value]
) -> Iterator[Diagnostic]:
    if v is None:
        if index < len(op.operand_fields) and op.operand_fields[index].role == "single":
            yield _found("wrong-operands", f"{op!r} lacks its operand {op.operand_fields[index].name!r}", op, graph)
        return
    if (op, index) not in v.uses:
        yield _found("broken-use-list", f"{v!r} does not list its use by {op!r}", op, graph)
    if v.resource is not None:
        resource = module.resources.get(v.resource)
        if resource is None:
            yield _found("unknown-name", f"{op!r} uses ${v.resource}, which the module does not have", op, graph)
        elif resource.type != v.type:
            yield _found("stale-type", f"{v!r} is {resource.type}, but {op!r} takes it as {v.type}", op, graph)
        if graph.known_constant(v.resource) is not v:
            yield _found("broken-use-list", f"{op!r} uses {v!r} of another graph", op, graph)
    elif v in defined:
        return
    elif v.op is None or v.op.graph is not graph:
        yield _found("unknown-name", f"{op!r} uses {v!r}, which no op of the graph defines", op, graph)
    elif not (op.name == "core.delay" and index == 0):
        yield _found(
            "use-before-definition",
            f"{op!r} uses {v!r} before it is defined",
            op,
            graph,
            "only the first operand of core.delay may be defined later",
        )


def _dims(v: Value) -> Iterator[Diagnostic]:
    """Dims that the text form could not hold."""
    for d in (*v.type.shape, 1 if v.type.time is None else v.type.time):
        if not (d >= 0 if isinstance(d, int) else DIM.fullmatch(d)):
            message = f"{v!r} has the dim {d!r}, which is no number, `?`, or symbol in capitals"
            yield _found("shape-mismatch", message, v.op, v.graph, "import names of dims as symbols such as N")


def _facts(module: Module) -> Iterator[Diagnostic]:
    """Facts that name a resource which is not there."""
    holders: list[tuple[str, tuple[Fact, ...]]] = [("the module", module.facts)]
    holders += [(f"${name}", r.facts) for name, r in module.resources.items()]
    for graph in module.graphs.values():
        holders += [(repr(arg), arg.facts) for arg in graph.args if arg.facts]
        for op in graph.ops:
            if op.facts:
                holders.append((repr(op), op.facts))
            holders += [(repr(r), r.facts) for r in op.results if r.facts]
    for holder, facts in holders:
        for fact in facts:
            for name in fact.resources:
                if name not in module.resources:
                    message = f"the fact {fact.word} of {holder} names ${name}, which the module does not have"
                    yield _found("unknown-name", message)


def _types(graph: Graph) -> Iterator[Diagnostic]:
    for op in graph.ops:
        if any(v is None and f.role == "single" for v, f in zip(op.operands, op.operand_fields, strict=False)):
            continue  # named already
        try:
            inferred = op.infer_types()
        except RanvierError as why:
            yield from why.diagnostics
            continue
        stored = tuple(r.type for r in op.results)
        if inferred != stored:
            want, have = ", ".join(map(str, inferred)), ", ".join(map(str, stored))
            help = "a result's type follows from the operands: build the op anew instead of setting it"
            yield _found("stale-type", f"{op!r} has type {have} but infers {want}", op, graph, help)
        for r in op.results:
            if isinstance(r.type, SpikesType):
                yield from _alphabet(op, graph, r)


def _alphabet(op: Op, graph: Graph, value: Value) -> Iterator[Diagnostic]:
    kind = value.type
    assert isinstance(kind, SpikesType)
    lo, hi = kind.code.alphabet()
    if kind.elem.is_float or lo < kind.elem.range[0] or hi > kind.elem.range[1]:
        yield _found(
            "alphabet",
            f"{value!r} holds spikes of {kind.code} ({lo}..{hi}) in {kind.elem.storage}",
            op,
            graph,
            f"use {kind.code.element().storage}",
        )


def _cycles(graph: Graph) -> Iterator[Diagnostic]:
    for group in regions(graph):
        if not is_cycle(group):
            continue
        for op in group:
            if not isinstance(op, PureOp | StatefulOp) or getattr(op, "windowed", False):
                yield _found(
                    "delay-cycle",
                    f"{op!r} needs a whole window but lies on a cycle through core.delay",
                    op,
                    graph,
                    "only pure ops and stepwise neurons may lie on a cycle",
                )


def _calls(module: Module) -> Iterator[Diagnostic]:
    from ranvier.ir.ops.control import callees

    edges: dict[str, set[str]] = {name: set() for name in module.graphs}
    for name, graph in module.graphs.items():
        for op in graph.ops:
            for callee in callees(op):
                if callee not in module.graphs:
                    yield _found("unknown-name", f"{op!r} names @{callee}, which the module does not have", op, graph)
                else:
                    edges[name].add(callee)
    done: set[str] = set()
    for name in edges:
        path: list[str] = []
        stack: list[tuple[str, bool]] = [(name, True)]
        while stack:
            node, enter = stack.pop()
            if not enter:
                path.pop()
                done.add(node)
            elif node in path:
                circle = " -> ".join([*path, node])
                caller = next(op for op in module.graphs[path[-1]].ops if node in callees(op))
                help = "repeat with core.loop, or copy the graph where it is called"
                yield _found("recursive-call", f"graphs call each other in a circle: {circle}", caller, help=help)
                return
            elif node not in done:
                path.append(node)
                stack.append((node, False))
                stack.extend((n, True) for n in sorted(edges[node]))


def _random_keys(module: Module) -> Iterator[Diagnostic]:
    seen: dict[str, Op] = {}
    for op in module.ops:
        if not op.draws or not getattr(op, "is_random", True):
            continue
        key = str(op.attributes.get("key", ""))
        if key in seen:
            yield _found(
                "duplicate-op-key",
                f"{op!r} and {seen[key]!r} share the key {key!r}",
                op,
                op.graph,
                "give each random op a key of its own",
            )
        seen[key] = op
