"""What users call: load, parse, opt, compile."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ranvier.executable import Executable
from ranvier.frontends import find_frontend
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError, error, suggest
from ranvier.ir.interfaces import Array, Optimizer, RunResult, Runtime, Target, check_support, unsupported
from ranvier.ir.resources import Resource
from ranvier.ir.text.parser import parse_module
from ranvier.manager import PassManager, Progress, no_progress
from ranvier.option_text import Item, begin, placed, read_item, resolve
from ranvier.pipeline import Pipeline, Step, as_pipeline, parse_pipeline
from ranvier.registry import find_target, target_names
from ranvier.samples import check_data, check_labels, class_count
from ranvier.trace import Stage, Trace

Passes = str | Step | Pipeline | Sequence[Step | str]


def load(path: str | os.PathLike[str]) -> Module:
    """The module of a model file: `.onnx`, `.pt2`, `.rv`, or what an installed frontend reads.

    Raises RanvierError: missing-file, unknown-format, damaged-file, unsupported-op, ...
    """
    return load_model(path)


def parse(text: str, resources: Mapping[str, Resource | Array] | None = None) -> Module:
    """The module of Ranvier text; `resources` gives arrays by name or digest. The inverse of `str(module)`.

    Raises RanvierError with line, column, caret and what was expected.
    """
    return parse_module(text, resources=resources).freeze()


def opt(module: Any, passes: Passes, *, data: Any = None, labels: Any = None) -> Module:
    """The module that a pipeline makes of a module (or of a model that `load` or `compile` take).

    `data` are calibration inputs, samples first: an array or tensor, a tuple for several inputs. A module that no pass
    changed is returned itself. Raises RanvierError.
    """
    made = run_passes(module, passes, data=data, labels=labels)[-1].module
    assert isinstance(made, Module)
    return made


def compile(
    model: Any,
    passes: Passes = "",
    *,
    target: str | Target = "torch",
    data: Any = None,
    labels: Any = None,
    example: Any = None,
) -> Executable:
    """Compile a model for a target.

    `model` is a path, a `torch.nn.Module` with an `example` input, a `torch.export` program, an ONNX model, or a
    module. `passes` is pipeline text or passes; the target adds those that it needs. `data` (and `labels`) are for
    passes that calibrate or train; they are checked before anything runs. Raises RanvierError.
    """
    return compile_for(model, passes, target, data=data, labels=labels, example=example)


def compile_for(
    model: Any,
    passes: Passes,
    target: str | Target,
    *,
    data: Any = None,
    labels: Any = None,
    example: Any = None,
    data_description: str = "",
    progress: Progress = no_progress,
) -> Executable:
    """`compile` with what recipes and the command line add: a description of the data, and progress.

    `progress(what, done, total)` is called before each pass.
    """
    chosen = as_target(target)
    pipeline = as_pipeline(passes) + parse_pipeline(chosen.pipeline(), f"<passes of {chosen.word}>")
    runtime = chosen.runtime() if chosen.trains else RunsHere(chosen)
    trace = _traced(model, pipeline, runtime, data, labels, example, data_description, progress)
    final = trace.stages[-1].module
    assert final is not None
    started = time.perf_counter()
    check_support(final, chosen.support(), str(chosen))
    program = chosen.lower(final)
    counts = trace.stages[-1].ops_after
    plan = Stage(trace.fresh("plan"), f"lower to {chosen}", None, time.perf_counter() - started, True, counts, counts)
    plan.plan = program.plan()
    trace.stages.append(plan)
    return Executable(final, chosen, program, trace, str(pipeline), data_description)


def run_passes(
    model: Any,
    passes: Passes,
    *,
    data: Any = None,
    labels: Any = None,
    example: Any = None,
    runtime: Runtime | None = None,
    data_description: str = "",
    progress: Progress = no_progress,
) -> Trace:
    """The trace of a pipeline on a model: `opt` with a record.

    Passes run networks on `runtime`, PyTorch's by default. Raises RanvierError.
    """
    runtime = runtime or LazyRuntime("torch")
    return _traced(model, as_pipeline(passes), runtime, data, labels, example, data_description, progress)


def _traced(
    model: Any,
    pipeline: Pipeline,
    runtime: Runtime,
    data: Any,
    labels: Any,
    example: Any,
    data_description: str,
    progress: Progress,
) -> Trace:
    started = time.perf_counter()
    module = load_model(model, example)
    seconds = time.perf_counter() - started
    manager = PassManager(pipeline, runtime, data_description=data_description, progress=progress)
    module = manager.open(module, seconds=seconds)
    inputs = None if data is None else check_data(module.main, data, "calibration data", data_description or "data=")
    if labels is not None and inputs is None:
        raise error("bad-data", "labels are given without data", where="labels=", help="give data= too")
    checked = None
    if labels is not None:
        from ranvier.batching import sample_count

        assert inputs is not None
        checked = check_labels(labels, sample_count(module.main, inputs), classes=class_count(module.main))
    manager.data, manager.labels = inputs, checked
    return manager.finish()


def load_model(model: Any, example: Any = None) -> Module:
    """A frozen module of whatever a user calls a model: a path, a module, or an object that a frontend reads."""
    if not isinstance(model, Module):
        model = find_frontend(model).load(model, example)
    module: Module = model
    return module if module.frozen else module.clone().verify().freeze()


def as_target(target: str | Target, name: str = "<target>") -> Target:
    """A target of its text, such as `torch{device=cpu}`, or the target itself.

    Raises RanvierError with position, near miss and what is allowed.
    """
    if isinstance(target, Target):
        return target
    if not isinstance(target, str):
        kind = type(target).__name__
        raise error(
            "bad-value", f"a target cannot be given as {kind}", help='give text such as "torch", or rv.targets.Torch()'
        )
    s = begin(target, name)
    item = read_item(s, "a target")
    if not s.done():
        raise s.error(["the end of the target", *([] if item.options else ["`{`"])])
    return resolve_target(s, item)


def resolve_target(s: Any, item: Item, variables: Mapping[str, Any] | None = None) -> Target:
    """The target that an item of a text stands for; raises RanvierError with position."""
    try:
        cls = find_target(item.word)
    except RanvierError as why:
        help = suggest(item.word, target_names())
        raise placed(s, error(why.diagnostics[0].code, why.diagnostics[0].message, help=help), item.at) from None
    return resolve(s, item, cls, variables)


class LazyRuntime:
    """The runtime of a target that is looked up when something is first run."""

    def __init__(self, word: str):
        self.word = word
        self._found: Runtime | None = None

    def _runtime(self) -> Runtime:
        if self._found is None:
            self._found = find_target(self.word)().runtime()
        return self._found

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
        return self._runtime().run(module, inputs, taps, sample_ids=sample_ids, trial=trial, batch=batch)

    def grad(self, module: Module, wrt: Sequence[str], inputs: Sequence[Any]) -> dict[str, Array]:
        """See ranvier.ir.interfaces.Runtime."""
        return self._runtime().grad(module, wrt, inputs)

    def train(
        self,
        module: Module,
        wrt: Sequence[str],
        optimizer: Optimizer,
        data: Sequence[Any],
        seed: int,
        *,
        epochs: int = 1,
        batch: int = 64,
    ) -> Module:
        """See ranvier.ir.interfaces.Runtime."""
        return self._runtime().train(module, wrt, optimizer, data, seed, epochs=epochs, batch=batch)


class RunsHere(LazyRuntime):
    """What passes get while a model is compiled for a target: `run` is the target's, `grad` and `train` PyTorch's.

    What the target's host runs, too, runs there.
    """

    def __init__(self, target: Target):
        super().__init__("torch")
        self.here = target.runtime()
        self.host = find_target(target.host)() if target.host else None
        self._on_host = self.host.runtime() if self.host else self.here

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
        runtime = self.here
        if self.host is not None and not unsupported(module, self.host.support(), self.host.word):
            runtime = self._on_host
        return runtime.run(module, inputs, taps, sample_ids=sample_ids, trial=trial, batch=batch)
