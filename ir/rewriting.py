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

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ranvier.ir.core import Graph, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import error
from ranvier.ir.locations import derive, describe
from ranvier.ir.matching import Match, NoMatch, Pattern, Rule, const, graph_of, match, matches, maybe, op, users, var

__all__ = [
    "Application", "Match", "Miss", "NoMatch", "Pattern", "RewriteLog", "Rule", "apply_rules", "const", "erase_dead",
    "match", "matches", "maybe", "op", "rewrite", "users", "var",
]  # fmt: skip

# A value with more users than this is shared by design: no rule asks for so few that one less would matter.
NEAR = 16


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
    nearest: dict[Op, tuple[int, str]] = field(default_factory=dict)

    def missed(self, rule: Rule, matched: int, root: Op, reason: str | NoMatch) -> None:
        """Keep the miss if it got further than the one known, of the rule and at the op (beyond the op itself)."""
        if matched > self.nearest.get(root, (1, ""))[0]:
            self.nearest[root] = matched, str(reason)
        known = self.misses.get(rule.algebra)
        if known is None or matched > known.matched:
            self.misses[rule.algebra] = Miss(rule.name, rule.algebra, matched, repr(root), str(reason))


def apply_rules(module: Module, rules: Iterable[Rule], by: str, *, limit: int = 64) -> RewriteLog:
    """Apply rules everywhere until none fires; `by` names the pass in locations.

    Each op is tried once, and again when something within reach of the patterns changed. A use of a constant may go in
    another graph: a module of several graphs is gone over until nothing fires. Raises RanvierError when one place is
    rewritten more than `limit` times without becoming smaller: the rules then undo each other.
    """
    log = RewriteLog()
    driver = _Driver(module, tuple(rules), by, log, limit)
    while True:
        before = len(log.applied)
        driver.again = len(module.graphs) > 1
        for graph in list(module.graphs.values()):
            driver.sweep(graph)
        if not driver.again or len(log.applied) == before:
            return log


class _Driver:
    def __init__(self, module: Module, rules: tuple[Rule, ...], by: str, log: RewriteLog, limit: int):
        self.module, self.rules, self.by, self.log, self.limit = module, rules, by, log, limit
        self.reach = 1 + max((_depth(r.pattern) for r in rules), default=0)
        self.again = False
        self.table: dict[type[Op], list[Rule]] = {}
        self.work: deque[Op] = deque()
        self.waiting: set[Op] = set()
        # how often a place was rewritten without becoming smaller
        self.turns: dict[Op, int] = {}
        self.budget = limit * max(64, sum(map(len, module.graphs.values())))

    def sweep(self, graph: Graph) -> None:
        """Try every op of a graph, and again those near a change."""
        for root in graph.ops:
            self._later(root)
        while self.work:
            root = self.work.popleft()
            self.waiting.discard(root)
            if root.graph is graph:
                any(self._try(rule, root) for rule in self._rules(type(root)))

    def _later(self, root: Op) -> None:
        if root not in self.waiting:
            self.waiting.add(root)
            self.work.append(root)

    def _downstream(self, ops: Iterable[Op]) -> None:
        """Try ops again, and those behind them whose patterns reach as far."""
        front = dict.fromkeys(op_ for op_ in ops if op_.graph is not None)
        for _ in range(self.reach):
            for op_ in front:
                self._later(op_)
            front = dict.fromkeys(user for op_ in front for r in op_.results for user, _ in r.uses)
            if len(front) > NEAR * NEAR:
                self.again = True
                return

    def _rules(self, kind: type[Op]) -> list[Rule]:
        if kind not in self.table:
            self.table[kind] = [r for r in self.rules if issubclass(kind, r.pattern.ops)]
        return self.table[kind]

    def _try(self, rule: Rule, root: Op) -> bool:
        try:
            for m in matches(self.module, rule, root):
                try:
                    places = {o.place for o in m.matched}
                    m.require(len(places) == 1, "the ops are placed on different targets")
                    made = rule.build(m)
                except NoMatch as why:
                    if m.builder.created:
                        raise error("limit", f"rule {rule.name} gave up after it had built ops: {why}") from None
                    self.log.missed(rule, len(m.matched) + 1, root, why)
                    continue
                if made is None:
                    continue
                self._replace(rule, root, m, [made] if isinstance(made, Value) else list(made))
                return True
        except NoMatch as why:
            self.log.missed(rule, why.matched, root, why)
        return False

    def _replace(self, rule: Rule, root: Op, m: Match, values: list[Value]) -> None:
        for old, new in zip(root.results, values, strict=True):
            if old.type != new.type:
                raise error(
                    "stale-type",
                    f"rule {rule.name} would replace {old!r}: {old.type} by {new!r}: {new.type}",
                    where=describe(root.location),
                )
        at, names, created = repr(root), [r.name for r in root.results], m.builder.created
        location = derive(self.by, [o.location for o in m.matched])
        for made in created:
            made.location = made.location or location
            made.place = root.place
        for old, new in zip(root.results, values, strict=True):
            self._downstream(old.users)
            replace_uses(old, new)
        gone = erase_dead(root)
        self._keep_facts(gone, values, at)
        for wanted, new in zip(names, values, strict=True):
            if new.op is not None and new.op in created:
                graph_of(new.op).rename(new, wanted)
        for op_ in (*created, *gone):
            for value in op_.arguments:
                # it lost a user, or has a new one: bounds on its uses are small, so many that are left change nothing
                if len(value.uses) <= NEAR:
                    self._downstream([value.op, *value.users] if value.op is not None else value.users)
        self._downstream(created)
        self._count(rule, m, created, gone, at)
        self.log.applied.append(Application(rule.name, rule.algebra, at, tuple(repr(o) for o in created)))

    def _keep_facts(self, gone: list[Op], values: list[Value], at: str) -> None:
        """Facts on ops that are erased go to the op that takes their place."""
        facts = tuple(dict.fromkeys(f for op_ in gone for f in op_.facts))
        heir = next((v.op for v in values if v.op is not None), None)
        if heir is not None:
            have = {f.subject for f in heir.facts}
            heir.facts += tuple(f for f in facts if f.subject not in have)
        elif sticky := [f.word for f in facts if f.sticky]:
            raise error("dropped-fact", f"{at} has a {sticky[0]} that no op takes over")

    def _count(self, rule: Rule, m: Match, created: list[Op], gone: list[Op], at: str) -> None:
        turns = max(self.turns.get(o, 0) for o in m.matched) + (len(created) >= len(gone))
        for made in created:
            self.turns[made] = turns
        self.budget -= 1
        if turns > self.limit or self.budget < 0:
            raise error(
                "limit",
                f"the rules of {self.by} undo each other at {at}; the last one was {rule.name}: {rule.algebra}",
                where=describe(m.root.location),
                help="of two rules that undo each other, keep one",
            )


def _depth(pattern: Pattern) -> int:
    """How many ops a pattern has one behind the other."""
    return (1 if pattern.ops else 0) + max(map(_depth, pattern.operands), default=0)


def erase_dead(root: Op) -> list[Op]:
    """Erase an op without users, and then the producers that lost their last user; returns what was erased."""
    gone: list[Op] = []
    stack = [root]
    while stack:
        op_ = stack.pop()
        if op_.graph is None or any(r.uses for r in op_.results) or op_.name == "core.return":
            continue
        op_.graph.erase(op_)
        gone.append(op_)
        stack += [v.op for v in op_.arguments if v.op is not None]
    return gone
