"""Parse module text. By hand, since a generated parser was four times too slow; positions and the value rule are shared
with pipelines and recipes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.diagnostics import Diagnostic, RanvierError, near, suggest
from ranvier.ir.facts import Fact
from ranvier.ir.fields import RecordOf
from ranvier.ir.locations import FileLoc
from ranvier.ir.resources import Origin, Resource, open_safetensors
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.types import read_type
from ranvier.ir.text.values import IDENT, NAME, Call, Word, read_call, read_value
from ranvier.ir.types import TensorType

_VALUE = re.compile(r"%([A-Za-z0-9_](?:[A-Za-z0-9_.]*[A-Za-z0-9_])?)")
_OPNAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=(?!=)\s*")
_RESULTS = re.compile(r"%[A-Za-z0-9_.]+(?:\s*,\s*%[A-Za-z0-9_.]+)*\s*=\s*")
_WORDS = re.compile(r"[a-z]+(?![A-Za-z0-9_.])")
_ALIAS = re.compile(r"^#([a-z_][A-Za-z0-9_]*)\s*=\s*", re.MULTILINE)
_SECTION = re.compile(r"^resources\s*\{", re.MULTILINE)
ResourceStore = Mapping[str, "Resource | np.ndarray[Any, Any]"]


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


@dataclass(frozen=True)
class _Output:
    """An output as a graph's head declares it."""

    name: str
    role: str
    type: Any
    pos: int


