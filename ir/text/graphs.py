"""Read the graphs of a module from text: arguments, outputs and ops."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.diagnostics import RanvierError, near, suggest
from ranvier.ir.facts import Fact
from ranvier.ir.locations import FileLoc
from ranvier.ir.text.records import placed, read_facts, read_record_of
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.types import read_type
from ranvier.ir.text.values import IDENT, NAME, read_call, read_value

_VALUE = re.compile(r"%([A-Za-z0-9_](?:[A-Za-z0-9_.]*[A-Za-z0-9_])?)")
_OPNAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=(?!=)\s*")
_RESULTS = re.compile(r"%[A-Za-z0-9_.]+(?:\s*,\s*%[A-Za-z0-9_.]+)*\s*=\s*")
_WORDS = re.compile(r"[a-z]+(?![A-Za-z0-9_.])")
ROLES = ("output", "loss")


@dataclass(frozen=True)
class _Output:
    """An output as a graph's head declares it."""

    name: str
    role: str
    type: Any
    pos: int


class GraphReader:
    """Reads one graph after the other into a module. `calls` collects the ops that name graphs, with their place."""

    def __init__(self, s: Scanner, module: Module, alias: Callable[[str, int], Any]):
        self.s, self.module, self.alias = s, module, alias
        self.calls: list[tuple[Op, int]] = []

    def read(self) -> None:
        """Read a graph behind the word `graph`; raises RanvierError with position."""
        s = self.s
        start = s.pos
        s.expect("@")
        name = s.need(IDENT, "the graph's name")
        if name in self.module.graphs:
            raise s.error(pos=start, code="duplicate-name", message=f"two graphs are called @{name}")
        graph = self.module.new_graph(name)
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
            value.facts = read_facts(s, self.alias) if s.keyword("facts") else ()
            scope[arg] = value
        outputs = self._outputs()
        s.expect("{")
        waiting: list[tuple[Op, int, str, int]] = []
        end = s.pos
        while not s.take("}"):
            if graph.last is not None and graph.last.name == "core.return":
                raise s.error(["`}`"], help="`return` ends a graph")
            self._op(graph, scope, waiting, outputs)
            end = s.pos
        if graph.last is None or graph.last.name != "core.return":
            raise s.error(pos=end, code="no-return", message=f"graph @{name} ends without `return`")
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
                start = s.pos
                role = s.need(NAME, "`output` or `loss`")
                if role not in ROLES:
                    message = f"an output's role is output or loss, not {role}"
                    raise s.error(pos=start, code="bad-value", message=message, help=suggest(role, ROLES))
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
            raise placed(s, why, start) from None
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
            raise placed(self.s, why, pos) from None

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
            raw = read_value(s, self.alias)
            try:
                attributes[field] = cls.attribute_fields[field].kind.read(raw)
            except ValueError as why:
                raise s.error(pos=value_pos, code="bad-value", message=f"`{cls.name}`: {field} {why}") from None
            except RanvierError as why:
                raise placed(s, why, value_pos) from None
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
            if name not in self.module.resources:
                raise s.error(
                    pos=pos,
                    code="unknown-name",
                    message=f"no resource is called ${name}",
                    help=suggest(name, self.module.resources) or "the text has no `resources { ... }`; is it whole?",
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
        return next(reversed(self.module.graphs.values()))

    def _unknown_value(self, name: str, scope: dict[str, Value], pos: int) -> RanvierError:
        rest = self.s.text[pos : self.s.text.find("\n}", pos)]
        if re.search(rf"%{re.escape(name)}\s*(?:,\s*%[A-Za-z0-9_.]+\s*)*=", rest):
            return self.s.error(
                pos=pos,
                code="use-before-definition",
                message=f"%{name} is used before it is defined",
                help="only the first operand of core.delay may be defined later",
            )
        message = f"%{name} is not defined before this line"
        return self.s.error(pos=pos, code="unknown-name", message=message, help=suggest(name, scope))

    def _result_types(self, count: int) -> tuple[list[Any], list[tuple[Fact, ...]]]:
        types: list[Any] = []
        facts: list[tuple[Fact, ...]] = []
        if count:
            self.s.expect(":")
        for i in range(count):
            if i:
                self.s.expect(",")
            types.append(self._type())
            facts.append(read_facts(self.s, self.alias) if self.s.keyword("facts") else ())
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
            raise placed(s, why, start) from None
        for declared, value in zip(outputs, operands, strict=True):
            if value is not None and declared.type != value.type:
                message = f"the output {declared.name} is declared as {declared.type}, but {value!r} is {value.type}"
                raise s.error(pos=declared.pos, code="stale-type", message=message, help=f"declare it as {value.type}")
        graph.insert(op)
        self._op_tail(op)

    def _op_tail(self, op: Op) -> None:
        s = self.s
        op.facts = read_facts(s, self.alias) if s.keyword("opfacts") else ()
        if s.keyword("place"):
            s.expect("@")
            op.place = s.need(IDENT, "a target's name")
        if s.keyword("loc"):
            pos = s.pos
            call = read_call(s, "loc", self.alias)
            if len(call.args) != 1 or call.fields:
                raise s.error(["one location, such as `file(...)`"], pos)
            op.location = read_record_of(s, "location", call.args[0], pos)

    # -- parts -----------------------------------------------------------------------------------------------------
    def _name(self) -> str:
        found = _VALUE.match(self.s.text, self.s.pos)
        if found is None:
            raise self.s.error(["a value such as %x"])
        self.s.pos = found.end()
        self.s.skip()
        return found.group(1)

    def _type(self) -> Any:
        return read_type(self.s, self.alias)
