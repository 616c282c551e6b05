"""`table_for`: the few-spikes table for an activation over a range: shipped, cached, or fitted now."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files

from ranvier.ir.codes.few_spikes import FewSpikesTable
from ranvier.passes.few_spikes.fit import Init, Recipe, fit, relu
from ranvier.passes.few_spikes.store import Entry, Note, load, read_entries, save

SHIPPED = "tables.toml"
SLACK = 2.0
MANTISSAS = (1.0, 1.5)


@cache
def entries() -> tuple[Entry, ...]:
    """What ships: tables that `python -m tools.make_fs_tables` has fitted."""
    text = files("ranvier.passes.few_spikes").joinpath(SHIPPED).read_text(encoding="utf-8")
    return tuple(read_entries(text))


def shipped() -> tuple[FewSpikesTable, ...]:
    """The tables that ship."""
    return tuple(e.code for e in entries())


def table_for(
    function: str,
    K: int,
    low: float,
    high: float,
    *,
    seed: int = 0,
    init: Init = "tbpi",
    exact: bool = False,
    note: Note = lambda _: None,
) -> FewSpikesTable:
    """A table of K steps for inputs of `function` between low and high.

    A ReLU's follows in closed form. Else it is the shipped one of the least range that holds this one and is at most
    twice as wide; else the range is widened to round bounds (`round_range`), so that layers share tables, and the
    table comes from the cache folder, or is fitted now and put there. `exact` takes no other range than the one given.
    `note` is told what of the cache could not be used.

    Raises RanvierError for an unknown function, K beyond the limit and an empty range.
    """
    asked = Recipe(function, K, float(low), float(high), seed, init).check()
    if function == "relu":
        if asked.high <= 0:
            return relu(K, 1.0)
        return relu(K, asked.high)
    if seed == 0 and init == "tbpi":
        ready = [code for code in shipped() if (code.function, code.K) == (function, K) and _serves(code, asked, exact)]
        if ready:
            return min(ready, key=lambda code: code.high - code.low)
    bounds = (asked.low, asked.high) if exact else round_range(asked.low, asked.high)
    recipe = Recipe(function, K, *bounds, seed, init)
    found = load(recipe, note)
    if found is None:
        found = fit(function, K, recipe.low, recipe.high, seed, init, recipe.iterations, recipe.restarts, recipe.rounds)
        save(recipe, found, note)
    return found


def _serves(code: FewSpikesTable, asked: Recipe, exact: bool) -> bool:
    """Whether a table's range is the one asked for, or holds it without being much wider."""
    if exact:
        return (code.low, code.high) == (asked.low, asked.high)
    holds = code.low <= asked.low and asked.high <= code.high
    return holds and code.high - code.low <= SLACK * (asked.high - asked.low)


def round_range(low: float, high: float) -> tuple[float, float]:
    """The least range around this one whose bounds are 0 or +-1, 1.5, 2, 3, 4, 6, 8, 12, ... times any power of 2."""
    return 0.0 - _above(-low), _above(high)


def _above(x: float) -> float:
    """The least round number that is not below x."""
    if x == 0:
        return 0.0
    exponent = math.floor(math.log2(abs(x)))
    rounds = sorted(m * 2.0**e for m in MANTISSAS for e in range(exponent - 1, exponent + 2))
    if x > 0:
        return next(r for r in rounds if r >= x)
    return -next(r for r in reversed(rounds) if r <= -x)
