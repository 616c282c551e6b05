"""Declarative rewrites named by their algebra, which say why they did not match.

    @rewrite(
        "batch_norm(conv(x, w, b), s, o, m, v) => conv(x, w*k, (b - m)*k + o), k = s/sqrt(v + eps)",
        op(nn.BatchNorm, op(nn.Conv, var("x"), const("w"), maybe(const("b")), bind="conv", uses=1), const("s"), ...),
    )
    def fold(r: Match) -> Value:
        r.require(r.sole_use("w"), "weight {w} is used elsewhere")
        return r.new(nn.Conv, r["x"], r.constant(...), ...)

A pattern is a tree of `op`, `var`, `const`, `maybe`; matching binds names. The driver keeps, for every rule, the failed
match that got furthest and its reason. Ops made by a rule get the locations of what it matched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Graph, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import error
from ranvier.ir.locations import derive
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType


class NoMatch(Exception):
    """A rule does not apply here; the text is the reason, for people."""


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
        self.builder = Builder(_graph(root), before=root)

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

    def new(self, kind: type[Op], *operands: Value | None, name: str = "", **attributes: Any) -> Any:
        """Insert an op before the root; returns its result, or a tuple of results."""
        return self.builder(kind, *operands, name=name, **attributes)

    def constant(self, array: Any, like: str = "", hint: str = "c") -> Value:
        """A new resource; named after the bound constant `like`, with its element type."""
        base = self.values.get(like) if like else None
        if base is None or base.resource is None:
            return self.builder.constant(np.asarray(array), hint)
        array = np.asarray(array).astype(base.type.elem.dtype)
        kind = TensorType(tuple(int(d) for d in array.shape), base.type.elem)
        facts = tuple(f for f in self.module.resource(base.resource).facts if f.sticky)
        if facts and kind.shape != base.type.shape:
            raise error("dropped-fact", f"${base.resource} has a {facts[0].word} that its new shape cannot keep")
        made = self.module.add(Resource(kind, array, facts=facts), base.resource, instead_of=base.resource)
        return self.builder.graph.constant(made)


def users(module: Module, value: Value) -> int:
    """How many operands use a value; for a resource, over all graphs."""
    if value.resource is None:
        return len(value.uses)
    return sum(len(g.constant(value.resource).uses) for g in module.graphs.values())


def _graph(op_: Op) -> Graph:
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


def rewrite(algebra: str, pattern: Pattern) -> Callable[[Callable[[Match], Any]], Rule]:
    """Make a rule of a function that builds the replacement of a match: one value for each result of the root.

    It may raise NoMatch (or call `r.require`) before it has built anything.
    """

    def make(build: Callable[[Match], Any]) -> Rule:
        return Rule(algebra, pattern, build)

    return make


@dataclass
class Application:
    """One application of a rule."""

    rule: str
    algebra: str
    at: str
    made: tuple[str, ...]


@dataclass
class Miss:
    """The failed match of a rule that got furthest: how many pattern nodes matched, where, and why it failed."""

    rule: str
    algebra: str
    matched: int
    at: str
    reason: str


@dataclass
class RewriteLog:
    """What the rules of a pass did, and for each rule the best failed match."""

    applied: list[Application] = field(default_factory=list)
    misses: dict[str, Miss] = field(default_factory=dict)

    def missed(self, rule: Rule, matched: int, root: Op, reason: str) -> None:
        """Keep the miss if it got further than the one known."""
        known = self.misses.get(rule.algebra)
        if known is None or matched > known.matched:
            self.misses[rule.algebra] = Miss(rule.name, rule.algebra, matched, repr(root), reason)


class _Fail(Exception):
    def __init__(self, reason: str):
        self.reason = reason


def match(module: Module, rule: Rule, root: Op) -> Match:
    """Match a rule at an op; raises NoMatch, whose `matched` counts the pattern nodes that did match."""
    m = Match(module, root)
    try:
        _match_op(m, rule.pattern, root)
    except _Fail as why:
        miss = NoMatch(why.reason)
        miss.matched = len(m.matched)  # type: ignore[attr-defined]
        raise miss from None
    return m


def _match_op(m: Match, pattern: Pattern, op_: Op) -> None:
    if not isinstance(op_, pattern.ops):
        raise _Fail(f"{op_!r} is no {pattern}")
    if pattern.uses is not None and len(op_.result.uses) > pattern.uses:
        raise _Fail(f"{op_.result!r} has {len(op_.result.uses)} uses; the rule allows {pattern.uses}")
    for key, wanted in pattern.where:
        if op_.attributes.get(key) != wanted:
            raise _Fail(f"{op_!r} has {key}={op_.attributes.get(key)!r}, not {wanted!r}")
    m.matched.append(op_)
    operands = op_.operands
    orders = [list(range(len(operands)))]
    if pattern.commute and len(operands) >= 2:
        orders.append([1, 0, *range(2, len(operands))])
    saved = dict(m.values), dict(m.ops), list(m.matched)
    last: _Fail | None = None
    for order in orders:
        m.values, m.ops, m.matched = dict(saved[0]), dict(saved[1]), list(saved[2])
        try:
            for i, sub in enumerate(pattern.operands):
                _match_value(m, sub, operands[order[i]] if i < len(operands) else None, op_)
        except _Fail as why:
            last = why
            continue
        if pattern.bind:
            m.ops[pattern.bind] = op_
            m.values[pattern.bind] = op_.result
        return
    assert last is not None
    raise last


def _match_value(m: Match, pattern: Pattern, value: Value | None, user: Op) -> None:
    if value is None:
        if not pattern.optional:
            raise _Fail(f"{user!r} has no operand for {pattern}")
        if pattern.bind:
            m.values[pattern.bind] = None
        return
    if pattern.constant and value.resource is None:
        raise _Fail(f"{value!r}, an operand of {user!r}, is no constant")
    if pattern.ops:
        if value.op is None or value.index != 0:
            raise _Fail(f"{value!r}, an operand of {user!r}, does not come from {pattern}")
        _match_op(m, pattern, value.op)
        return
    if pattern.bind:
        if pattern.bind in m.values and m.values[pattern.bind] is not value:
            raise _Fail(f"{pattern.bind} would be both {m.values[pattern.bind]!r} and {value!r}")
        m.values[pattern.bind] = value


def apply_rules(module: Module, rules: Iterable[Rule], by: str, *, limit: int = 64) -> RewriteLog:
    """Apply rules everywhere until none fires; `by` names the pass in locations.

    Each op is tried once, and again when an operand or user of it changed. Raises RanvierError when one place is
    rewritten more than `limit` times: the rules then undo each other.
    """
    log = RewriteLog()
    table: dict[type[Op], list[Rule]] = {}
    for rule in rules:
        for kind in rule.pattern.ops:
            table.setdefault(kind, []).append(rule)
    for graph in module.graphs.values():
        _Driver(module, graph, table, by, log, limit).run()
    return log


class _Driver:
    def __init__(
        self, module: Module, graph: Graph, table: dict[type[Op], list[Rule]], by: str, log: RewriteLog, limit: int
    ):
        self.module, self.graph, self.table, self.by, self.log, self.limit = module, graph, table, by, log, limit
        self.work: dict[Op, None] = dict.fromkeys(graph.ops)
        self.budget = limit * max(64, len(self.work))

    def run(self) -> None:
        while self.work:
            root = next(iter(self.work))
            del self.work[root]
            if root.graph is not self.graph:
                continue
            for rule in self._rules(root):
                if self._try(rule, root):
                    break

    def _rules(self, root: Op) -> list[Rule]:
        found = self.table.get(type(root))
        if found is not None:
            return found
        rules = [r for kind, rs in self.table.items() if isinstance(root, kind) for r in rs]
        self.table[type(root)] = rules
        return rules

    def _try(self, rule: Rule, root: Op) -> bool:
        try:
            m = match(self.module, rule, root)
        except NoMatch as why:
            self.log.missed(rule, getattr(why, "matched", 0), root, str(why))
            return False
        try:
            made = rule.build(m)
        except NoMatch as why:
            if m.builder.created:
                raise error("limit", f"rule {rule.name} gave up after it had built ops: {why}") from None
            self.log.missed(rule, len(m.matched) + 1, root, str(why))
            return False
        if made is None:
            return False
        self._replace(rule, root, m, [made] if isinstance(made, Value) else list(made))
        self.budget -= 1
        if self.budget < 0:
            raise error(
                "limit",
                f"the rules of {self.by} undo each other at {root!r}",
                help="use fixpoint only with rules that shrink",
            )
        return True

    def _replace(self, rule: Rule, root: Op, m: Match, values: list[Value]) -> None:
        location = derive(self.by, [o.location for o in m.matched])
        for made in m.builder.created:
            made.location = location if made.location is None else made.location
        name = repr(root)
        for old, new in zip(root.results, values, strict=True):
            if old.type != new.type:
                raise error(
                    "stale-type",
                    f"rule {rule.name} would replace {old!r}: {old.type} by {new!r}: {new.type}",
                    where=name,
                )
            for user in old.users:
                self.work[user] = None
            replace_uses(old, new)
        names = [r.name for r in root.results]
        erase_dead(root, self.work)
        for wanted, new in zip(names, values, strict=True):
            if new.op is not None and new.op in m.builder.created:
                self.graph.rename(new, wanted)
        for made in m.builder.created:
            self.work[made] = None
            for v in made.arguments:
                if v.op is not None:
                    self.work[v.op] = None
        self.log.applied.append(Application(rule.name, rule.algebra, name, tuple(repr(o) for o in m.builder.created)))


def erase_dead(root: Op, touched: dict[Op, None] | None = None) -> int:
    """Erase an op without users, and then the producers that lost their last user; returns how many."""
    count, stack = 0, [root]
    while stack:
        op_ = stack.pop()
        if op_.graph is None or any(r.uses for r in op_.results) or op_.name == "core.return":
            continue
        producers = [v.op for v in op_.arguments if v.op is not None]
        op_.graph.erase(op_)
        count += 1
        for p in producers:
            if touched is not None:
                touched[p] = None
            stack.append(p)
    return count
