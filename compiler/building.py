"""Building a recipe: load the model and its data once, compile and evaluate every build."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.api import compile_for, load_model
from ranvier.batching import sample_count, take_samples
from ranvier.evaluation import Evaluation, evaluate, source_output
from ranvier.executable import Executable
from ranvier.frontends import existing_file
from ranvier.ir.core import Graph, Module
from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.interfaces import Array
from ranvier.ir.types import Type
from ranvier.manager import Progress, no_progress, open_inputs
from ranvier.recipe import Build, DataLine, Recipe
from ranvier.samples import check_data, check_labels


@dataclass(frozen=True)
class BuildResult:
    """What one build gave. `evaluation` is None where the recipe has no data to evaluate on."""

    name: str
    target: str
    executable: Executable
    evaluation: Evaluation | None


@dataclass(frozen=True)
class Part:
    """Some of the samples of a data file, with their labels and a description that facts can carry."""

    inputs: tuple[Array, ...]
    labels: Array | None
    description: str


def build(recipe: Recipe, progress: Progress | None = None) -> list[BuildResult]:
    """See `ranvier.recipe.build_recipe`."""
    tell = progress or no_progress
    builds = recipe.builds()
    tell(f"reading {recipe.model}", 0, len(builds))
    module = load_model(str(recipe.folder / recipe.model))
    data = _PartsOfData(recipe, module)
    results: list[BuildResult] = []
    source: Array | None = None
    for index, each in enumerate(builds):

        def passing(what: str, done: int, total: int, name: str = each.name, index: int = index) -> None:
            tell(f"{name}: {what}", index, len(builds))

        parts = data.for_build(each)
        calibration = parts.get("calibrate")
        executable = compile_for(
            module,
            each.pipeline,
            each.target,
            data=None if calibration is None else calibration.inputs,
            labels=None if calibration is None else calibration.labels,
            data_description="" if calibration is None else calibration.description,
            progress=passing,
        )
        evaluation = None
        if (part := parts.get("evaluate")) is not None:
            tell(f"{each.name}: evaluating", index, len(builds))
            source = source_output(executable, part.inputs) if source is None else source
            evaluation = evaluate(executable, part.inputs, part.labels, source_outputs=source)
        results.append(BuildResult(each.name, str(each.target), executable, evaluation))
    tell("done", len(builds), len(builds))
    return results


class _PartsOfData:
    """The parts of a recipe's data, read once for all builds whose modules take the same inputs."""

    def __init__(self, recipe: Recipe, module: Module):
        self.recipe, self.module = recipe, module
        self.known: dict[tuple[Type, ...], dict[str, Part]] = {}

    def for_build(self, build: Build) -> dict[str, Part]:
        """The parts as a build's module takes them."""
        if self.recipe.data is None:
            return {}
        opened = open_inputs(self.module, build.pipeline, build.target.runtime())
        kinds = tuple(arg.type for arg in opened.main.args)
        if kinds not in self.known:
            self.known[kinds] = load_parts(self.recipe.data, self.recipe.folder, opened)
        return self.known[kinds]


def load_parts(line: DataLine, folder: Path, module: Module) -> dict[str, Part]:
    """The parts of a data file that hold samples: `calibrate`, `tune`, `evaluate`.

    Raises RanvierError: missing-file, damaged-file, unknown-name (of an array), bad-data.
    """
    path, split, graph = existing_file(folder / line.path), line.split, module.main
    names = (split.inputs,) if isinstance(split.inputs, str) else split.inputs
    wanted = [*names, *([split.labels] if split.labels is not None else [])]
    arrays = read_arrays(path, wanted)
    given = tuple(arrays[name] for name in names)
    inputs = check_data(graph, given[0] if len(given) == 1 else given, "data", str(path))
    count = sample_count(graph, inputs)
    labels = None if split.labels is None else check_labels(arrays[split.labels], count, split.labels, str(path))
    order = np.arange(count) if split.shuffle is None else np.random.default_rng(split.shuffle).permutation(count)
    parts = {}
    for name, (start, stop) in _ranges(line, count).items():
        if start < stop:
            parts[name] = _part(graph, inputs, labels, order[start:stop], path, (start, stop), split.shuffle)
    return parts


def _part(
    graph: Graph,
    inputs: tuple[Array, ...],
    labels: Array | None,
    chosen: Array,
    path: Path,
    span: tuple[int, int],
    seed: int | None,
) -> Part:
    shuffled = "" if seed is None else f" after a permutation with seed {seed}"
    description = f"{path.name}, samples {span[0]} to {span[1] - 1}{shuffled}"
    contiguous = chosen if seed is not None else slice(int(chosen[0]), int(chosen[-1]) + 1)
    return Part(take_samples(graph, inputs, contiguous), None if labels is None else labels[contiguous], description)


def _ranges(line: DataLine, count: int) -> dict[str, tuple[int, int]]:
    """Where each part begins and ends: `calibrate` and `tune` from the beginning, `evaluate` at the end."""
    sizes: dict[str, Any] = {name: getattr(line.split, name) for name in ("calibrate", "tune", "evaluate")}
    fixed = sum(size for size in sizes.values() if size != "rest")
    if fixed > count:
        asked = ", ".join(f"{name}={size}" for name, size in sizes.items() if size != "rest")
        message = f"the data hold {count} samples, {fixed} are asked for ({asked})"
        raise error("bad-data", message, where=line.path, help="ask for fewer; parts never overlap")
    sizes = {name: count - fixed if size == "rest" else size for name, size in sizes.items()}
    tuned = sizes["calibrate"] + sizes["tune"]
    return {
        "calibrate": (0, sizes["calibrate"]),
        "tune": (sizes["calibrate"], tuned),
        "evaluate": (count - sizes["evaluate"], count),
    }


def read_arrays(path: Path, names: list[str]) -> dict[str, Array]:
    """Arrays of an .npz file by name; raises RanvierError when it is damaged or lacks one."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is no archive of named arrays")
        with archive:
            for name in names:
                if name not in archive.files:
                    message = f"it holds no array called {name!r}"
                    help = f"{suggest(name, archive.files)}; say which with inputs= and labels="
                    raise error("unknown-name", message, where=str(path), help=help)
            return {name: archive[name] for name in names}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as why:
        help = "make it with numpy.savez(path, x=images, y=labels)"
        raise error("damaged-file", f"this is no .npz file: {why}", where=str(path), help=help) from None
