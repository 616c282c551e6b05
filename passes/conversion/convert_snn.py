"""`convert-snn`: a network of real activations becomes a network of spiking neurons (coding cards 0, 1, 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.codes import Code, LayerSync, Rate, Stepwise
from ranvier.ir.core import Module, Op
from ranvier.ir.diagnostics import Diagnostic, RanvierError, error, register_code
from ranvier.ir.fields import AnyOf, Enum, Flag, Integer, Optional, Real, RecordOf, Text, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import describe
from ranvier.ir.rewriting import apply_rules
from ranvier.ir.text.values import Word
from ranvier.ir.timing import PureOp
from ranvier.passes.calibration.samples import CALIBRATION, Samples, calibration_samples
from ranvier.passes.calibration.statistics import channel_axis, tapped
from ranvier.passes.conversion.activations import POOLING, Shape, shape_of
from ranvier.passes.conversion.codes import DEFAULT_STEPS, check_code, check_reset, layer_code
from ranvier.passes.conversion.correct import Corrector
from ranvier.passes.conversion.delayed import first_spikes
from ranvier.passes.conversion.given import given_layer, given_provenance
from ranvier.passes.conversion.network import Converter, Layer, Row
from ranvier.passes.conversion.readout import MembraneReadout, check_readout, read_window
from ranvier.passes.conversion.thresholds import check_kind, choose
from ranvier.passes.conversion.two_stage import TwoStage, check_two_stage
from ranvier.passes.simplify import activation_forms
from ranvier.passes.simplify.dce import eliminate

register_code(
    "not-converted", "A hidden activation has no spiking form under the options given; a conversion never skips one."
)
register_code("no-activity", "A layer is zero on all the calibration data, so that no threshold follows from it.")
Array = np.ndarray[Any, Any]
register_code("already-timed", "The module has values over time: it is a spiking network already.")


class ThresholdKind(Text):
    """A rule for thresholds."""

    def read(self, value: object) -> str:
        """See Kind."""
        return check_kind(super().read(value))

    def write(self, value: str) -> object:
        """See Kind."""
        return Word(value)

    def describe(self) -> str:
        """See Kind."""
        return "mse | max | p99.9 (any percentile) | ltb | gaussian"


@dataclass(frozen=True)
class ConvertSnn(Pass):
    """Every activation becomes an integrate-and-fire neuron whose mean output over T steps approximates it.

    In real units: a spike of channel c is worth theta_c, weights stay as they are. A linear op keeps its weight and
    gives its bias to `snn.bias_current`; what does not depend on time is computed once (direct input: the first layer
    too). max_pool goes before the neuron, where it pools the accumulated input, so that its sum over time is the pool
    of the sums. ReLU, ReLU6 and other clips at zero, symmetric clips, leaky and parametric ReLU are converted. What
    only the outputs see is applied after the readout; any other op that is no sum of currents is an error, or with
    `allow_unconverted` is computed on decoded values and said so.

    Sources: Diehl 2015, Rueckauer 2017 (thresholds, soft reset), Bu 2022 (v0 = 1/2), Li 2021 (MSE), Wang 2022 (negative
    spikes), Kim 2020 (leaky ReLU).
    """

    word = "convert-snn"
    needs = ("data",)
    code: Code = option(RecordOf("code"), Rate(), "the code of hidden spikes")
    steps: int | None = option(Optional(Integer(1)), None, "timesteps T; none means the code's own number, else 32")
    threshold: str = option(ThresholdKind(), "mse", "how thresholds follow from activations")
    per: str = option(Enum("channel", "layer"), "channel", "one threshold a channel, or one a layer")
    signed: bool = option(Flag(), False, "neurons may take spikes back by negative ones")
    lower: str = option(Enum("zero", "threshold"), "zero", "with signed: take back at v < 0, or at v <= -theta")
    v0: float = option(
        Real(0, 1), 0.5, "membrane before the first step, as a fraction of the threshold (of the least spike)"
    )
    reset: str = option(Enum("soft", "hard"), "soft", "what the membrane does after a spike")
    schedule: Any = option(RecordOf("schedule"), LayerSync(), "layer_sync | stepwise | early_fire(start=..)")
    readout: Any = option(
        RecordOf("readout"),
        MembraneReadout(),
        "how outputs are read: membrane | count | mean(start=.. or auto) | first_spike",
    )
    input: Any = option(
        AnyOf(Enum("direct"), RecordOf("code")), "direct", "direct, or the code that inputs are encoded in"
    )
    correct: Any = option(
        AnyOf(Enum("none", "light", "advanced"), RecordOf("correction")),
        "none",
        "after conversion, layer by layer: channel errors into biases; advanced: and neurons' errors into their v0. Or "
        "a trial of each input first: srp(steps=4) | cos(steps=8)",
    )
    samples: int | None = option(
        Optional(Integer(1)),
        None,
        "samples that corrections are found on; none means 1024 / T, 16 to 128. Also how many are made (128)",
    )
    calibration: str = option(
        Enum(*CALIBRATION), "data", "the data given, or samples made from the model: no real data is used"
    )
    seed: int = option(Integer(0), 0, "seed of a random input code, and of samples that are made")
    allow_unconverted: bool = option(Flag(), False, "leave activations without a spiking form real-valued")
    batch: int = option(Integer(1), 128, "samples run at once for calibration")

    def check(self) -> None:
        """See Record: what is made from the model needs no data."""
        if self.calibration != "data":
            object.__setattr__(self, "needs", ())
        check_code(self.code, self.schedule, self.steps)
        check_readout(self.readout, self.code, self.schedule, self.window)
        if isinstance(self.correct, TwoStage):
            check_two_stage(self.correct, self.code, self.schedule, self.window, self.reset, self.signed)
        if self.reset == "hard" and (self.signed or self.code.signed):
            raise error("bad-value", "`convert-snn`: signed neurons need reset=soft", help="leave signed or reset out")
        check_reset(self.code, self.schedule, self.reset)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        check_source(module)
        samples = calibration_samples(self.calibration, module, context, self.word, count=self.samples, seed=self.seed)
        data = samples.inputs
        log = apply_rules(module, (*activation_forms.RULES, *POOLING), self.word)
        if self.v0 != 0.5 and self.code.round_offset(self.v0, self.window) == self.code.round_offset(0.0, self.window):
            context.note(f"v0={self.v0:g} says nothing to neurons of {self.code.label}, which round by themselves")
        context.rewrites.append(log)
        layers = self.layers(module, data, context, samples.provenance)
        few = [x[: self.samples or min(128, max(16, 1024 // self.window))] for x in data]
        names = [op.result.name for op in layers] if self.correct in ("light", "advanced") else []
        targets = dict(tapped(module, names, few, context.runtime, self.batch))
        outputs = self._output_ranges(module, data, context) if self.readout.needs_ranges else []
        options = self._settled(module, layers, data, context)
        converter = Converter(options, module, layers, self._input_ranges(data), outputs)
        rows = converter.build()
        eliminate(module)
        if targets:
            self._correct(module, few, targets, context)
        context.tables["coverage"] = [r.as_dict() for r in rows]
        self._report(rows, samples, context)

    def _settled(
        self, module: Module, layers: dict[Op, Layer], data: Sequence[np.ndarray[Any, Any]], context: PassContext
    ) -> ConvertSnn:
        """These options, with a readout that knows where it begins."""
        if not self.readout.needs_delay:
            return self
        delay = first_spikes(module, layers, data, context, self.v0, self.window, self.batch)
        window = read_window(self.code, self.schedule, self.window)
        readout = self.readout.settled(delay, self.window, window)
        context.note(f"first spikes come through after {delay:.1f} steps: outputs are read by {readout}")
        return replace(self, readout=readout)

    @property
    def window(self) -> int:
        """The number of timesteps."""
        return self.steps or self.code.default_steps() or DEFAULT_STEPS

    def layers(
        self, module: Module, data: Sequence[Array], context: PassContext, provenance: str = "given"
    ) -> dict[Op, Layer]:
        """The neurons of activations: as facts give them, else with thresholds from the data."""
        found = [(op, s) for op in module.main.ops if (s := shape_of(module, op)) is not None]
        layers = {op: layer for op, s in found if (layer := given_layer(op, s, self.window)) is not None}
        # a Gaussian fit is one of what goes into the activation, which may go into several
        before = self.threshold == "gaussian"
        by_name: dict[str, list[tuple[Op, Shape]]] = {}
        for op, shape in found:
            value = op.operands[0] if before else op.result
            if op not in layers and value is not None:
                by_name.setdefault(value.name, []).append((op, shape))
        for name, array in tapped(module, list(by_name), data, context.runtime, self.batch):
            for op, shape in by_name[name]:
                layers[op] = replace(
                    self._layer(op, shape, array, context), provenance=given_provenance(op) or provenance
                )
        return layers

    def _layer(self, op: Op, shape: Shape, array: Array, context: PassContext) -> Layer:
        """The neuron of an activation, its threshold from `array`."""
        code = layer_code(self, op, shape)
        axis = channel_axis(op.result) if self.per == "channel" else None
        if not ((array if self.threshold == "gaussian" else np.abs(array)) > 0).any():
            raise error(
                "no-activity",
                f"`convert-snn`: %{op.result.name} is zero on all the calibration data: no threshold follows from it",
                where=describe(op.location),
                help="calibrate on data like the training data, or remove the layer",
            )
        chosen = choose(
            self.threshold, array, axis, code=code, steps=self.window, v0=self.v0, low_slope=shape.below,
            stepwise=isinstance(self.schedule, Stepwise),
        )  # fmt: skip
        if chosen.unsettled:
            context.note(
                f"threshold={self.threshold} of %{op.result.name} has not converged for {chosen.unsettled} of "
                f"{chosen.range.size} thresholds"
            )
        value_range = chosen.range if shape.high is None else np.minimum(chosen.range, np.float32(shape.high))
        theta = (value_range / np.float32(code.reach)).astype(np.float32)
        return Layer(shape, code, theta, axis, chosen.definition, chosen.dead)

    def _correct(self, module: Module, data: list[Array], targets: dict[str, Any], context: PassContext) -> None:
        corrector = Corrector(module, context, data, targets, self.correct == "advanced", self.batch)
        found = corrector.run()
        context.tables["corrections"] = [
            {"activation": f"%{name}", "error before": before, "error after": after} for name, before, after in found
        ]
        before, after = (float(np.mean([row[i] for row in found])) for i in (1, 2))
        what = "biases and initial membranes" if self.correct == "advanced" else "biases"
        context.note(
            f"{what} corrected layer by layer on {len(data[0])} samples: mean relative square error of a layer, given "
            f"the corrected layers before it, {before:.3g} -> {after:.3g}"
        )

    def _input_ranges(self, data: Sequence[Array]) -> list[tuple[float, bool]]:
        return [(float(np.abs(x).max(initial=0.0)) or 1.0, bool((np.asarray(x) < 0).any())) for x in data]

    def _output_ranges(self, module: Module, data: Sequence[Array], context: PassContext) -> list[float]:
        outputs = context.runtime.run(module, data, batch=self.batch).outputs
        return [float(np.abs(np.asarray(y)).max(initial=0.0)) or 1.0 for y in outputs]

    def _report(self, rows: list[Row], samples: Samples, context: PassContext) -> None:
        neurons = sum(r.became == "neuron" for r in rows)
        after = sum(r.became == "after readout" for r in rows)
        left = [r for r in rows if r.became == "real-valued"]
        real = samples.provenance == "given" or any(r.provenance == "given" for r in rows)
        context.note(
            f"{neurons} activations became neurons, {after} are applied after the readout; thresholds from "
            f"{samples.description}{'' if real else '; no real data was used'}"
        )
        dead = sum(r.dead for r in rows)
        if dead:
            context.note(f"{dead} channels never fired on that data; their threshold is their layer's largest")
        if left and not self.allow_unconverted:
            raise RanvierError(
                Diagnostic(
                    "not-converted",
                    f"{r.op} %{r.activation} was not converted: {r.reason}",
                    r.where,
                    "replace it in the model, or allow it with allow_unconverted=true",
                )
                for r in left
            )
        for r in left:
            context.note(f"{r.op} %{r.activation} stays real-valued: {r.reason}")


def check_source(module: Module) -> None:
    """Raise RanvierError when the module is no network of untimed pure ops."""
    timed = next((v for v in module.main.values if v.type.time is not None), None)
    if timed is not None:
        raise error(
            "already-timed",
            f"`convert-snn`: {timed!r} has {timed.type.time} steps: the network is spiking already",
            help="convert the source network instead",
        )
    others = [op for op in module.main.ops if not isinstance(op, PureOp) and op.name != "core.return"]
    if others:
        raise RanvierError(
            Diagnostic(
                "unsupported", f"`convert-snn`: {op!r} is no pure op", describe(op.location), "convert the graphs apart"
            )
            for op in others
        )
