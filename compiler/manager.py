"""The pass manager: clone, run, verify, freeze, and keep the trace (design decision 1)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ranvier.batching import sample_count, splittable
from ranvier.drift import Drift, drift
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import Diagnostic, RanvierError, error
from ranvier.ir.interfaces import Array, Pass, PassContext, Runtime, check_invariant
from ranvier.pipeline import Checkpoint, Fixpoint, Pipeline, Step
from ranvier.repro import BUGS_OF_PASSES, InternalError, pass_failed
from ranvier.samples import first_samples
from ranvier.trace import Stage, Trace, op_counts

DRIFT_SAMPLES = 16
"""How many samples each stage is run on to see how far its outputs lie from the source model's."""

Progress = Callable[[str, int, int], None]


def no_progress(what: str, done: int, total: int) -> None:
    """Say nothing."""


@dataclass
class PassManager:
    """Runs a pipeline on a module. `data` and `labels` are checked arrays (`ranvier.samples.check_data`).

    `progress(what, done, total)` is called before each pass and once at the end.
    """

    pipeline: Pipeline
    runtime: Runtime
    data: tuple[Array, ...] | None = None
    labels: Array | None = None
    data_description: str = ""
    measure_drift: bool = True
    progress: Progress = no_progress
    trace: Trace = field(init=False)
    _reference: tuple[Array, ...] | None = field(init=False, default=None)
    _samples: tuple[Array, ...] | None = field(init=False, default=None)
    _done: int = field(init=False, default=0)

    def run(self, module: Module, *, seconds: float = 0.0) -> Trace:
        """The trace whose last stage holds the module that the pipeline makes; `seconds` is what the import took.

        Raises RanvierError when a pass lacks what it needs (before any pass runs), when a pass finds something that
        the user must mend, or (InternalError) when a pass fails; the latter leaves a folder that repeats it.
        """
        self.open(module, seconds=seconds)
        return self.finish()

    def open(self, module: Module, *, seconds: float = 0.0) -> Module:
        """Begin the trace and run the passes at the front that open inputs: the module that the data must fit."""
        if not module.frozen:
            module = module.clone().verify().freeze()
        counts = op_counts(module)
        self.trace = Trace(runtime=self.runtime)
        self._done = 0
        source = Stage(
            "source", f"source {module.name}".strip(), lambda: module, seconds, ops_before=counts, ops_after=counts
        )
        self.trace.stages.append(source)
        opened = module
        for each in opening(self.pipeline):
            opened = self._pass(each, opened, "")
            self.trace.stages[-1].opens_inputs = True
        return opened

    def finish(self) -> Trace:
        """Run the rest of the pipeline on the data; the trace. Raises RanvierError like `run`."""
        self.check_needs()
        last = self.trace.stages[-1]
        last.drift = self._first_run(self.trace.source, last)
        self._steps(self.pipeline.steps[len(opening(self.pipeline)) :], self.trace.source, "")
        self.progress("done", self._total, self._total)
        return self.trace

    def check_needs(self) -> None:
        """Raise RanvierError for every pass that needs data, labels or a runtime's ability that is not there."""
        have = {"data": self.data is not None, "labels": self.labels is not None}
        found = []
        for each in self.pipeline.passes:
            for need in each.needs:
                if not have.get(need, hasattr(self.runtime, need)):
                    found.append(_missing(each, need))
        if found:
            raise RanvierError(dict.fromkeys(found))

    @property
    def _total(self) -> int:
        return sum(1 for _ in self.pipeline.passes)

    # -- steps ---------------------------------------------------------------------------------------------------------
    def _steps(self, steps: Iterable[Step], module: Module, prefix: str) -> Module:
        for step in steps:
            if isinstance(step, Fixpoint):
                module = self._fixpoint(step, module, prefix)
            elif isinstance(step, Checkpoint):
                self._checkpoint(step)
            else:
                module = self._pass(step, module, prefix)
        return module

    def _checkpoint(self, step: Checkpoint) -> None:
        taken = {n for stage in self.trace for n in (stage.name, *stage.labels)}
        if step.name in taken:
            help = "a checkpoint needs a name of its own"
            raise error("duplicate-name", f"the trace has a stage {step.name!r} already", where=str(step), help=help)
        last = self.trace.stages[-1]
        last.labels = (*last.labels, step.name)

    def _fixpoint(self, step: Fixpoint, module: Module, prefix: str) -> Module:
        begun = self._done
        for round in range(1, step.max_rounds + 1):
            self._done = begun
            before = module
            module = self._steps(step.body, module, f"{prefix}round {round}: ")
            if module is before or module == before:
                return module
        sentence = f"`fixpoint` still changed the module in its round {step.max_rounds}, the last one allowed"
        if step.on_limit == "error":
            help = "raise max_rounds, or accept it with on_limit=note"
            raise error("limit", sentence, where=str(step), help=help)
        self.trace.stages[-1].notes.append(sentence)
        return module

    def _pass(self, each: Pass, module: Module, prefix: str) -> Module:
        self.progress(f"{prefix}{each.word}", self._done, self._total)
        _check_invariants(each, each.requires, module)
        context = PassContext(self.runtime, self.data, self.labels, self.data_description)
        started = time.perf_counter()
        made = self._run(each, module, context)
        changed = made != module
        result = made.freeze() if changed else module
        stage = Stage(
            self.trace.fresh(each.word),
            f"{prefix}{each}",
            lambda: result,
            time.perf_counter() - started,
            changed,
            op_counts(module),
            op_counts(result),
            context.notes,
            context.tables,
            context.rewrites,
        )
        self.trace.stages.append(stage)
        stage.drift = self._drift(result, stage) if changed else self.trace.stages[-2].drift
        self._done += 1
        return result

    def _run(self, each: Pass, module: Module, context: PassContext) -> Module:
        """Clone, run, verify, check what the pass promises."""
        copy = module.clone()
        try:
            each.run(copy, context)
        except RanvierError as why:
            if any(d.code in BUGS_OF_PASSES for d in why.diagnostics):
                raise pass_failed(each, module, why, self.data, self.labels) from why
            raise _named(each, why) from why
        except Exception as why:
            raise pass_failed(each, module, why, self.data, self.labels) from why
        try:
            copy.verify()
            _check_invariants(each, each.ensures, copy)
        except RanvierError as why:
            raise pass_failed(each, module, why, self.data, self.labels) from why
        return copy

    # -- drift ---------------------------------------------------------------------------------------------------------
    def _first_run(self, module: Module, stage: Stage) -> Drift | None:
        if self.data is None or not self.measure_drift:
            return None
        self._samples = first_samples(module.main, self.data, DRIFT_SAMPLES)
        self._reference = self._outputs(module, stage)
        return None if self._reference is None else self._compare(self._reference, stage)

    def _drift(self, module: Module, stage: Stage) -> Drift | None:
        if self._reference is None:
            return None
        outputs = self._outputs(module, stage)
        return None if outputs is None else self._compare(outputs, stage)

    def _outputs(self, module: Module, stage: Stage) -> tuple[Array, ...] | None:
        """Outputs on the samples; a module that cannot be run on them says so in a note."""
        assert self._samples is not None
        if [a.type for a in module.main.args] != [a.type for a in self.trace.source.main.args]:
            stage.notes.append("drift was not measured: the module takes other inputs than the source model")
            return None
        batch = DRIFT_SAMPLES if splittable(module, ()) else None
        try:
            return self.runtime.run(module, self._samples, batch=batch).outputs
        except RanvierError as why:
            stage.notes.append(f"drift was not measured: {why.diagnostics[0].message}")
            return None

    def _compare(self, outputs: Sequence[Array], stage: Stage) -> Drift | None:
        assert self._reference is not None
        assert self._samples is not None
        found = drift(self._reference, outputs, sample_count(self.trace.source.main, self._samples))
        if found is None:
            stage.notes.append("drift was not measured: the outputs have other shapes than the source model's")
        return found


