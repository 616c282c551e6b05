"""Parse module text. By hand, since a generated parser was four times too slow; positions and the value rule are shared
with pipelines and recipes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError, suggest
from ranvier.ir.text.constants import ConstantReader, ResourceStore
from ranvier.ir.text.graphs import GraphReader
from ranvier.ir.text.records import placed, read_facts
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.values import NAME, read_value

_WORDS = re.compile(r"[a-z]+(?![A-Za-z0-9_.])")
_ALIAS = re.compile(r"^#([a-z_][A-Za-z0-9_]*)\s*=\s*", re.MULTILINE)
_SECTION = re.compile(r"^resources\s*\{", re.MULTILINE)


def parse_module(
    text: str, name: str = "<text>", resources: ResourceStore | None = None, *, folder: Path | None = None
) -> Module:
    """Parse the text of a module. `resources` gives arrays by name or digest; `folder` is where blob files lie.

    Raises RanvierError with file, line, column, caret and what was expected. The module is verified.
    """
    from ranvier.ir import ops

    del ops  # importing declares the dialects
    module = _Parser(Scanner(text, name), resources or {}, folder).module()
    module.verify()
    return module


class _Parser:
    def __init__(self, scanner: Scanner, store: ResourceStore, folder: Path | None):
        self.s, self.store, self.folder = scanner, store, folder
        self.aliases: dict[str, Any] = {}
        self.alias_at: set[int] = set()
        self.module_ = Module()
        self.graphs = GraphReader(scanner, self.module_, self._alias)

    # -- structure -------------------------------------------------------------------------------------------------
    def module(self) -> Module:
        s = self.s
        s.skip()
        s.expect("ranvier")
        if not s.take("v1"):
            raise s.error(["`v1`"], help="this version reads ranvier v1 text")
        if s.peek('"'):
            self.module_.name = str(read_value(s))
        start = s.pos
        self._resources_first()
        while not s.done():
            start = s.pos
            if s.peek("#"):
                s.pos += 1
                alias = s.need(NAME, "an alias")
                s.expect("=")
                value = read_value(s, self._alias)
                if start not in self.alias_at:
                    self._new_alias(alias, value, start)
                continue
            word = s.match(_WORDS)
            if word == "facts":
                self.module_.facts = read_facts(s, self._alias)
            elif word == "graph":
                self.graphs.read()
            elif word == "resources":
                self._skip_resources(start)
            else:
                raise s.error(["`graph`", "`resources`", "`facts`", "an alias such as `#a0`"], start)
        self._check_calls()
        return self.module_

    def _resources_first(self) -> None:
        """Operands need the types of resources, which stand at the end: read that section first."""
        found = _SECTION.search(self.s.text)
        if found is None:
            return
        here = self.s.pos
        for alias in _ALIAS.finditer(self.s.text):
            self.s.pos = alias.end()
            self._new_alias(alias.group(1), read_value(self.s, self._alias), alias.start())
        self.s.pos = found.end()
        self.s.skip()
        reader = ConstantReader(self.s, self.store, self.folder, self._alias)
        while not self.s.take("}"):
            start = self.s.pos
            resource = reader.read()
            if resource.name in self.module_.resources:
                message = f"two resources are called ${resource.name}"
                raise self.s.error(pos=start, code="duplicate-name", message=message)
            self.module_.resources[resource.name] = resource
        self.end_of_resources = self.s.pos
        self.s.pos = here

    def _new_alias(self, name: str, value: Any, pos: int) -> None:
        if name in self.aliases:
            raise self.s.error(pos=pos, code="duplicate-name", message=f"two aliases are called #{name}")
        self.aliases[name] = value
        self.alias_at.add(pos)

    def _skip_resources(self, start: int) -> None:
        found = _SECTION.search(self.s.text)
        if found is None or found.start() != start:
            raise self.s.error(
                pos=start, message="a second `resources` section", help="a module has one, at a line's beginning"
            )
        self.s.pos = self.end_of_resources

    def _alias(self, name: str, pos: int) -> Any:
        if name not in self.aliases:
            raise self.s.error(
                pos=pos,
                code="unknown-name",
                message=f"no alias is called #{name}",
                help=suggest(name, self.aliases) or "aliases are defined above the graphs: `#a0 = [1, 2]`",
            )
        return self.aliases[name]

    def _check_calls(self) -> None:
        from ranvier.ir.ops.control import callees

        for op, pos in self.graphs.calls:
            for name in callees(op):
                if name not in self.module_.graphs:
                    message, help = f"no graph is called @{name}", suggest(name, self.module_.graphs)
                    raise self.s.error(pos=pos, code="unknown-name", message=message, help=help)
            try:
                op.infer_types()
            except RanvierError as why:
                raise placed(self.s, why, pos) from None
