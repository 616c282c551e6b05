"""Recipes: the whole declaration of a build.

    model     "digits.onnx"                                        # paths are relative to the recipe
    data      "digits.npz" calibrate=256 tune=0 evaluate=450
    sweep     steps=[4, 8, 16, 32]                                 # one build for every value of $steps
    passes    fold-batchnorm, convert-snn{code=rate steps=$steps}
    target    torch
    target    crossbar{rows=64} passes quantize{bits=8}            # more passes for this target only

One `model`, at most one `data` and one `passes`, any number of `sweep` and `target` (none means `torch`). Statements
may go over several lines; a `passes` at the beginning of a line is a statement of its own.

`data` takes an .npz file with arrays `x` and `y` (or `inputs=name`, `inputs=[a, b]`, `labels=name`, `labels=none`).
`calibrate` samples are taken from the beginning, `tune` after them, `evaluate` from the end; `rest` is all that is
left. `shuffle=SEED` permutes the samples first. Parts never overlap.

A sweep gives values for `$name` in options of passes and targets: numbers, words, calls, a list or a range `4..8`. With
several sweeps every combination is built, for each target over the variables that it uses.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.ir.diagnostics import RanvierError, error, near, suggest
from ranvier.ir.fields import AnyOf, Enum, Integer, ListOf, Optional, Text, option
from ranvier.ir.interfaces import Target
from ranvier.ir.records import Record, short_real
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.values import WORD, Range, format_value, read_value
from ranvier.option_text import Item, Option, begin, read_item, read_option, resolve, variables_of
from ranvier.pipeline import Pipeline, read_items, resolve_pipeline

if TYPE_CHECKING:
    from ranvier.building import BuildResult
    from ranvier.manager import Progress

STATEMENTS = ("model", "data", "sweep", "passes", "target")
_OPTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\s*=(?!=)")
_PART = AnyOf(Integer(0), Enum("rest"))


@dataclass(frozen=True)
class Split(Record):
    """How a data file is divided."""

    family = "recipe"
    word = "data"
    calibrate: int | str = option(_PART, 0, "samples from the beginning, for calibration")
    tune: int | str = option(_PART, 0, "samples behind them, set aside for tuning")
    evaluate: int | str = option(_PART, "rest", "samples from the end, to evaluate on")
    shuffle: int | None = option(Optional(Integer(0)), None, "seed of a permutation made first")
    inputs: str | tuple[str, ...] = option(AnyOf(Text(), ListOf(Text())), "x", "arrays of the inputs, in graph order")
    labels: str | None = option(Optional(Text()), "y", "array of class indices; none for no labels")

    def check(self) -> None:
        """See Record."""
        if [self.calibrate, self.tune, self.evaluate].count("rest") > 1:
            raise error("bad-value", "two parts of the data cannot both be the rest", help="give one of them a number")


@dataclass(frozen=True)
class DataLine:
    """A data file and its division."""

    path: str
    split: Split = field(default_factory=Split)

    def __str__(self) -> str:
        options = [f" {name}={format_value(value, short_real)}" for name, value in self.split.fields().items()]
        return format_value(self.path) + "".join(options)


@dataclass(frozen=True)
class TargetLine:
    """A target and the passes that only it gets, as written."""

    target: Item
    passes: tuple[Item, ...] = ()

    @property
    def own(self) -> str:
        """The passes that only it gets, as text."""
        return f"passes {', '.join(map(str, self.passes))}" if self.passes else ""

    def __str__(self) -> str:
        return f"{self.target} {self.own}".rstrip()


@dataclass(frozen=True)
class Build:
    """One of the builds of a recipe."""

    name: str
    pipeline: Pipeline
    target: Target
    variables: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A declaration of builds. `str` gives the text that parses back to an equal recipe."""

    model: str
    data: DataLine | None = None
    sweeps: tuple[Option, ...] = ()
    passes: tuple[Item, ...] = ()
    targets: tuple[TargetLine, ...] = (TargetLine(Item("torch")),)
    folder: Path = field(default=Path(), compare=False)
    text: Scanner | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        lines = [f"model     {format_value(self.model)}"]
        lines += [f"data      {self.data}"] if self.data is not None else []
        lines += [f"sweep     {sweep}" for sweep in self.sweeps]
        lines += [f"passes    {', '.join(map(str, self.passes))}"] if self.passes else []
        lines += [f"target    {target}" for target in self.targets]
        return "\n".join(lines) + "\n"

    def builds(self) -> list[Build]:
        """Every build: for each target, every combination of the sweeps that it uses.

        No two are called alike: where a target is named more than once, the passes that only it gets tell which is
        meant, and builds that are declared twice are numbered.
        Raises RanvierError with position for an unknown pass or target, or a wrong option.
        """
        found = [(build, line) for line in self.targets for build in self._builds(line)]
        if len(self.targets) == 1 and all(build.variables for build, _ in found):
            return _numbered([replace(build, name=_settings(build.variables)) for build, _ in found])
        taken = Counter(build.name for build, _ in found)
        return _numbered(
            [replace(b, name=f"{b.name} {line.own}") if line.passes and taken[b.name] > 1 else b for b, line in found]
        )

    def _builds(self, line: TargetLine) -> Iterator[Build]:
        from ranvier.api import resolve_target

        s = self.text or begin(str(self), "<recipe>")
        items = (*self.passes, *line.passes)
        used = _used((*items, line.target))
        sweeps = [(sweep.name, sweep_values(sweep.value)) for sweep in self.sweeps if sweep.name in used]
        for combination in itertools.product(*(values for _, values in sweeps)):
            variables = dict(zip((name for name, _ in sweeps), combination, strict=True))
            target = resolve_target(s, line.target, variables)
            pipeline = resolve_pipeline(s, items, variables)
            settings = tuple(variables.items())
            yield Build(" ".join([str(target), _settings(settings)]).strip(), pipeline, target, settings)


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe file; paths in it are relative to its folder. Raises RanvierError like `parse_recipe`."""
    from ranvier.frontends import existing_file

    found = existing_file(path)
    try:
        text = found.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise error("damaged-file", "this is no text", where=str(path), help="a recipe is UTF-8 text") from None
    return parse_recipe(text, str(path), found.parent)


def parse_recipe(text: str, name: str = "<recipe>", folder: Path | None = None) -> Recipe:
    """Parse the text of a recipe. Every build is resolved, so that all errors in it are found here.

    Raises RanvierError with file, line, column, caret, the near miss and what is allowed.
    """
    s = begin(text, name)
    recipe = _Reader(s).recipe(folder or Path())
    recipe.builds()
    return recipe


def build_recipe(recipe: Recipe | str | Path, progress: Progress | None = None) -> list[BuildResult]:
    """Compile and evaluate every build of a recipe (or recipe file), in order.

    `progress(what, done, total)` is called before each step. Raises RanvierError.
    """
    from ranvier.building import build

    return build(recipe if isinstance(recipe, Recipe) else load_recipe(recipe), progress)


def sweep_values(value: Any) -> tuple[Any, ...]:
    """The values of a sweep: those of a list or range, or the one that is given."""
    if isinstance(value, Range):
        return tuple(range(value.start, value.stop + 1))
    return value if isinstance(value, tuple) else (value,)


def _numbered(builds: list[Build]) -> list[Build]:
    """The same builds; those behind the first of a name get a number that makes the name their own."""
    taken: set[str] = {build.name for build in builds}
    used: set[str] = set()
    out = []
    for build in builds:
        name, n = build.name, 1
        while name in used or (n > 1 and name in taken):
            n += 1
            name = f"{build.name} #{n}"
        used.add(name)
        out.append(replace(build, name=name))
    return out


def _settings(variables: tuple[tuple[str, Any], ...]) -> str:
    return " ".join(f"{name}={format_value(value, short_real)}" for name, value in variables)


def _used(items: tuple[Item, ...]) -> set[str]:
    names: set[str] = set()
    for item in items:
        names.update(*(variables_of(given.value) for given in item.options), _used(item.body or ()))
    return names


class _Reader:
    """Reads the statements of a recipe."""

    def __init__(self, s: Scanner):
        self.s = s
        self.once: dict[str, int] = {}
        self.model = ""
        self.data: DataLine | None = None
        self.sweeps: list[Option] = []
        self.passes: tuple[Item, ...] = ()
        self.targets: list[TargetLine] = []

    def recipe(self, folder: Path) -> Recipe:
        """Read all statements."""
        while not self.s.done():
            self._statement()
        if "model" not in self.once:
            raise self.s.error(["`model`"], help='a recipe names its model: model "net.onnx"')
        recipe = Recipe(self.model, self.data, tuple(self.sweeps), self.passes, tuple(self.targets), folder, self.s)
        if not self.targets:
            recipe = Recipe(self.model, self.data, tuple(self.sweeps), self.passes, folder=folder, text=self.s)
        self._check_variables(recipe)
        return recipe

    def _statement(self) -> None:
        s, at = self.s, self.s.pos
        word = s.match(WORD)
        if word not in STATEMENTS:
            wanted = [f"`{name}`" for name in STATEMENTS]
            hit = near(word, STATEMENTS) if word else None
            raise s.error(wanted, at, help=f"did you mean `{hit}`?" if hit else "")
        if word in ("model", "data", "passes"):
            if word in self.once:
                raise s.error(pos=at, code="duplicate-name", message=f"a recipe has one `{word}`")
            self.once[word] = at
        getattr(self, f"_read_{word}")(at)

    def _path(self) -> str:
        if not self.s.peek('"'):
            raise self.s.error(['a path in quotes such as "net.onnx"'])
        return str(read_value(self.s))

    def _read_model(self, at: int) -> None:
        self.model = self._path()

    def _read_data(self, at: int) -> None:
        path = self._path()
        options: list[Option] = []
        while _OPTION.match(self.s.text, self.s.pos):
            options.append(read_option(self.s))
            if any(options[-1].name == other.name for other in options[:-1]):
                message = f"`data`: {options[-1].name!r} is given twice"
                raise self.s.error(pos=options[-1].name_at, code="duplicate-name", message=message)
        self.data = DataLine(path, resolve(self.s, Item("data", tuple(options), None, at), Split))

    def _read_sweep(self, at: int) -> None:
        given = read_option(self.s)
        if any(given.name == other.name for other in self.sweeps):
            message = f"two sweeps of `${given.name}`"
            raise self.s.error(pos=given.name_at, code="duplicate-name", message=message)
        if not sweep_values(given.value):
            message = f"the sweep of `${given.name}` has no values"
            raise self.s.error(pos=given.value_at, code="bad-value", message=message)
        self.sweeps.append(given)

    def _read_passes(self, at: int) -> None:
        self.passes = read_items(self.s)

    def _read_target(self, at: int) -> None:
        item = read_item(self.s, "a target")
        begins_line = not self.s.text[: self.s.pos].rpartition("\n")[2].strip()
        passes: tuple[Item, ...] = ()
        if not begins_line and self.s.peek("passes"):
            self.s.match(WORD)
            passes = read_items(self.s)
        self.targets.append(TargetLine(item, passes))

    def _check_variables(self, recipe: Recipe) -> None:
        """Every sweep is used, and no use is a misspelt one."""
        names = [sweep.name for sweep in self.sweeps]
        items = (*recipe.passes, *(i for line in recipe.targets for i in (line.target, *line.passes)))
        used = _used(items)
        found: list[RanvierError] = []
        for sweep in self.sweeps:
            if sweep.name not in used:
                near_miss = near(sweep.name, used - set(names))
                help = f"is `${near_miss}` meant?" if near_miss else f"write an option as steps=${sweep.name}"
                message = f"the sweep of `${sweep.name}` is used nowhere"
                found.append(self.s.error(pos=sweep.name_at, code="unknown-name", message=message, help=help))
        for given, name in _uses(items):
            if name not in names and (not names or near(name, names)):
                help = suggest(name, names) if names else f"give its values: sweep {name}=[...]"
                message = f"no sweep gives values for `${name}`"
                found.append(self.s.error(pos=given.value_at, code="unknown-name", message=message, help=help))
        if found:
            raise RanvierError(d for each in found for d in each.diagnostics)


def _uses(items: tuple[Item, ...]) -> Iterator[tuple[Option, str]]:
    for item in items:
        for given in item.options:
            for name in sorted(variables_of(given.value)):
                yield given, name
        yield from _uses(item.body or ())
