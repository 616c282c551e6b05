"""Patterns of ops: trees of `op`, `var`, `const` and `maybe`, how they match, and why they do not.

`ranvier.ir.rewriting` makes rules of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Graph, Module, Op, Value
from ranvier.ir.fields import show
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType


class NoMatch(Exception):
    """A rule does not apply here; the text is the reason, for people, made when it is asked for.

    `matched` counts the pattern nodes that did match.
    """

    def __init__(self, reason: str | Callable[[], str], matched: int = 0):
        super().__init__(reason)
        self.reason, self.matched = reason, matched

    def __str__(self) -> str:
        return self.reason() if callable(self.reason) else self.reason


@dataclass(frozen=True)
class Pattern:
    """A node of a pattern: a kind of op with operand patterns, or a leaf that binds a value."""

    ops: tuple[type[Op], ...] = ()
    operands: tuple[Pattern, ...] = ()
    bind: str = ""
    uses: int | None = None
    constant: bool = False
    optional: bool = False
    commute: bool = False
    where: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return "|".join(o.name for o in self.ops) if self.ops else self.bind or "_"


def op(
    kind: type[Op] | tuple[type[Op], ...],
    *operands: Pattern,
    bind: str = "",
    uses: int | None = None,
    commute: bool = False,
    **where: Any,
) -> Pattern:
    """An op of a class (or one of several) whose first operands match; `uses` bounds the users of its result, `commute`
    also tries the first two operands swapped, other keywords are attributes that must be equal."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return Pattern(kinds, operands, bind, uses, commute=commute, where=tuple(where.items()))


def var(name: str = "") -> Pattern:
    """Any value; the same name twice must be the same value."""
    return Pattern(bind=name)


def const(name: str = "") -> Pattern:
    """A resource of the module."""
    return Pattern(bind=name, constant=True)


def maybe(pattern: Pattern) -> Pattern:
    """An operand that may be left out; binds None then."""
    return Pattern(
        pattern.ops,
        pattern.operands,
        pattern.bind,
        pattern.uses,
        pattern.constant,
        True,
        pattern.commute,
        pattern.where,
    )


class Match:
    """What a pattern bound, and how a rule builds its replacement."""

    def __init__(self, module: Module, root: Op):
        self.module, self.root = module, root
        self.values: dict[str, Value | None] = {}
        self.ops: dict[str, Op] = {}
        self.matched: list[Op] = []
        self._builder: Builder | None = None

    @property
    def builder(self) -> Builder:
        """Inserts before the root; most matches fail and need none."""
        if self._builder is None:
            self._builder = Builder(graph_of(self.root), before=self.root)
        return self._builder

    def copy(self) -> Match:
        """The same bindings, to build on while the search goes on."""
        out = Match(self.module, self.root)
        out.values, out.ops, out.matched = dict(self.values), dict(self.ops), list(self.matched)
        return out

    def __getitem__(self, name: str) -> Value:
        value = self.values[name]
        if value is None:
            raise NoMatch(f"{name} is left out")
        return value

    def get(self, name: str) -> Value | None:
        """A bound value, None where an optional operand is left out."""
        return self.values.get(name)

    def op(self, name: str) -> Any:
        """A bound op."""
        return self.ops[name]

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """The array of a bound constant."""
        return self.module.array(self[name])

    def require(self, condition: bool, reason: str) -> None:
        """Go on only if the condition holds; the reason is shown to who asks why a rule did not fire."""
        if not condition:
            shown = {k: repr(v) for k, v in self.values.items()}
            raise NoMatch(reason.format(**shown) if "{" in reason else reason)

    def sole_use(self, name: str) -> bool:
        """Whether a bound value has one user only, in every graph of the module."""
        value = self.values.get(name)
        return value is None or users(self.module, value) <= 1

    def untimed(self, *names: str) -> None:
        """Go on only if none of the bound values differs from step to step."""
        for name in names:
            value = self.values.get(name)
            self.require(value is None or value.type.time is None, f"{{{name}}} differs from step to step")

    def without_mask(self, name: str, why: str) -> None:
        """Go on only if no fact of a bound constant may not be dropped."""
        value = self.values.get(name)
        resource = None if value is None or value.resource is None else self.module.resource(value.resource)
        sticky = [] if resource is None else [f.word for f in resource.facts if f.sticky]
        self.require(not sticky, f"{{{name}}} has a {''.join(sticky[:1])} {why}")

    def new(self, kind: type[Op], *operands: Value | None, name: str = "", **attributes: Any) -> Any:
        """Insert an op before the root; returns its result, or a tuple of results."""
        return self.builder(kind, *operands, name=name, **attributes)

    def constant(self, array: Any, like: str = "", hint: str = "c") -> Value:
        """A new resource; named after the bound constant `like`, with its element type."""
        base = self.values.get(like) if like else None
        if base is None or base.resource is None:
            return self.builder.constant(np.asarray(array), hint)
        self.untimed(like)
        array = np.asarray(array).astype(base.type.elem.dtype)
        kind = TensorType(tuple(int(d) for d in array.shape), base.type.elem)
        facts = tuple(f for f in self.module.resource(base.resource).facts if f.sticky)
        if facts and kind.shape != base.type.shape:
            raise NoMatch(f"${base.resource} has a {facts[0].word} that its new shape cannot keep")
        made = self.module.add(Resource(kind, array, facts=facts), base.resource, instead_of=base.resource)
        return self.builder.graph.constant(made)


