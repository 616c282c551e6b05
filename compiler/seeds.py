"""Which random draws an executable depends on: those of every trial, and those that were made once."""

from __future__ import annotations

from collections import Counter

from ranvier.ir.core import Module


def seeds_of(module: Module, trials: int) -> tuple[str, ...]:
    """Sentences about seeds: of ops that draw anew in each trial, and of facts, whose draws are part of the module."""
    drawn: Counter[tuple[str, int]] = Counter()
    fixed: Counter[tuple[str, int]] = Counter()
    for op in module.ops:
        if op.draws and getattr(op, "is_random", True) and "seed" in op.attributes:
            drawn[op.name, int(op.attributes["seed"])] += 1
        for fact in op.facts:
            if any(f.name == "seed" for f in fact.options()):
                fixed[fact.word, int(fact.seed)] += 1  # type: ignore[attr-defined]
    each = "trial 0" if trials == 1 else f"trials 0 to {trials - 1}"
    return (
        *(f"{name}: seed {seed}, {each} ({n} op{'s' * (n > 1)})" for (name, seed), n in sorted(drawn.items())),
        *(
            f"{word}: seed {seed}, one for all trials ({n} op{'s' * (n > 1)})"
            for (word, seed), n in sorted(fixed.items())
        ),
    )
