"""Fit the few-spikes tables that ship, passes/few_spikes/tables.toml: the best of a few seeds for each standard case.

python tools/make_fs_tables.py [FUNCTION ...]    fit all, or those of some functions; the others stay as they are
"""

from __future__ import annotations

import sys
import time
from multiprocessing import Pool
from pathlib import Path

from ranvier.passes.few_spikes.fit import Recipe, fit, squared_error
from ranvier.passes.few_spikes.store import Entry, read_entries, write_entries

FILE = Path(__file__).resolve().parent.parent / "passes" / "few_spikes" / "tables.toml"
SEEDS = range(2)
ROUNDS = 4000
CASES = (
    ("silu", 8, -8.0, 12.0),
    ("silu", 12, -8.0, 12.0),
    ("silu", 16, -8.0, 12.0),
    ("silu", 16, -8.0, 8.0),
    ("silu", 16, -4.0, 4.0),
    ("gelu", 8, -8.0, 12.0),
    ("gelu", 12, -8.0, 12.0),
    ("gelu", 16, -8.0, 12.0),
    ("gelu", 16, -8.0, 8.0),
    ("gelu", 16, -4.0, 4.0),
    ("sigmoid", 12, -10.0, 10.0),
    ("sigmoid", 16, -10.0, 10.0),
    ("tanh", 12, -5.0, 5.0),
    ("tanh", 16, -5.0, 5.0),
    ("exp", 12, -10.0, 0.0),
    ("exp", 16, -10.0, 0.0),
)


def make(recipe: Recipe) -> Entry:
    """The table of a recipe."""
    r = recipe
    code = fit(r.function, r.K, r.low, r.high, r.seed, r.init, r.iterations, r.restarts, r.rounds)
    return Entry(recipe, code, squared_error(code))


def main(functions: list[str]) -> None:
    """Fit and write."""
    kept = read_entries(FILE.read_text(encoding="utf-8")) if functions else []
    best = {_case(e.recipe): e for e in kept if e.recipe.function not in functions}
    recipes = [
        Recipe(*case, seed=seed, rounds=ROUNDS)
        for case in CASES
        for seed in SEEDS
        if not functions or case[0] in functions
    ]
    start = time.perf_counter()
    with Pool() as pool:
        for entry in pool.imap(make, recipes):
            case = _case(entry.recipe)
            if case not in best or entry.error < best[case].error:
                best[case] = entry
            print(
                f"{time.perf_counter() - start:6.0f} s  {case} seed {entry.recipe.seed}: {entry.error:.3e}", flush=True
            )
            FILE.write_text(write_entries(best[c] for c in CASES if c in best), encoding="utf-8", newline="\n")


def _case(recipe: Recipe) -> tuple[str, int, float, float]:
    return recipe.function, recipe.K, recipe.low, recipe.high


if __name__ == "__main__":
    main(sys.argv[1:])
