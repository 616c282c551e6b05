"""How ops meet time: pure, stateful and windowed ops, and the order in which a graph with delays is run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ranvier.ir.core import Graph, Op, require_tensor
from ranvier.ir.types import Dim, SpikesType, TensorType, Type


class PureOp(Op):
    """One function, applied per step. `infer` and `meaning` see operands without time.

    With `needs_symbols`, `meaning` also takes `symbols=`, the sizes that the inputs give to symbols.
    """

    needs_symbols: ClassVar[bool] = False

    def infer_types(self) -> tuple[Type, ...]:
        """See Op: time is taken off the operands, and put back on the results."""
        time = common_time(self)
        plain: list[Any] = []
        for i, v in enumerate(self.operands):
            if v is None:
                plain.append(None)
                continue
            field = self.operand_fields[min(i, len(self.operand_fields) - 1)]
            kind = v.type
            if isinstance(kind, SpikesType) and field.spikes:
                plain.append(kind)
            else:
                plain.append(require_tensor(self, f"operand {field.name!r}", kind).with_time(None))
        found = self.infer(*plain)
        types = found if isinstance(found, tuple) else (found,)
        return tuple(t.with_time(time) if isinstance(t, TensorType) else t for t in types)


class StatefulOp(Op):
    """`init(moment, *arrays)` gives the state, `step(moment, state, *arrays)` (state, results) for one step.

    `infer` sees operand types with time. `moment` (ranvier.ir.interpret) knows the step and where to draw.
    """

    def init(self, moment: Any, *arrays: Any) -> Any:
        """The state before the first step, from the operands of the first step (their shapes)."""
        raise NotImplementedError

    def step(self, moment: Any, state: Any, *arrays: Any) -> tuple[Any, Any]:
        """One step: the next state and the result, or a tuple of results."""
        raise NotImplementedError

    def finish(self, state: Any) -> tuple[Any, ...]:
        """Results that come after the last step (final states), in the order of the untimed results."""
        return ()

    def window(self, moments: Any, *arrays: Any) -> Any:
        """The whole window at once, [T, ...], for an op that draws and is `windowed`; `moments` has one a step."""
        raise NotImplementedError


class WindowedOp(Op):
    """A function of whole windows: `meaning` sees timed operands as [T, ...]; never on a delay cycle."""


def is_stateful(op: Op) -> bool:
    """Whether the op runs step by step with state. A windowed schedule of a stateful op class makes it windowed."""
    return isinstance(op, StatefulOp) and not getattr(op, "windowed", False)


def common_time(op: Op) -> Dim | None:
    """The number of steps of an op's timed operands; raises RanvierError when they differ."""
    time: Dim | None = None
    for v in op.operands:
        t = None if v is None else v.type.time
        if t is None:
            continue
        if time is not None and t != time:
            raise op.fail(
                "time-mismatch",
                f"has operands over {time} and {t} steps",
                "T changes only at windowed ops, core.to_time and core.from_time",
            )
        time = t
    return time


def dependencies(op: Op) -> list[Op]:
    """The ops that produce this op's operands, the way back through a delay included."""
    return [v.op for v in op.operands if v is not None and v.op is not None]


def regions(graph: Graph) -> list[list[Op]]:
    """The ops in an order to run them: single ops, and groups that lie on a cycle through `core.delay`.

    A group of more than one op (or a delay that feeds itself) runs step by step, in list order. Tarjan's strongly
    connected components without recursion; linear in the ops.
    """
    ops = list(graph.ops)
    if not any(op.name == "core.delay" for op in ops):
        return [[op] for op in ops]
    position = {op: i for i, op in enumerate(ops)}
    index: dict[Op, int] = {}
    low: dict[Op, int] = {}
    stack: list[Op] = []
    on_stack: set[Op] = set()
    found: list[list[Op]] = []
    for root in ops:
        if root in index:
            continue
        work: list[tuple[Op, Iterator[Op]]] = [(root, iter(dependencies(root)))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            op, rest = work[-1]
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[op])
                if low[op] == index[op]:
                    group: list[Op] = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        group.append(member)
                        if member is op:
                            break
                    found.append(sorted(group, key=position.__getitem__))
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(dependencies(following))))
            elif following in on_stack:
                low[op] = min(low[op], index[following])
    return found


def is_cycle(group: list[Op]) -> bool:
    """Whether a region runs step by step because it lies on a delay cycle."""
    return len(group) > 1 or group[0] in dependencies(group[0])
