"""`compensate-deletion`: what arrives is worth more, as some is lost on the way (coding card 6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Graph, Module, Value
from ranvier.ir.diagnostics import error, register_code
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.facts import Compensated
from ranvier.ir.fields import Real, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import derive, describe
from ranvier.ir.ops.arith import Mul
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.snn import Encode
from ranvier.ir.types import SpikesType
from ranvier.passes.noise.edges import ON, spike_edges

register_code(
    "no-compensation",
    "Lost spikes cannot be compensated here: what a spike of this code is worth depends on those before it, so that no "
    "one factor says what a loss costs; or the spikes are compensated already, or are made where no pass can see it.",
)


@dataclass(frozen=True)
class CompensateDeletion(Pass):
    """Let spikes be worth 1/(1-p) times as much, so that the expected current is that without loss.

    In real units this is not the weights' business: the scale of the spikes grows, and with it their psp in every
    reader. Thresholds stay: a neuron that had the scale as its threshold gets the old scale as an operand, an encoder's
    input grows with its scale. So no neuron that sees the same current fires otherwise. Biases, and first layers that
    see real inputs, are not scaled. Codes say the factor themselves (`Code.after_deletion`). Source: Park, Lee, Yoon,
    DAC 2021 (weight scaling).
    """

    word = "compensate-deletion"
    p: float = option(Real(0, 1), help="probability that a spike is lost")
    on: Any = option(ON, "all", "all spikes, or values by name")

    def check(self) -> None:
        """See Record."""
        if self.p >= 1:
            raise error("bad-value", f"`{self.word}`: where all spikes are lost nothing is left to scale", help="p < 1")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        edges = spike_edges(module, self.on, self.word)
        factors = {value: self._factor(value) for _, value in edges}
        for graph, value in edges:
            self._crossing(graph, module)
            _scale(graph, value, factors[value], self.word)
            if value.op is not None:
                value.op.facts += (Compensated(self.p),)
        for graph in module.graphs.values():
            _retype(graph)
        shown = ", ".join(f"{f:.6g}" for f in dict.fromkeys(factors.values()))
        context.note(
            f"spikes of {len(edges)} edges are worth {shown} times as much; thresholds and biases are as they were"
        )

    def _factor(self, value: Value) -> float:
        where = describe(value.op.location) if value.op is not None else ""
        kind = value.type
        assert isinstance(kind, SpikesType)
        kept = kind.code.after_deletion(self.p)
        if kept is None:
            raise error(
                "no-compensation",
                f"`{self.word}`: {value!r} carries {kind.code}, where a lost spike changes the worth of later ones",
                where=where,
                help="use a code whose spikes add up, such as rate, phase, ttas",
            )
        if value.op is not None and not isinstance(value.op, Neuron | Encode):
            raise error(
                "no-compensation",
                f"`{self.word}`: {value!r} is made by {value.op.name}, which has no scale",
                where=where,
                help="name the neuron or the encoder that the spikes come from",
            )
        if value.op is not None and any(isinstance(f, Compensated) for f in value.op.facts):
            raise error("no-compensation", f"`{self.word}`: {value!r} is compensated already", where=where)
        return float(1 / kept)

    def _crossing(self, graph: Graph, module: Module) -> None:
        ends = [v for g in module.graphs.values() if g is not module.main for v in (*g.args, *g.outputs)]
        spiking = [v for v in ends if isinstance(v.type, SpikesType)]
        if spiking:
            raise error(
                "no-compensation", f"`{self.word}`: {spiking[0]!r} carries spikes into or out of a graph that is called"
            )


def _scale(graph: Graph, value: Value, factor: float, by: str) -> None:
    """Let the spikes of a neuron, an encoder or an argument be worth `factor` times as much."""
    op, kind = value.op, value.type
    assert isinstance(kind, SpikesType)
    element = scaled(kind.elem, factor)
    if op is None:
        value.type = kind.with_elem(element)
        return
    b = Builder(graph, op, derive(by, [op.location]))
    if isinstance(op, Neuron) and op.theta is None:
        old = np.float32(1) if kind.elem.quant is None else kind.elem.quant.scales(kind.rank)
        op.set_operand(1, b.constant(np.asarray(old, np.float32), f"{value.name}.theta"))
    elif isinstance(op, Encode):
        larger = b.constant(np.float32(factor), f"{value.name}.factor")
        op.set_operand(0, b(Mul, op.x, larger, name=f"{op.x.name}.larger"))
    op.set(elem=element)


def scaled(element: Elem, factor: float) -> Elem:
    """An element type whose scales are `factor` times as large."""
    quant = element.quant or Affine(1.0)
    scale = quant.scale
    larger = tuple(float(s * factor) for s in scale) if isinstance(scale, tuple) else float(scale * factor)
    return element.with_quant(replace(quant, scale=larger))


def _retype(graph: Graph) -> None:
    """Let types follow from operands again. An operand of a delay may come later: a round more for each in a row."""
    changed = True
    while changed:
        changed = False
        for op in graph.ops:
            for result, kind in zip(op.results, op.infer_types(), strict=True):
                changed = changed or result.type != kind
                result.type = kind
