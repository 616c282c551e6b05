"""Read facts, locations and codes from text, and give the findings of other parts a place in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.ir.diagnostics import Diagnostic, RanvierError
from ranvier.ir.facts import Fact
from ranvier.ir.fields import RecordOf
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.values import Call, Word, read_value


def read_facts(s: Scanner, alias: Callable[[str, int], Any]) -> tuple[Fact, ...]:
    """Read `[fact, fact(...)]`; raises RanvierError with position."""
    pos = s.pos
    values = read_value(s, alias)
    if not isinstance(values, tuple):
        raise s.error(["a list of facts"], pos)
    return tuple(read_record_of(s, "fact", v, pos) for v in values)


def read_record_of(s: Scanner, family: str, value: Any, pos: int) -> Any:
    """The record of a family that a value read at `pos` stands for; raises RanvierError with position."""
    try:
        return RecordOf(family).read(value if isinstance(value, Call) else Word(str(value)))
    except ValueError as why:
        raise s.error(pos=pos, code="bad-value", message=str(why)) from None
    except RanvierError as why:
        raise placed(s, why, pos) from None


def placed(s: Scanner, why: RanvierError, pos: int) -> RanvierError:
    """The same findings with their place in the text."""
    shown = s.error(pos=pos, message="x").diagnostics[0]
    return RanvierError(
        Diagnostic(d.code, d.message, shown.where, d.help, shown.excerpt, d.notes) for d in why.diagnostics
    )
