"""`ranvier estimate`: what a model would cost on a target, from its shapes alone."""

from __future__ import annotations

from typing import Any

from ranvier.cli.console import emit, paragraph, table
from ranvier.cli.models import read_model
from ranvier.ir.cost import Activity, Cost
from ranvier.ir.diagnostics import error


def estimate_model(given: str, target: str, steps: int | None, density: float | None, alive: str) -> None:
    """Print the cost of a model on a target; nothing is run and no weight is looked at."""
    from ranvier.estimate import estimate

    left = _numbers(alive)
    chosen = steps if steps is not None or left is None else len(left)
    show_cost(estimate(read_model(given), target, steps=chosen, alive=left, density=density), Activity(chosen, left))


def _numbers(text: str) -> tuple[float, ...] | None:
    if not text:
        return None
    try:
        return tuple(float(t) for t in text.split(","))
    except ValueError:
        message = f"--alive takes numbers from 0 to 1, not {text!r}"
        raise error("bad-value", message, help="one a step, such as --alive 1,1,0.6,0.2") from None


def show_cost(found: Cost, activity: Activity) -> None:
    """The figures, the tables by layer and component, and what must be read with them."""
    table(("figure", "value"), found.figures(), right=("value",))
    for title, rows in found.tables().items():
        emit(f"\n{title}")
        columns = [name for name in rows[0] if any(row[name] for row in rows)]
        cells: list[tuple[Any, ...]] = [tuple(row[name] for name in columns) for row in rows]
        table(columns, cells, right=columns[1:])
    emit("")
    steps = "once" if activity.steps is None else f"over {activity.steps} steps"
    paragraph(f"An estimate from shapes: layers without a number of steps of their own run {steps}; nothing was run.")
    for remark in found.remarks():
        paragraph(remark)
