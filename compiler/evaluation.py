"""How good an executable is and what it does: accuracy, agreement, spikes, operations; prints as one table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.baseline import Baseline, accuracy_of, agreement_of, find_baseline
from ranvier.batching import sample_axis, sample_count, splittable, take_samples
from ranvier.ir.core import Module, Value
from ranvier.ir.cost import Activity, Cost
from ranvier.ir.diagnostics import RanvierError, error
from ranvier.ir.facts import is_trial
from ranvier.ir.interfaces import Array, batches
from ranvier.ir.latency import latency
from ranvier.samples import check_data, check_labels, class_count
from ranvier.seeds import seeds_of
from ranvier.work import (
    AC_PJ,
    ENERGY_MODEL,
    MAC_PJ,
    NOT_MODELLED,
    Operations,
    count_spikes,
    hidden_spikes,
    operations,
    spike_sources,
    spike_values,
)

if TYPE_CHECKING:
    from ranvier.executable import Executable

TAP_BYTES = 256 << 20
"""How many bytes of spikes are looked at together; it bounds the batch unless `batch` says otherwise."""


@dataclass(frozen=True)
class Layer:
    """Spikes of one spiking value: `rate` is spikes per neuron and step; `origin` the place in the user's model."""

    name: str
    neurons: int
    spikes_per_sample: float
    rate: float
    origin: str = ""


@dataclass(frozen=True)
class Evaluation:
    """Figures of an executable on some samples. What does not apply is None.

    With several trials `accuracy` is their mean, `accuracy_std` their standard deviation, `accuracies` each of them.
    `seeds` says which draws are made anew in each trial, and which were made once, such as those of a chip's cells.

    Spikes are events (a spike of level k is one event of `bits_per_spike` bits); `accumulates` counts it k times, once
    for each target, as often as the code says that it is a unit. `macs_before_spikes` are those of the
    `multiply_accumulates` in layers that no spike comes before, `macs_behind_spikes` those of layers whose real-valued
    input is computed from spikes: at every step, where it changes. `agreement` is the part of samples with the source
    model's top class. Op energies are in pJ.

    The baseline is the same network without spikes: each activation rounded to as many levels as its code has values
    per window (`baseline_levels`, the largest of them), the weights and thresholds kept. What the spiking network says
    beyond it, time does not buy. `baseline_missing` is the reason where there is none.
    """

    samples: int
    trials: int
    accuracy: float | None
    accuracy_std: float | None
    source_accuracy: float | None
    agreement: float | None
    timesteps: int | None
    latency_steps: int | None
    neurons: int
    spikes_per_sample: float | None
    spikes_per_neuron: float | None
    bits_per_spike: float | None
    accumulates: float
    multiply_accumulates: float
    macs_before_spikes: float
    macs_behind_spikes: float
    op_energy_pj: float
    source_macs: float
    source_op_energy_pj: float
    seconds_per_sample: float
    baseline_accuracy: float | None = None
    baseline_agreement: float | None = None
    agreement_with_baseline: float | None = None
    baseline_levels: int | None = None
    baseline_missing: str = ""
    layers: tuple[Layer, ...] = ()
    not_modelled: tuple[str, ...] = NOT_MODELLED
    energy_model: str = ENERGY_MODEL
    cost: Cost | None = None
    cost_missing: str = ""
    accuracies: tuple[float, ...] = ()
    seeds: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        plain = asdict(replace(self, cost=None))
        return {**plain, "cost": None if self.cost is None else self.cost.as_dict()}

    def rows(self) -> list[tuple[str, str]]:
        """What is shown: names and figures with their units; what does not apply is left out."""
        spread = "" if self.accuracy_std is None else f" ± {self.accuracy_std:.2%} over {self.trials} trials"
        spiking = self.spikes_per_sample is not None
        rows = [
            ("samples", str(self.samples)),
            ("accuracy", _percent(self.accuracy) + (spread if self.accuracy is not None else "")),
            ("  of each trial", " ".join(f"{a:.2%}" for a in self.accuracies) if self.trials > 1 else ""),
            ("random draws", "; ".join(self.seeds)),
            ("accuracy of the source model", _percent(self.source_accuracy)),
            ("agreement with the source model (top-1)", _percent(self.agreement)),
            ("timesteps", _count(self.timesteps)),
            ("latency in steps", _count(self.latency_steps)),
            ("neurons", str(self.neurons) if spiking else ""),
            ("spikes per sample", _real(self.spikes_per_sample)),
            ("spikes per neuron", _real(self.spikes_per_neuron)),
            ("bits per spike", _real(self.bits_per_spike)),
            ("quantized network of equal capacity: levels", _count(self.baseline_levels)),
            ("  accuracy", _percent(self.baseline_accuracy)),
            ("  its agreement with the source model (top-1)", _percent(self.baseline_agreement)),
            ("  agreement with it (top-1)", _percent(self.agreement_with_baseline)),
            ("quantized network of equal capacity", self.baseline_missing and f"none: {self.baseline_missing}"),
            ("accumulates per sample (by spikes)", f"{self.accumulates:,.0f}" if spiking else ""),
            ("multiply-accumulates per sample (real-valued layers)", f"{self.multiply_accumulates:,.0f}"),
            ("  before any spike (direct-coded)", f"{self.macs_before_spikes:,.0f}" if spiking else ""),
            ("  behind spikes", f"{self.macs_behind_spikes:,.0f}" if spiking else ""),
            ("op energy per sample", _energy(self.op_energy_pj)),
            (
                "  of real-valued layers before any spike (direct-coded)",
                _energy(self.macs_before_spikes * MAC_PJ) if spiking else "",
            ),
            ("  of real-valued layers behind spikes", _energy(self.macs_behind_spikes * MAC_PJ) if spiking else ""),
            ("  of layers driven by spikes", _energy(self.accumulates * AC_PJ) if spiking else ""),
            ("op energy of the source model", _energy(self.source_op_energy_pj) if spiking else ""),
            *(self.cost.figures() if self.cost is not None else ()),
            ("hardware cost", self.cost_missing and f"none: {self.cost_missing}"),
            ("time per sample on this machine", f"{self.seconds_per_sample * 1e3:.3g} ms"),
        ]
        return [(name, figure) for name, figure in rows if figure]

    def __str__(self) -> str:
        from ranvier.tables import render

        table = render(("figure", "value"), self.rows(), right=("value",))
        left_out = "; ".join(self.not_modelled)
        hardware = "" if self.cost is None else "\n" + "\n".join(self.cost.remarks())
        return f"{table}\n\nop energy: {self.energy_model}\nnot modelled: {left_out}{hardware}"


