"""Where an op comes from. Locations survive rewriting and never take part in equality."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.ir.fields import Integer, ListOf, RecordOf, Text, option
from ranvier.ir.records import Record


@dataclass(frozen=True)
class Location(Record):
    """Base of all locations; prints in the value grammar inside `loc(...)`."""

    family = "location"


@dataclass(frozen=True)
class FileLoc(Location):
    """A line of a source file: the user's Python line or Ranvier text."""

    word = "file"
    file: str = option(Text())
    line: int = option(Integer(), 0)
    column: int = option(Integer(), 0)

    def describe(self) -> str:
        """`model.py:12:3`."""
        return self.file + (f":{self.line}" if self.line else "") + (f":{self.column}" if self.column else "")


@dataclass(frozen=True)
class NodeLoc(Location):
    """A named node of an imported graph file."""

    word = "node"
    file: str = option(Text())
    node: str = option(Text())
    op: str = option(Text(), "")

    def describe(self) -> str:
        """`net.onnx, node '/conv1/Conv' (Conv)`."""
        return f"{self.file}, node {self.node!r}" + (f" ({self.op})" if self.op else "")


@dataclass(frozen=True)
class Derived(Location):
    """Made by a pass or a rewrite rule from ops at these locations."""

    word = "by"
    by: str = option(Text())
    sources: tuple[Location, ...] = option(ListOf(RecordOf("location")), ())

    def describe(self) -> str:
        """The first source, then who made it."""
        roots = self.roots()
        first = roots[0].describe() if roots else "(no source)"
        more = f" and {len(roots) - 1} more" if len(roots) > 1 else ""
        return f"{first}{more} (by {self.by})"

    def roots(self) -> tuple[FileLoc | NodeLoc, ...]:
        """The places in the user's model that this was made from, each once, in order."""
        return roots(self)


def roots(location: Location | None) -> tuple[FileLoc | NodeLoc, ...]:
    """The places in the user's model behind a location, each once, in order."""
    found: dict[FileLoc | NodeLoc, None] = {}
    stack = [location]
    while stack:
        loc = stack.pop()
        if isinstance(loc, Derived):
            stack.extend(reversed(loc.sources))
        elif isinstance(loc, FileLoc | NodeLoc):
            found[loc] = None
    return tuple(found)


def describe(location: Location | None) -> str:
    """A location for a message; empty when unknown."""
    return "" if location is None else location.describe()  # type: ignore[attr-defined]


def derive(by: str, sources: list[Location | None]) -> Location:
    """The location of an op that `by` made from ops at `sources`, flattened so that chains stay short."""
    names: dict[str, None] = {}
    found: dict[FileLoc | NodeLoc, None] = {}
    for source in sources:
        if isinstance(source, Derived):
            names.update(dict.fromkeys(source.by.split(" <- ")))
        found.update(dict.fromkeys(roots(source)))
    chain = [by, *(n for n in names if n != by)]
    return Derived(" <- ".join(chain), tuple(found))
