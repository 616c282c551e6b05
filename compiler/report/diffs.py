"""The text of a stage against the one before it, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# A stage of more lines is cut: a page of a hundred thousand lines opens in no browser.
MOST_LINES = 5000
CONTEXT = 3


@dataclass(frozen=True)
class Line:
    """One line of a diff. `kind` is same, gone, new or gap; a gap stands for `skipped` equal lines left out."""

    kind: str
    text: str
    before: int | None = None
    after: int | None = None
    skipped: int = 0


@dataclass(frozen=True)
class Cut:
    """The lines of a text that are shown, and how many are not."""

    lines: tuple[str, ...]
    left_out: int = 0


def cut(text: str, most: int = MOST_LINES) -> Cut:
    """The first `most` lines of a text."""
    lines = text.splitlines()
    return Cut(tuple(lines[:most]), max(0, len(lines) - most))


def diff(before: Sequence[str], after: Sequence[str], context: int = CONTEXT) -> list[Line]:
    """The lines that changed with `context` lines around them; empty when nothing changed."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    lines: list[Line] = []
    reached = 0
    for group in matcher.get_grouped_opcodes(context):
        _, first, _, _, _ = group[0]
        if first > reached:
            lines.append(Line("gap", "", skipped=first - reached))
        for tag, i0, i1, j0, j1 in group:
            if tag == "equal":
                lines += [Line("same", before[i0 + n], i0 + n + 1, j0 + n + 1) for n in range(i1 - i0)]
            else:
                lines += [Line("gone", before[i], before=i + 1) for i in range(i0, i1)]
                lines += [Line("new", after[j], after=j + 1) for j in range(j0, j1)]
        reached = group[-1][2]
    if lines and reached < len(before):
        lines.append(Line("gap", "", skipped=len(before) - reached))
    return lines


def whole(after: Sequence[str]) -> list[Line]:
    """Every line of a text, unmarked."""
    return [Line("same", text, after=n) for n, text in enumerate(after, 1)]


def unified(before: str, after: str, names: tuple[str, str]) -> Iterator[str]:
    """A unified diff as text, for a terminal or a file."""
    yield from difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=CONTEXT)
