"""The target `meaning`: runs every op by its meaning in numpy. Slow, and what all other targets are tested against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.batching import run_in_batches
from ranvier.ir.core import Module
from ranvier.ir.interfaces import Array, RunOnly, RunResult, Support, Target
from ranvier.ir.interpret import evaluate
from ranvier.ir.text.printer import print_module


class MeaningRuntime(RunOnly):
    """A Runtime that evaluates meanings. It has no gradients and says so."""

    word = "meaning"

    def run(
        self,
        module: Module,
        inputs: Sequence[Any],
        taps: Sequence[str] = (),
        *,
        sample_ids: Array | None = None,
        trial: int = 0,
        batch: int | None = None,
    ) -> RunResult:
        """See ranvier.ir.interfaces.Runtime."""

        def once(part: Sequence[Any], ids: Array) -> RunResult:
            outputs, tapped = evaluate(module, part, taps=taps, sample_ids=ids, trial=trial)
            return RunResult(tuple(outputs), tapped)

        return run_in_batches(once, module, inputs, taps, sample_ids, batch)


@dataclass(frozen=True)
class MeaningProgram:
    """A module and the interpreter."""

    module: Module

    def run(
        self, inputs: Sequence[Any], taps: Sequence[str] = (), *, sample_ids: Array | None = None, trial: int = 0
    ) -> RunResult:
        """See ranvier.ir.interfaces.Program."""
        return MeaningRuntime().run(self.module, inputs, taps, sample_ids=sample_ids, trial=trial)

    def plan(self) -> str:
        """The module itself: nothing is lowered."""
        return f"# every op by its meaning, in this order\n{print_module(self.module)}"


@dataclass(frozen=True)
class MeaningTarget(Target):
    """Every op by its meaning, in numpy: for debugging, and the oracle of tests."""

    word = "meaning"

    def support(self) -> Sequence[Support]:
        """See Target: everything that has a meaning."""
        return tuple(Support(f"{dialect}.*") for dialect in ("core", "nn", "snn", "q"))

    def lower(self, module: Module) -> MeaningProgram:
        """See Target."""
        return MeaningProgram(module)

    def runtime(self) -> MeaningRuntime:
        """See Target."""
        return MeaningRuntime()
