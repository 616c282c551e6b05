"""Correct a converted network layer by layer on what its own spikes give (coding card 9: SNNC, Li et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Graph, Module, Op, Value
from ranvier.ir.interfaces import PassContext
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.snn import BiasCurrent, Psp
from ranvier.ir.ops.time import Accumulate, Last

Array = np.ndarray[Any, Any]
ROUNDS = 2


@dataclass
class Corrector:
    """Walks the neurons in order, each fed by the spikes of those corrected before it.

    `targets` holds the activation that the neuron named `<name>.spikes` stands for, [N, ...] each, of the samples in
    `data`. `light` adds the mean error of a channel to its bias, twice; `advanced` then puts the mean error of each
    neuron times T into its initial membrane, shrunk by what chance contributes to it.
    """

    module: Module
    context: PassContext
    data: Sequence[Array]
    targets: dict[str, Array]
    advanced: bool
    batch: int
    known: dict[Value, Array] = field(default_factory=dict)

    def run(self) -> list[tuple[str, float, float]]:
        """Correct every neuron; gives its name and the mean square error before and after, over the mean square."""
        main = self.module.main
        self.known = dict(zip(main.args, self.data, strict=True))
        neurons = [op for op in main.ops if isinstance(op, Neuron) and _target(op) in self.targets]
        last_use = self._last_uses(neurons)
        found = []
        for index, neuron in enumerate(neurons):
            current = self._current(neuron)
            found.append(self._correct(neuron, current))
            for value in [v for v, use in last_use.items() if use == index]:
                self.known.pop(value, None)
        return found

    def _current(self, neuron: Neuron) -> Array:
        """What the neuron integrates, [T, N, ...]."""
        part = _part(self.module, neuron.current, self.known)
        inputs = [self.known[v] for v in _feeds(neuron.current, self.known)]
        return np.asarray(self.context.runtime.run(part, inputs, batch=self.batch).outputs[0])

    def _correct(self, neuron: Neuron, current: Array) -> tuple[str, float, float]:
        name = _target(neuron)
        target = self.targets[name]
        steps = current.shape[0]
        axis = 1 if target.ndim > 1 else None
        others = tuple(i for i in range(target.ndim) if i != axis)
        start = self._constant(neuron.v0)
        bias = np.zeros(target.shape[1] if axis is not None else 1, np.float32)
        before = None
        for _ in range(ROUNDS):
            value, _ = self._fire(neuron, current, bias, start)
            before = _error(value, target) if before is None else before
            bias = bias + (target - value).mean(others).astype(np.float32).reshape(bias.shape)
        if self.advanced:
            value, _ = self._fire(neuron, current, bias, start)
            start = (start + steps * _shrunk_mean(target - value)).astype(np.float32)
        value, psp = self._fire(neuron, current, bias, start)
        self._write(neuron, bias, start)
        self.known[_psp(neuron).result] = psp
        return name, before or 0.0, _error(value, target)

    def _constant(self, value: Value | None) -> Array:
        return np.zeros((), np.float32) if value is None else np.asarray(self.module.array(value), np.float32)

    def _fire(self, neuron: Neuron, current: Array, bias: Array, start: Array) -> tuple[Array, Array]:
        """The value that the neuron gives for a current with this bias and initial membrane, and its psp."""
        made = Module()
        graph = made.new_graph("main")
        b = Builder(graph)
        x = graph.argument("current", neuron.current.type)
        operands = [None if v is None else b.constant(self.module.array(v), v.name) for v in neuron.operands[1:]]
        operands[1] = b.constant(start, "v0")
        biased = b(BiasCurrent, x, b.constant(_spread(bias), "bias"), name="biased")
        fired = b(Neuron, biased, *operands, name=["spikes", "membrane", "count"], **neuron.attributes)
        psp = b(Psp, fired[0], name="psp")
        b.returns(b(Last, b(Accumulate, psp, mode="mean", name="mean")[0], name="out"), names=("out",))
        made.verify().freeze()
        found = self.context.runtime.run(made, [current], ("psp",), batch=self.batch)
        return np.asarray(found.outputs[0]), np.asarray(found.taps["psp"])

    def _write(self, neuron: Neuron, bias: Array, start: Array) -> None:
        """Put the corrections into the module: into the bias behind the neuron where only it reads that."""
        op, b = neuron.current.op, Builder(self.module.main, neuron, neuron.location)
        if isinstance(op, BiasCurrent) and op.bias.is_constant and len(neuron.current.uses) == 1:
            old = np.asarray(self.module.array(op.bias))
            if old.shape == bias.shape:
                op.set_operand(1, b.constant(old + bias, op.bias.name))
                bias = np.zeros_like(bias)
        if bias.any():
            name = f"{_target(neuron)}.corrected"
            neuron.set_operand(0, b(BiasCurrent, neuron.current, b.constant(_spread(bias), f"{name}.bias"), name=name))
        if self.advanced:
            neuron.set_operand(2, b.constant(start, f"{_target(neuron)}.v0"))

    def _last_uses(self, neurons: Sequence[Neuron]) -> dict[Value, int]:
        found: dict[Value, int] = {}
        stops = {_psp(n).result for n in neurons} | set(self.known)
        for index, neuron in enumerate(neurons):
            for value in _feeds(neuron.current, stops):
                found[value] = index
        return found


def _target(neuron: Op) -> str:
    return str(neuron.results[0].name).removesuffix(".spikes")


def _psp(neuron: Neuron) -> Op:
    return next(op for op in neuron.results[0].users if isinstance(op, Psp))


def _spread(bias: Array) -> Array:
    return bias.reshape(()) if bias.size == 1 else bias


def _shrunk_mean(error: Array) -> Array:
    """The mean over samples, [1, ...], less the share that chance has in it (James & Stein): few samples overfit."""
    mean = error.mean(0, keepdims=True)
    chance = error.var(0).mean() / len(error)
    return np.asarray(mean * max(0.0, 1.0 - float(chance) / max(float((mean**2).mean()), 1e-30)))


def _error(value: Array, target: Array) -> float:
    return float(((value - target) ** 2).mean() / max(float((target**2).mean()), 1e-30))


def _behind(value: Value, stops: Any) -> Iterator[Op]:
    """The ops that a value is computed by from `stops`, in the order of the graph."""
    found: set[Op] = set()
    open_ = [value]
    while open_:
        v = open_.pop()
        if v in stops or v.op is None or v.op in found:
            continue
        found.add(v.op)
        open_ += v.op.arguments
    graph: Graph = next(iter(found)).graph if found else None  # type: ignore[assignment]
    return iter([op for op in graph.ops if op in found] if found else [])


def _feeds(value: Value, stops: Any) -> list[Value]:
    """Those of `stops` that a value is computed from."""
    read = [v for op in _behind(value, stops) for v in op.arguments if v in stops]
    return list(dict.fromkeys([value] if value in stops else read))


def _part(module: Module, value: Value, stops: Any) -> Module:
    """A module whose arguments are the feeds of a value and whose output is the value."""
    made = Module()
    graph = made.new_graph("main")
    b = Builder(graph)
    mapping = {v: graph.argument(v.name, v.type) for v in _feeds(value, stops)}

    def get(v: Value) -> Value:
        if v.resource is not None:
            return b.constant(module.resources[v.resource], v.resource)
        return mapping[v]

    for op in _behind(value, stops):
        operands = [None if v is None else get(v) for v in op.operands]
        results = b(type(op), *operands, name=[r.name for r in op.results], **op.attributes)
        mapping.update(zip(op.results, results if isinstance(results, tuple) else (results,), strict=True))
    b.returns(mapping[value], names=(value.name,))
    return made.verify().freeze()
