"""The order of execution: which ops run once, which run step by step, and what must be whole in between.

Timed pure and stateful ops run depth first in T, in stages; windowed ops and ops without time run once, between the
stages. What is timed but does not change (direct input, and what is computed from it alone) is *still* and runs
once. Nothing here touches torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ranvier.ir.core import Graph, Op, Value
from ranvier.ir.ops.control import callees
from ranvier.ir.samplewise import batch_dim, is_samplewise
from ranvier.ir.still import still_values
from ranvier.ir.timing import PureOp, is_stateful, regions
from ranvier.ir.types import Dim, StateType


@dataclass
class Stage:
    """Ops that run together: once, or (`time` given) in one loop over the steps.

    `foldable` says that several steps may be put side by side in the batch.
    """

    position: int
    time: Dim | None
    ops: list[Op] = field(default_factory=list)
    foldable: bool = False


@dataclass
class Order:
    """The stages of a graph, its still values, and the dimension that counts samples (None: not known)."""

    graph: Graph
    stages: list[Stage]
    still: set[Value]
    batch: Dim | None
    tileable: bool

    @property
    def timed(self) -> list[Stage]:
        """The stages that loop over steps."""
        return [s for s in self.stages if s.time is not None]


def order_of(graph: Graph) -> Order:
    """Stages of a graph in running order."""
    groups = regions(graph)
    still = still_values(groups)
    batch = batch_dim(graph)
    stages = _stages(groups, still)
    for stage in stages:
        stage.foldable = (
            stage.time is not None
            and batch is not None
            and all(op.name != "core.delay" and is_samplewise(op, batch, still, fold=True) for op in stage.ops)
        )
    samplewise = isinstance(batch, str) and all(is_samplewise(op, batch, still) for s in stages for op in s.ops)
    tileable = samplewise and all(_per_sample(v, batch) for v in graph.outputs)
    return Order(graph, stages, still, batch, tileable)


def _per_sample(value: Value, batch: Dim | None) -> bool:
    return value.type.rank > 0 and value.type.shape[0] == batch


def is_timed(value: Value, still: set[Value]) -> bool:
    """Whether a value changes over time."""
    return value.type.time is not None and value not in still


def runs_stepwise(op: Op, still: set[Value]) -> bool:
    """Whether an op runs in a loop over the steps."""
    if callees(op):
        return False
    if any(r in still for r in op.results):
        return False
    if is_stateful(op):
        return True
    return isinstance(op, PureOp) and any(r.type.time is not None for r in op.results)


def _stages(groups: list[list[Op]], still: set[Value]) -> list[Stage]:
    """Even positions run once, odd ones step by step."""
    at: dict[Value, int] = {}
    found: dict[tuple[int, Dim | None], Stage] = {}
    for group in groups:
        if group[0].name == "core.return":
            continue
        inside = {r for op in group for r in op.results}
        stepwise = runs_stepwise(group[0], still)
        position = 1 if stepwise else 0
        for op in group:
            for v in op.arguments:
                if v not in inside:
                    position = max(position, _after(v, at, stepwise, still))
        time = (
            next((r.type.time for op in group for r in op.results if r.type.time is not None), None)
            if stepwise
            else None
        )
        stage = found.setdefault((position, time), Stage(position, time))
        stage.ops.extend(group)
        for r in inside:
            at[r] = position
    return [found[key] for key in sorted(found, key=lambda k: (k[0], str(k[1])))]


def _after(v: Value, at: dict[Value, int], stepwise: bool, still: set[Value]) -> int:
    """The earliest position of an op that uses v."""
    position = at.get(v, 0)
    if not stepwise:
        return position + position % 2
    if position % 2 == 0:
        return position + 1
    ended = isinstance(v.type, StateType) or v.type.time is None
    return position + 2 if ended else position
