"""What a network does per sample: which operations are driven by spikes, and what they would cost on a chip.

An accumulate (AC) is one weight added because of one spike; a multiply-accumulate (MAC) is one product of a real-valued
input. Energies per operation are those of 32-bit floating point in 45 nm at 0.9 V (M. Horowitz, "Computing's energy
problem", ISSCC 2014): 0.9 pJ an addition, 3.7 pJ a multiplication, so 4.6 pJ a MAC. They are op energy: what the
arithmetic alone would take; `NOT_MODELLED` says what is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
_SUMS = ("avg_pool", "max_pool", "mean", "sum", "cumsum", "add", "sub", "neg", "resize")
_DOORS = ("snn.psp", "q.sum", "q.sum_pool", "q.dequantize")
_TRANSPORT = frozenset((*(f"core.{name}" for name in _MOVES), *(f"nn.{name}" for name in _SUMS), *_DOORS))
# Ops of which an element of the operand goes into one element of the result, however many there are.
_KEEPS = frozenset(
    (*(f"core.{name}" for name in ("reshape", "concat", "pad")), *(f"nn.{name}" for name in ("avg_pool", "max_pool")))
) | {"nn.mean", "nn.sum", "q.sum_pool"}
_BY_CONSTANT = frozenset(("nn.mul", "nn.div"))

_Copies = dict[str, float]
"""By name of a spike source, how many elements of a value one of its spikes becomes, on average."""


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

    `fan_out` is the MACs that an element of its input takes part in; `copies`, source by source, is how many elements
    of that input a spike becomes on its way, on average, such as four by an upsampling to twice the height and width.

    Without sources its input is real-valued and every MAC is done, at each of its own `time` steps. `time` is None
    where it is done once: without time, and where nothing changes over time. `behind` says whether spikes arise before.
    """

    name: str
    macs: int
    time: Dim | None
    sources: tuple[str, ...]
    fan_out: float
    copies: tuple[float, ...] = ()
    behind: bool = False

    def accumulates(self, spikes: Mapping[str, float]) -> float:
        """Accumulates per sample, given the unit spikes of each source."""
        return self.fan_out * sum(spikes.get(s, 0.0) * n for s, n in zip(self.sources, self.copies, strict=True))


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
    known: dict[Value, _Copies | None] = {}
    behind = _behind_spikes(module.main)
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
        names = tuple(sorted(sources or ()))
        copies = tuple(sources[name] for name in names) if sources else ()
        late = any(v in behind for v in operands)
        found.append(LinearWork(op.result.name, macs, time, names, fan_out, copies, late))
    return found


def _behind_spikes(graph: Graph) -> set[Value]:
    """The values that depend on spikes, and spikes themselves."""
    stack = [value for _, value in _arising(graph)]
    found: set[Value] = set()
    while stack:
        value = stack.pop()
        if value not in found:
            found.add(value)
            stack += [result for op in value.users for result in op.results]
    return found


def _is_fixed(value: Value) -> bool:
    """Whether a value is a constant, or one that an op holds to a grid."""
    op = value.op
    return value.is_constant or (op is not None and not op.folds and all(v.is_constant for v in op.arguments))


def _drivers(value: Value, known: dict[Value, _Copies | None]) -> _Copies | None:
    """Spike sources whose spikes make up a value, and the elements a spike becomes; None when real values do."""
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
            known[v] = _joined(v, [(f, known.get(f, {})) for f in feeding])  # a way back by a delay adds nothing new
        elif v not in known:
            known[v] = {v.name: 1.0} if isinstance(v.type, SpikesType) else None
        on_path.discard(stack.pop())
    return known[value]


def _joined(value: Value, parts: Sequence[tuple[Value, _Copies | None]]) -> _Copies | None:
    """What a value is made up of, given that of the operands it is transported from."""
    found: _Copies = {}
    assert value.op is not None
    for operand, copies in parts:
        if copies is None:
            return None
        spread = 1.0 if value.op.name in _KEEPS else value.op.spread(operand)
        for name, count in copies.items():
            found[name] = found.get(name, 0.0) + count * spread
    return found


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
    """Operations per sample: accumulates by spikes, and multiply-accumulates of real-valued inputs.

    `before_spikes` is the part of the latter in layers that no spike comes before, such as a first one whose input is
    direct-coded; the rest is that of layers whose input is computed from spikes.
    """

    accumulates: float
    multiply_accumulates: float
    before_spikes: float = 0.0

    @property
    def behind_spikes(self) -> float:
        """Multiply-accumulates of real-valued inputs that are computed from spikes."""
        return self.multiply_accumulates - self.before_spikes

    @property
    def op_energy_pj(self) -> float:
        """Op energy per sample in pJ by `ENERGY_MODEL`."""
        return self.accumulates * AC_PJ + self.multiply_accumulates * MAC_PJ


def operations(module: Module, spikes_per_sample: dict[str, float], steps: int | None) -> Operations:
    """Operations per sample, given how many unit spikes each source fires per sample over all steps.

    `steps` is what a symbolic number of steps stands for; parts of a module may have other numbers of their own.
    """
    accumulates = macs = before = 0.0
    for work in linear_work(module):
        if work.sources:
            accumulates += work.accumulates(spikes_per_sample)
        else:
            times = work.time if isinstance(work.time, int) else 1 if work.time is None else steps or 1
            macs += work.macs * times
            before += 0 if work.behind else work.macs * times
    return Operations(accumulates, macs, before)


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