@dataclass
class _Counts:
    """Sums over all batches."""

    outputs: list[Array]
    events: dict[str, float]
    units: dict[str, float]
    steps: int | None
    seconds: float


def evaluate(
    executable: Executable,
    images: Any,
    labels: Any = None,
    *,
    batch: int | None = None,
    trials: int = 1,
    source_outputs: Array | None = None,
    where: str = "",
) -> Evaluation:
    """See `Executable.evaluate`; `source_outputs` are the source model's first output, if known already.

    `where` is the place that errors name, such as the file that the samples and labels come from.
    """
    graph = executable.module.main
    inputs = check_data(graph, images, "evaluation data", where or "images")
    count = sample_count(graph, inputs)
    known = None if labels is None else check_labels(labels, count, where=where, classes=class_count(graph))
    if trials < 1:
        raise error("bad-value", f"trials must be at least 1, not {trials}")
    runs = [_run(executable, inputs, count, batch, trial) for trial in range(trials)]
    if source_outputs is None:
        source_outputs = source_output(executable, inputs)
    accuracies = [accuracy_of(r.outputs[0], known) for r in runs]
    agreements = [agreement_of(r.outputs[0], source_outputs) for r in runs]
    scored = [a for a in accuracies if a is not None]
    agreed = [a for a in agreements if a is not None]
    return _figures(
        executable,
        count,
        runs,
        find_baseline(executable, inputs, known, source_outputs, runs[0].outputs[0]),
        accuracy=float(np.mean(scored)) if scored else None,
        accuracies=tuple(scored),
        source_accuracy=accuracy_of(source_outputs, known),
        agreement=float(np.mean(agreed)) if agreed else None,
    )


def source_output(executable: Executable, inputs: Sequence[Array]) -> Array | None:
    """The source model's first output on the samples; None when it takes other inputs."""
    source = executable.source
    if [a.type for a in source.main.args] != [a.type for a in executable.module.main.args]:
        return None
    batch = 64 if splittable(source, ()) else None
    return executable.target.runtime().run(source, inputs, batch=batch).outputs[0]


