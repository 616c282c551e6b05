"""`ranvier build | run | eval`: what runs networks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ranvier.cli.arrays import check_output, read_inputs, read_named, write_arrays
from ranvier.cli.console import emit, paragraph, progress, table, tell
from ranvier.cli.models import is_artifact, read_artifact, read_model
from ranvier.ir.diagnostics import error
from ranvier.ir.quantity import readable
from ranvier.samples import check_data

if TYPE_CHECKING:
    from ranvier.building import BuildResult
    from ranvier.evaluation import Evaluation
    from ranvier.executable import Executable


# -- build -------------------------------------------------------------------------------------------------------------
def build_recipe_file(recipe: Path, report: Path | None, folder: Path | None) -> None:
    """Build a recipe, print a table of its builds, write the report and, if wanted, the artifacts."""
    from ranvier.recipe import build_recipe, load_recipe

    declared = load_recipe(recipe)
    _check_places(report, folder)
    with progress(str(recipe), lines=True) as say:
        results = build_recipe(declared, say)
    emit(f"{recipe}: {declared.model}\n")
    show_results(results)
    _show_left_out(results)
    if report is not None:
        from ranvier.report import write_report

        write_report(results, report)
        emit(f"\nwrote {report}: every stage of every build, with what each pass changed")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for result, path in zip(results, artifact_paths(folder, recipe.stem, results), strict=True):
            result.executable.save(path)
            emit(f"wrote {path} ({path.stat().st_size:,} bytes)")


def artifact_paths(folder: Path, stem: str, results: Sequence[BuildResult]) -> list[Path]:
    """One path a build: the recipe's name and the build's; builds that are called alike get a number."""
    paths: list[Path] = []
    for result in results:
        name = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{stem}-{result.name}").strip("-")
        path, n = folder / f"{name}.rvx", 1
        while path in paths:
            n += 1
            path = folder / f"{name}-{n}.rvx"
        paths.append(path)
    return paths


def _check_places(report: Path | None, folder: Path | None) -> None:
    """Find out before the work, not behind it, that a result could not be written."""
    if folder is not None:
        if folder.is_file():
            raise error(
                "cannot-write", f"{folder} is a file", help="--save takes a folder, one .rvx a build goes there"
            )
        above = next((p for p in (folder, *folder.absolute().parents) if p.exists()), folder)
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise error("cannot-write", f"cannot make the folder {folder}", help=f"{above} is no folder to write into")
    if report is not None and not report.parent.is_dir():
        help = f"make it first: mkdir -p {report.parent}"
        raise error("cannot-write", f"there is no folder {report.parent} for the report", help=help)


# Heading -> the figure of an evaluation and its format.
FIGURES = {
    "T": ("timesteps", "{:d}"),
    "accuracy": ("accuracy", "{:.2%}"),
    "source model": ("source_accuracy", "{:.2%}"),
    "agreement": ("agreement", "{:.2%}"),
    "spikes / neuron": ("spikes_per_neuron", "{:.3g}"),
    "bits / spike": ("bits_per_spike", "{:.3g}"),
    "op energy": ("op_energy_pj", "{:,.0f}"),
}
# Heading -> the figure of the target's cost model.
HARDWARE = {"energy": "energy", "latency": "latency", "area": "area"}


def show_results(results: Sequence[BuildResult]) -> None:
    """One row a build; a column that no build has is left out."""
    headings = [
        name for name, (key, _) in FIGURES.items() if any(_figure(r.evaluation, key) is not None for r in results)
    ]
    hardware = [name for name in HARDWARE if any(_hardware(r.evaluation, name) for r in results)]
    named = all(r.target in r.name for r in results)  # the names of builds say their targets already
    rows = [
        (
            r.name,
            *(() if named else (r.target,)),
            *(_cell(r.evaluation, name) for name in headings),
            *(_hardware(r.evaluation, name) for name in hardware),
        )
        for r in results
    ]
    right = [*headings, *hardware]
    table(("build", *(() if named else ("target",)), *right), rows, right=right, whole=("build",))


def _hardware(evaluation: Evaluation | None, heading: str) -> str:
    """A figure of the target's cost model; empty without one."""
    if evaluation is None or evaluation.cost is None:
        return ""
    return readable(getattr(evaluation.cost, HARDWARE[heading]))


def _figure(evaluation: Evaluation | None, key: str) -> float | None:
    return None if evaluation is None else getattr(evaluation, key)


def _cell(evaluation: Evaluation | None, heading: str) -> str:
    key, form = FIGURES[heading]
    value = _figure(evaluation, key)
    if value is not None and key.endswith("_pj"):
        return f"{form.format(value / 1e3)} nJ"
    return "" if value is None else form.format(value)


