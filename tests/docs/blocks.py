"""The fenced blocks of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the options behind it, its text, and the line of the page where that begins.

    Languages with a meaning for the tests: `python` and `sh` are run, `python file=a/b.py` is written to that file,
    `output` is what the block before it prints (a line of `...` stands for any lines), `rv` is a whole module, `rvp` a
    recipe. Everything else, `text` for instance, is looked at by people only.
    """

    language: str
    options: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """The file that this block is written to; empty for none."""
        found = re.search(r"file=(\S+)", self.options)
        return found.group(1) if found else ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order."""
    return list(_blocks(page.read_text(encoding="utf-8")))


def _blocks(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        opened = re.fullmatch(r"```(\S+)\s*(.*)", lines[at])
        at += 1
        if opened is None:
            continue
        begin = at
        while lines[at] != "```":
            at += 1
        yield Block(opened[1], opened[2], "\n".join(lines[begin:at]) + "\n", begin + 1)
        at += 1


def name_of(page: Path) -> str:
    """How a page is called in the tests."""
    return page.relative_to(ROOT).as_posix()
