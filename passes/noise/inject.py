"""`noise`: spikes are lost and shifted on their way (coding card 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.ir.core import Builder, Graph, Module, Value, replace_uses
from ranvier.ir.fields import Integer, Real, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import derive
from ranvier.ir.ops.control import callees
from ranvier.ir.ops.noise import Noise
from ranvier.passes.noise.edges import ON, spike_edges


@dataclass(frozen=True)
class InjectNoise(Pass):
    """Put `snn.noise` behind every neuron and encoder, before anything reads the spikes.

    The neuron itself is not disturbed: it falls by every spike that it fires. Each edge draws by a key of its own, and
    `trial` of a run gives other draws. Source: Park, Lee, Yoon, DAC 2021.
    """

    word = "noise"
    deletion: float = option(Real(0, 1), 0.0, "probability that a spike is lost")
    jitter: float = option(Real(0, 1000), 0.0, "standard deviation of a spike's shift, in steps")
    seed: int = option(Integer(0), 0, "seed of the draws")
    on: Any = option(ON, "all", "all spikes, or values by name")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        edges = spike_edges(module, self.on, self.word)
        taken = {str(op.attributes.get("key", "")) for op in module.ops if op.draws}
        for graph, value in edges:
            key, number = f"{value.name}.noise", 1
            while key in taken:
                number += 1
                key = f"{value.name}.noise_{number}"
            taken.add(key)
            self._insert(graph, value, key)
        context.note(f"{len(edges)} spike edges lose spikes with probability {self.deletion:g}, jitter {self.jitter:g}")
        shared = _called_often(module, {graph.name for graph, _ in edges})
        if shared:
            context.note(f"calls of @{', @'.join(shared)} draw the same numbers at every place and round")

    def _insert(self, graph: Graph, value: Value, key: str) -> None:
        before = graph.first if value.op is None else value.op.next
        location = derive(self.word, [value.op.location if value.op is not None else None])
        made: Value = Builder(graph, before, location)(
            Noise, value, deletion=self.deletion, jitter=self.jitter, seed=self.seed, key=key, name=key
        )
        assert made.op is not None
        made.op.place = value.op.place if value.op is not None else None
        replace_uses(value, made, keep=lambda op: op is made.op)


def _called_often(module: Module, names: set[str]) -> list[str]:
    """Graphs of these names that run at several places, or in a loop."""
    calls: dict[str, int] = {}
    for op in module.ops:
        for name in callees(op):
            calls[name] = calls.get(name, 0) + (2 if op.name == "core.loop" else 1)
    return [n for n in module.graphs if n in names and calls.get(n, 0) > 1]
