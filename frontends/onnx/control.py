"""If and Loop: chosen and unrolled now where possible, else graphs of the module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranvier.frontends.onnx.emitter import Emitter
from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.tensors import Constant, Sizes, Tensor
from ranvier.ir.core import Builder, Value
from ranvier.ir.elements import elem
from ranvier.ir.types import TensorType

if TYPE_CHECKING:
    from onnx import GraphProto

    from ranvier.frontends.onnx.importer import Known, Scope

UNROLLED = 64
FOREVER = 2**62


@onnx_op("If", since=1)
def if_1(n: Node) -> Sequence[Tensor]:
    """The branch itself where the condition is known, else core.if."""
    condition = n.input(0)
    branches = n.graph("then_branch"), n.graph("else_branch")
    if isinstance(condition, Constant):
        return _inline(n, branches[0] if bool(condition.array.reshape(-1)[0]) else branches[1], {})
    captures = _captures(n.scope, branches)
    made = [
        _graph(n, f"{n.emitter.hint}.{word}", b, captures) for word, b in zip(("then", "else"), branches, strict=True)
    ]
    types = tuple(_join(a, b) for a, b in zip(made[0][1], made[1][1], strict=True))
    return _emit(
        n, "core.if", [n.reshape(condition, []), *captures.values()], then=made[0][0], otherwise=made[1][0], types=types
    )


@onnx_op("Loop", since=1)
def loop(n: Node) -> Sequence[Tensor]:
    """Unrolled where the number of rounds is known and small, else core.loop."""
    body = n.graph("body")
    trip, start = n.optional(0), n.optional(1)
    carried = [n.input(i) for i in range(2, len(n.inputs))]
    if len(body.input) != len(carried) + 2 or len(body.output) < len(carried) + 1:
        raise ValueError("the body does not fit the inputs of the loop")
    rounds = int(trip.array.reshape(-1)[0]) if isinstance(trip, Constant) else None
    goes_on = start is None or (isinstance(start, Constant) and bool(start.array.reshape(-1)[0]))
    if goes_on and _always(body) and rounds is not None and 0 < rounds <= UNROLLED:
        return _unroll(n, body, rounds, carried)
    if len(body.output) > len(carried) + 1:
        raise Unsupported("collects values over rounds whose number is not known")
    return _loop(n, body, trip, start, carried)


def _inline(n: Node, graph: GraphProto, names: dict[str, Known]) -> list[Tensor]:
    """Import a subgraph in place of the node."""
    from ranvier.frontends.onnx.importer import Scope

    outer = n.scope
    inner = Scope(outer.run, n.emitter, outer.opsets, names, outer, prefix=f"{n.emitter.hint}.")
    return _body(n, inner, graph)


def _body(n: Node, scope: Scope, graph: GraphProto) -> list[Tensor]:
    trail = scope.run.trail
    trail.append(n.proto.name or n.proto.op_type)
    try:
        scope.initializers(graph)
        scope.nodes(graph.node)
    finally:
        trail.pop()
    found = scope.outputs(graph)
    if found is None:
        raise Unsupported("holds a graph that cannot be imported")
    return found


def _unroll(n: Node, body: GraphProto, rounds: int, carried: list[Tensor]) -> list[Tensor]:
    count = len(carried)
    collected: list[list[Tensor]] = [[] for _ in body.output[1 + count :]]
    hint = n.emitter.hint
    for i in range(rounds):
        given = [Constant.of(np.asarray(i, np.int64)), Constant.of(np.asarray(True)), *carried]
        n.emitter.hint = f"{hint}.{i}"
        found = _inline(n, body, {v.name: t for v, t in zip(body.input, given, strict=True)})
        carried = found[1 : 1 + count]
        for row, t in zip(collected, found[1 + count :], strict=True):
            row.append(n.reshape(t, [1, *n.shape(t)]))
    n.emitter.hint = hint
    return [*carried, *(n.emit("core.concat", *row, axis=0) for row in collected)]


def _always(body: GraphProto) -> bool:
    """Whether a body hands on the condition it is given, or says true."""
    by_output = {o: node for node in body.node for o in node.output}
    name = body.output[0].name
    while name in by_output and by_output[name].op_type == "Identity":
        name = by_output[name].input[0]
    if name == body.input[1].name:
        return True
    node = by_output.get(name)
    if node is not None and node.op_type == "Constant":
        return any(
            a.name == "value" and (bool(a.t.raw_data.strip(b"\0")) or any(a.t.int32_data)) for a in node.attribute
        )
    return any(t.name == name and (bool(t.raw_data.strip(b"\0")) or any(t.int32_data)) for t in body.initializer)


def _loop(
    n: Node, body: GraphProto, trip: Tensor | None, start: Tensor | None, carried: list[Tensor]
) -> Sequence[Tensor]:
    captures = _captures(n.scope, [body])
    values = [n.emitter.value(t) for t in carried]
    name, types = _graph(n, f"{n.emitter.hint}.body", body, captures, values)
    for have, want in zip(types, (v.type for v in values), strict=True):
        if have != want:
            raise Unsupported(f"carries a value whose type changes from {want} to {have}")
    limit = n.reshape(trip, []) if trip is not None else Constant.of(np.asarray(FOREVER, np.int64), hint="forever")
    if start is not None and not (isinstance(start, Constant) and bool(start.array.reshape(-1)[0])):
        limit = n.emit("core.select", n.reshape(start, []), limit, Constant.of(np.asarray(0, np.int64), hint="zero"))
    return _emit(n, "core.loop", [limit, *values, *captures.values()], body=name, types=types)


def _emit(n: Node, op: str, operands: Sequence[Tensor], **attributes: object) -> list[Tensor]:
    return list(n.emitter.emit_all(op, *operands, **attributes))


def _names(graph: GraphProto) -> list[str]:
    """Names that a graph uses and does not define, in order."""
    defined = {t.name for t in graph.initializer} | {i.name for i in graph.input}
    used: dict[str, None] = {}
    for node in graph.node:
        inner = [name for a in node.attribute if a.type == 5 for name in _names(a.g)]
        used.update(dict.fromkeys(name for name in [*node.input, *inner] if name and name not in defined))
        defined.update(node.output)
    used.update(dict.fromkeys(o.name for o in graph.output if o.name not in defined))
    return list(used)


def _captures(scope: Scope, graphs: Sequence[GraphProto]) -> dict[str, Value]:
    """Values from outside that some graphs use, by name."""
    found = {name: scope.find(name) for g in graphs for name in _names(g)}
    return {name: t for name, t in found.items() if isinstance(t, Value) and t.resource is None}


def _graph(
    n: Node, hint: str, proto: GraphProto, captures: dict[str, Value], carried: Sequence[Value] | None = None
) -> tuple[str, tuple[TensorType, ...]]:
    """A subgraph as a graph of the module: its name and the types of what it gives. With `carried` it is a loop's body,
    which takes a counter and the carried values first and gives a bit first."""
    from ranvier.frontends.onnx.importer import Scope

    run, outer = n.scope.run, n.scope
    graph = run.module.new_graph(run.graph_name(hint))
    emitter = Emitter(run.module, graph, run.known)
    names = _outside(outer, proto)
    if carried is not None:
        names[proto.input[0].name] = graph.argument("i", TensorType((), elem("i64")))
        names[proto.input[1].name] = Constant.of(np.asarray(True))
        for info, v in zip(proto.input[2:], carried, strict=True):
            names[info.name] = graph.argument(info.name, v.type)
    for name, v in captures.items():
        argument = names[name] = graph.argument(v.name, v.type)
        if v in run.known:
            run.known[argument] = run.known[v]
    scope = Scope(run, emitter, outer.opsets, names)
    inner = Node(n.proto, n.inputs, n.opset, scope)
    emitter.location = n.emitter.location
    found = _body(inner, scope, proto)
    if carried is not None:
        found[0] = inner.reshape(found[0], [])
    values = [emitter.value(t) for t in found]
    Builder(graph, location=emitter.location).returns(*values, names=[o.name for o in proto.output])
    emitter.drop_superseded()
    given = values[1:] if carried is not None else values
    return graph.name, tuple(v.type for v in given if isinstance(v.type, TensorType))


def _outside(scope: Scope, proto: GraphProto) -> dict[str, Known]:
    """What a graph sees from outside beside the values captured: constants and sizes."""
    found = {name: scope.find(name) for name in _names(proto)}
    return {name: t for name, t in found.items() if isinstance(t, Constant | Sizes)}


def _join(a: TensorType, b: TensorType) -> TensorType:
    """A type that both branches fit."""
    if a.rank != b.rank or a.elem != b.elem:
        raise Unsupported(f"gives {a} or {b}, depending on the data")
    return a.with_shape([x if x == y else "?" for x, y in zip(a.shape, b.shape, strict=True)])
