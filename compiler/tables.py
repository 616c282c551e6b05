"""Tables as plain text, for `print(trace)` and `print(evaluation)`; the command line may colour them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranvier.trace import Comparison, Trace

WIDTH = 140


def render(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", right: Sequence[str] = ()) -> str:
    """A table as text without colours; columns named in `right` are aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    out = io.StringIO()
    Console(file=out, width=WIDTH, highlight=False, force_terminal=False, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def number(x: float | None, digits: int = 3) -> str:
    """A number short enough to read; empty for None."""
    return "" if x is None else f"{x:.{digits}g}"


def percent(x: float | None) -> str:
    """A part as a percentage; empty for None."""
    return "" if x is None else f"{x:.2%}"


def duration(seconds: float) -> str:
    """`12 ms` or `3.4 s`."""
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def trace_table(trace: Trace) -> str:
    """One line a stage, then the notes."""
    rows: list[tuple[Any, ...]] = []
    notes: list[str] = []
    for index, stage in enumerate(trace):
        changes = " ".join(f"{count:+d} {name}" for name, count in stage.op_changes.items())
        what = "unchanged" if not stage.changed else changes
        drift = stage.drift
        rows.append(
            (
                index,
                stage.text or stage.name,
                ", ".join(stage.labels),
                duration(stage.seconds),
                sum(stage.ops_after.values()) or "",
                what,
                "" if drift is None else f"{drift.max_abs:.2g}",
                "" if drift is None else f"{drift.relative:.2%}",
                "" if drift is None else f"{drift.cosine:.5f}",
                "" if drift is None else percent(drift.top1),
            )
        )
        notes += [f"  {stage.name}: {note}" for note in stage.notes]
    measures = ("drift", "relative", "cosine", "top-1")
    columns: tuple[str, ...] = ("", "stage", "checkpoint", "time", "ops", "change", *measures)
    if not any(stage.labels for stage in trace):
        columns, rows = _without(columns, rows, 2)
    if not any(stage.drift for stage in trace):
        columns, rows = columns[:-4], [row[:-4] for row in rows]
    text = render(columns, rows, right=("", "time", "ops", *measures))
    return "\n".join([text, *(["", "notes", *notes] if notes else [])])


def comparison_table(comparison: Comparison) -> str:
    """One line a value."""
    rows = [(d.value, f"{d.max_abs:.3g}", f"{d.relative:.3%}", f"{d.cosine:.6f}") for d in comparison]
    title = f"{comparison.a} against {comparison.b}"
    return render(
        ("value", "max difference", "relative", "cosine"), rows, title, ("max difference", "relative", "cosine")
    )


def _without(columns: Sequence[str], rows: Sequence[Sequence[Any]], index: int) -> tuple[Any, Any]:
    return tuple(c for i, c in enumerate(columns) if i != index), [
        tuple(c for i, c in enumerate(row) if i != index) for row in rows
    ]
