"""What the page shows, as plain data: the template decides nothing but the look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ranvier.report.diffs import Line

# A table of more rows is cut: the artifact has them all.
MOST_ROWS = 400


@dataclass(frozen=True)
class TableView:
    """A table of texts. `right` holds the columns of numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()
    left_out: int = 0
    heading: str = ""


@dataclass(frozen=True)
class Change:
    """How the count of one op changed: `nn.conv 3 → 5`; `sign` is more or less."""

    text: str
    sign: str


@dataclass(frozen=True)
class StageView:
    """A stage: what was run, what it cost and changed, and its text."""

    number: int
    name: str
    pass_text: str
    time: str
    share: int
    ops_after: str
    changed: bool
    summary: str
    changes: tuple[Change, ...] = ()
    changes_left_out: int = 0
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tables: tuple[TableView, ...] = ()
    diff: tuple[Line, ...] = ()
    diff_left_out: int = 0
    whole: tuple[Line, ...] = ()
    whole_title: str = "The whole text"
    lines: int = 0
    left_out: int = 0
    text_only: bool = False
    open: bool = False


@dataclass(frozen=True)
class BuildView:
    """One build: a pipeline and a target."""

    id: str
    name: str
    facts: tuple[tuple[str, str], ...]
    stages: tuple[StageView, ...]
    coverage: tuple[TableView, ...] = ()
    has_drift: bool = False


@dataclass(frozen=True)
class Page:
    """Everything on the page."""

    title: str
    subtitle: str
    results: TableView
    builds: tuple[BuildView, ...]
    remarks: tuple[str, ...] = ()
    chart: Any = ""
    chart_caption: str = ""
    version: str = field(default="")


def table_of(title: str, rows: Sequence[Mapping[str, Any]], heading: str = "") -> TableView:
    """A table of records: the columns are the keys, in order of first appearance."""
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    shown = rows[:MOST_ROWS]
    numbers = frozenset(n for n, key in enumerate(columns) if _numeric(row.get(key) for row in rows))
    cells = tuple(tuple(cell(row.get(key)) for key in columns) for row in shown)
    names = tuple(key.replace("_", " ") for key in columns)
    return TableView(title, names, cells, numbers, len(rows) - len(shown), heading)


def cell(value: Any) -> str:
    """A value for a table: four significant digits, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) or (type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0):
        number = float(value)
        return f"{number:,.0f}" if abs(number) >= 1e4 and number == round(number) else f"{number:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    return str(value)


def duration(seconds: float) -> str:
    """A time with the unit that suits it."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _numeric(values: Iterable[Any]) -> bool:
    found = [v for v in values if v is not None]
    return bool(found) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in found)
