"""`fit`: tables of a few-spikes neuron for an activation over a range of inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ranvier.ir.codes.few_spikes import FUNCTIONS, LONGEST, FewSpikesTable, activation
from ranvier.ir.diagnostics import error, suggest
from ranvier.passes.few_spikes.initial import random_tables, tendency
from ranvier.passes.few_spikes.refine import refine, solve_values
from ranvier.passes.few_spikes.training import Adam, Array, Tables, gradients, outputs

VERSION = 1
"""Changes with every change of what `fit` gives: tables in caches are of one version."""
BATCH = 512
CHECKED = 4096
SEARCHED = 1024
EVERY = 25
RATES = (0.09, 0.5)
PENALTIES = (0.08, 0.12)
FIRST_SHARE = 0.4
SECOND_RATE = 0.5
DIGITS = 7

Init = Literal["tbpi", "random"]


@dataclass(frozen=True)
class Recipe:
    """What a table is the result of: equal recipes give equal tables."""

    function: str
    K: int
    low: float
    high: float
    seed: int = 0
    init: Init = "tbpi"
    iterations: int = 2000
    restarts: int = 8
    rounds: int = 1000

    def check(self) -> Recipe:
        """This recipe; raises RanvierError naming what cannot be fitted."""
        if self.function not in FUNCTIONS:
            raise error(
                "unknown-name", f"no table is made for {self.function!r}", help=suggest(self.function, FUNCTIONS)
            )
        if not 1 <= self.K <= LONGEST:
            raise error("bad-value", f"few-spikes neurons have 1 to {LONGEST} steps, not K={self.K}")
        if not -np.inf < self.low < self.high < np.inf:
            raise error(
                "bad-value",
                f"the range {self.low:g} .. {self.high:g} of {self.function}'s inputs is empty or infinite",
                help="give the smallest and the largest input",
            )
        if self.init not in ("tbpi", "random"):
            raise error("bad-value", f"init is tbpi or random, not {self.init!r}")
        if self.iterations < 1 or self.restarts < 1 or self.rounds < 0:
            raise error("bad-value", "a fit needs iterations and restarts of at least 1, and rounds of at least 0")
        return self


def fit(
    function: str,
    K: int,
    low: float,
    high: float,
    seed: int = 0,
    init: Init = "tbpi",
    iterations: int = 2000,
    restarts: int = 8,
    rounds: int = 1000,
) -> FewSpikesTable:
    """Tables of K steps for `function` on [low, high] with the least mean squared error found.

    `restarts` neurons are trained by pseudo-gradients for `iterations` in all: with `random` from random tables, with
    `tbpi` two fifths of them from there, and the rest from the tendency of what that gave. The best one is improved by
    `rounds` of random search over thresholds and falls, whose values follow by least squares; 0 leaves the training's
    own. The same arguments give the same table. Raises RanvierError for what cannot be fitted.

    Sources: Stöckl & Maass 2021 (loss, pseudo-derivative, initial values), Jeong et al. 2024 (TBPI).
    """
    recipe = Recipe(function, K, float(low), float(high), seed, init, iterations, restarts, rounds).check()
    draw = np.random.default_rng(seed)
    x, wanted = samples(recipe, CHECKED)
    trained, errors = train(recipe, draw, x, wanted)
    best = trained.rows([int(errors.argmin())])
    if rounds:
        best = refine(best, *samples(recipe, SEARCHED), rounds, draw)
        best.d = solve_values(best, x, wanted)
    return as_code(recipe, best)


def samples(recipe: Recipe, count: int) -> tuple[Array, Array]:
    """The middles of `count` equal parts of the range, and the function there, in float32."""
    x = recipe.low + (recipe.high - recipe.low) * (np.arange(count) + 0.5) / count
    return x.astype(np.float32), activation(recipe.function, x).astype(np.float32)


def train(recipe: Recipe, draw: np.random.Generator, x: Array, wanted: Array) -> tuple[Tables, Array]:
    """The best tables of each restart, and their mean squared error on x."""
    tables = random_tables(draw, recipe.restarts, recipe.K)
    rate = draw.uniform(*RATES, recipe.restarts).astype(np.float32)
    penalty = draw.uniform(*PENALTIES, recipe.restarts).astype(np.float32)
    if recipe.init == "random":
        return descend(recipe, draw, tables, rate, penalty, recipe.iterations, x, wanted)
    first = int(recipe.iterations * FIRST_SHARE)
    found, errors = descend(recipe, draw, tables, rate, penalty, first, x, wanted)
    again, others = descend(
        recipe, draw, tendency(found, x), rate * np.float32(SECOND_RATE), penalty, recipe.iterations - first, x, wanted
    )
    better = others < errors
    keep = better[:, None]
    merged = Tables(
        np.where(keep, again.T, found.T), np.where(keep, again.h, found.h), np.where(keep, again.d, found.d)
    )
    return merged, np.where(better, others, errors)


def descend(
    recipe: Recipe,
    draw: np.random.Generator,
    tables: Tables,
    rate: Array,
    penalty: Array,
    iterations: int,
    x: Array,
    wanted: Array,
) -> tuple[Tables, Array]:
    """The best tables of each restart that Adam comes by; its rate falls linearly to nothing.

    A restart whose gradient overflows becomes nan; its best from before stays.
    """
    optimizer = Adam(tables)
    best, errors = tables.copy(), np.full(len(rate), np.inf)
    width = recipe.high - recipe.low
    one = np.ones(1, np.float32)
    for i in range(iterations + 1):
        if i % EVERY == 0 or i == iterations:
            with np.errstate(over="ignore", invalid="ignore"):
                now = ((outputs(tables, x) - wanted) ** 2).mean(1, dtype=np.float64)
            # a threshold that is nan never fires, and its error is a number
            better = (now < errors) & np.isfinite(tables.T + tables.h + tables.d).all(1)
            errors = np.where(better, now, errors)
            for kept, array in zip((best.T, best.h, best.d), (tables.T, tables.h, tables.d), strict=True):
                kept[better] = array[better]
        at = recipe.low + width * (np.arange(BATCH) + draw.random()) / BATCH
        target = activation(recipe.function, at).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            _, gradient = gradients(tables, at.astype(np.float32), target, one, penalty)
            optimizer.step(tables, gradient, rate * np.float32(1 - i / iterations))
    return best, errors


def as_code(recipe: Recipe, tables: Tables) -> FewSpikesTable:
    """The first of the tables as a code, its numbers cut to the digits that float32 has."""

    def row(array: Array) -> tuple[float, ...]:
        return tuple(float(f"{float(v):.{DIGITS}g}") for v in array[0])

    T, h, d = row(tables.T), row(tables.h), row(tables.d)
    return FewSpikesTable(recipe.function, T, h, d, recipe.low, recipe.high)


def squared_error(code: FewSpikesTable, count: int = 1 << 14) -> float:
    """The mean of (y - f(x))^2 over the middles of `count` equal parts of the table's range."""
    x = code.low + (code.high - code.low) * (np.arange(count) + 0.5) / count
    return float(((code.apply(x) - activation(code.function, x)) ** 2).mean())


def relu(K: int, high: float, rounded: Literal["mid", "floor"] = "mid") -> FewSpikesTable:
    """The ReLU's tables, T = h = d = high 2^-t: clip(x) to a multiple of high 2^-K, down or to the nearest.

    To the nearest is a membrane that begins with half the least value: here, thresholds lower by as much.
    """
    Recipe("relu", K, 0.0, float(high)).check()
    falls = [high * 2.0**-t for t in range(1, K + 1)]
    half: Any = high * 2.0 ** -(K + 1) if rounded == "mid" else 0.0
    return FewSpikesTable("relu", tuple(h - half for h in falls), tuple(falls), tuple(falls), 0.0, float(high))
