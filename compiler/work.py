"""What a network does per sample: which operations are driven by spikes, and what they would cost on a chip.

An accumulate (AC) is one weight added because of one spike; a multiply-accumulate (MAC) is one product of a real-valued
input. Energies per operation are those of 32-bit floating point in 45 nm at 0.9 V (M. Horowitz, "Computing's energy
problem", ISSCC 2014): 0.9 pJ an addition, 3.7 pJ a multiplication, so 4.6 pJ a MAC. They are op energy: what the
arithmetic alone would take; `NOT_MODELLED` says what is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.facts import is_trial
from ranvier.ir.interfaces import Array
from ranvier.ir.locations import describe
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.still import still_values
from ranvier.ir.timing import regions
from ranvier.ir.types import Dim, SpikesType, element_count

AC_PJ = 0.9
MAC_PJ = 4.6
ENERGY_MODEL = "45 nm, 32-bit float: 0.9 pJ an accumulate, 4.6 pJ a multiply-accumulate (Horowitz, ISSCC 2014)"
NOT_MODELLED = (
    "memory accesses and data movement",
    "neuron updates (leak, threshold, reset) and bias currents",
    "pooling, normalization and other element-wise ops",
    "spike routing, control, leakage and clocks",
    "fewer targets at the borders: a spike's fan-out is the mean of its layer",
)

# Ops through which a spike reaches a linear op unchanged or scaled: they move, add or average values.
_MOVES = ("reshape", "transpose", "concat", "slice", "pad", "broadcast", "gather", "cast", "delay")
_SUMS = ("avg_pool", "max_pool", "mean", "sum", "add", "sub", "neg")
_DOORS = ("snn.psp", "q.sum", "q.sum_pool", "q.dequantize")
_TRANSPORT = frozenset((*(f"core.{name}" for name in _MOVES), *(f"nn.{name}" for name in _SUMS), *_DOORS))
_BY_CONSTANT = frozenset(("nn.mul", "nn.div"))


@dataclass(frozen=True)
class SpikeSource:
    """A value of `@main` where spikes arise: made from real values by a neuron or an encoder."""

    name: str
    elements: int
    bits: int
    is_neuron: bool
    origin: str = ""
    again: bool = False
    """Whether its neurons are those of another value at another time."""


@dataclass(frozen=True)
class LinearWork:
    """A linear op: its MACs per sample and step, and the spike sources that drive it with their fan-out.

    Without sources its input is real-valued and every MAC is done, at each of its own `time` steps. `time` is None
    where it is done once: without time, and where nothing changes over time.
    """

    name: str
    macs: int
    time: Dim | None
    sources: tuple[str, ...]
    fan_out: float


def spike_sources(module: Module) -> list[SpikeSource]:
    """Where spikes arise, in order."""
    return [_source(op, v) for op, v in _arising(module.main)]


def spike_values(module: Module) -> list[Value]:
    """The values of `spike_sources`."""
    return [v for _, v in _arising(module.main)]


def _arising(graph: Graph) -> Iterator[tuple[Op | None, Value]]:
    for arg in graph.args:
        if isinstance(arg.type, SpikesType):
            yield None, arg
    for op in graph.ops:
        if any(isinstance(v.type, SpikesType) for v in op.arguments):
            continue
        for result in op.results:
            if isinstance(result.type, SpikesType):
                yield op, result


def _source(op: Op | None, value: Value) -> SpikeSource:
    kind = value.type
    assert isinstance(kind, SpikesType)
    return SpikeSource(
        value.name,
        samplewise(kind.shape),
        kind.code.bits,
        isinstance(op, Neuron),
        describe(None if op is None else op.location),
        op is not None and is_trial(op),
    )


def samplewise(shape: tuple[Dim, ...]) -> int:
    """Elements of one sample: the product of all but the first dimension."""
    return element_count(shape[1:])


def linear_work(module: Module) -> list[LinearWork]:
    """Every linear op of `@main`, in order."""
    known: dict[Value, frozenset[str] | None] = {}
    still = still_values(regions(module.main))
    found = []
    for op in module.main.ops:
        macs = op.macs()
        if not macs:
            continue
        operands = [v for v in op.arguments if not _is_fixed(v)]
        driven = [_drivers(v, known) for v in operands]
        sources = driven[0] if len(driven) == 1 else None  # a product of two variable operands is real-valued
        x = operands[0] if operands else None
        fan_out = macs / samplewise(x.type.shape) if x is not None else 0.0
        time = None if op.result in still else op.result.type.time
        found.append(LinearWork(op.result.name, macs, time, tuple(sorted(sources or ())), fan_out))
    return found


def _is_fixed(value: Value) -> bool:
    """Whether a value is a constant, or one that an op holds to a grid."""
    op = value.op
    return value.is_constant or (op is not None and not op.folds and all(v.is_constant for v in op.arguments))


def _drivers(value: Value, known: dict[Value, frozenset[str] | None]) -> frozenset[str] | None:
    """Names of the spike sources whose spikes make up a value; None when real values do."""
    stack, on_path = [value], {value}
    while stack:
        v = stack[-1]
        feeding = None if v in known else _feeding(v)
        if feeding is not None:
            waiting = [f for f in dict.fromkeys(feeding) if f not in known and f not in on_path]
            if waiting:
                stack += waiting[:1]
                on_path.add(waiting[0])
                continue
            parts = [known.get(f, frozenset()) for f in feeding]  # a way back through a delay adds nothing new
            real = any(p is None for p in parts)
            known[v] = None if real else frozenset().union(*(p for p in parts if p is not None))
        elif v not in known:
            known[v] = frozenset({v.name}) if isinstance(v.type, SpikesType) else None
        on_path.discard(stack.pop())
    return known[value]


def _feeding(value: Value) -> list[Value] | None:
    """The operands that a value is transported from; None where it arises."""
    op = value.op
    if op is None:
        return None
    if isinstance(value.type, SpikesType) and not any(isinstance(v.type, SpikesType) for v in op.arguments):
        return None
    variable = [v for v in op.arguments if not _is_fixed(v)]
    if isinstance(op, Delay):
        return variable[:1]
    if op.name in _TRANSPORT or (op.name in _BY_CONSTANT and len(variable) == 1):
        return variable or None
    return variable[:1] if isinstance(value.type, SpikesType) and variable else None


@dataclass(frozen=True)
class Operations:
    """Operations per sample: accumulates by spikes, and multiply-accumulates of real-valued inputs."""

    accumulates: float
    multiply_accumulates: float

    @property
    def op_energy_pj(self) -> float:
        """Op energy per sample in pJ by `ENERGY_MODEL`."""
        return self.accumulates * AC_PJ + self.multiply_accumulates * MAC_PJ


def operations(module: Module, spikes_per_sample: dict[str, float], steps: int | None) -> Operations:
    """Operations per sample, given how many unit spikes each source fires per sample over all steps.

    `steps` is what a symbolic number of steps stands for; parts of a module may have other numbers of their own.
    """
    accumulates = macs = 0.0
    for work in linear_work(module):
        if work.sources:
            accumulates += work.fan_out * sum(spikes_per_sample.get(name, 0.0) for name in work.sources)
        else:
            times = work.time if isinstance(work.time, int) else 1 if work.time is None else steps or 1
            macs += work.macs * times
    return Operations(accumulates, macs)


def count_spikes(value: Value, array: Array) -> tuple[float, float]:
    """(events, unit spikes) of a spiking value's array [T, ...]; the code says how many units a spike is made of."""
    events = float(np.count_nonzero(array))
    assert isinstance(value.type, SpikesType)
    if value.type.code.largest == 1:
        return events, events
    return events, float(value.type.code.units(array.astype(np.int32)).sum(dtype=np.int64))


def hidden_spikes(module: Module) -> bool:
    """Whether graphs other than `@main` hold spikes, which are then not counted."""
    return any(
        isinstance(r.type, SpikesType)
        for name, graph in module.graphs.items()
        if name != "main"
        for op in graph.ops
        for r in op.results
    )
