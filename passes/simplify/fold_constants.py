"""`fold-constants`: compute at compile time what depends on constants only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ranvier.ir.core import Module, Op, replace_uses
from ranvier.ir.fields import Integer, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.interpret import evaluate_op
from ranvier.ir.resources import Resource
from ranvier.ir.timing import PureOp
from ranvier.ir.types import TensorType
from ranvier.passes.simplify.dce import eliminate


@dataclass(frozen=True)
class FoldConstants(Pass):
    """f(c1, c2, ...) => c, by the op's own meaning. Results much larger than what they are made of stay ops."""

    word = "fold-constants"
    growth: int = option(Integer(1), 4, "a result may have this many times the elements of its operands")
    small: int = option(Integer(0), 1 << 16, "results up to this many elements are always folded")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        self.fold_all(module)
        eliminate(module)

    def fold_all(self, module: Module) -> int:
        """Fold what can be; returns how many ops have lost their users to constants."""
        count = 0
        for graph in module.graphs.values():
            for op in graph.ops:
                if self._foldable(module, op):
                    fold(module, op)
                    count += 1
        return count

    def _foldable(self, module: Module, op: Op) -> bool:
        known = bool(op.arguments) and all(v.is_constant for v in op.arguments)
        if not isinstance(op, PureOp) or not op.folds or not known:
            return False
        kinds = [r.type for r in op.results]
        if not all(isinstance(k, TensorType) and all(isinstance(d, int) for d in _dims(k)) for k in kinds):
            return False
        resources = [module.resource(str(v.resource)) for v in op.arguments]
        if not all(r.available for r in resources) or any(f.sticky for r in resources for f in r.facts):
            return False
        if any(f.sticky for facts in (op.facts, *(r.facts for r in op.results)) for f in facts):
            return False
        made = sum(math.prod(int(d) for d in _dims(k)) for k in kinds)
        return made <= max(self.small, self.growth * max(r.size for r in resources))


def _dims(kind: Any) -> tuple[Any, ...]:
    """All axes of the array of a type, time among them."""
    return (*kind.shape, *(() if kind.time is None else (kind.time,)))


def fold(module: Module, op: Op) -> None:
    """Replace the results of an op by constants, which keep the results' facts."""
    arrays = [None if v is None else module.array(v) for v in op.operands]
    out = evaluate_op(op, arrays)
    graph = op.graph
    assert graph is not None
    for r, array in zip(op.results, out if isinstance(out, tuple) else (out,), strict=True):
        assert isinstance(r.type, TensorType)
        hint = next((str(v.resource) for v in op.arguments if v.type.rank), r.name)
        replace_uses(r, graph.constant(module.add(Resource(r.type, array, facts=r.facts), hint)))