def _show_left_out(results: Sequence[BuildResult]) -> None:
    """What the figures do not say, once for all builds."""
    evaluations = [result.evaluation for result in results if result.evaluation is not None]
    if not evaluations:
        emit("\nnothing was evaluated: the recipe has no data with labels to evaluate on")
        return
    first = evaluations[0]
    left_out = dict.fromkeys(one for evaluation in evaluations for one in evaluation.not_modelled)
    emit("")
    paragraph(
        f"{first.samples} samples; spikes and op energy are per sample. Op energy of the source model: "
        f"{first.source_op_energy_pj / 1e3:,.0f} nJ ({first.energy_model}). Not modelled: {'; '.join(left_out)}."
    )
    costs = [evaluation.cost for evaluation in evaluations if evaluation.cost is not None]
    for remark in dict.fromkeys(line for cost in costs for line in cost.remarks()):
        paragraph(remark)


# -- run ---------------------------------------------------------------------------------------------------------------
def run_arrays(given: str, inputs: Sequence[Path], output: Path, target: str | None, batch: int) -> None:
    """Run a model or an artifact on arrays and write its outputs by name."""
    executable = _executable(given, target)
    graph = executable.module.main
    arrays, places = read_inputs(inputs, [arg.name for arg in graph.args])
    names = graph.terminator.attributes["names"]
    check_output(output, len(names))
    outputs = executable.run(check_data(graph, tuple(arrays), where=places), batch=batch).outputs
    write_arrays(output, dict(zip(names, outputs, strict=True)))
    for name, array in zip(names, outputs, strict=True):
        tell(f"{name}: {array.dtype} {list(array.shape)}")
    tell(f"wrote {output}")


def _executable(given: str, target: str | None) -> Executable:
    if is_artifact(given):
        artifact = read_artifact(given)
        if target is not None and target != str(artifact.target):
            help = "leave out --target, or compile the model anew"
            raise error("bad-value", f"{given} was compiled for {artifact.target}, not for {target}", help=help)
        return artifact
    from ranvier.api import compile_for

    with progress(given) as say:
        return compile_for(read_model(given), "", target or "torch", progress=say)


# -- eval --------------------------------------------------------------------------------------------------------------
def evaluate_artifact(
    artifact: Path, data: Path, names: tuple[str, str], skip: int, limit: int | None, report: Path | None
) -> None:
    """Print the evaluation of an artifact on a part of a data file."""
    from ranvier.evaluation import evaluate

    executable = read_artifact(artifact)
    images, labels = (read_named(data, name) for name in names)
    stop = None if limit is None else skip + limit
    images, labels = images[skip:stop], labels[skip:stop]
    if not len(images):
        raise error("bad-data", f"no samples are left behind --skip {skip}", where=str(data), help="skip fewer")
    place = f"{data}, from sample {skip} on" if skip else str(data)
    with progress(f"evaluating {artifact}") as say:
        say(f"evaluating {len(images)} samples", 0, 0)
        found = evaluate(executable, images, labels, where=place)
    emit(str(found))
    if report is not None:
        executable.report(report, found)
        emit(f"\nwrote {report}")


# -- codes -------------------------------------------------------------------------------------------------------------
def tabulate_codes(
    given: str,
    data: Path,
    codes: Sequence[str],
    steps: str,
    counts: tuple[int, int],
    passes: str,
    options: str,
    target: str | None,
) -> None:
    """Print the table of spike codes of a model."""
    from ranvier.api import LazyRuntime
    from ranvier.building import load_parts
    from ranvier.code_table import code_table
    from ranvier.manager import open_inputs
    from ranvier.pipeline import parse_pipeline
    from ranvier.recipe import DataLine, Split

    lengths = _steps(steps)
    module = read_model(given)
    calibrate, evaluate = counts
    opened = open_inputs(module, parse_pipeline(passes, "--passes"), LazyRuntime("torch"))
    parts = load_parts(DataLine(str(data), Split(calibrate=calibrate, evaluate=evaluate)), Path(), opened)
    tuned, tested = parts["calibrate"], parts["evaluate"]
    with progress(given) as say:
        found = code_table(
            module,
            tested.inputs,
            tested.labels,
            data=tuned.inputs,
            codes=codes,
            steps=lengths,
            passes=passes,
            options=options,
            target=target or "torch",
            data_description=tuned.description,
            progress=say,
        )
    emit(str(found))


def _steps(text: str) -> list[int]:
    try:
        found = [int(t) for t in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise error("bad-value", f"--steps takes whole numbers from 1 on, not {text!r}", help="such as --steps 4,8,16")
    return found
