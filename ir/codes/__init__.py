"""Spike codes: one object each (design decision 5). No pass or backend tests for a code by name; it asks the code."""

from ranvier.ir.codes.base import Code
from ranvier.ir.codes.burst import Burst
from ranvier.ir.codes.differential import Differential
from ranvier.ir.codes.few_spikes import FewSpikesTable
from ranvier.ir.codes.first_spike import AverageSpike, FirstSpike
from ranvier.ir.codes.multi_threshold import MultiThreshold
from ranvier.ir.codes.neurons import EarlyFire, LayerSync, Schedule, Stepwise, Surrogate
from ranvier.ir.codes.rate import Rate
from ranvier.ir.codes.weighted import FewSpikes, Phase

__all__ = [
    "AverageSpike",
    "Burst",
    "Code",
    "Differential",
    "EarlyFire",
    "FewSpikes",
    "FewSpikesTable",
    "FirstSpike",
    "LayerSync",
    "MultiThreshold",
    "Phase",
    "Rate",
    "Schedule",
    "Stepwise",
    "Surrogate",
]
