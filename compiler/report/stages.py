"""A stage of the trace as the page shows it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ranvier.report.diffs import Cut, cut, diff, whole
from ranvier.report.views import Change, StageView, TableView, duration, table_of
from ranvier.trace import Stage

# Kinds of ops shown in one row of the table of passes.
MOST_CHANGES = 6


def stage_views(stages: Sequence[Stage]) -> tuple[StageView, ...]:
    """All stages of a trace, each with its difference from the one before."""
    most = max((stage.seconds for stage in stages), default=0.0) or 1.0
    views = []
    before: Cut | None = None
    for number, stage in enumerate(stages):
        after = cut(stage.listing)
        share = round(100 * stage.seconds / most)
        views.append(_view(number, stage, before, after, share))
        before = after
    return tuple(views)


def _view(number: int, stage: Stage, before: Cut | None, after: Cut, share: int) -> StageView:
    plan = stage.load is None
    changes = op_changes(stage)
    # a plan is another language: a diff of it against a module would mark every line
    lines = [] if before is None or plan or not stage.changed else diff(before.lines, after.lines)
    total = sum(stage.ops_after.values())
    return StageView(
        number=number,
        name=stage.name,
        pass_text=stage.text,
        time=duration(stage.seconds) if stage.seconds else "",
        share=share if stage.seconds else 0,
        ops_after="" if plan else f"{total:,}",
        changed=stage.changed or number == 0,
        summary=_summary(stage, number, changes),
        changes=changes[:MOST_CHANGES],
        changes_left_out=max(0, len(changes) - MOST_CHANGES),
        drift=_drift(stage),
        notes=tuple(stage.notes),
        tables=tuple(tables(stage)),
        diff=tuple(lines),
        diff_left_out=before.left_out + after.left_out if before is not None and lines else 0,
        whole=tuple(whole(after.lines)),
        whole_title="The lowered plan" if plan else "The whole text",
        lines=len(after.lines) + after.left_out,
        left_out=after.left_out,
        text_only=plan or number == 0,
    )


def op_changes(stage: Stage) -> tuple[Change, ...]:
    """How the counts of ops changed, the largest changes first."""
    order = sorted(stage.op_changes.items(), key=lambda item: (-abs(item[1]), item[0]))
    return tuple(Change(f"{name} {count:+d}", "more" if count > 0 else "less") for name, count in order)


def _drift(stage: Stage) -> tuple[str, ...]:
    found = stage.drift
    if found is None:
        return ()
    top1 = "" if found.top1 is None else f"{found.top1:.1%}"
    return (f"{found.max_abs:.2g}", f"{found.relative:.2%}", f"{found.cosine:.5f}", top1)


def _summary(stage: Stage, number: int, changes: Sequence[Change]) -> str:
    if stage.load is None:
        return "what the target runs"
    if number == 0:
        return f"the source model, {sum(stage.ops_after.values()):,} ops"
    if not stage.changed:
        return "changed nothing"
    fired = sum(len(_of(log, "applied")) for log in stage.rewrites)
    parts = [f"{fired} rewrite{'s' * (fired != 1)}"] if fired else []
    parts += [change.text for change in changes[:3]] or ["the same ops"]
    return ", ".join(parts) + (", ..." if len(changes) > 3 else "")


def tables(stage: Stage) -> Iterator[TableView]:
    """The tables that a pass left, the rewrites that fired, and those that did not with the nearest miss."""
    for name, rows in stage.tables.items():
        if rows:
            yield table_of(name, rows)
    fired = Counter((_of(one, "rule"), _of(one, "algebra")) for log in stage.rewrites for one in _of(log, "applied"))
    if fired:
        rows = [{"rule": rule, "times": n, "algebra": algebra} for (rule, algebra), n in fired.items()]
        yield table_of("Rewrites applied", rows)
    misses = [miss for log in stage.rewrites for miss in _values(_of(log, "misses"))]
    missed = [
        {key: _of(miss, key) for key in ("rule", "reason", "at")}
        for miss in misses
        if (_of(miss, "rule"), _of(miss, "algebra")) not in fired
    ]
    if missed:
        yield table_of("Rules that did not match, with the reason of the nearest try", missed)


def _of(record: Any, key: str) -> Any:
    """A field of a record, or of the plain dictionary that a saved one has become."""
    if isinstance(record, Mapping):
        return record.get(key, ())
    if dataclasses.is_dataclass(record):
        return getattr(record, key)
    return ()


def _values(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, Mapping) else list(found)


def coverage(stages: Sequence[Stage]) -> tuple[TableView, ...]:
    """The tables about what was converted and what was not, from whichever pass left them."""
    return tuple(
        dataclasses.replace(table_of("", rows), heading=f"{name[:1].upper()}{name[1:]} ({stage.name})")
        for stage in stages
        for name, rows in stage.tables.items()
        if rows and "coverage" in name
    )
