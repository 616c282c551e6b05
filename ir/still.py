"""Values that have time but do not change over it: direct input, and what is computed from it alone."""

from __future__ import annotations

from collections.abc import Iterable

from ranvier.ir.core import Op, Value
from ranvier.ir.ops.snn import EveryStep
from ranvier.ir.timing import PureOp, is_cycle


def still_values(groups: Iterable[list[Op]]) -> set[Value]:
    """The timed values that are the same at every step; `groups` are the `regions` of a graph.

    They start at `core.repeat` and go through pure ops without draws. A runtime computes them once, and so are their
    operations counted.
    """
    still: set[Value] = set()
    for group in groups:
        op = group[0]
        if is_cycle(group) or op.draws or not op.results or op.results[0].type.time is None:
            continue
        if op.name == "core.repeat":
            still.add(op.results[0])
            continue
        always = isinstance(op, PureOp) or (
            op.name == "snn.bias_current" and op.attributes["when"] == EveryStep() and op.operands[2] is None
        )
        timed = [v for v in op.arguments if v.type.time is not None]
        if always and timed and all(v in still for v in timed):
            still.update(op.results)
    return still
