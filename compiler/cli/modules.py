"""`ranvier opt | inspect | diff | import | export`: modules in, modules and their text out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.cli.console import console, emit, progress, table, tell
from ranvier.cli.models import Place, is_artifact, read_artifact, read_model, stage_of
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import error

if TYPE_CHECKING:
    from ranvier.pipeline import Pipeline
    from ranvier.trace import Trace


# -- opt ---------------------------------------------------------------------------------------------------------------
def optimize(
    model: str,
    file: Path | None,
    text: str,
    output: Path | None,
    calibration: tuple[Path | None, int | None],
    *,
    print_after_all: bool,
    time_passes: bool,
) -> None:
    """Run a pipeline on a model; the result goes to a .rv file or as text to stdout."""
    from ranvier.api import run_passes

    pipeline = _pipeline(file, text)
    module = read_model(model)
    data, labels, described = _calibration(module, *calibration)
    with progress("opt") as report:
        trace = run_passes(module, pipeline, data=data, labels=labels, data_description=described, progress=report)
    if print_after_all:
        for stage in trace:
            tell(f"// after {stage.name}\n{stage.listing}")
    if time_passes:
        tell(str(trace))
    else:
        _say_notes(trace)
    made = trace.stages[-1].module
    assert made is not None
    if output is None:
        emit(str(made))
    else:
        write(made, output)


def _pipeline(file: Path | None, text: str) -> Pipeline:
    """The pipeline of a file or of text; `--passes FILE.rvp` is taken as a file too."""
    from ranvier.pipeline import parse_pipeline, read_pipeline

    if file is not None and text:
        raise error("bad-value", f"passes are given twice: {file} and --passes", help="give one of them")
    if text.strip().endswith(".rvp"):
        file, text = Path(text.strip()), ""
    if file is None and not text:
        help = '--passes "fold-batchnorm, canonicalize", or a file that holds such text; `ranvier passes` lists them'
        raise error("missing-option", "no passes are given", help=help)
    return parse_pipeline(text, "--passes") if file is None else read_pipeline(file)


def _calibration(module: Module, path: Path | None, limit: int | None) -> tuple[Any, Any, str]:
    """Inputs, labels and a description of the data, from a .npy or .npz file."""
    if path is None:
        return None, None, ""
    from ranvier.cli.arrays import read_samples

    names = [arg.name for arg in module.main.args]
    data, labels = read_samples(path, names)
    if limit is not None:
        data = tuple(x[:limit] for x in data)
        labels = None if labels is None else labels[:limit]
    return data, labels, str(path)


def _say_notes(trace: Trace) -> None:
    for stage in trace:
        for note in stage.notes:
            tell(f"note: {stage.name}: {note}")


# -- inspect and diff --------------------------------------------------------------------------------------------------
def inspect_file(given: str, stage: str | None, *, locations: bool, summary: bool) -> None:
    """Print a module's text, a stage's, or what an artifact holds."""
    if stage is not None and not is_artifact(given):
        raise error("bad-value", f"{given} has no stages", help="--stage is for artifacts (.rvx)")
    if is_artifact(given) and stage is None:
        _show_artifact(given)
        return
    if summary:
        module = read_model(given) if stage is None else stage_of(read_artifact(given), stage).module
        if module is None:
            raise error("unsupported", f"stage {stage} is a lowered plan and has no ops", help="leave out --summary")
        _summarize(module)
        return
    emit(Place(given, stage).listing(locations=locations))


def _show_artifact(given: str) -> None:
    artifact = read_artifact(given)
    emit(f"model     {artifact.source.name or '(unnamed)'}")
    emit(f"passes    {artifact.pipeline or '(none)'}")
    emit(f"target    {artifact.target}")
    if artifact.data_description:
        emit(f"data      {artifact.data_description}")
    emit(f"\n{artifact.trace}")
    emit(f"\n`ranvier inspect {given} --stage N` prints a stage, `ranvier diff {given}:N :M` what differs.")


def _summarize(module: Module) -> None:
    from ranvier.trace import op_counts

    emit(f"module {module.name or '(unnamed)'}")
    for name, graph in module.graphs.items():
        args = ", ".join(f"%{arg.name}: {arg.type}" for arg in graph.args)
        results = ", ".join(f"%{value.name}: {value.type}" for value in graph.outputs)
        emit(f"  @{name}({args}) -> ({results})")
    sizes = [resource.size for resource in module.resources.values()]
    emit(f"  {len(sizes)} arrays, {sum(sizes):,} numbers")
    counts = op_counts(module)
    if counts:
        emit("")
        table(("op", "count"), list(counts.items()), right=("count",))


def diff_files(first: str, second: str) -> int:
    """Print the unified diff of two modules or stages; 1 when they differ, 0 when they do not."""
    from ranvier.report.diffs import unified

    a = Place.read(first)
    b = Place.read(second, a)
    lines = list(unified(a.listing(digests=True), b.listing(digests=True), (str(a), str(b))))
    if not lines:
        tell("no difference")
        return 0
    out = console()
    if not out.is_terminal:
        emit("\n".join(lines))
        return 1
    from rich.text import Text

    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        out.print(Text(line, styles.get(line[:1], "")), soft_wrap=True)
    return 1


# -- import and export -------------------------------------------------------------------------------------------------
def import_file(model: str, output: Path | None) -> None:
    """Read a model and write it as text with its weights beside it, or print its text."""
    module = read_model(model)
    if output is None:
        emit(str(module))
    else:
        write(module, output)


def export_file(given: str, output: Path, stage: str | None) -> None:
    """Write a module, or a stage of an artifact, as text with its weights beside it."""
    if stage is None:
        module: Module | None = read_model(given)
    else:
        module = stage_of(read_artifact(given), stage).module
    if module is None:
        raise error("unsupported", f"stage {stage} is a lowered plan and no module", help="take the stage before it")
    write(module, output)


def write(module: Module, output: Path) -> None:
    """Write a .rv file and its weights, and say what was written."""
    from ranvier.module_files import write_module

    if output.suffix != ".rv":
        raise error("cannot-write", f"{output} does not end in .rv", help=f"write {output.with_suffix('.rv')}")
    for path in write_module(module, output):
        tell(f"wrote {path} ({path.stat().st_size:,} bytes)")
