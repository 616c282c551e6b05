"""The IR: values with use-lists, ops in order, named graphs, modules (design decisions 1 to 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ranvier.ir.diagnostics import Diagnostic, RanvierError, error, suggest
from ranvier.ir.fields import REQUIRED
from ranvier.ir.locations import Location, describe
from ranvier.ir.resources import Resource
from ranvier.ir.schema import Attribute, Operand
from ranvier.ir.types import SpikesType, StateType, TensorType, Type

if TYPE_CHECKING:
    from ranvier.ir.facts import Fact

OPS: dict[str, type[Op]] = {}


class Value:
    """What an op produces, a graph takes, or a resource holds. `uses` lists (op, operand index) in order of use."""

    __slots__ = ("facts", "graph", "index", "name", "op", "resource", "type", "uses")

    def __init__(
        self, type: Type, name: str = "", *, op: Op | None = None, index: int = 0, resource: str | None = None
    ):
        self.type, self.name, self.op, self.index, self.resource = type, name, op, index, resource
        self.graph: Graph | None = None
        self.uses: dict[tuple[Op, int], None] = {}
        self.facts: tuple[Fact, ...] = ()

    @property
    def users(self) -> list[Op]:
        """The ops that use this value, each once, in order of first use."""
        return list(dict.fromkeys(op for op, _ in self.uses))

    @property
    def is_constant(self) -> bool:
        """Whether this is a resource of the module."""
        return self.resource is not None

    def fact(self, kind: type[Any]) -> Any:
        """The first fact of a class, or None."""
        return next((f for f in self.facts if isinstance(f, kind)), None)

    def __repr__(self) -> str:
        return f"${self.resource}" if self.resource is not None else f"%{self.name}"


class Op:
    """Base of all ops. A subclass declares its fields with `ranvier.ir.schema` and says what it means:

    - `infer(*operand_types)` gives the result type or types (None stands for an operand left out);
    - `meaning(*arrays)` computes the results in numpy.

    Which of PureOp, StatefulOp, WindowedOp it derives from says how it meets time (ranvier.ir.timing).
    """

    name: ClassVar[str] = ""
    results_declared: ClassVar[tuple[str, ...]] = ("result",)
    operand_fields: ClassVar[tuple[Operand[Any], ...]] = ()
    attribute_fields: ClassVar[dict[str, Attribute[Any]]] = {}
    draws: ClassVar[bool] = False

    def __init_subclass__(cls, *, name: str = "", results: tuple[str, ...] | None = None, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        operands, attributes = list(cls.operand_fields), dict(cls.attribute_fields)
        for key, field in list(cls.__dict__.items()):
            if isinstance(field, Operand):
                field.index = len(operands)
                operands.append(field)
            elif isinstance(field, Attribute):
                attributes[key] = field
        cls.operand_fields, cls.attribute_fields = tuple(operands), attributes
        if results is not None:
            cls.results_declared = results
        if name:
            cls.name = name
            if name in OPS and OPS[name].__qualname__ != cls.__qualname__:
                raise ValueError(f"two ops are called {name}")
            OPS[name] = cls

    def __init__(self, *operands: Value | None, location: Location | None = None, **attributes: Any):
        self.location = location
        self.facts: tuple[Fact, ...] = ()
        self.place: str | None = None
        self.graph: Graph | None = None
        self.prev: Op | None = None
        self.next: Op | None = None
        self.operands: list[Value | None] = self._arrange(operands)
        self.attributes = self._read(attributes)
        for index, value in enumerate(self.operands):
            if value is not None:
                value.uses[(self, index)] = None
        try:
            types = self.infer_types()
        except RanvierError:
            self.drop_uses()
            raise
        self.results: list[Value] = [Value(t, op=self, index=i) for i, t in enumerate(types)]

    # -- declared fields -------------------------------------------------------------------------------------------
    def _arrange(self, given: Sequence[Value | None]) -> list[Value | None]:
        fields = self.operand_fields
        many = bool(fields) and fields[-1].role == "variadic"
        fixed = fields[:-1] if many else fields
        least = sum(f.role == "single" for f in fixed)
        if len(given) < least or (not many and len(given) > len(fixed)):
            want = ", ".join(f.name + {"single": "", "optional": "?", "variadic": "..."}[f.role] for f in fields)
            raise self.fail("wrong-operands", f"takes ({want}), was given {len(given)} operands")
        operands = list(given) + [None] * (len(fixed) - len(given))
        for field, value in zip(fixed, operands, strict=False):
            if value is None and field.role == "single":
                raise self.fail("wrong-operands", f"needs its operand {field.name!r}")
        return operands

    def _read(self, given: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, field in self.attribute_fields.items():
            value = given.pop(name, field.default)
            if value is REQUIRED:
                raise self.fail(
                    "missing-option", f"needs the attribute {name!r}", help=f"{name}: {field.kind.describe()}"
                )
            try:
                out[name] = field.kind.read(value)
            except ValueError as why:
                raise self.fail(
                    "bad-value", f"{name} {why}", help=f"{name}: {field.help}" if field.help else ""
                ) from None
        if given:
            name = next(iter(given))
            raise self.fail("unknown-option", f"has no attribute {name!r}", help=suggest(name, self.attribute_fields))
        return out

    def set(self, **attributes: Any) -> None:
        """Change attributes in place; result types must stay as they are (re-inferred by the verifier)."""
        self._mutable()
        self.attributes.update(self._read({**self.attributes, **attributes}))

    def set_operand(self, index: int, value: Value | None) -> None:
        """Replace one operand and keep the use-lists right."""
        self._mutable()
        old = self.operands[index]
        if old is not None:
            del old.uses[(self, index)]
        self.operands[index] = value
        if value is not None:
            value.uses[(self, index)] = None

    def drop_uses(self) -> None:
        """Take this op out of the use-lists of its operands."""
        for index, value in enumerate(self.operands):
            if value is not None:
                value.uses.pop((self, index), None)

    def _mutable(self) -> None:
        if self.graph is not None:
            self.graph.check_mutable()

    # -- meaning ---------------------------------------------------------------------------------------------------
    def infer_types(self) -> tuple[Type, ...]:
        """The result types, time included; raises RanvierError when operands do not fit."""
        found = self.infer(*[None if v is None else v.type for v in self.operands])
        return found if isinstance(found, tuple) else (found,)

    def infer(self, *types: Any) -> Type | tuple[Type, ...]:
        """Result types from operand types."""
        raise NotImplementedError

    def meaning(self, *arrays: Any) -> Any:
        """The results in numpy; a tuple when there are several."""
        raise NotImplementedError(f"{self.name} has no meaning")

    def macs(self) -> int:
        """Multiply-accumulates per sample and step; symbolic dims count as one."""
        return 0

    def fail(self, code: str, message: str, help: str = "") -> RanvierError:
        """An error that names this op and where it comes from."""
        result = getattr(self, "results", None)
        label = f"`{self.name}`" + (f" %{result[0].name}" if result and result[0].name else "")
        return error(code, f"{label} {message}", where=describe(self.location), help=help)

    @property
    def result(self) -> Value:
        """The first result."""
        return self.results[0]

    @property
    def arguments(self) -> list[Value]:
        """The operands that are there."""
        return [v for v in self.operands if v is not None]

    def __repr__(self) -> str:
        left = ", ".join(map(repr, self.results))
        return f"<{left + ' = ' if left else ''}{self.name}({', '.join(map(repr, self.operands))})>"


class Graph:
    """A named list of ops between arguments and a `core.return`."""

    def __init__(self, name: str, module: Module | None = None):
        self.name, self.module = name, module
        self.args: list[Value] = []
        self.first: Op | None = None
        self.last: Op | None = None
        self._names: dict[str, int] = {}
        self._constants: dict[str, Value] = {}

    # -- reading ---------------------------------------------------------------------------------------------------
    @property
    def ops(self) -> Iterator[Op]:
        """The ops in order; inserting and erasing while iterating is allowed."""
        op = self.first
        while op is not None:
            following = op.next
            yield op
            # the current op may have been erased: go on from where it stood
            op = op.next if op.graph is self else following

    def __len__(self) -> int:
        return sum(1 for _ in self.ops)

    @property
    def terminator(self) -> Op:
        """The `core.return`; raises RanvierError without one."""
        if self.last is None or self.last.name != "core.return":
            raise error("no-return", f"graph @{self.name} does not end in core.return")
        return self.last

    @property
    def outputs(self) -> list[Value]:
        """The values returned."""
        return self.terminator.arguments

    @property
    def values(self) -> Iterator[Value]:
        """Arguments, then the results of every op."""
        yield from self.args
        for op in self.ops:
            yield from op.results

    def value(self, name: str) -> Value:
        """The value of that name; raises RanvierError with the near miss."""
        for v in self.values:
            if v.name == name:
                return v
        names = [v.name for v in self.values]
        raise error("unknown-name", f"graph @{self.name} has no value %{name}", help=suggest(name, names))

    # -- building --------------------------------------------------------------------------------------------------
    def check_mutable(self) -> None:
        """Raise RanvierError when the module was handed out."""
        if self.module is not None and self.module.frozen:
            raise error("frozen-module", "this module was handed out and never changes", help="work on module.clone()")

    def fresh(self, hint: str) -> str:
        """A value name not yet taken: the hint itself, or the hint with a number."""
        hint = "".join(c if c.isalnum() or c in "_." else "_" for c in hint).strip(".") or "v"
        if hint not in self._names:
            self._names[hint] = 1
            return hint
        while True:
            self._names[hint] += 1
            name = f"{hint}_{self._names[hint]}"
            if name not in self._names:
                self._names[name] = 1
                return name

    def argument(self, name: str, type: Type) -> Value:
        """Append an argument."""
        self.check_mutable()
        value = Value(type, self.fresh(name), index=len(self.args))
        value.graph = self
        self.args.append(value)
        return value

    def constant(self, name: str) -> Value:
        """The value of a resource of the module; one a graph, so that its uses are known."""
        if name not in self._constants:
            assert self.module is not None
            resource = self.module.resource(name)
            value = Value(resource.type, name, resource=name)
            value.graph = self
            value.facts = resource.facts
            self._constants[name] = value
        return self._constants[name]

    def rename_constant(self, name: str, new: str) -> None:
        """Follow a resource to its new name."""
        value = self._constants.pop(name, None)
        if value is not None:
            value.resource = value.name = new
            self._constants[new] = value

    @property
    def constants(self) -> list[Value]:
        """The resource values that ops of this graph use."""
        return [v for v in self._constants.values() if v.uses]

    def insert(self, op: Op, before: Op | None = None, names: Sequence[str] = ()) -> Op:
        """Put an op before another, or at the end; results get fresh names from the hints."""
        self.check_mutable()
        op.graph = self
        short = op.name.split(".")[-1]
        for i, result in enumerate(op.results):
            declared = op.results_declared[i] if i < len(op.results_declared) else "result"
            hint = names[i] if i < len(names) and names[i] else short if i == 0 else f"{op.results[0].name}.{declared}"
            result.name = self.fresh(hint)
        if before is None:
            op.prev, op.next = self.last, None
            if self.last is not None:
                self.last.next = op
            self.last = op
            self.first = self.first or op
        else:
            op.prev, op.next = before.prev, before
            if before.prev is not None:
                before.prev.next = op
            else:
                self.first = op
            before.prev = op
        return op

    def erase(self, op: Op) -> None:
        """Take out an op whose results are not used any more."""
        self.check_mutable()
        if any(r.uses for r in op.results):
            raise error("broken-use-list", f"{op!r} is still used and cannot be erased")
        self._unlink(op)
        op.drop_uses()
        for result in op.results:
            self._names.pop(result.name, None)
        op.graph = None

    def move(self, op: Op, before: Op) -> None:
        """Move an op of this graph before another one."""
        self.check_mutable()
        self._unlink(op)
        op.prev, op.next = before.prev, before
        if before.prev is not None:
            before.prev.next = op
        else:
            self.first = op
        before.prev = op

    def _unlink(self, op: Op) -> None:
        if op.prev is not None:
            op.prev.next = op.next
        else:
            self.first = op.next
        if op.next is not None:
            op.next.prev = op.prev
        else:
            self.last = op.prev

    def rename(self, value: Value, name: str) -> None:
        """Give a value of this graph another name."""
        self.check_mutable()
        self._names.pop(value.name, None)
        value.name = self.fresh(name)


def replace_uses(old: Value, new: Value, *, keep: Callable[[Op], bool] | None = None) -> None:
    """Let every user of `old` (but those that `keep` accepts) use `new`; facts of `old` go over to `new`."""
    if old is new:
        return
    for op, index in list(old.uses):
        if keep is None or not keep(op):
            op.set_operand(index, new)
    have = {type(f) for f in new.facts}
    if new.resource is None:
        new.facts += tuple(f for f in old.facts if type(f) not in have)


class Module:
    """Named graphs and resources. `frozen` modules never change; `clone()` gives one to work on."""

    def __init__(self, name: str = ""):
        self.name = name
        self.graphs: dict[str, Graph] = {}
        self.resources: dict[str, Resource] = {}
        self.facts: tuple[Fact, ...] = ()
        self.frozen = False
        self._wanted: dict[str, str] = {}

    @property
    def main(self) -> Graph:
        """The graph `@main`, where execution begins."""
        return self.graph("main")

    def graph(self, name: str) -> Graph:
        """A graph by name; raises RanvierError with the near miss."""
        if name not in self.graphs:
            raise error("unknown-name", f"the module has no graph @{name}", help=suggest(name, self.graphs))
        return self.graphs[name]

    def new_graph(self, name: str = "main") -> Graph:
        """Append an empty graph."""
        if self.frozen:
            raise error("frozen-module", "this module was handed out and never changes", help="work on module.clone()")
        if name in self.graphs:
            raise error("duplicate-name", f"two graphs are called @{name}")
        graph = self.graphs[name] = Graph(name, self)
        return graph

    def resource(self, name: str) -> Resource:
        """A resource by name; raises RanvierError with the near miss."""
        if name not in self.resources:
            raise error("unknown-name", f"the module has no resource ${name}", help=suggest(name, self.resources))
        return self.resources[name]

    def add(self, resource: Resource | np.ndarray[Any, Any], hint: str = "c", *, instead_of: str | None = None) -> str:
        """Add a resource under a name made from the hint; returns the name.

        `instead_of` names a resource whose name this one takes over when that one is no longer used (see `tidy`).
        """
        if self.frozen:
            raise error("frozen-module", "this module was handed out and never changes", help="work on module.clone()")
        if not isinstance(resource, Resource):
            resource = Resource.of(resource)
        hint = "".join(c if c.isalnum() or c in "_.-/" else "_" for c in hint).strip("/.-_") or "c"
        name, n = hint, 1
        while name in self.resources:
            n += 1
            name = f"{hint}_{n}"
        self.resources[name] = resource.renamed(name)
        if instead_of is not None:
            self._wanted[name] = self._wanted.get(instead_of, instead_of)
        return name

    def tidy(self) -> None:
        """Give resources the names of those they were made instead of, where these are gone."""
        for name, wanted in self._wanted.items():
            if name not in self.resources or wanted in self.resources:
                continue
            self.resources = {
                wanted if n == name else n: r.renamed(wanted) if n == name else r for n, r in self.resources.items()
            }
            for graph in self.graphs.values():
                graph.rename_constant(name, wanted)
        self._wanted = {n: w for n, w in self._wanted.items() if n in self.resources}

    def array(self, value: Value) -> np.ndarray[Any, Any]:
        """The array of a constant value."""
        assert value.resource is not None
        return self.resource(value.resource).array

    @property
    def ops(self) -> Iterator[Op]:
        """All ops of all graphs."""
        for graph in self.graphs.values():
            yield from graph.ops

    def freeze(self) -> Module:
        """Mark as never changing again; returns itself."""
        self.frozen = True
        return self

    def verify(self) -> Module:
        """Check every rule of the IR; raises RanvierError with all findings. Returns itself."""
        from ranvier.ir.verify import verify

        verify(self)
        return self

    def clone(self) -> Module:
        """A copy to work on: ops are new, arrays are shared, names, facts and locations are kept."""
        from ranvier.ir.clone import clone

        return clone(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Module):
            return NotImplemented
        from ranvier.ir.equality import equal

        return equal(self, other)

    __hash__ = object.__hash__

    def __str__(self) -> str:
        from ranvier.ir.text.printer import print_module

        return print_module(self)

    def __repr__(self) -> str:
        return f"<Module {self.name or '(unnamed)'}: {len(self.graphs)} graphs, {sum(1 for _ in self.ops)} ops>"


class Builder:
    """Inserts ops at one place of a graph: `b(nn.Conv, x, w, strides=(1, 1))` gives the result value(s)."""

    def __init__(self, graph: Graph, before: Op | None = None, location: Location | None = None):
        self.graph, self.before, self.location = graph, before, location
        self.created: list[Op] = []

    def __call__(self, op: type[Op], *operands: Value | None, name: str | Sequence[str] = "", **attributes: Any) -> Any:
        """Insert an op; returns its result, or a tuple of results when there are several."""
        made = op(*operands, location=attributes.pop("location", None) or self.location, **attributes)
        self.graph.insert(made, self.before, [name] if isinstance(name, str) else name)
        self.created.append(made)
        return made.results[0] if len(made.results) == 1 else tuple(made.results)

    def constant(self, array: Any, hint: str = "c", *, type: TensorType | None = None) -> Value:
        """A new resource of the module as a value of the graph."""
        assert self.graph.module is not None
        resource = (
            array if isinstance(array, Resource) else Resource.of(array) if type is None else Resource(type, array)
        )
        return self.graph.constant(self.graph.module.add(resource, hint))

    def returns(self, *values: Value, names: Sequence[str] = (), roles: Sequence[str] = ()) -> Op:
        """End the graph."""
        from ranvier.ir.ops.core import Return

        names = list(names) or [v.name for v in values]
        made = Return(
            *values, names=tuple(names), roles=tuple(roles) or ("output",) * len(values), location=self.location
        )
        return self.graph.insert(made)


def collect(diagnostics: Iterable[Diagnostic]) -> None:
    """Raise one RanvierError with all findings, or nothing."""
    found = list(diagnostics)
    if found:
        raise RanvierError(found)


def require_tensor(op: Op, what: str, type: Any) -> TensorType:
    """The type as a tensor type, or the error that names what to do about spikes and states."""
    if isinstance(type, TensorType):
        return type
    if isinstance(type, SpikesType):
        raise op.fail(
            "spikes-misused", f"computes with real numbers, but {what} is spikes", "put snn.psp or snn.decode between"
        )
    if isinstance(type, StateType):
        raise op.fail("type-mismatch", f"needs a tensor as {what}, not a state")
    raise op.fail("type-mismatch", f"needs a tensor as {what}")
