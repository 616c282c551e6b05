"""`to-step`: the graph of one step, with the state as arguments and results (semantics, Meaning of ops)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Graph, Module, Op, Value
from ranvier.ir.diagnostics import Diagnostic, RanvierError, error
from ranvier.ir.facts import Initial
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import derive, describe
from ranvier.ir.ops.arith import Compare, Maximum, Sub
from ranvier.ir.ops.control import callees
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.fake_quant import OutputNoise
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.noise import Noise
from ranvier.ir.ops.shape import Gather, Select
from ranvier.ir.ops.snn import BiasCurrent, Encode, Psp
from ranvier.ir.ops.time import Accumulate, Last, Repeat
from ranvier.ir.resources import Resource
from ranvier.ir.timing import PureOp
from ranvier.ir.types import TensorType, Type, tensor
from ranvier.passes.simplify.inline import inline_calls


@dataclass(frozen=True)
class ToStep(Pass):
    """Rewrite @main so that one call is one step.

    Every T becomes 1, each stateful op takes its state as an argument and gives the next one as a result (a delay's as
    a plain tensor, one for each of its steps, the oldest first; a refractory time's as the silent steps that are left),
    and `step` counts the steps taken. A state argument whose `initial` fact names a resource begins with it (v0, a
    count, an accumulator's start, a delay's initial value), every other one with zeros.
    Step-wise export, streaming and hardware share it. core.last becomes the value so far. Calls are inlined first.
    Windowed ops, codes with history, `core.if` and `core.loop`, and initial values that are computed are refused by
    name.
    """

    word = "to-step"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        inline_calls(module)
        graph = module.main
        refused = [d for op in graph.ops if (d := _refusal(op)) is not None]
        if refused:
            raise RanvierError(refused)
        del module.graphs["main"]
        _Step(graph, module.new_graph("main")).build()
        reordered = {"main": module.graphs.pop("main"), **module.graphs}
        module.graphs.clear()
        module.graphs.update(reordered)


def _refusal(op: Op) -> Diagnostic | None:
    reason = None
    if isinstance(op, Neuron):
        if op.windowed:
            reason = f"fires under schedule {op.schedule}, which needs more than one step"
        elif not op.code.plain:
            reason = f"fires {op.code}, whose neurons remember more than their membrane"
        elif op.refractory and op.code.psp_class != "constant":
            reason = f"has a refractory time, and its spikes of {op.code} are not worth the same at every step"
    elif isinstance(op, Psp):
        if op.x.type.code.psp_class != "constant":  # type: ignore[union-attr]
            reason = "reads a code whose spikes are not worth the same at every step"
    elif isinstance(op, Encode):
        if op.code.encode_init(np, np.zeros(1)) is not None:
            reason = "encodes with a state of its own"
    elif isinstance(op, Noise):
        reason = "shifts spikes over the whole window" if op.windowed else None
    elif callees(op):
        reason = "runs other graphs, which have steps of their own"
    elif (
        not isinstance(op, Delay | PureOp | Repeat | Accumulate | Last | BiasCurrent | OutputNoise)
        and op.name != "core.return"
    ):
        reason = "needs the whole window"
    computed = [v for v in _initial(op) if not v.is_constant]
    if reason is None and computed:
        reason = f"begins with {computed[0]!r}, which is computed and not a constant"
    if reason is None:
        return None
    return Diagnostic("unsupported", f"`to-step`: {op!r} {reason}", describe(op.location))


def _initial(op: Op) -> list[Value]:
    """What the states of an op begin with, where it says so."""
    states: dict[type[Op], tuple[str, ...]] = {
        Neuron: ("v0", "count0", "silent0"),
        Accumulate: ("start",),
        Delay: ("init_value",),
    }
    named = states.get(type(op), ())
    return [v for v in (getattr(op, name) for name in named) if v is not None]


def _counts(op: Neuron) -> bool:
    """Whether the count of spikes so far is needed, by the neuron itself or behind it."""
    return op.negative == "gated" or bool(op.results[2].uses)


class _Step:
    def __init__(self, source: Graph, target: Graph):
        self.source, self.target = source, target
        self.build_op = Builder(target)
        self.map: dict[Value, Value] = {}
        self.states: list[tuple[str, Value]] = []
        self.late: list[tuple[str, Value]] = []

    def build(self) -> None:
        source, target = self.source, self.target
        for arg in source.args:
            kind = arg.type if arg.type.time is None else arg.type.with_time(1)
            self.map[arg] = target.argument(arg.name, kind)
            self.map[arg].facts = arg.facts
        self.step = target.argument("step", tensor(dtype="i64"))
        for op in source.ops:
            if op.name != "core.return":
                self.build_op.location = derive("to-step", [op.location])
                self._convert(op)
        last = source.terminator
        outputs = [self._get(v) for v in last.arguments]
        states = [*self.states, *((n, self._untimed(self._get(v))) for n, v in self.late)]
        self.build_op.returns(
            *outputs,
            *(v for _, v in states),
            names=(*last.attributes["names"], *(n for n, _ in states)),
            roles=(*last.attributes["roles"], *("output",) * len(states)),
        )

    def _get(self, value: Value) -> Value:
        if value.resource is None:
            return self.map[value]
        if value.type.time is None:
            return self.target.constant(value.resource)
        if value not in self.map:
            self.map[value] = self._this_step(value)
        return self.map[value]

    def _this_step(self, value: Value) -> Value:
        """The row of a constant over time that belongs to this step."""
        module = self.target.module
        assert module is not None
        assert value.resource is not None
        resource = module.resource(value.resource)
        kind = resource.type
        if kind.elem.quant is not None and kind.elem.quant.axis is not None:
            raise error("unsupported", f"`to-step`: {value!r} has steps and scales on an axis")
        rows = Resource(TensorType((kind.time or 1, *kind.shape), kind.elem), load=lambda: resource.array)
        table = self.target.constant(module.add(rows, f"{value.resource}.steps"))
        out: Value = self.build_op(Repeat, self.build_op(Gather, table, self.step, axis=0), steps=1)
        return out

    def _untimed(self, value: Value) -> Value:
        out: Value = self.build_op(Last, value) if value.type.time is not None else value
        return out

    def _state(self, op: Op, what: str, kind: Type, begins: Value | None) -> Value:
        """An argument for a state, with the fact that says what it begins with."""
        state = self.target.argument(f"{op.results[0].name}.{what}", kind)
        if begins is not None and begins.resource is not None:
            state.facts = (Initial(begins.resource),)
        elif isinstance(op, Accumulate) and op.mode == "max":
            assert self.target.module is not None
            lowest = Resource(TensorType((), kind.elem), splat=-math.inf)
            state.facts = (Initial(self.target.module.add(lowest, f"{state.name}.start")),)
        return state

    def _convert(self, op: Op) -> None:
        if isinstance(op, Delay):
            if op.x.type.time is None or not isinstance(op.x.type, TensorType):
                raise op.fail("unsupported", "delays spikes, which no step graph carries yet", "delay their psp")
            self._delay(op)
            return
        operands = [None if v is None else self._get(v) for v in op.operands]
        attributes = dict(op.attributes)
        if isinstance(op, Repeat | Encode):
            attributes["steps"] = 1
        if isinstance(op, Neuron):
            operands[2] = self._state(op, "v", op.results[1].type, op.v0)
            if _counts(op):
                operands[5] = self._state(op, "fired", op.results[2].type, op.count0)
            if op.refractory:
                kind = op.current.type
                operands[6] = self._state(op, "silent", TensorType(kind.shape, kind.elem), op.silent0)
        elif isinstance(op, Accumulate):
            operands[1] = self._state(op, "state", op.results[1].type, op.start)
            operands[2] = self.step
        elif isinstance(op, BiasCurrent):
            operands[3] = self.step
        elif isinstance(op, Encode | Noise):
            operands[1] = self.step
        elif isinstance(op, OutputNoise) and not op.windowed:
            operands[2] = self.step
        made = self.build_op(type(op), *operands, name=[r.name for r in op.results], **attributes)
        results = list(made) if isinstance(made, tuple) else [made]
        step = results[0].op
        assert step is not None
        step.facts, step.place = op.facts, op.place
        for old, new in zip(op.results, results, strict=True):
            new.facts = old.facts
        self.map.update(zip(op.results, results, strict=True))
        if isinstance(op, Neuron):
            self.states.append((f"{op.results[0].name}.v", results[1]))
            if _counts(op):
                self.states.append((f"{op.results[0].name}.fired", results[2]))
            if op.refractory:
                self.states.append((f"{op.results[0].name}.silent", self._silence(op, results[0], operands[6])))
        elif isinstance(op, Accumulate):
            self.states.append((f"{op.results[0].name}.state", results[1]))

    def _delay(self, op: Delay) -> None:
        """A state for each step of the delay: every call gives out the oldest and moves the others up."""
        kind = op.result.type
        whats = ["state"] if op.steps == 1 else [f"state{i}" for i in range(op.steps)]
        states = [self._state(op, what, TensorType(kind.shape, kind.elem), op.init_value) for what in whats]
        self.map[op.result] = self.build_op(Repeat, states[0], steps=1, name=op.result.name)
        names = [f"{op.result.name}.{what}" for what in whats]
        self.states += zip(names, states[1:], strict=False)
        self.late.append((names[-1], op.x))

    def _silence(self, op: Neuron, spikes: Value, silent: Any) -> Value:
        """The silent steps that are left behind this one: all of them after a spike, else one less than before."""
        zero, one, all_steps = (
            self.build_op.constant(np.asarray(n, op.current.type.elem.dtype), "silent") for n in (0, 1, op.refractory)
        )
        value = self._untimed(self.build_op(Psp, spikes))
        nothing = self.build_op.constant(np.asarray(0, value.type.elem.dtype), "nothing")
        fired = self.build_op(Compare, value, nothing, how="ne")
        left = self.build_op(Maximum, self.build_op(Sub, silent, one), zero)
        out: Value = self.build_op(Select, fired, all_steps, left)
        return out