def _figures(
    executable: Executable,
    count: int,
    runs: list[_Counts],
    baseline: Baseline,
    *,
    accuracy: float | None,
    accuracies: tuple[float, ...],
    source_accuracy: float | None,
    agreement: float | None,
) -> Evaluation:
    module, samples = executable.module, count * len(runs)
    sources = spike_sources(module)
    events = {s.name: sum(r.events[s.name] for r in runs) / samples for s in sources}
    units = {s.name: sum(r.units[s.name] for r in runs) / samples for s in sources}
    steps, total = runs[0].steps, sum(events.values())
    neurons = sum(s.elements for s in sources if s.is_neuron and not s.again)
    fired = sum(events[s.name] for s in sources if s.is_neuron)
    bits = sum(events[s.name] * s.bits for s in sources)
    done, source = operations(module, units, steps), _dense(executable.source)
    left_out = NOT_MODELLED + (("spikes inside called graphs",) if hidden_spikes(module) else ())
    layers = tuple(
        Layer(s.name, s.elements, events[s.name], events[s.name] / s.elements / _steps_of(v, steps), s.origin)
        for s, v in zip(sources, spike_values(module), strict=True)
    )
    cost, cost_missing = _hardware(executable, layers, steps)
    return Evaluation(
        samples=count,
        trials=len(runs),
        accuracy=accuracy,
        accuracy_std=float(np.std(accuracies)) if len(accuracies) > 1 else None,
        accuracies=accuracies,
        seeds=seeds_of(module, len(runs)),
        source_accuracy=source_accuracy,
        agreement=agreement,
        timesteps=steps,
        latency_steps=None if steps is None else latency(module, steps),
        neurons=neurons,
        spikes_per_sample=total if sources else None,
        spikes_per_neuron=fired / neurons if neurons else None,
        bits_per_spike=bits / total if total else None,
        accumulates=done.accumulates,
        multiply_accumulates=done.multiply_accumulates,
        macs_before_spikes=done.before_spikes,
        macs_behind_spikes=done.behind_spikes,
        op_energy_pj=done.op_energy_pj,
        source_macs=source.multiply_accumulates,
        source_op_energy_pj=source.op_energy_pj,
        seconds_per_sample=sum(r.seconds for r in runs) / samples,
        baseline_accuracy=baseline.accuracy,
        baseline_agreement=baseline.agreement,
        agreement_with_baseline=baseline.agreement_with_it,
        baseline_levels=baseline.levels,
        baseline_missing=baseline.missing,
        layers=layers,
        not_modelled=left_out,
        cost=cost,
        cost_missing=cost_missing,
    )


def _hardware(executable: Executable, layers: Sequence[Layer], steps: int | None) -> tuple[Cost | None, str]:
    """What the target says that the run costs, and why it says nothing though it has a cost model."""
    density = {layer.name: min(1.0, layer.rate) for layer in layers}
    try:
        return executable.cost(Activity(steps, density=density)), ""
    except RanvierError as why:
        return None, "; ".join(d.message for d in why.diagnostics)


def _steps_of(value: Value, steps: int | None) -> int:
    """The length of a value's own window, at least 1."""
    return value.type.time if isinstance(value.type.time, int) and value.type.time else steps or 1


def _dense(module: Module) -> Operations:
    """What a network does when every multiply-accumulate is done."""
    return Operations(0.0, float(sum(op.macs() for op in module.main.ops)))


def _run(executable: Executable, inputs: Sequence[Array], count: int, batch: int | None, trial: int) -> _Counts:
    """One pass over the samples, spikes counted batch by batch so that they are never all in memory."""
    module = executable.module
    values = spike_values(module)
    names = [v.name for v in values]
    size = count if not splittable(module, names) else batch or _batch_for(module, count)
    ids = np.arange(count, dtype=np.int64)
    sums = _Counts([], dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0), None, 0.0)
    parts: list[tuple[Array, ...]] = []
    for part in batches(count, size):
        given = take_samples(module.main, inputs, part) if size < count else tuple(inputs)
        started = time.perf_counter()
        result = executable.run(given, names, sample_ids=ids[part], trial=trial, batch=size)
        sums.seconds += time.perf_counter() - started
        parts.append(result.outputs)
        for name, value in zip(names, values, strict=True):
            spikes = result.taps[name]
            events, units = count_spikes(value, spikes)
            sums.events[name] += events
            sums.units[name] += units
            if value.op is None or not is_trial(value.op):  # a trial has a window of its own
                sums.steps = max(sums.steps or 0, len(spikes))
    for i, v in enumerate(module.main.outputs):
        pieces = [p[i] for p in parts]
        sums.outputs.append(pieces[0] if len(pieces) == 1 else np.concatenate(pieces, sample_axis(v.type)))
    return sums


def _batch_for(module: Module, count: int) -> int:
    per_sample = 1
    for source, value in zip(spike_sources(module), spike_values(module), strict=True):
        steps = value.type.time if isinstance(value.type.time, int) else 16
        per_sample += source.elements * steps * value.type.elem.dtype.itemsize
    return max(1, min(count, 256, TAP_BYTES // per_sample))


def _count(n: int | None) -> str:
    return "" if n is None else str(n)


def _percent(x: float | None) -> str:
    return "" if x is None else f"{x:.2%}"


def _real(x: float | None) -> str:
    return "" if x is None else f"{x:,.4g}" if x < 1e4 else f"{x:,.0f}"


def _energy(picojoules: float) -> str:
    for unit, size in (("µJ", 1e6), ("nJ", 1e3)):
        if picojoules >= size:
            return f"{picojoules / size:.3g} {unit}"
    return f"{picojoules:.3g} pJ"
