"""Pipelines: which passes run, in which order, as text or as Python objects.

fold-batchnorm,                                # comments go to the end of the line
convert-snn{code=rate steps=32},               # options are separated by blanks or commas
fixpoint{max_rounds=5}(canonicalize, dce),     # again and again until nothing changes
checkpoint{name=a}                             # trace["a"] is the stage before it
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranvier.ir.diagnostics import RanvierError, error, suggest
from ranvier.ir.fields import Enum, Integer, Text, option
from ranvier.ir.interfaces import Pass
from ranvier.ir.records import Record
from ranvier.ir.text.scanner import Scanner
from ranvier.option_text import Item, begin, placed, read_item, resolve
from ranvier.registry import find_pass, pass_names


@dataclass(frozen=True)
class Combinator(Record):
    """What stands in a pipeline beside passes."""

    family = "combinator"

    def __str__(self) -> str:
        return self.in_braces()


@dataclass(frozen=True)
class Fixpoint(Combinator):
    """Run `body` again and again until nothing changes any more."""

    word = "fixpoint"
    body: tuple[Step, ...] = ()
    max_rounds: int = option(Integer(1), 10, "the most rounds")
    on_limit: str = option(Enum("error", "note"), "error", "what to do when the last round still changed something")

    def __str__(self) -> str:
        return f"{self.in_braces()}({', '.join(map(str, self.body))})"


@dataclass(frozen=True)
class Checkpoint(Combinator):
    """Give the stage before it a name: `trace[name]`."""

    word = "checkpoint"
    name: str = option(Text(), help="the name")


Step = Pass | Fixpoint | Checkpoint
_COMBINATORS: dict[str, type[Fixpoint] | type[Checkpoint]] = {"fixpoint": Fixpoint, "checkpoint": Checkpoint}


@dataclass(frozen=True)
class Pipeline:
    """Steps in order. `str` gives the text that parses back to an equal pipeline."""

    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return ", ".join(map(str, self.steps))

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __add__(self, other: Pipeline) -> Pipeline:
        return Pipeline(self.steps + other.steps)

    @property
    def passes(self) -> Iterator[Pass]:
        """The passes, those inside combinators too, in order."""
        return _passes(self.steps)


def _passes(steps: Iterable[Step]) -> Iterator[Pass]:
    for step in steps:
        if isinstance(step, Fixpoint):
            yield from _passes(step.body)
        elif isinstance(step, Pass):
            yield step


def parse_pipeline(text: str, name: str = "<passes>") -> Pipeline:
    """Parse pipeline text; `name` stands for the file in messages.

    Raises RanvierError with file, line, column, caret, the near miss and what is allowed.
    """
    s = begin(text, name)
    items = () if s.done() else read_items(s)
    if not s.done():
        raise s.error(["`,`", *([] if not items or items[-1].options else ["`{`"]), "the end of the pipeline"])
    return resolve_pipeline(s, items)


def read_pipeline(path: str | Path) -> Pipeline:
    """Parse a file that holds pipeline text; raises RanvierError like `parse_pipeline`, or when it cannot be read."""
    from ranvier.frontends import existing_file

    found = existing_file(path)
    try:
        return parse_pipeline(found.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise error("damaged-file", "this is no text", where=str(path), help="a pipeline file is UTF-8 text") from None


def as_pipeline(passes: str | Step | Pipeline | Sequence[Step | str], name: str = "<passes>") -> Pipeline:
    """A pipeline from whatever a user gives: text, one pass, a pipeline, or a list of passes and texts."""
    if isinstance(passes, Pipeline):
        return passes
    if isinstance(passes, str):
        return parse_pipeline(passes, name)
    if isinstance(passes, Pass | Fixpoint | Checkpoint):
        return Pipeline((passes,))
    if isinstance(passes, Sequence):
        parts = [as_pipeline(each, name) for each in passes]
        return Pipeline(tuple(step for part in parts for step in part))
    kind = type(passes).__name__
    raise error("bad-value", f"passes cannot be given as {kind}", help="give text, a pass, or a list of passes")


def read_items(s: Scanner, what: str = "a pass") -> tuple[Item, ...]:
    """Read items separated by commas (a trailing comma is allowed before `)` and the end)."""
    items = [_read_item(s, what)]
    while s.take(","):
        if s.done() or s.peek(")"):
            break
        items.append(_read_item(s, what))
    return tuple(items)


def _read_item(s: Scanner, what: str) -> Item:
    item = read_item(s, what)
    at = s.pos
    if not s.take("("):
        return item
    if item.word != "fixpoint":
        help = "only fixpoint(...) holds passes; options stand in braces, such as convert-snn{steps=8}"
        raise s.error(pos=at, message=f"`{item.word}` takes no parentheses", help=help)
    body = () if s.peek(")") else read_items(s)
    if not s.take(")"):
        raise s.error(["`,`", "`)`"])
    return dataclasses.replace(item, body=body)


def resolve_pipeline(s: Scanner, items: Iterable[Item], variables: Mapping[str, Any] | None = None) -> Pipeline:
    """The pipeline that items stand for; raises RanvierError with every unknown pass and wrong option at once."""
    steps: list[Step] = []
    found: list[RanvierError] = []
    for item in items:
        try:
            steps.append(_resolve(s, item, variables))
        except RanvierError as why:
            found.append(why)
    if found:
        raise RanvierError(d for each in found for d in each.diagnostics)
    return Pipeline(tuple(steps))


def _resolve(s: Scanner, item: Item, variables: Mapping[str, Any] | None) -> Step:
    if item.word in _COMBINATORS:
        made = resolve(s, item, _COMBINATORS[item.word], variables)
        if not isinstance(made, Fixpoint):
            return made
        if not item.body:
            message, help = "`fixpoint` needs passes in parentheses", "such as fixpoint(canonicalize, dce)"
            raise s.error(pos=item.at, code="missing-option", message=message, help=help)
        return dataclasses.replace(made, body=resolve_pipeline(s, item.body, variables).steps)
    try:
        cls = find_pass(item.word)
    except RanvierError as why:
        if why.diagnostics[0].code != "unknown-pass":
            raise
        help = suggest(item.word, [*pass_names(), *_COMBINATORS])
        raise placed(s, error("unknown-pass", why.diagnostics[0].message, help=help), item.at) from None
    return resolve(s, item, cls, variables)