class _Parser:
    def __init__(self, scanner: Scanner, store: ResourceStore, folder: Path | None):
        self.s, self.store, self.folder = scanner, store, folder
        self.aliases: dict[str, Any] = {}
        self.alias_at: set[int] = set()
        self.files: dict[str, Any] = {}
        self.calls: list[tuple[Op, int]] = []
        self.module_ = Module()

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
                self.module_.facts = self._facts()
            elif word == "graph":
                self._graph()
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
        while not self.s.take("}"):
            self._resource()
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
                pos=pos, code="unknown-name", message=f"no alias is called #{name}", help=suggest(name, self.aliases)
            )
        return self.aliases[name]

    def _graph(self) -> None:
        s = self.s
        start = s.pos
        s.expect("@")
        name = s.need(IDENT, "the graph's name")
        if name in self.module_.graphs:
            raise s.error(pos=start, code="duplicate-name", message=f"two graphs are called @{name}")
        graph = self.module_.new_graph(name)
        scope: dict[str, Value] = {}
        s.expect("(")
        while not s.take(")"):
            if scope and not s.take(","):
                raise s.error(["`,`", "`)`"])
            pos = s.pos
            arg = self._name()
            s.expect(":")
            value = graph.argument(arg, self._type())
            if value.name != arg:
                raise s.error(pos=pos, code="duplicate-name", message=f"two values are called %{arg}")
            value.facts = self._optional_facts("facts")
            scope[arg] = value
        outputs = self._outputs()
        s.expect("{")
        waiting: list[tuple[Op, int, str, int]] = []
        while not s.take("}"):
            self._op(graph, scope, waiting, outputs)
        for op, index, missing, pos in waiting:
            if missing not in scope:
                raise self._unknown_value(missing, scope, pos)
            op.set_operand(index, scope[missing])

    def _outputs(self) -> list[_Output]:
        s = self.s
        found: list[_Output] = []
        if not s.take("->"):
            return found
        s.expect("(")
        while not s.take(")"):
            if found and not s.take(","):
                raise s.error(["`,`", "`)`"])
            name = str(read_value(s)) if s.peek('"') else s.need(NAME, "an output's name")
            s.expect(":")
            pos = s.pos
            kind, role = self._type(), "output"
            if s.keyword("role"):
                s.expect("=")
                role = s.need(NAME, "`output` or `loss`")
            found.append(_Output(name, role, kind, pos))
        return found

    # -- ops -------------------------------------------------------------------------------------------------------
    def _op(
        self,
        graph: Graph,
        scope: dict[str, Value],
        waiting: list[tuple[Op, int, str, int]],
        outputs: list[_Output],
    ) -> None:
        s = self.s
        start = s.pos
        found = _RESULTS.match(s.text, start)
        results = _VALUE.findall(found.group()) if found else []
        if found:
            s.pos = found.end()
        name_pos = s.pos
        name = s.match(_OPNAME)
        if name is None:
            word = None if found else s.match(_WORDS)
            if word == "return":
                self._return(graph, scope, outputs, start)
                return
            misspelt = near(word or "", ["return"])
            help = f"did you mean `{misspelt}`?" if misspelt else "`ranvier ops` lists the ops of every dialect"
            raise s.error(["an op such as nn.conv", *(["`return`", "`}`"] if not found else [])], name_pos, help=help)
        cls = self._op_class(name, name_pos)
        s.expect("(")
        operands, attributes, late = self._arguments(cls, scope)
        types, facts = self._result_types(len(results))
        if late and types:
            index, _, _ = late[0]
            operands[index] = Value(types[0], "?")  # the delay's own type is that of what it delays
        location = FileLoc(s.name, *s.line_column(start))
        try:
            op = cls(*operands, location=location, **attributes)
        except RanvierError as why:
            raise self._placed(why, start) from None
        for index, missing, pos in late:
            waiting.append((op, index, missing, pos))
        if len(op.results) != len(results):
            message = f"{name} gives {len(op.results)} values, {len(results)} are named"
            raise s.error(pos=start, code="wrong-operands", message=message)
        for i, (r, kind) in enumerate(zip(op.results, types, strict=True)):
            if r.type != kind:
                message = f"%{results[i]} is written as {kind}, but {name} gives {r.type}"
                raise s.error(
                    pos=start, code="stale-type", message=message, help=f"write {r.type}, or mend the operands"
                )
            if results[i] in scope or results[i] in results[:i]:
                raise s.error(pos=start, code="duplicate-name", message=f"two values are called %{results[i]}")
        graph.insert(op, names=results)
        for r, own, wanted in zip(op.results, facts, results, strict=True):
            if r.name != wanted:
                graph.rename(r, wanted)
            r.facts = own
            scope[wanted] = r
        self._op_tail(op)
        if name in ("core.call", "core.if", "core.loop"):
            self.calls.append((op, start))

    def _op_class(self, name: str, pos: int) -> type[Op]:
        from ranvier.ir.ops import op_class

        try:
            return op_class(name)
        except RanvierError as why:
            raise self._placed(why, pos) from None

    def _arguments(
        self, cls: type[Op], scope: dict[str, Value]
    ) -> tuple[list[Value | None], dict[str, Any], list[tuple[int, str, int]]]:
        s = self.s
        operands: list[Value | None] = []
        attributes: dict[str, Any] = {}
        late: list[tuple[int, str, int]] = []
        named = {f.name: f.index for f in cls.operand_fields if f.role == "optional"}
        first = True
        while not s.take(")"):
            if not first and not s.take(","):
                raise s.error(["`,`", "`)`"])
            first = False
            pos = s.pos
            char = s.text[pos : pos + 1]
            if char in "%$":
                self._operand(cls, scope, operands, len(operands), late)
                continue
            key = _KEY.match(s.text, pos)
            if key is None:
                if s.match(NAME) == "none":
                    operands.append(None)
                    continue
                raise s.error(["an operand such as %x or $w", "an attribute such as strides=[1, 1]", "`)`"], pos)
            s.pos = key.end()
            field = key.group(1)
            if field in named:
                operands += [None] * (named[field] - len(operands))
                self._operand(cls, scope, operands, named[field], late)
                continue
            if field not in cls.attribute_fields:
                known = [*cls.attribute_fields, *named]
                raise s.error(
                    pos=pos,
                    code="unknown-option",
                    message=f"`{cls.name}` has no attribute {field!r}",
                    help=suggest(field, known),
                )
            if field in attributes:
                raise s.error(pos=pos, code="duplicate-name", message=f"{field!r} is given twice")
            value_pos = s.pos
            raw = read_value(s, self._alias)
            try:
                attributes[field] = cls.attribute_fields[field].kind.read(raw)
            except ValueError as why:
                raise s.error(pos=value_pos, code="bad-value", message=f"`{cls.name}`: {field} {why}") from None
            except RanvierError as why:
                raise self._placed(why, value_pos) from None
        return operands, attributes, late

    def _operand(
        self,
        cls: type[Op],
        scope: dict[str, Value],
        operands: list[Value | None],
        index: int,
        late: list[tuple[int, str, int]],
    ) -> None:
        s = self.s
        pos = s.pos
        value: Value | None
        if s.peek("$"):
            s.pos += 1
            name = s.need(IDENT, "a resource's name")
            if name not in self.module_.resources:
                raise s.error(
                    pos=pos,
                    code="unknown-name",
                    message=f"no resource is called ${name}",
                    help=suggest(name, self.module_.resources),
                )
            value = self._current.constant(name)
        else:
            name = self._name()
            value = scope.get(name)
            if value is None:
                if cls.name != "core.delay" or index != 0:
                    raise self._unknown_value(name, scope, pos)
                late.append((index, name, pos))
        if index < len(operands):
            operands[index] = value
        else:
            operands.append(value)

    @property
    def _current(self) -> Graph:
        return next(reversed(self.module_.graphs.values()))

    def _unknown_value(self, name: str, scope: dict[str, Value], pos: int) -> RanvierError:
        return self.s.error(
            pos=pos,
            code="unknown-name",
            message=f"%{name} is not defined before this line",
            help=suggest(name, scope) if scope else "only core.delay may use what is defined later",
        )

    def _result_types(self, count: int) -> tuple[list[Any], list[tuple[Fact, ...]]]:
        types: list[Any] = []
        facts: list[tuple[Fact, ...]] = []
        if count:
            self.s.expect(":")
        for i in range(count):
            if i:
                self.s.expect(",")
            types.append(self._type())
            facts.append(self._optional_facts("facts"))
        return types, facts

    def _return(self, graph: Graph, scope: dict[str, Value], outputs: list[_Output], start: int) -> None:
        from ranvier.ir.ops.core import Return

        s = self.s
        operands: list[Value | None] = []
        late: list[tuple[int, str, int]] = []
        while s.peek("%") or s.peek("$"):
            self._operand(Return, scope, operands, len(operands), late)
            if not s.take(","):
                break
        try:
            op = Return(
                *operands,
                names=tuple(o.name for o in outputs),
                roles=tuple(o.role for o in outputs),
                location=FileLoc(s.name, *s.line_column(start)),
            )
        except RanvierError as why:
            raise self._placed(why, start) from None
        for declared, value in zip(outputs, operands, strict=True):
            if value is not None and declared.type != value.type:
                message = f"the output {declared.name} is declared as {declared.type}, but {value!r} is {value.type}"
                raise s.error(pos=declared.pos, code="stale-type", message=message, help=f"declare it as {value.type}")
        graph.insert(op)
        self._op_tail(op)

    def _op_tail(self, op: Op) -> None:
        s = self.s
        op.facts = self._optional_facts("opfacts")
        if s.keyword("place"):
            s.expect("@")
            op.place = s.need(IDENT, "a target's name")
        if s.keyword("loc"):
            pos = s.pos
            call = read_call(s, "loc", self._alias)
            if len(call.args) != 1 or call.fields:
                raise s.error(["one location, such as `file(...)`"], pos)
            op.location = self._record("location", call.args[0], pos)

    # -- parts -----------------------------------------------------------------------------------------------------
    def _name(self) -> str:
        found = _VALUE.match(self.s.text, self.s.pos)
        if found is None:
            raise self.s.error(["a value such as %x"])
        self.s.pos = found.end()
        self.s.skip()
        return found.group(1)

    def _type(self) -> Any:
        return read_type(self.s, self._alias)

    def _optional_facts(self, keyword: str) -> tuple[Fact, ...]:
        return self._facts() if self.s.keyword(keyword) else ()

    def _facts(self) -> tuple[Fact, ...]:
        pos = self.s.pos
        values = read_value(self.s, self._alias)
        if not isinstance(values, tuple):
            raise self.s.error(["a list of facts"], pos)
        return tuple(self._record("fact", v, pos) for v in values)

    def _record(self, family: str, value: Any, pos: int) -> Any:
        try:
            return RecordOf(family).read(value if isinstance(value, Call) else Word(str(value)))
        except ValueError as why:
            raise self.s.error(pos=pos, code="bad-value", message=str(why)) from None
        except RanvierError as why:
            raise self._placed(why, pos) from None

    def _placed(self, why: RanvierError, pos: int) -> RanvierError:
        """The same findings with their place in the text."""
        shown = self.s.error(pos=pos, message="x").diagnostics[0]
        return RanvierError(
            Diagnostic(d.code, d.message, shown.where, d.help, shown.excerpt, d.notes) for d in why.diagnostics
        )

    def _check_calls(self) -> None:
        for op, pos in self.calls:
            try:
                op.infer_types()
            except RanvierError as why:
                raise self._placed(why, pos) from None

    # -- resources -------------------------------------------------------------------------------------------------
    def _resource(self) -> None:
        s = self.s
        start = s.pos
        s.expect("$")
        name = s.need(IDENT, "a resource's name")
        s.expect("=")
        form = s.need(NAME, "`blob`, `dense` or `splat`")
        call = read_call(s, form, self._alias)
        if name in self.module_.resources:
            raise s.error(pos=start, code="duplicate-name", message=f"two resources are called ${name}")
        if not call.args or not isinstance(call.args[0], TensorType):
            raise s.error(pos=start, code="bad-value", message=f"${name} needs a tensor type first")
        kind = call.args[0]
        if not all(isinstance(d, int) for d in (*kind.shape, kind.time or 1)):
            raise s.error(pos=start, code="bad-value", message=f"${name}: the dims of {kind} are not all numbers")
        try:
            resource = self._make(name, form, kind, call)
        except (ValueError, TypeError, OverflowError) as why:
            raise s.error(pos=start, code="bad-value", message=f"${name}: {why}") from None
        except RanvierError as why:
            raise self._placed(why, start) from None
        resource.facts = self._optional_facts("facts")
        self.module_.resources[name] = resource

    def _make(self, name: str, form: str, kind: TensorType, call: Call) -> Resource:
        if form == "splat" and len(call.args) == 2 and not call.fields:
            return Resource(kind, splat=call.args[1], name=name)
        if form == "dense" and len(call.args) == 2 and not call.fields:
            return Resource(kind, _dense(kind, call.args[1]), name=name)
        if form != "blob" or len(call.args) != 1 or call.fields.keys() - {"sha256", *_ORIGIN}:
            raise ValueError("use blob(type, ...), dense(type, [numbers]) or splat(type, number)")
        for key, value in call.fields.items():
            if not isinstance(value, _ORIGIN.get(key, str)):
                raise ValueError(f"{key} must be {'a string' if _ORIGIN.get(key, str) is str else 'an integer'}")
        digest = call.fields.get("sha256")
        given = self.store.get(name, self.store.get(str(digest)))
        if given is not None:
            array = given.array if isinstance(given, Resource) else given
            made = Resource(kind, np.asarray(array), name=name)
            if digest is not None and made.digest != digest:
                raise ValueError("the array given for it has another content than the text says")
            return made
        if "file" not in call.fields:
            return Resource(kind, digest=None if digest is None else str(digest), name=name)
        origin = Origin(**{k: v for k, v in call.fields.items() if k != "sha256"})
        return Resource(kind, load=self._loader(origin), origin=origin, name=name)

    def _loader(self, origin: Origin) -> Any:
        path = str((self.folder or Path()) / origin.file)

        def load() -> np.ndarray[Any, Any]:
            if path not in self.files:
                self.files[path] = open_safetensors(path)
            if origin.key not in self.files[path]:
                raise RanvierError([Diagnostic("missing-data", f"{path} holds no array called {origin.key!r}")])
            return self.files[path][origin.key]()  # type: ignore[no-any-return]

        return load


_ORIGIN: dict[str, type] = {"file": str, "key": str, "offset": int, "length": int}


def _dense(kind: TensorType, numbers: Any) -> np.ndarray[Any, Any]:
    """The array of numbers in a text, which may be nested as its axes are. Raises ValueError for what does not fit."""
    array = np.asarray(numbers)
    if array.dtype.kind == "O" and all(isinstance(n, int) for n in array.ravel()):  # beyond 64 bits, or u64
        array = np.asarray(numbers, kind.elem.dtype)
    allowed = {"i1": "b"}.get(kind.elem.storage, "fiu" if kind.elem.is_float else "iu")
    if array.size and array.dtype.kind not in allowed:
        raise ValueError(f"its numbers are not of {kind.elem.storage}")
    time = () if kind.time is None else (kind.time,)
    array = array.reshape([int(d) for d in (*time, *kind.shape)])
    if array.dtype.kind in "iu" and array.size and not kind.elem.is_float:
        low, high = kind.elem.range
        if array.min() < low or array.max() > high:
            raise ValueError(f"{kind.elem.storage} holds {low} to {high}")
    with np.errstate(over="ignore"):
        return array.astype(kind.elem.dtype)
