"""The edges that carry spikes: where noise acts, and what is compensated."""

from __future__ import annotations

from typing import Any

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.diagnostics import error, register_code, suggest
from ranvier.ir.fields import AnyOf, Enum, ListOf, Text
from ranvier.ir.locations import describe
from ranvier.ir.ops.control import callees
from ranvier.ir.types import SpikesType

register_code(
    "no-spikes",
    "Noise acts on spikes, but the module has none, or the value that was named is not spikes. Convert the network "
    "first, or name what a neuron or an encoder gives.",
)

ON = AnyOf(Enum("all"), ListOf(Text()))


def spike_edges(module: Module, on: Any, who: str) -> list[tuple[Graph, Value]]:
    """The values that `on` names: `all` is what each neuron, encoder and spiking input gives.

    Raises RanvierError when there is none, or when a name is not that of spikes.
    """
    if on != "all":
        return [(module.main, _named(module, name, who)) for name in on]
    found = [(module.main, a) for a in module.main.args if isinstance(a.type, SpikesType)]
    for graph in module.graphs.values():
        found += [(graph, r) for op in graph.ops if _makes_spikes(op) for r in op.results[:1]]
    if not found:
        raise error(
            "no-spikes", f"`{who}`: noise on a non-spike edge: the module has no spikes", help="run convert-snn before"
        )
    return found


def _makes_spikes(op: Op) -> bool:
    makes = any(isinstance(r.type, SpikesType) for r in op.results)
    return makes and not callees(op) and not any(isinstance(v.type, SpikesType) for v in op.arguments)


def _named(module: Module, name: str, who: str) -> Value:
    values = {v.name: v for v in module.main.values}
    value = values.get(name)
    spiking = [n for n, v in values.items() if isinstance(v.type, SpikesType)]
    if value is None:
        raise error("unknown-name", f"`{who}`: @main has no value %{name}", help=suggest(name, spiking))
    if not isinstance(value.type, SpikesType):
        where = describe(value.op.location) if value.op is not None else ""
        raise error(
            "no-spikes",
            f"`{who}`: noise on a non-spike edge: %{name} is {value.type}",
            where=where,
            help=suggest(name, spiking) or "run convert-snn before",
        )
    return value
