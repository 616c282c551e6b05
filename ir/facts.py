"""Facts: what later passes must know and no type says. Typed, printed records on values, ops and resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ranvier.ir.fields import Enum, Integer, ListOf, Optional, Real, RecordOf, ResourceRef, Text, option
from ranvier.ir.records import Record

PROVENANCES = ("given", "no_data", "noise", "bn", "class_impression")
"""Where numbers come from: data given, options alone, or samples made from the model (noise, matched statistics of
batch normalization, class impressions). No real data was used but where it is `given`."""


@dataclass(frozen=True)
class Fact(Record):
    """Base of all facts. `sticky` facts may not be dropped by a rewrite."""

    family = "fact"
    sticky: ClassVar[bool] = False

    @property
    def subject(self) -> object:
        """What the fact is about, hashable: a value keeps one of two facts about one thing, and every sticky fact."""
        return self if self.sticky else type(self)

    @property
    def resources(self) -> list[str]:
        """Names of resources that the fact mentions."""
        kinds = ((f.metadata["kind"], getattr(self, f.name)) for f in self.options())
        return [value for kind, value in kinds if isinstance(kind, ResourceRef)]


@dataclass(frozen=True)
class Statistics(Fact):
    """One statistic of a value over calibration data.

    `values` has one number for `per=layer`, one per channel (axis 1) for `per=channel`. `definition` says exactly what
    was computed, `data` over what, `provenance` where that data comes from.
    """

    word = "statistics"
    kind: str = option(Text(), help="max, min, mean, p99.9, ...")
    values: tuple[float, ...] = option(ListOf(Real()))
    per: str = option(Enum("layer", "channel"), "layer")
    definition: str = option(Text(), "")
    data: str = option(Text(), "", help="what data, how many samples")
    provenance: str = option(Enum(*PROVENANCES), "given", help="the data given, or samples made from the model alone")

    @property
    def subject(self) -> object:
        """See Fact: the same statistic, whatever its numbers."""
        return type(self), self.kind, self.per


@dataclass(frozen=True)
class Histogram(Fact):
    """Counts of a value over calibration data in equal bins between `low` and `high`, a row per channel."""

    word = "histogram"
    counts: str = option(ResourceRef(), help="integer resource [channels, bins]")
    low: tuple[float, ...] = option(ListOf(Real()))
    high: tuple[float, ...] = option(ListOf(Real()))
    data: str = option(Text(), "")
    provenance: str = option(Enum(*PROVENANCES), "given", help="the data given, or samples made from the model alone")


@dataclass(frozen=True)
class Mask(Fact):
    """Which weights are pruned: a bit resource of the weight's shape. May not be dropped."""

    word = "mask"
    sticky = True
    mask: str = option(ResourceRef())


@dataclass(frozen=True)
class ImportedName(Fact):
    """The name that a value bears in the imported model, when it is no name of the grammar."""

    word = "imported_name"
    name: str = option(Text())


@dataclass(frozen=True)
class DimName(Fact):
    """A dimension's name in the imported model; symbols are capitals here."""

    word = "dim_name"
    symbol: str = option(Text())
    name: str = option(Text())


@dataclass(frozen=True)
class Note(Fact):
    """Something that a reader of the module should know, such as what an import could not keep."""

    word = "note"
    text: str = option(Text())


@dataclass(frozen=True)
class Initial(Fact):
    """This state argument begins with a resource, which broadcasts to it. Without the fact it begins with zeros."""

    word = "initial"
    value: str = option(ResourceRef())


@dataclass(frozen=True)
class Converted(Fact):
    """This neuron stands for an activation of the source model."""

    word = "converted"
    activation: str = option(Text())
    threshold: str = option(Text(), "")
    latency: int | None = option(Optional(Integer()), None)
    provenance: str = option(Enum(*PROVENANCES), "given", help="of the data that code and threshold follow from")


@dataclass(frozen=True)
class Trial(Fact):
    """This neuron is tried on what comes before the one of its activation begins anew: the same neuron, earlier."""

    word = "trial"


@dataclass(frozen=True)
class Compensated(Fact):
    """The spikes that this op makes are worth more than its thresholds say, as some of them are lost."""

    word = "compensated"
    deletion: float = option(Real(0, 1), help="probability that a spike is lost")


@dataclass(frozen=True)
class NeuronCode(Fact):
    """The neuron that stands for this activation fires this code over windows of `steps` steps (none: of any length).

    With `theta`, these are its thresholds: one, or one a channel of `axis`. `convert-snn` follows it.
    """

    word = "neuron_code"
    code: Any = option(RecordOf("code"), help="the spike code")
    steps: int | None = option(Optional(Integer(1)), None, "timesteps of the window that it was found for")
    theta: tuple[float, ...] = option(ListOf(Real(0)), (), "thresholds; none means those of convert-snn")
    axis: int | None = option(Optional(Integer(0)), None, "the axis of the channels, with several thresholds")
    definition: str = option(Text(), "", "how it was found")
    provenance: str = option(Enum(*PROVENANCES), "given", help="of the data that it was found on")


def is_trial(op: Any) -> bool:
    """Whether an op belongs to a trial: a neuron that is counted where it begins anew."""
    return any(isinstance(f, Trial) for f in op.facts)
