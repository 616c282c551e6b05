"""The value-domain twin of a spiking network: a quantized network without time of the same weights and capacity.

Each neuron becomes the function of a whole window that it computes for a constant current: its activation rounded to as
many levels as its code has values per window. Under layer_sync the twin is the spiking network itself (card, E6, E9),
stepwise it is what the spiking network falls short of by the unevenness of its currents. Neurons with a hard reset, a
negative threshold of their own, or a membrane that a trial has found (two-stage methods) have as many levels as plain
ones, and become these: activations rounded to the nearest, which such neurons fall short of under any schedule.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ranvier.ir.codes import Code
from ranvier.ir.core import Builder, Module, Op, Value
from ranvier.ir.facts import Compensated
from ranvier.ir.ops.arith import Add, Maximum, Minimum, Mul, Sub
from ranvier.ir.ops.code_value import CodeValue
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.snn import BiasCurrent, Decode, Encode, EveryStep, Psp, scale_of
from ranvier.ir.ops.time import Accumulate, Last, Repeat
from ranvier.ir.timing import PureOp
from ranvier.ir.types import SpikesType, TensorType

GRID = 1 << 16


class NoTwin(Exception):
    """Why a module has no value-domain twin."""


def value_domain(module: Module) -> Module:
    """The quantized network without time that `@main` stands for; raises NoTwin with the reason when there is none."""
    return _Twin(module).build()


def levels(code: Code, steps: int, both_signs: bool) -> int:
    """How many values a window of a code has."""
    reach = np.float32(code.reach)
    x = np.linspace(-reach if both_signs else np.float32(0), reach * np.float32(1.25), GRID, dtype=np.float32)
    return len(np.unique(code.quantize(x, steps, code.round_offset(0.5, steps))))


class _Twin:
    """Walks `@main` in order; `map` holds what each of its values becomes."""

    def __init__(self, module: Module):
        self.source = module
        self.module = Module(f"{module.name}.values" if module.name else "values")
        self.map: dict[Value, Value] = {}
        self.missing: dict[Value, NoTwin] = {}

    def build(self) -> Module:
        """The twin, verified and frozen."""
        main = self.source.main
        self.b = Builder(self.module.new_graph("main"))
        for arg in main.args:
            if arg.type.time is not None or not isinstance(arg.type, TensorType):
                raise NoTwin(f"%{arg.name} has values over time")
            self.map[arg] = self.b.graph.argument(arg.name, arg.type)
        for op in main.ops:
            if op.name != "core.return":
                try:
                    self._twin(op)
                except NoTwin as why:  # it may be that nobody asks for it, as for trials of neurons
                    self.missing.update(dict.fromkeys(op.results, why))
        last = main.terminator
        if any(v.type.time is not None for v in last.arguments):
            raise NoTwin("an output has values over time")
        self.b.returns(*map(self._get, last.arguments), names=last.attributes["names"], roles=last.attributes["roles"])
        return self.module.verify().freeze()

    def _get(self, value: Value) -> Value:
        if value.resource is None:
            if value in self.missing:
                raise self.missing[value]
            if value not in self.map:
                raise NoTwin(f"%{value.name} is known only after it is used")
            return self.map[value]
        if value.type.time is not None:  # a constant over time counts by its mean
            return self.b.constant(self.source.array(value).mean(0).astype(value.type.elem.dtype), value.resource)
        return self.b.graph.constant(self.module.add(self.source.resource(value.resource), value.resource))

    def _twin(self, op: Op) -> None:
        rules: dict[type[Op], Callable[[Op], Value | None]] = {
            Neuron: self._neuron, Encode: self._encode, BiasCurrent: self._bias, Accumulate: self._accumulate,
            Repeat: self._same, Psp: self._same, Decode: self._same, Last: self._same, Sub: self._grown,
        }  # fmt: skip
        rule = rules.get(type(op))
        made = rule(op) if rule is not None else None
        if made is not None:
            self.map[op.results[0]] = self._without_loss(op, made)
        elif op.name == "snn.noise":  # a quantized network has no spikes to lose
            self.map[op.results[0]] = self._get(op.arguments[0])
        elif isinstance(op, PureOp) and any(isinstance(v.type, SpikesType) for v in op.arguments):
            raise NoTwin(f"{op.name} %{op.results[0].name} computes with spikes as they are")
        elif isinstance(op, PureOp):
            out = self.b(
                type(op), *(v and self._get(v) for v in op.operands), name=[r.name for r in op.results], **op.attributes
            )
            self.map.update(zip(op.results, out if isinstance(out, tuple) else (out,), strict=True))
        elif not isinstance(op, Delay):  # what asks for a delay's result finds that it has none
            raise NoTwin(f"{op.name} %{op.results[0].name} has no value without time")

    def _without_loss(self, op: Op, made: Value) -> Value:
        """What spikes are worth where none is lost: `compensate-deletion` let them be worth more."""
        for fact in op.facts:
            kind = op.results[0].type
            if isinstance(fact, Compensated) and isinstance(kind, SpikesType):
                kept = kind.code.after_deletion(fact.deletion)
                factor = self.b.constant(np.float32(1 if kept is None else kept), f"{op.results[0].name}.kept")
                made = self.b(Mul, made, factor, name=f"{op.results[0].name}.without_loss")
        return made

    def _same(self, op: Op) -> Value:
        return self._get(op.arguments[0])

    def _bias(self, op: Op) -> Value:
        if op.attributes["when"] != EveryStep():
            raise NoTwin(f"%{op.results[0].name} has a bias at some steps only")
        x, bias = op.arguments[:2]
        if bias.type.rank == 1 and x.type.rank > 2 and bias.is_constant:
            shape = (-1,) + (1,) * (x.type.rank - 2)
            return self._add(
                self._get(x), self.b.constant(self.source.array(bias).reshape(shape), f"{op.result.name}.bias")
            )
        return self._add(self._get(x), self._get(bias))

    def _add(self, a: Value, b: Value) -> Value:
        out: Value = self.b(Add, a, b)
        return out

    def _accumulate(self, op: Op) -> Value:
        """A running mean ends at the value; sums are only met where they are pooled and subtracted again."""
        if op.attributes["mode"] == "max":
            raise NoTwin(f"%{op.results[0].name} is a maximum over time")
        return self._get(op.arguments[0])

    def _grown(self, op: Op) -> Value | None:
        """y[t] - y[t - 1]: over the window as much as y at its end."""
        a, b = op.arguments
        return self._get(a) if isinstance(b.op, Delay) and b.op.arguments[0] is a else None

    def _encode(self, op: Op) -> Value:
        kind = op.result.type
        assert isinstance(kind, SpikesType)
        code = kind.code
        if code.needs_stepwise:
            raise NoTwin(f"{code.word} has no value for a whole window at once")
        return self._quantized(self._get(op.arguments[0]), op, code, "free" if code.signed else "none", "zero", None)

    def _neuron(self, op: Op) -> Value:
        assert isinstance(op, Neuron)
        name, code = op.results[0].name, op.code
        if code.needs_stepwise:
            low, high = code.alphabet()
            steps, many = op.results[0].type.time, high - low + 1
            raise NoTwin(
                f"{code.word} has no value for a whole window at once; {steps} steps of {many} values each say up to "
                f"{many}^{steps}"
            )
        own = {f.name for f, v in zip(op.operand_fields, op.operands, strict=True) if v is not None}
        others = own - {"current", "theta", "v0", "theta_neg"}
        if others or op.reset == "none" or op.compare != "ge" or op.refractory:
            raise NoTwin(f"neuron %{name} has a leak, a state to begin with, or a reset of its own")
        x, v0 = self._get(op.current), op.v0
        if op.theta is None and op.theta_neg is None and op.reset == "soft" and (v0 is None or v0.is_constant):
            return self._quantized(x, op, code, op.negative, op.lower, v0)
        return self._quantized(self._in_scales(op, x), op, code, op.negative, "zero", None, nearest=True)

    def _in_scales(self, op: Neuron, x: Value) -> Value:
        """A current such that the neuron's own thresholds are its scale: leaky below zero, where that one differs."""
        name, rank = op.results[0].name, op.current.type.rank
        if any(v is not None and not v.is_constant for v in (op.theta, op.theta_neg)):
            raise NoTwin(f"neuron %{name} has a threshold that is not constant")
        given = (None if v is None else self.source.array(v) for v in (op.theta, None, None, op.theta_neg))
        theta, _, _, below = op.parameters(rank, *given)
        scale = np.asarray(scale_of(op.elem, rank), np.float32)
        if op.theta is not None:
            x = self.b(Mul, x, self.b.constant((scale / theta).astype(np.float32), f"{name}.of_theta"))
        if op.theta_neg is not None:
            zero = self.b.constant(np.float32(0), "zero")
            slope = self.b.constant((theta / below).astype(np.float32), f"{name}.slope")
            x = self._add(self.b(Maximum, x, zero), self.b(Mul, self.b(Minimum, x, zero), slope))
        return x

    def _quantized(
        self, x: Value, op: Op, code: Code, negative: str, lower: str, v0: Value | None, nearest: bool = False
    ) -> Value:
        """Round a current as a window of the code does, with the scale of the spikes as threshold."""
        kind = op.results[0].type
        assert isinstance(kind, SpikesType)
        steps = kind.time
        if not isinstance(steps, int):
            raise NoTwin(f"%{op.results[0].name} has {steps} steps")
        quant = kind.elem.quant
        scale = np.float32(1) if quant is None else np.asarray(quant.scales(kind.rank), np.float32)
        start = 0.0 if isinstance(op, Neuron) and not nearest else code.round_offset(0.5, steps)
        if v0 is not None:
            if not v0.is_constant:
                raise NoTwin(f"neuron %{op.results[0].name} begins at a membrane that is not constant")
            given = self.source.array(v0)
            ratio = np.unique((given / scale).astype(np.float32)) if given.shape in (scale.shape, ()) else np.empty(0)
            if len(ratio) == 1:
                start = float(ratio[0])
            else:  # what the membrane begins with is a constant current that lasts for the window
                if given.ndim == 1:
                    given = given.reshape((-1,) + (1,) * (kind.rank - 2))
                x = self._add(x, self.b.constant((given / steps).astype(np.float32), f"{op.results[0].name}.v0"))
        theta = self.b.constant(scale, f"{op.results[0].name}.theta")
        out: Value = self.b(
            CodeValue, x, theta, code=code, steps=steps, v0=start, negative=negative, lower=lower,
            name=op.results[0].name,
        )  # fmt: skip
        return out
