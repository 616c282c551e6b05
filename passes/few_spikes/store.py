"""Fitted tables on disk: the file that ships, and one file a table in the user's cache folder. Both are TOML."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ranvier.ir.codes.few_spikes import FewSpikesTable
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.fields import RecordOf
from ranvier.ir.records import short_real
from ranvier.ir.text.values import format_value, parse_value
from ranvier.passes.few_spikes.fit import VERSION, Recipe, squared_error

Note = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """A table, the recipe that it is the result of, and its mean squared error."""

    recipe: Recipe
    code: FewSpikesTable
    error: float


def cache_folder() -> Path:
    """Where fitted tables are kept: `$RANVIER_CACHE`, or `~/.cache/ranvier`."""
    given = os.environ.get("RANVIER_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "ranvier"


def cache_path(recipe: Recipe) -> Path:
    """The file of a recipe's table; its name depends on all of the recipe and on the version of the fit."""
    key = repr((VERSION, sorted(asdict(recipe).items())))
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    return cache_folder() / "few_spikes" / f"{recipe.function}-{recipe.K}-{digest}.toml"


def write_entries(entries: Iterable[Entry]) -> str:
    """Entries as text."""
    parts = [f"version = {VERSION}\n"]
    for entry in entries:
        lines = ["[[table]]"]
        lines += [f"{name} = {_toml(value)}" for name, value in asdict(entry.recipe).items()]
        lines += [f"error = {entry.error!r}", f'code = "{format_value(entry.code.write(), short_real)}"']
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def read_entries(text: str) -> list[Entry]:
    """Entries from text. Raises ValueError with the reason when it is not as it was written."""
    content = tomllib.loads(text)
    if content.get("version") != VERSION:
        raise ValueError(f"it is of version {content.get('version')}, not {VERSION}")
    return [_entry(dict(table)) for table in content.get("table", [])]


def _entry(table: dict[str, Any]) -> Entry:
    try:
        code = RecordOf("code").read(parse_value(table.pop("code")))
        error = float(table.pop("error"))
        recipe = Recipe(**table).check()
    except (KeyError, TypeError, RanvierError) as why:
        raise ValueError(f"a table cannot be read: {why}") from None
    same = isinstance(code, FewSpikesTable) and (code.function, code.K, code.low, code.high) == (
        recipe.function, recipe.K, recipe.low, recipe.high
    )  # fmt: skip
    if not same or not math.isclose(squared_error(code), error, rel_tol=1e-6, abs_tol=1e-12):
        raise ValueError("a table is not the one that was written")
    return Entry(recipe, code, error)


def load(recipe: Recipe, note: Note) -> FewSpikesTable | None:
    """The table of a recipe from the cache; None where there is none, or none that can be used, which `note` says."""
    path = cache_path(recipe)
    try:
        (entry,) = read_entries(path.read_text(encoding="utf-8"))
        if entry.recipe != recipe:
            raise ValueError("it is of another recipe")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as why:
        note(f"the cached table {path} is not used, and fitted again: {why}")
        return None
    return entry.code


def save(recipe: Recipe, code: FewSpikesTable, note: Note) -> None:
    """Put a table into the cache in one step, so that no reader sees half of it; `note` says where it cannot be."""
    path = cache_path(recipe)
    text = write_entries([Entry(recipe, code, squared_error(code))])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(made, path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise
    except OSError as why:
        note(f"the fitted table could not be kept in {path.parent}: {why}")


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
