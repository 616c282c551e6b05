"""What a quantized network of equal capacity would do: the figure that a spiking network is to be held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ranvier.batching import splittable
from ranvier.ir.facts import is_trial
from ranvier.ir.interfaces import Array
from ranvier.ir.ops.neurons import Neuron
from ranvier.passes.conversion.value_domain import NoTwin, levels, value_domain

if TYPE_CHECKING:
    from ranvier.executable import Executable

BATCH = 64


@dataclass(frozen=True)
class Baseline:
    """Figures of the value-domain twin; `missing` is the reason where a spiking network has none."""

    levels: int | None = None
    accuracy: float | None = None
    agreement: float | None = None
    agreement_with_it: float | None = None
    missing: str = ""


def find_baseline(
    executable: Executable, inputs: Sequence[Array], labels: Array | None, source: Array | None, outputs: Array
) -> Baseline:
    """Run the twin of an executable's module on the same samples; a network without neurons has no baseline."""
    neurons = [op for op in executable.module.main.ops if isinstance(op, Neuron) and not is_trial(op)]
    if not neurons:
        return Baseline()
    try:
        twin = value_domain(executable.module)
    except NoTwin as why:
        return Baseline(missing=str(why))
    steps = {op: op.results[0].type.time for op in neurons}
    kinds = {(op.code, t, op.negative == "free") for op, t in steps.items() if isinstance(t, int)}
    found = executable.target.runtime().run(twin, inputs, batch=BATCH if splittable(twin, ()) else None).outputs[0]
    return Baseline(
        levels=max(levels(*kind) for kind in kinds),
        accuracy=accuracy_of(found, labels),
        agreement=agreement_of(found, source),
        agreement_with_it=agreement_of(found, outputs),
    )


def accuracy_of(outputs: Array | None, labels: Array | None) -> float | None:
    """The part of samples whose largest output is the label's; None where there are no classes."""
    if outputs is None or labels is None or outputs.ndim != 2 or len(outputs) != len(labels):
        return None
    return float(np.mean(outputs.argmax(1) == labels))


def agreement_of(outputs: Array, source: Array | None) -> float | None:
    """The part of samples whose largest output is that of other outputs; None where there are no classes."""
    if source is None or outputs.ndim != 2 or source.shape != outputs.shape:
        return None
    return float(np.mean(outputs.argmax(1) == source.argmax(1)))
