"""Ranvier text with its tokens marked, for the eye; everything is escaped."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

# Marks: o an op, c a resource, s a string, k a comment or a location. Values keep the ink of the text.
_TOKEN = re.compile(
    r'(?P<s>"(?:[^"\\]|\\.)*")|(?P<k>//.*$|#(?![a-z_]).*$|\bloc\(.*$)|(?P<c>\$[\w.\-/]+)'
    r"|(?P<o>\b[a-z]+\.[a-z_][\w]*(?=\()|\b(?:graph|return|resources|ranvier)\b)"
)


def highlight(line: str) -> Markup:
    """One line of module text as HTML."""
    parts: list[Markup] = []
    reached = 0
    for found in _TOKEN.finditer(line):
        parts.append(escape(line[reached : found.start()]))
        parts.append(Markup('<i class="{}">{}</i>').format(found.lastgroup, found.group()))
        reached = found.end()
    parts.append(escape(line[reached:]))
    return Markup("").join(parts)