def opening(pipeline: Pipeline) -> list[Pass]:
    """The passes at the front of a pipeline that open inputs."""
    return [
        step
        for step in itertools.takewhile(lambda s: isinstance(s, Pass) and s.opens_inputs, pipeline.steps)
        if isinstance(step, Pass)
    ]


def open_inputs(module: Module, pipeline: Pipeline, runtime: Runtime) -> Module:
    """The module that data for a pipeline must fit: what the passes at its front that open inputs make of it."""
    return PassManager(pipeline, runtime).open(module)


def _missing(each: Pass, need: str) -> Diagnostic:
    if need == "data":
        help = "give data= (or a `data` line with calibrate= in the recipe)"
        return Diagnostic("missing-data", f"`{each.word}` needs calibration data", str(each), help)
    if need == "labels":
        return Diagnostic("missing-data", f"`{each.word}` needs labels", str(each), "give labels= beside data=")
    help = "compile for a target whose runtime offers it, such as torch"
    return Diagnostic("unsupported", f"`{each.word}` needs a runtime with `{need}`", str(each), help)


def _check_invariants(each: Pass, names: Sequence[str], module: Module) -> None:
    found = [d for name in names for d in check_invariant(name, module)]
    if found:
        note = f"`{each.word}` requires {', '.join(names)}"
        raise RanvierError(replace(d, notes=(*d.notes, note)) for d in found)


def _named(each: Pass, why: RanvierError) -> RanvierError:
    """The same findings, saying which pass found them."""
    if isinstance(why, InternalError):
        return why
    note = f"found by the pass `{each}`"
    return RanvierError(replace(d, notes=(*d.notes, note)) for d in why.diagnostics)
