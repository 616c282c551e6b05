"""`fit-ttfs-kernel`: tau and t_d of every layer from its activations (T2FSNN, DAC 2020; coding card 4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.ir.codes import FirstSpike
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import error
from ranvier.ir.facts import NeuronCode
from ranvier.ir.fields import Enum, Integer, Real, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.rewriting import apply_rules
from ranvier.passes.calibration.statistics import channel_axis, describe_data, rows_of, tapped
from ranvier.passes.conversion.activations import POOLING, shape_of
from ranvier.passes.conversion.convert_snn import ThresholdKind, check_source
from ranvier.passes.conversion.thresholds import choose
from ranvier.passes.simplify import activation_forms

Array = np.ndarray[Any, Any]
PERCENTILE = 2.0
"""x_min is this percentile of what is positive: the paper's outlier-robust choice."""
GRID = tuple(2.0 ** (k / 4) for k in range(13))
"""tau = T / g for these g: the kernel falls by exp(g) over a window."""
SAMPLED = 1 << 14
"""About as many elements of a row are looked at for an error."""


@dataclass(frozen=True)
class FitTtfsKernel(Pass):
    """Find tau and t_d of every layer's kernel exp(-(t - t_d) / tau) and leave them as `neuron_code` facts.

    Activations x are taken in units of the layer's threshold, which `convert-snn` with the same `threshold` and `per`
    finds again. `grid`: the tau of T / 2^(k/4) with the least mean squared error of the decoded value, its thresholds
    found anew for each; t_d = 0, as a threshold says the same. `closed`: the kernel's first and last step are x_max,
    the largest, and x_min, the 2nd percentile of what is positive: tau = (T - 1) / ln(x_max / x_min) and
    t_d = tau ln x_max.
    `go`: the paper's gradient-based optimisation of L_prec + L_min + L_max, `epochs` times over minibatches of the
    activations, with its own learning rates of 1; of precision, only updates that lengthen tau are averaged.
    """

    word = "fit-ttfs-kernel"
    needs = ("data",)
    method: str = option(Enum("grid", "closed", "go"), "grid", "how the kernel is found")
    steps: int = option(Integer(2), 32, "timesteps T of a window")
    round: str = option(Enum("mid", "ceil"), "mid", "how spike times are rounded")
    threshold: str = option(ThresholdKind(), "mse", "how thresholds follow from activations")
    per: str = option(Enum("channel", "layer"), "channel", "one threshold a channel, or one a layer")
    epochs: int = option(Integer(1), 20, "with go: how often the activations are gone through")
    rate: float = option(Real(0), 1.0, "with go: learning rate of all three losses")
    batch: int = option(Integer(1), 128, "samples run at once, and of a step of go")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        data = context.need_data(self.word)
        check_source(module)
        context.rewrites.append(apply_rules(module, (*activation_forms.RULES, *POOLING), self.word))
        found = {op.result.name: op for op in module.main.ops if shape_of(module, op) is not None}
        if not found:
            raise error("bad-value", f"`{self.word}`: the network has no activation that a neuron stands for")
        source, table = describe_data(context, data), []
        for name, array in tapped(module, list(found), data, context.runtime, self.batch):
            value = found[name].result
            axis = channel_axis(value) if self.per == "channel" else None
            code = METHODS[self.method](self, array, axis)
            fact = NeuronCode(code, self.steps, definition=f"{self.method} on {source}")
            value.facts = (*(f for f in value.facts if f.subject != fact.subject), fact)
            table.append(
                {"activation": f"%{name}", "tau": code.tau, "t_d": code.t_d, "error": self.error(array, axis, code)}
            )
        context.tables["kernels"] = table
        context.note(f"kernels of {len(table)} layers from {source}")

    def code(self, tau: float, t_d: float) -> FirstSpike:
        """The code with this kernel."""
        return FirstSpike(tau=float(np.float32(tau)), t_d=float(np.float32(t_d)), round=self.round)

    def unit(self, array: Array, axis: int | None, code: FirstSpike) -> tuple[Array, Array]:
        """Rows of the activations in units of their thresholds under a code, and the thresholds."""
        found = choose(self.threshold, array, axis, code=code, steps=self.steps, v0=0.0)
        theta = (found.range / np.float32(code.reach))[:, None]
        return rows_of(array, axis) / theta, theta

    def error(self, array: Array, axis: int | None, code: FirstSpike) -> float:
        """Mean squared error of what the code says of the activations, relative to their mean square."""
        unit, theta = self.unit(array, axis, code)
        unit = unit[:, :: max(1, unit.shape[1] // SAMPLED)]
        off = (code.quantize(unit, self.steps) - unit) * theta
        return float(np.mean(off**2) / max(float(np.mean((unit * theta) ** 2)), 1e-30))


def by_grid(fit: FitTtfsKernel, array: Array, axis: int | None) -> FirstSpike:
    """The best of the grid."""
    codes = [fit.code(fit.steps / g, 0.0) for g in GRID]
    return min(codes, key=lambda c: fit.error(array, axis, c))


def ends(unit: Array) -> tuple[float, float]:
    """x_min and x_max of activations in units of their thresholds."""
    positive = unit[unit > 0]
    if not positive.size:
        return math.exp(-1), 1.0
    low, high = float(np.percentile(positive, PERCENTILE)), float(positive.max())
    return min(low, high * math.exp(-0.1)), high


def by_ends(fit: FitTtfsKernel, array: Array, axis: int | None) -> FirstSpike:
    """The kernel that begins at x_max and ends at x_min."""
    low, high = ends(fit.unit(array, axis, fit.code(fit.steps / 3, 0.0))[0])
    tau = (fit.steps - 1) / math.log(high / low)
    return fit.code(tau, tau * math.log(high))


def by_gradients(fit: FitTtfsKernel, array: Array, axis: int | None) -> FirstSpike:
    """Gradient steps on L_prec, L_min and L_max from tau = T/3, t_d = 0.

    L_prec = mean (x - x')^2 / 2, L_min = (x_min - exp(-(T - t_d)/tau))^2 / 2, L_max = (x_max - exp(t_d/tau))^2 / 2,
    where x' is decoded. A step that would leave tau under one tenth of a step stops there.
    """
    code = fit.code(fit.steps / 3, 0.0)
    unit, _ = fit.unit(array, axis, code)
    low, high = ends(unit)
    tau, t_d, rate = code.tau, code.t_d, fit.rate
    flat = unit.reshape(-1)
    flat = np.random.default_rng(0).permutation(flat[flat > 0])
    if not flat.size:
        return code
    parts = np.array_split(flat, max(1, min(len(array) // fit.batch, flat.size)))
    for _ in range(fit.epochs):
        for x in parts:
            now = replace(code, tau=tau, t_d=t_d)
            said = now.quantize(x, fit.steps)
            fired = said > 0
            time = t_d - tau * np.log(said[fired])
            longer = (x[fired] - said[fired]) * said[fired] * (time - t_d)
            longer = longer[longer > 0]
            least, most = math.exp(-(fit.steps - t_d) / tau), math.exp(t_d / tau)
            grown = float(longer.mean()) if longer.size else 0.0
            grown += (low - least) * least * (fit.steps - t_d)
            t_d += rate * (high - most) * most / tau
            tau = max(tau + rate * grown / tau**2, 0.1)
    return fit.code(tau, t_d)


METHODS: dict[str, Callable[[FitTtfsKernel, Array, int | None], FirstSpike]] = {
    "grid": by_grid,
    "closed": by_ends,
    "go": by_gradients,
}
