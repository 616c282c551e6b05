"""A position in a text and the errors that point at it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

from ranvier.ir.diagnostics import Diagnostic, RanvierError

_LETTER = re.compile(r"[A-Za-z0-9_.]")
_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|#(?![a-z_])[^\n]*)*")


class Scanner:
    """Walks a text by regular expressions. `#` and `//` begin comments; `#name` is an alias, so a comment's `#`
    is followed by a blank or a capital."""

    __slots__ = ("_lines", "depth", "name", "pos", "text")

    def __init__(self, text: str, name: str = "<text>"):
        self.text, self.name, self.pos, self.depth = text, name, 0, 0
        self._lines: list[int] = []

    def skip(self) -> None:
        """Go past white space and comments."""
        match = _BLANK.match(self.text, self.pos)
        if match is not None:
            self.pos = match.end()

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Take what matches here and the blanks behind it; None and no move otherwise."""
        found = pattern.match(self.text, self.pos)
        if found is None:
            return None
        self.pos = found.end()
        self.skip()
        return found.group()

    def peek(self, literal: str) -> bool:
        """Whether the text goes on with `literal`."""
        return self.text.startswith(literal, self.pos)

    def keyword(self, word: str) -> bool:
        """Take a whole word if it stands here, not the front of a longer one."""
        end = self.pos + len(word)
        if not self.text.startswith(word, self.pos) or _LETTER.match(self.text, end):
            return False
        self.pos = end
        self.skip()
        return True

    def take(self, literal: str) -> bool:
        """Take `literal` if it stands here."""
        if not self.text.startswith(literal, self.pos):
            return False
        self.pos += len(literal)
        self.skip()
        return True

    def expect(self, literal: str) -> None:
        """Take `literal` or raise a syntax error."""
        if not self.take(literal):
            raise self.error([f"`{literal}`"])

    def need(self, pattern: re.Pattern[str], what: str) -> str:
        """Take what matches or raise a syntax error that expected `what`."""
        found = self.match(pattern)
        if found is None:
            raise self.error([what])
        return found

    def done(self) -> bool:
        """Whether only blanks are left."""
        return self.pos >= len(self.text)

    def line_column(self, pos: int) -> tuple[int, int]:
        """Line and column of a position, both from 1."""
        if not self._lines:
            self._lines = [0, *(found.end() for found in re.finditer("\n", self.text))]
        line = bisect_right(self._lines, pos)
        return line, pos - self._lines[line - 1] + 1

    def error(
        self,
        expected: Iterable[str] = (),
        pos: int | None = None,
        *,
        code: str = "syntax",
        message: str = "",
        help: str = "",
    ) -> RanvierError:
        """A diagnostic with file, line, column, the line and a caret under `pos`, and what was expected."""
        pos = self.pos if pos is None else pos
        line, column = self.line_column(pos)
        source = self.text.split("\n")[line - 1]
        names = list(dict.fromkeys(expected))
        if not message:
            rest = self.text[pos : pos + 20].split("\n")[0].strip()
            found = (
                f"`{rest}`"
                if rest
                else "the end of the line"
                if pos < len(self.text.rstrip())
                else "the end of the text"
            )
            message = f"expected {' or '.join(names)}, found {found}"
        # a tab stays a tab, so that the caret stands under what it points at
        blanks = "".join("\t" if c == "\t" else " " for c in source[: column - 1])
        excerpt = f"{source}\n{blanks}^"
        return RanvierError([Diagnostic(code, message, f"{self.name}:{line}:{column}", help, excerpt)])
