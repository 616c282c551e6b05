"""Tables of emitters: how each op is written as source. An op without an emitter runs by its meaning.

- pure and windowed ops: `emit(op, writer, *operands as text) -> expression`, or None to leave it to the meaning;
- stepped ops (with state): `emit(op, writer)` writes the lines of one step, or of several in fold mode;
- special ops (calls): `emit(op, writer)` writes its lines outside of any stage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Pure = Callable[..., str | None]
Lines = Callable[[Any, Any], None]

PURE: dict[str, Pure] = {}
STEPPED: dict[str, Lines] = {}
SPECIAL: dict[str, Lines] = {}


def pure(*names: str) -> Callable[[Pure], Pure]:
    """Register the emitter of pure or windowed ops."""

    def register(function: Pure) -> Pure:
        PURE.update(dict.fromkeys(names, function))
        return function

    return register


def stepped(*names: str) -> Callable[[Lines], Lines]:
    """Register the emitter of ops with state."""

    def register(function: Lines) -> Lines:
        STEPPED.update(dict.fromkeys(names, function))
        return function

    return register


def special(*names: str) -> Callable[[Lines], Lines]:
    """Register the emitter of ops that call graphs."""

    def register(function: Lines) -> Lines:
        SPECIAL.update(dict.fromkeys(names, function))
        return function

    return register
