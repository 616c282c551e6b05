"""`calibrate`: statistics of any value over the calibration data, kept as facts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranvier.ir.core import Module, Value
from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.facts import Histogram, Statistics
from ranvier.ir.fields import AnyOf, Enum, Integer, ListOf, Text, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.activations import Clip, LeakyRelu, Prelu, Relu
from ranvier.ir.ops.elementwise import Unary
from ranvier.ir.types import TensorType
from ranvier.passes.calibration.samples import CALIBRATION, MADE, calibration_samples
from ranvier.passes.calibration.statistics import (
    channel_axis,
    check_kind,
    compute,
    definition,
    histogram,
    rows_of,
    tapped,
)


class StatisticKind(Text):
    """A statistic's name."""

    def read(self, value: object) -> str:
        """See Kind."""
        return check_kind(super().read(value))

    def write(self, value: str) -> object:
        """See Kind."""
        from ranvier.ir.text.values import Word

        return Word(value)

    def describe(self) -> str:
        """See Kind."""
        return "max | min | absmax | mean | std | density | p99.9 (any percentile)"


@dataclass(frozen=True)
class Calibrate(Pass):
    """Run the network on the calibration data and write `statistics` facts on values, each with its definition.

    `of` names values, or `activations` (results of activations), or `all` real values. `bins` adds a histogram fact.
    """

    word = "calibrate"
    needs = ("data",)
    statistics: tuple[str, ...] = option(ListOf(StatisticKind()), ("max",), "what to compute")
    per: str = option(Enum("layer", "channel"), "layer", "one number, or one a channel")
    of: object = option(AnyOf(Enum("activations", "all"), ListOf(Text())), "activations", "which values")
    bins: int = option(Integer(0, 1 << 16), 0, "bins of a histogram fact; 0 for none")
    calibration: str = option(
        Enum(*CALIBRATION), "data", "the data given, or samples made from the model: no real data is used"
    )
    samples: int = option(Integer(1), MADE, "how many samples are made")
    seed: int = option(Integer(0), 0, "seed of samples that are made")
    batch: int = option(Integer(1), 128, "samples run at once")

    def check(self) -> None:
        """See Record: what is made from the model needs no data."""
        if self.calibration != "data":
            object.__setattr__(self, "needs", ())

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        found = calibration_samples(self.calibration, module, context, self.word, count=self.samples, seed=self.seed)
        origin = (found.description, found.provenance)
        if found.provenance != "given":
            context.note(f"statistics of {found.description}; no real data was used")
        values = {v.name: v for v in self._chosen(module)}
        for name, array in tapped(module, list(values), found.inputs, context.runtime, self.batch):
            value = values[name]
            axis = channel_axis(value) if self.per == "channel" else None
            per = "layer" if axis is None else "channel"  # a value without channels has one number
            rows = rows_of(array, axis)
            kept = tuple(f for f in value.facts if not self._replaced(f, per))
            made = tuple(
                Statistics(k, tuple(map(float, compute(k, rows))), per, definition(k, axis), *origin)
                for k in self.statistics
            )
            value.facts = kept + made
            if self.bins:
                bins = histogram(rows, self.bins)
                counts = module.add(bins.counts.astype(np.int64), f"{name}.histogram")
                low, high = (tuple(map(float, a)) for a in (bins.low, bins.high))
                value.facts += (Histogram(counts, low, high, *origin),)

    def _replaced(self, fact: object, per: str) -> bool:
        if isinstance(fact, Histogram):
            return self.bins > 0
        return isinstance(fact, Statistics) and fact.kind in self.statistics and fact.per == per

    def _chosen(self, module: Module) -> list[Value]:
        real = [
            v
            for v in module.main.values
            if isinstance(v.type, TensorType) and v.type.elem.is_float and v.type.time is None
        ]
        if self.of == "all":
            return real
        if self.of == "activations":
            return [v for v in real if is_activation(v)]
        names = {v.name: v for v in real}
        assert isinstance(self.of, tuple)
        for name in self.of:
            if name not in names:
                raise error("unknown-name", f"`calibrate`: no real value is called %{name}", help=suggest(name, names))
        return [names[n] for n in self.of]


def is_activation(value: Value) -> bool:
    """Whether a value is the result of an activation."""
    op = value.op
    if op is None or not isinstance(op, Unary):
        return False
    return isinstance(op, Relu | Clip | LeakyRelu | Prelu) or op.name in {
        "nn.sigmoid", "nn.tanh", "nn.silu", "nn.mish", "nn.hard_swish", "nn.elu", "nn.selu", "nn.celu", "nn.gelu",
        "nn.hard_sigmoid", "nn.softplus", "nn.softsign",
    }  # fmt: skip
