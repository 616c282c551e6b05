"""Graphs: ops in order between arguments and a return, safe to change while walking."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.op import Op, Value
from ranvier.ir.types import Type

if TYPE_CHECKING:
    from ranvier.ir.module import Module

NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "_.")


class Graph:
    """A named list of ops between arguments and a `core.return`."""

    def __init__(self, name: str, module: Module | None = None):
        self.name, self.module = name, module
        self.args: list[Value] = []
        self.first: Op | None = None
        self.last: Op | None = None
        self._names: set[str] = set()
        # where to go on counting for a fresh name, by hint
        self._numbers: dict[str, int] = {}
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

    def __bool__(self) -> bool:  # or an empty graph would be false, and the question would count the ops
        return True

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
        hint = "".join(c if c in NAME_CHARACTERS else "_" for c in hint).strip(".") or "v"
        name = hint
        if name in self._names:
            number = self._numbers.get(hint, 1)
            while name in self._names:
                number += 1
                name = f"{hint}_{number}"
            self._numbers[hint] = number
        self._names.add(name)
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

    def known_constant(self, name: str) -> Value | None:
        """The value of a resource if this graph has asked for it, else None."""
        return self._constants.get(name)

    def forget_constant(self, name: str) -> None:
        """Drop the value of a resource that no op uses."""
        self.check_mutable()
        self._constants.pop(name, None)

    def rename_constant(self, name: str, new: str) -> None:
        """Follow a resource to its new name."""
        self.check_mutable()
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
            self._names.discard(result.name)
        op.graph = None

    def move(self, op: Op, before: Op) -> None:
        """Move an op of this graph before another one."""
        self.check_mutable()
        if op is before:
            return
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
        self._names.discard(value.name)
        value.name = self.fresh(name)


def replace_uses(old: Value, new: Value, *, keep: Callable[[Op], bool] | None = None) -> None:
    """Let every user of `old` (but those that `keep` accepts) use `new`; facts of `old` go over to `new`."""
    if old is new:
        return
    graph = new.graph or (new.op.graph if new.op is not None else None)
    if graph is not None:
        graph.check_mutable()
    sticky = [f.word for f in old.facts if f.sticky]
    if new.resource is not None and sticky:
        raise error("dropped-fact", f"{old!r} has a {sticky[0]} that the constant {new!r} would lose")
    for op, index in list(old.uses):
        if keep is None or not keep(op):
            op.set_operand(index, new)
    if new.resource is None:
        have = {f.subject for f in new.facts}
        new.facts += tuple(f for f in old.facts if f.subject not in have)
