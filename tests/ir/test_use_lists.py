"""Use-lists, names and order stay right under random sequences of insertions, replacements, moves and erasures."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ranvier.ir.core import Builder, Graph, Module, Op, Value, replace_uses
from ranvier.ir.ops import arith
from ranvier.ir.types import tensor
from ranvier.ir.verify import findings

NAMES = st.sampled_from(["x", "h", "h_2", "add", "a.b", "über", "", "1", "a b", "..."])


class Edits(RuleBasedStateMachine):
    """Elementwise ops on one type, so that any value may replace any other that is defined before."""

    @initialize()
    def begin(self) -> None:
        self.module = Module("edited")
        self.graph: Graph = self.module.new_graph("main")
        self.make = Builder(self.graph)
        x = self.graph.argument("x", tensor("N", 4))
        self.make.returns(self.make(arith.Relu, x))

    def ops(self) -> list[Op]:
        return list(self.graph.ops)

    def before(self, op: Op) -> list[Value]:
        """Values that an op may use where it stands."""
        found = list(self.graph.args)
        for other in self.graph.ops:
            if other is op:
                break
            found += other.results
        return found

    @rule(data=st.data(), kind=st.sampled_from([arith.Add, arith.Mul, arith.Neg, arith.Maximum]), name=NAMES)
    def insert(self, data: Any, kind: Any, name: str) -> None:
        at = data.draw(st.sampled_from(self.ops()))
        values = self.before(at)
        if data.draw(st.booleans()):
            values = [*values, self.make.constant(np.zeros(4, np.float32), "c")]
        count = 1 if kind is arith.Neg else 2
        operands = [data.draw(st.sampled_from(values)) for _ in range(count)]
        if all(v.type.rank == 1 for v in operands):
            operands[0] = self.graph.args[0]
        Builder(self.graph, before=at)(kind, *operands, name=name)

    @rule(data=st.data())
    def set_operand(self, data: Any) -> None:
        op = data.draw(st.sampled_from(self.ops()))
        index = data.draw(st.integers(0, len(op.operands) - 1))
        op.set_operand(index, data.draw(st.sampled_from(self.before(op))))

    @rule(data=st.data())
    def replace(self, data: Any) -> None:
        op = data.draw(st.sampled_from(self.ops()))
        for old in op.results:
            new = data.draw(st.sampled_from(self.before(op)))
            replace_uses(old, new)
            assert not old.uses

    @rule(data=st.data())
    def replace_some(self, data: Any) -> None:
        op = data.draw(st.sampled_from(self.ops()))
        kept = set(data.draw(st.lists(st.sampled_from(self.ops()))))
        for old in op.results:
            replace_uses(old, data.draw(st.sampled_from(self.before(op))), keep=kept.__contains__)
            assert {u for u, _ in old.uses} <= kept

    @rule(data=st.data())
    def erase(self, data: Any) -> None:
        unused = [o for o in self.ops() if o.results and not any(r.uses for r in o.results)]
        if unused:
            op = data.draw(st.sampled_from(unused))
            name = op.result.name
            self.graph.erase(op)
            assert op.graph is None
            assert self.graph.fresh(name) == name  # the name is free again
            self.graph._names.discard(name)

    @rule(data=st.data())
    def move_down(self, data: Any) -> None:
        """To a place before the first user: everything stays defined before its use."""
        op = data.draw(st.sampled_from(self.ops()))
        if op.results:
            users = {u for r in op.results for u in r.uses for u in [u[0]]}
            following = op
            while following.next is not None and following not in users:
                following = following.next
            self.graph.move(op, following)

    @rule(data=st.data(), name=NAMES)
    def rename(self, data: Any, name: str) -> None:
        self.graph.rename(data.draw(st.sampled_from(list(self.graph.values))), name)

    @precondition(lambda self: len(self.graph) < 40)
    @rule()
    def go_on_with_a_clone(self) -> None:
        copy = self.module.clone()
        assert copy == self.module
        assert str(copy) == str(self.module)
        self.module.freeze()
        self.module, self.graph = copy, copy.main
        self.make = Builder(self.graph)

    @invariant()
    def every_rule_holds(self) -> None:
        assert list(findings(self.module)) == []
        forward = self.ops()
        backward = []
        op = self.graph.last
        while op is not None:
            backward.append(op)
            op = op.prev
        assert forward == backward[::-1]
        uses = [(o, i, v) for o in forward for i, v in enumerate(o.operands) if v is not None]
        values = {*self.graph.values, *self.graph.constants}
        assert sum(len(v.uses) for v in values) == len(uses)
        assert all((o, i) in v.uses for o, i, v in uses)


Edits.TestCase.settings = settings(derandomize=True, deadline=None, max_examples=60, stateful_step_count=30)
TestEdits = Edits.TestCase
