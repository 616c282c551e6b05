"""A position in a text and the errors that point at it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ranvier.ir.diagnostics import Diagnostic, RanvierError

_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|#(?![a-z_])[^\n]*)*")


class Scanner:
    """Walks a text by regular expressions. `#` and `//` begin comments; `#name` is an alias, so a comment's `#`
    is followed by a blank or a capital."""

    __slots__ = ("name", "pos", "text")

    def __init__(self, text: str, name: str = "<text>"):
        self.text, self.name, self.pos = text, name, 0

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
        return self.text.count("\n", 0, pos) + 1, pos - (self.text.rfind("\n", 0, pos) + 1) + 1

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
        excerpt = f"{source}\n{' ' * (column - 1)}^"
        return RanvierError([Diagnostic(code, message, f"{self.name}:{line}:{column}", help, excerpt)])
