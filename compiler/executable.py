"""What compiling gives: a program that runs, with the record of how it was made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.batching import run_in_batches
from ranvier.ir.core import Module
from ranvier.ir.interfaces import Array, Program, RunResult, Target
from ranvier.ir.interpret import check_input, zip_inputs
from ranvier.samples import as_inputs, check_finite, is_torch, to_numpy
from ranvier.trace import Trace

if TYPE_CHECKING:
    from ranvier.evaluation import Evaluation
    from ranvier.ir.cost import Activity, Cost

BATCH = 512
"""Samples handed to a program at once; the program may split them further."""


class Executable:
    """A compiled model. Call it with arrays or tensors; `trace` is how it was made, `module` what runs."""

    def __init__(
        self, module: Module, target: Target, program: Program, trace: Trace, pipeline: str, data_description: str = ""
    ):
        self.module, self.target, self.program, self.trace = module, target, program, trace
        self.pipeline, self.data_description = pipeline, data_description

    @property
    def source(self) -> Module:
        """The module as it was imported (with its inputs opened, where passes did that first)."""
        return self.trace.source

    def __call__(self, *inputs: Any) -> Any:
        """The outputs, in the units of the source model: an array, or a tuple when there are several.

        Inputs are in graph order; torch tensors give torch tensors. Raises RanvierError: bad-input when they do
        not fit, bad-data when they hold NaN or infinite numbers.
        """
        outputs = self.run(tuple(to_numpy(x) for x in inputs)).outputs
        like = next((x for x in inputs if is_torch(x)), None)
        given = tuple(outputs if like is None else (_tensor(x, like) for x in outputs))
        return given[0] if len(given) == 1 else given

    def run(
        self,
        inputs: Any,
        taps: Sequence[str] = (),
        *,
        sample_ids: Array | None = None,
        trial: int = 0,
        batch: int = BATCH,
    ) -> RunResult:
        """Outputs and the values of `@main` named in `taps`, as numpy arrays; timed ones are [T, ...].

        `sample_ids` and `trial` key the random draws: by default samples are numbered from 0. Raises RanvierError as a
        call does.
        """
        graph = self.module.main
        symbols: dict[str, int] = {}
        pairs = zip_inputs(graph, as_inputs(inputs))
        arrays = [check_input(arg, to_numpy(x), symbols) for arg, x in pairs]
        check_finite(graph, arrays)
        for name in taps:
            graph.value(name)

        def once(part: Sequence[Any], ids: Array) -> RunResult:
            return self.program.run(part, taps, sample_ids=ids, trial=trial)

        return run_in_batches(once, self.module, arrays, taps, sample_ids, batch)

    def evaluate(self, images: Any, labels: Any = None, *, batch: int | None = None, trials: int = 1) -> Evaluation:
        """Accuracy, agreement with the source model, spikes, operations and their energy; prints as one table.

        `images` is an array or tensor (a tuple for several inputs), samples first; `labels` class indices. `batch`
        bounds the samples at once. Random encoders are evaluated `trials` times. Raises RanvierError (bad-data).
        """
        from ranvier.evaluation import evaluate

        return evaluate(self, images, labels, batch=batch, trials=trials)

    def cost(self, activity: Activity | None = None) -> Cost | None:
        """What the target says a sample costs: energy, latency, area by layer and component; None without a cost model.

        Without data every input is taken as active and every sample as alive to the last step; `activity` says
        otherwise. `evaluate` fills in the spikes that it counted. Raises RanvierError (cost-not-modelled, ...).
        """
        from ranvier.ir.cost import Activity

        return self.target.cost(self.module, activity or Activity())

    def report(self, path: str | Path, evaluation: Evaluation | None = None) -> Path:
        """Write one HTML file that opens offline: every stage with diffs, coverage, drift, and the evaluation."""
        from ranvier.report import write_report

        write_report(self, path, evaluation)
        return Path(path)

    def save(self, path: str | Path) -> Path:
        """Write everything that is needed to run again, and the trace, to one `.rvx` file (whole or not at all)."""
        from ranvier.artifact import save

        return save(self, path)

    def __repr__(self) -> str:
        return f"<Executable of {self.module.name or 'a module'} for {self.target}: {len(self.trace)} stages>"


def load_executable(path: str | Path) -> Executable:
    """The executable of an `.rvx` file; its outputs are bit for bit those of the one that was saved.

    Raises RanvierError: missing-file, damaged-file (any changed byte), newer-file, unknown-target.
    """
    from ranvier.artifact import load

    return load(path)


def _tensor(array: Array, like: Any) -> Any:
    torch = sys.modules["torch"]
    if not array.flags.writeable:
        array = array.copy()
    return torch.from_numpy(array).to(like.device)
