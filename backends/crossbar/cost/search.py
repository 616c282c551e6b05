"""Choosing each layer's ADC type, column sharing and width under an area budget: XPert's space, searched two ways.

`by_gradient` is XPert's search: logits a layer, a hard choice forward, its softmax backward (straight through), SGD
with momentum on `0.01 latency + weight (area - target)^2`. `by_dp` is dynamic programming over layers: its state is the
width that a layer hands to the next (the channel coupling Ci = previous Co) and the area so far in bins, each holding
its fastest way with its exact area.

XPert's training-free accuracy score is not part of either: it needs the networks and data. So with free widths the area
band stands for capacity, as the area target does in XPert's loss. Its six values of p cost the same and are one option.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.backends.crossbar.cost.layers import LayerShape
from ranvier.backends.crossbar.cost.xpert import ADC_TYPES, MUXES, XPert
from ranvier.ir.diagnostics import error

Array = np.ndarray[Any, Any]
WIDTHS = (64, 128, 256, 512)
STEPS, RATE, MOMENTUM, DECAY = 2000, 1.2, 0.99, 1e-5
LATENCY_WEIGHT, AREA_WEIGHT = 0.01, 1e-14
"""Of latency in the unit of the fits, and of squared um^2. XPert's own area weight, 1e-7, and learning rate, 12, are in
a unit of area that its script does not state; in um^2 they saturate the gates at the first step."""


@dataclass(frozen=True)
class Option:
    """One choice for a layer."""

    outputs: int
    adc: str
    mux: int


@dataclass(frozen=True)
class Band:
    """Areas that a solution may have, in um^2; `target` is what the gradient search pulls towards."""

    low: float
    high: float
    target: float

    def holds(self, area: float) -> bool:
        """Whether an area lies in the band."""
        return self.low <= area <= self.high


@dataclass(frozen=True)
class Found:
    """A solution: an option a layer, its area in um^2 and its latency in the unit of the fits."""

    options: tuple[Option, ...]
    area: float
    latency: float
    evaluated: int


@dataclass(frozen=True)
class Space:
    """Options of each layer, with area and latency by (width of the layer before, option)."""

    options: tuple[tuple[Option, ...], ...]
    area: tuple[Array, ...]
    latency: tuple[Array, ...]
    before: tuple[Array, ...]
    """before[l][o]: which width of layer l+1's table option o of layer l hands on."""

    def figures(self, chosen: Sequence[int]) -> tuple[float, float]:
        """(area, latency) of a choice a layer."""
        area = latency = 0.0
        width = 0
        for index, each in enumerate(chosen):
            area += self.area[index][width, each]
            latency += self.latency[index][width, each]
            width = int(self.before[index][each])
        return float(area), float(latency)

    def found(self, chosen: Sequence[int], evaluated: int) -> Found:
        """A choice as a solution."""
        area, latency = self.figures(chosen)
        return Found(tuple(o[c] for o, c in zip(self.options, chosen, strict=True)), area, latency, evaluated)


def make_space(layers: Sequence[LayerShape], widths: Sequence[Sequence[int]] | None = None) -> Space:
    """The space of a chain of layers.

    `widths[l]` are the output channels that layer l may have, handed on as the next one's inputs. Without them shapes
    stay as they are: a trained network's widths are fixed, and its layers need not be a chain.
    """
    model, fixed = XPert(), widths is None
    allowed = [(layer.outputs,) for layer in layers] if widths is None else [tuple(w) for w in widths]
    options, area, latency, before = [], [], [], []
    given: Sequence[int] = (layers[0].inputs,)
    for layer, mine in zip(layers, allowed, strict=True):
        choices = tuple(Option(w, a, m) for w in mine for a in ADC_TYPES for m in MUXES)
        costs = np.array([
            [_cost(model, layer, layer.inputs if fixed else inputs, option) for option in choices] for inputs in given
        ])  # fmt: skip
        options.append(choices)
        area.append(costs[..., 0])
        latency.append(costs[..., 1])
        before.append(np.array([0 if fixed else mine.index(o.outputs) for o in choices]))
        given = (0,) if fixed else mine
    return Space(tuple(options), tuple(area), tuple(latency), tuple(before))


def _cost(model: XPert, layer: LayerShape, inputs: int, option: Option) -> tuple[float, float]:
    shape = dataclasses.replace(layer, inputs=inputs, outputs=option.outputs)
    area, latency = model.layer_cost(shape, option.adc, option.mux)
    return area.to("um^2"), latency.to("xpert_time") * (layer.steps or 1)


# -- dynamic programming -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Stage:
    """Fastest ways by (width handed on, area bin): latency, area, and the (width, bin, option) that they came by."""

    latency: Array
    area: Array
    came: Array


