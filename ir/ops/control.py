"""`core` ops that name graphs: call, if, loop. Captures are operands; each call site has its own state."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.core import Graph, Op
from ranvier.ir.fields import ListOf, TypeKind
from ranvier.ir.schema import attribute, flag, graph_ref, operand, variadic
from ranvier.ir.types import TensorType, Type, tensor


class Call(Op, name="core.call"):
    """Run a graph on the arguments. The results have the types of the callee's outputs, repeated in `types`."""

    arguments_ = variadic("arguments of the graph", spikes=True)
    graph_name = graph_ref("the graph")
    types = attribute(ListOf(TypeKind()), help="types of the results")

    def infer(self, *types: Any) -> tuple[Type, ...]:
        """See Op; checked against the callee where the module is known."""
        check_callee(self, self.graph_name, types, self.types)
        return self.types

    def evaluate(self, interpreter: Any, arrays: list[Any]) -> tuple[Any, ...]:
        """Run the callee."""
        return tuple(interpreter.run(interpreter.module.graph(self.graph_name), arrays))


class If(Op, name="core.if"):
    """One of two graphs, chosen by a bit. With `per_sample`, the bit is one a sample and both graphs are run."""

    condition = operand("an i1 scalar, or one bit a sample with per_sample")
    captures = variadic("arguments of both graphs", spikes=True)
    then = graph_ref("taken when the bit is set")
    otherwise = graph_ref("taken when it is not")
    per_sample = flag(False, "choose for each sample of the first axis")
    types = attribute(ListOf(TypeKind()), help="types of the results")

    def infer(self, condition: Any, *types: Any) -> tuple[Type, ...]:
        """See Op."""
        rank = 1 if self.per_sample else 0
        timed = condition.time is not None
        if not isinstance(condition, TensorType) or condition.elem.storage != "i1" or condition.rank > rank or timed:
            raise self.fail("type-mismatch", f"needs an i1 condition of {rank} axes, not {condition}")
        for name in (self.then, self.otherwise):
            check_callee(self, name, types, self.types)
        return self.types

    def evaluate(self, interpreter: Any, arrays: list[Any]) -> tuple[Any, ...]:
        """Run the chosen graph, or both and pick."""
        chosen, *captures = arrays
        then, otherwise = (interpreter.module.graph(n) for n in (self.then, self.otherwise))
        if not self.per_sample:
            return tuple(interpreter.run(then if bool(np.asarray(chosen).reshape(())) else otherwise, captures))
        pairs = zip(interpreter.run(then, captures), interpreter.run(otherwise, captures), self.types, strict=True)
        out = []
        for a, b, kind in pairs:
            lead = 1 if kind.time is not None else 0
            bits = np.reshape(chosen, (1,) * lead + (-1,) + (1,) * (a.ndim - lead - 1))
            out.append(np.where(bits, a, b))
        return tuple(out)


class Loop(Op, name="core.loop"):
    """Run `body` up to `trip` times. The body takes (i, carried..., captures...) and returns (go_on, carried...), where
    go_on is an i1 scalar; the results are the carried values at the end."""

    trip = operand("an i64 scalar: the most rounds")
    values = variadic("carried values first, then captures", spikes=True)
    body = graph_ref("one round")
    types = attribute(ListOf(TypeKind()), help="types of the carried values")

    def infer(self, trip: Any, *types: Any) -> tuple[Type, ...]:
        """See Op."""
        if not isinstance(trip, TensorType) or trip.rank or trip.elem.is_float:
            raise self.fail("type-mismatch", f"needs an integer scalar as trip count, not {trip}")
        if len(types) < len(self.types):
            raise self.fail("wrong-operands", f"carries {len(self.types)} values but was given {len(types)}")
        check_callee(self, self.body, (tensor(dtype="i64"), *types), (tensor(dtype="i1"), *self.types))
        return self.types

    def evaluate(self, interpreter: Any, arrays: list[Any]) -> tuple[Any, ...]:
        """Run the rounds."""
        body = interpreter.module.graph(self.body)
        count = len(self.types)
        carried, captures = list(arrays[1 : 1 + count]), arrays[1 + count :]
        for i in range(int(np.asarray(arrays[0]))):
            go_on, *carried = interpreter.run(body, [np.asarray(i, np.int64), *carried, *captures])
            if not bool(np.asarray(go_on)):
                break
        return tuple(carried)


def callees(op: Op) -> list[str]:
    """The graphs that an op names."""
    if isinstance(op, Call):
        return [op.graph_name]
    if isinstance(op, If):
        return [op.then, op.otherwise]
    return [op.body] if isinstance(op, Loop) else []


def check_callee(op: Op, name: str, have: tuple[Any, ...], types: tuple[Any, ...]) -> None:
    """Raise RanvierError when a call does not fit its graph; silent while the module is not yet whole."""
    module = op.graph.module if op.graph is not None else None
    graph: Graph | None = module.graphs.get(name) if module is not None else None
    if graph is None or graph.last is None or graph.last.name != "core.return":
        return
    want = [a.type for a in graph.args]
    if len(want) != len(have) or any(h is None or not fits(h, w) for h, w in zip(have, want, strict=True)):
        raise op.fail(
            "type-mismatch",
            f"gives ({', '.join(map(str, have))}) to @{name}, which takes ({', '.join(map(str, want))})",
        )
    given = [v.type for v in graph.outputs]
    if len(given) != len(types) or any(not fits(g, t) for g, t in zip(given, types, strict=True)):
        raise op.fail(
            "type-mismatch",
            f"expects ({', '.join(map(str, types))}) of @{name}, which gives ({', '.join(map(str, given))})",
        )


def fits(have: Any, want: Any) -> bool:
    """Whether a value of one type may be given where the other is wanted: `?` fits any dim."""
    from ranvier.ir.types import same_dim

    return (
        type(have) is type(want)
        and have.elem == want.elem
        and have.time == want.time
        and len(have.shape) == len(want.shape)
        and all(same_dim(a, b) for a, b in zip(have.shape, want.shape, strict=True))
        and getattr(have, "code", None) == getattr(want, "code", None)
    )
