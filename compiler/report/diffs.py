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
    """The lines that changed with `context` lines around them; empty when nothing changed.

    Lines are paired by what they define (`%h = ...`), so that a value stands beside what became of it even where every
    line of a module changed.
    """
    matcher = difflib.SequenceMatcher(None, [_key(line) for line in before], [_key(line) for line in after], False)
    lines: list[Line] = []
    for tag, i0, i1, j0, j1 in matcher.get_opcodes():
        if tag == "equal":
            for i, j in zip(range(i0, i1), range(j0, j1), strict=True):
                lines += _pair(before, after, i, j)
        else:
            lines += [Line("gone", before[i], before=i + 1) for i in range(i0, i1)]
            lines += [Line("new", after[j], after=j + 1) for j in range(j0, j1)]
    return _folded(lines, context)


def _key(line: str) -> str:
    """What a line defines, or the line itself."""
    defined, equals, _ = line.partition(" = ")
    return defined if equals else line


def _pair(before: Sequence[str], after: Sequence[str], i: int, j: int) -> list[Line]:
    if before[i] == after[j]:
        return [Line("same", before[i], i + 1, j + 1)]
    return [Line("gone", before[i], before=i + 1), Line("new", after[j], after=j + 1)]


def _folded(lines: Sequence[Line], context: int) -> list[Line]:
    """The same lines, with equal ones far from any change replaced by gaps."""
    near = {
        close
        for at, line in enumerate(lines)
        if line.kind != "same"
        for close in range(max(0, at - context), min(len(lines), at + context + 1))
    }
    out: list[Line] = []
    skipped = 0
    for at, line in enumerate(lines):
        if at not in near:
            skipped += 1
            continue
        out += [Line("gap", "", skipped=skipped)] if skipped else []
        skipped = 0
        out.append(line)
    return [*out, Line("gap", "", skipped=skipped)] if out and skipped else out


def whole(after: Sequence[str]) -> list[Line]:
    """Every line of a text, unmarked."""
    return [Line("same", text, after=n) for n, text in enumerate(after, 1)]


def unified(before: str, after: str, names: tuple[str, str]) -> Iterator[str]:
    """A unified diff as text, for a terminal or a file."""
    yield from difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=CONTEXT)