def by_dp(space: Space, band: Band, bins: int = 4000) -> Found:
    """The fastest choice whose area lies in the band; raises RanvierError (bad-value) when there is none.

    Bins decide which of two ways is kept, areas themselves are exact: what is found is feasible, and optimal up to
    ways that differ by less than a bin's area, high / bins.
    """
    stages: list[_Stage] = [_Stage(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((1, 1, 3), int))]
    tried = 0
    for index in range(len(space.options)):
        stage, count = _advance(stages[-1], space, index, band.high, bins)
        stages.append(stage)
        tried += count
    last = stages[-1]
    allowed = np.where((last.area >= band.low) & (last.area <= band.high), last.latency, np.inf)
    if not np.isfinite(allowed).any():
        raise no_solution(space, band)
    width, place = np.unravel_index(int(allowed.argmin()), allowed.shape)
    chosen: list[int] = []
    for stage in reversed(stages[1:]):
        width, place, option = stage.came[width, place]
        chosen.append(int(option))
    return space.found(chosen[::-1], tried)


def _advance(stage: _Stage, space: Space, index: int, high: float, bins: int) -> tuple[_Stage, int]:
    """All ways one layer further."""
    widths = int(space.before[index].max()) + 1
    latency = np.full((widths, bins + 1), np.inf)
    area = np.zeros((widths, bins + 1))
    came = np.zeros((widths, bins + 1, 3), int)
    froms, places = np.nonzero(np.isfinite(stage.latency))
    tried = 0
    for target in range(widths):
        own = np.flatnonzero(space.before[index] == target)
        areas = stage.area[froms, places][:, None] + space.area[index][froms][:, own]
        times = stage.latency[froms, places][:, None] + space.latency[index][froms][:, own]
        way, pick = np.nonzero(areas <= high)
        tried += areas.size
        a, t = areas[way, pick], times[way, pick]
        slot = (a * (bins / high)).astype(int)
        order = np.lexsort((a, t))[::-1]  # the fastest comes last, and stays
        kept, first = np.unique(slot[order][::-1], return_index=True)
        best = order[::-1][first]
        latency[target, kept], area[target, kept] = t[best], a[best]
        came[target, kept] = np.stack([froms[way[best]], places[way[best]], own[pick[best]]], axis=1)
    return _Stage(latency, area, came), tried


def no_solution(space: Space, band: Band) -> Exception:
    """The error that says how small or large a chip of this space can be."""
    least = sum(float(a.min()) for a in space.area)
    most = sum(float(a.max()) for a in space.area)
    message = f"no choice of peripheries has an area from {band.low / 1e6:g} to {band.high / 1e6:g} mm^2"
    help = f"chips of this network lie between about {least / 1e6:.4g} and {most / 1e6:.4g} mm^2"
    return error("bad-value", message, where="area_mm2=", help=help)


def none_met(space: Space, band: Band, steps: int) -> Exception:
    """The error of a search that came by no solution, though there may be one."""
    least = sum(float(a.min()) for a in space.area)
    if band.high < least:
        return no_solution(space, band)
    message = (
        f"the gradient search came by no area from {band.low / 1e6:g} to {band.high / 1e6:g} mm^2 in {steps} steps"
    )
    return error("limit", message, help="use method=dp, or another rate, weight or seed")


# -- gradient gates ----------------------------------------------------------------------------------------------------
def by_gradient(
    space: Space, band: Band, seed: int = 0, steps: int = STEPS, weight: float = AREA_WEIGHT, rate: float = RATE
) -> Found:
    """XPert's search; the fastest choice in the band that it came by. Raises RanvierError when it came by none."""
    rng = np.random.default_rng(seed)
    logits = [rng.normal(0, 1e-3, len(o)) for o in space.options]
    speed = [np.zeros(len(o)) for o in space.options]
    best: tuple[float, list[int]] | None = None
    for _ in range(steps):
        chosen = [int(theta.argmax()) for theta in logits]
        area, latency = space.figures(chosen)
        if band.holds(area) and (best is None or latency < best[0]):
            best = latency, chosen
        slopes = _gate_gradients(space, chosen, LATENCY_WEIGHT, 2 * weight * (area - band.target))
        for theta, v, slope in zip(logits, speed, slopes, strict=True):
            soft = np.exp(theta - theta.max())
            soft /= soft.sum()
            gradient = soft * (slope - soft @ slope) + DECAY * theta
            v *= MOMENTUM
            v += gradient
            theta -= rate * v
    if best is None:
        raise none_met(space, band, steps)
    return space.found(best[1], steps)


def _gate_gradients(space: Space, chosen: Sequence[int], by_latency: float, by_area: float) -> list[Array]:
    """Derivative of the loss by each layer's gate at a hard choice: its own row, and what it hands on."""
    out, width = [], 0
    weighted = [by_latency * t + by_area * a for t, a in zip(space.latency, space.area, strict=True)]
    for index, each in enumerate(chosen):
        slope = weighted[index][width].copy()
        if index + 1 < len(chosen):
            slope += weighted[index + 1][space.before[index], chosen[index + 1]]
        out.append(slope)
        width = int(space.before[index][each])
    return out
