"""Words with options in braces, as pipelines and recipes have them: `convert-snn{code=rate steps=8}`.

Reading is done in two steps. First the text becomes `Item`s, which know what is written and where; then an item is
resolved against the class that its word names, so that every complaint points at the option it is about.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ranvier.ir.diagnostics import RanvierError, near, suggest
from ranvier.ir.fields import REQUIRED
from ranvier.ir.records import Record, short_real
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.values import NAME, WORD, Call, ResourceName, format_value, read_value

R = TypeVar("R", bound=Record)
_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|#[^\n]*)*")


class OptionScanner(Scanner):
    """A scanner for text without aliases: `#` always begins a comment."""

    __slots__ = ()

    def skip(self) -> None:
        """Go past white space and comments."""
        found = _BLANK.match(self.text, self.pos)
        if found is not None:
            self.pos = found.end()


def begin(text: str, name: str) -> OptionScanner:
    """A scanner at the first token of a text."""
    scanner = OptionScanner(text, name)
    scanner.skip()
    return scanner


@dataclass(frozen=True)
class Option:
    """`name=value` as written; positions do not take part in equality."""

    name: str
    value: Any
    name_at: int = field(default=0, compare=False)
    value_at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.name}={format_value(self.value, short_real)}"


@dataclass(frozen=True)
class Item:
    """A word, its options, and for combinators the items in parentheses."""

    word: str
    options: tuple[Option, ...] = ()
    body: tuple[Item, ...] | None = None
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        inside = " ".join(map(str, self.options))
        body = "" if self.body is None else f"({', '.join(map(str, self.body))})"
        return self.word + (f"{{{inside}}}" if inside else "") + body


def read_option(s: Scanner) -> Option:
    """Read `name=value` at the scanner."""
    at = s.pos
    name = s.need(NAME, "an option's name")
    s.expect("=")
    value_at = s.pos
    return Option(name, read_value(s), at, value_at)


def read_item(s: Scanner, what: str) -> Item:
    """Read a word and its options in braces, separated by blanks or commas."""
    at = s.pos
    word = s.need(WORD, what)
    options: list[Option] = []
    if s.take("{"):
        while not s.take("}"):
            if options:
                s.take(",")
            if s.done():
                raise s.error(["`}`"])
            given = read_option(s)
            if any(given.name == other.name for other in options):
                message = f"`{word}`: {given.name!r} is given twice"
                raise s.error(pos=given.name_at, code="duplicate-name", message=message)
            options.append(given)
    return Item(word, tuple(options), None, at)


def resolve(s: Scanner, item: Item, cls: type[R], variables: Mapping[str, Any] | None = None) -> R:
    """The record that an item stands for; `variables` gives values for `$name`.

    Raises RanvierError with every wrong option, each with file, line, column, caret, the near miss and what is allowed.
    """
    fields = {f.name: f for f in cls.options()}
    given: dict[str, Any] = {}
    found: list[RanvierError] = []
    for option in item.options:
        if option.name not in fields:
            found.append(_unknown(s, item, option, list(fields)))
            continue
        kind = fields[option.name].metadata["kind"]
        try:
            given[option.name] = kind.read(substitute(option.value, variables or {}))
        except ValueError as why:
            message = f"`{item.word}`: {option.name} {why}"
            help = _describe(fields[option.name])
            found.append(s.error(pos=option.value_at, code="bad-value", message=message, help=help))
        except RanvierError as why:
            found.append(placed(s, why, option.value_at))
    written = {option.name for option in item.options}
    for name, each in fields.items():
        if each.default is REQUIRED and each.default_factory is REQUIRED and name not in written:
            message = f"`{item.word}` needs {name!r}"
            found.append(s.error(pos=item.at, code="missing-option", message=message, help=_describe(each)))
    if found:
        raise RanvierError(d for each in found for d in each.diagnostics)
    try:
        return cls(**given)
    except RanvierError as why:
        raise placed(s, why, item.at) from None


def substitute(value: Any, variables: Mapping[str, Any]) -> Any:
    """A value of the grammar with every `$name` of a variable replaced, inside lists and calls too."""
    if isinstance(value, ResourceName):
        return variables.get(str(value), value)
    if isinstance(value, tuple):
        return tuple(substitute(v, variables) for v in value)
    if isinstance(value, Call):
        fields = {k: substitute(v, variables) for k, v in value.fields.items()}
        return Call(value.name, tuple(substitute(v, variables) for v in value.args), fields)
    return value


def variables_of(value: Any) -> set[str]:
    """The names of all `$name` in a value of the grammar."""
    if isinstance(value, ResourceName):
        return {str(value)}
    if isinstance(value, Call):
        value = (*value.args, *value.fields.values())
    return set().union(*map(variables_of, value)) if isinstance(value, tuple) else set()


def placed(s: Scanner, why: RanvierError, at: int) -> RanvierError:
    """The same findings with their place in the text."""
    shown = s.error(pos=at, message="-").diagnostics[0]
    return RanvierError(dataclasses.replace(d, where=shown.where, excerpt=shown.excerpt) for d in why.diagnostics)


def _unknown(s: Scanner, item: Item, option: Option, names: list[str]) -> RanvierError:
    message = f"`{item.word}` has no option {option.name!r}"
    help = suggest(option.name, names) if names else f"`{item.word}` takes no options"
    made = s.error(pos=option.name_at, code="unknown-option", message=message, help=help)
    if near(option.name, names) is None:
        return made
    note = f"options of `{item.word}`: {', '.join(names)}"
    return RanvierError(dataclasses.replace(d, notes=(note,)) for d in made.diagnostics)


def _describe(declared: dataclasses.Field[Any]) -> str:
    text = declared.metadata.get("help", "")
    return f"{declared.name}: {declared.metadata['kind'].describe()}" + (f" ({text})" if text else "")