def users(module: Module, value: Value) -> int:
    """How many operands use a value; for a resource, over all graphs."""
    if value.resource is None:
        return len(value.uses)
    return sum(len(v.uses) for g in module.graphs.values() if (v := g.known_constant(value.resource)) is not None)


def graph_of(op_: Op) -> Graph:
    """The graph that an op stands in."""
    assert op_.graph is not None
    return op_.graph


@dataclass(frozen=True)
class Rule:
    """A rewrite: its algebra (its name), its pattern, and what builds the replacement."""

    algebra: str
    pattern: Pattern
    build: Callable[[Match], Value | Sequence[Value] | None]

    @property
    def name(self) -> str:
        """The function's name, for short listings."""
        return str(getattr(self.build, "__name__", "rule"))


@dataclass
class _Best:
    """The failure of a match that got furthest: how many pattern nodes had matched, and why it went no further."""

    matched: int = -1
    reason: Callable[[], str] = str

    def fail(self, m: Match, reason: Callable[[], str], *, begun: int = 0) -> None:
        if len(m.matched) + begun > self.matched:
            self.matched, self.reason = len(m.matched) + begun, reason


def matches(module: Module, rule: Rule, root: Op) -> Iterator[Match]:
    """All ways in which a rule's pattern fits at an op. Raises NoMatch, with the reason, when there is none."""
    m, best, found = Match(module, root), _Best(), False
    for _ in _match_op(m, rule.pattern, root, best):
        found = True
        yield m.copy()
    if not found:
        raise NoMatch(best.reason, max(best.matched, 0))


def match(module: Module, rule: Rule, root: Op) -> Match:
    """The first match of a rule at an op; raises NoMatch, whose `matched` counts the pattern nodes that did match."""
    return next(matches(module, rule, root))


def _match_op(m: Match, pattern: Pattern, op_: Op, best: _Best) -> Iterator[None]:
    """Bind an op and then its operands; each `yield` is one way to do so, undone when the search goes on."""
    if not isinstance(op_, pattern.ops):
        return best.fail(m, lambda: f"{op_!r} is no {pattern}")
    uses = len(op_.results[0].uses) if op_.results else 0
    if pattern.uses is not None and uses > pattern.uses:
        return best.fail(m, lambda: f"{op_.result!r} has {uses} uses; the rule allows {pattern.uses}", begun=1)
    for key, wanted in pattern.where:
        have = op_.attributes.get(key)
        if have != wanted:
            return best.fail(m, lambda: f"{op_!r} has {key}={show(have)}, not {show(wanted)}", begun=1)  # noqa: B023
    m.matched.append(op_)
    orders = [list(op_.operands)]
    if pattern.commute and len(op_.operands) >= 2:
        orders.append([op_.operands[1], op_.operands[0], *op_.operands[2:]])
    for operands in orders:
        for _ in _match_operands(m, pattern, operands, 0, op_, best):
            if pattern.bind:
                m.ops[pattern.bind], m.values[pattern.bind] = op_, op_.result
            yield
            m.ops.pop(pattern.bind, None)
            m.values.pop(pattern.bind, None)
    m.matched.pop()
    return None


def _match_operands(
    m: Match, pattern: Pattern, operands: list[Value | None], index: int, op_: Op, best: _Best
) -> Iterator[None]:
    if index == len(pattern.operands):
        yield
        return
    value = operands[index] if index < len(operands) else None
    for _ in _match_value(m, pattern.operands[index], value, op_, best):
        yield from _match_operands(m, pattern, operands, index + 1, op_, best)


def _match_value(m: Match, pattern: Pattern, value: Value | None, user: Op, best: _Best) -> Iterator[None]:
    if value is None:
        if not pattern.optional:
            return best.fail(m, lambda: f"{user!r} has no operand for {pattern}")
    elif pattern.constant and value.resource is None:
        return best.fail(m, lambda: f"{value!r}, an operand of {user!r}, is no constant")
    elif pattern.ops:
        if value.op is None or value.index != 0:
            return best.fail(m, lambda: f"{value!r}, an operand of {user!r}, does not come from {pattern}")
        yield from _match_op(m, pattern, value.op, best)
        return None
    name = pattern.bind
    if not name:
        yield
    elif name not in m.values:
        m.values[name] = value
        yield
        del m.values[name]
    elif m.values[name] is value:
        yield
    else:
        other = m.values[name]
        best.fail(m, lambda: f"{name} would be both {other!r} and {value!r}")
    return None
