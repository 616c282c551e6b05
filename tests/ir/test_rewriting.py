"""Rules fire where their algebra holds, say why they do not elsewhere, and lose nothing on the way."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ranvier.ir.core import Builder, Module, Value
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import Converted, ImportedName, Mask, Note, Statistics
from ranvier.ir.interpret import evaluate
from ranvier.ir.locations import FileLoc, NodeLoc, roots
from ranvier.ir.ops import arith, control, nn
from ranvier.ir.resources import Resource
from ranvier.ir.rewriting import (
    Match,
    NoMatch,
    RewriteLog,
    Rule,
    apply_rules,
    const,
    erase_dead,
    match,
    matches,
    maybe,
    op,
    rewrite,
    var,
)
from ranvier.ir.types import tensor


def net() -> tuple[Module, Builder, Value]:
    module = Module()
    graph = module.new_graph("main")
    return module, Builder(graph), graph.argument("x", tensor("N", 4))


def names(module: Module) -> list[str]:
    return [o.name for o in module.main.ops if o.name != "core.return"]


@rewrite("neg(neg(x)) => x", op(arith.Neg, op(arith.Neg, var("x"))))
def cancel(r: Match) -> Value:
    return r["x"]


@rewrite("a + a => 2 * a", op(arith.Add, var("a"), var("a")))
def twice(r: Match) -> Value:
    return r.new(arith.Mul, r["a"], r.constant(np.float32(2)))


@rewrite(
    "a*c + a*d => a * (c + d)",
    op(arith.Add, op(arith.Mul, var("a"), const("c"), commute=True), op(arith.Mul, var("a"), const("d"), commute=True)),
)
def factor(r: Match) -> Value:
    return r.new(arith.Mul, r["a"], r.constant(r.array("c") + r.array("d"), like="c"))


@rewrite(
    "relu(linear(x, w, b)) => abs(linear(x, w, b)), w used once",
    op(arith.Relu, op(nn.Linear, var("x"), const("w"), maybe(const("b")), bind="linear", uses=1)),
)
def shy(r: Match) -> Value:
    r.require(r.sole_use("w"), "weight {w} is used elsewhere")
    return r.new(arith.Abs, r.new(nn.Linear, r["x"], r["w"], r.get("b")))


# -- matching ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("orders", list(itertools.product([0, 1], repeat=3)))
def test_commutation_is_searched_to_the_end(orders: tuple[int, int, int]) -> None:
    module, make, x = net()
    c, d = make.constant(np.float32(2), "c"), make.constant(np.float32(3), "d")
    pairs = [(x, c), (x, d)]
    made = [make(arith.Mul, *(p if o else p[::-1])) for p, o in zip(pairs, orders, strict=False)]
    make.returns(make(arith.Add, *(made if orders[2] else made[::-1])))
    log = apply_rules(module, [factor], "test")
    assert [a.rule for a in log.applied] == ["factor"]
    assert names(module.verify()) == ["nn.mul"]
    assert evaluate(module, [np.ones((1, 4), np.float32)])[0][0].tolist() == [[5, 5, 5, 5]]


def test_an_inner_choice_is_taken_back() -> None:
    """(p * q) + q: the product's first order binds a to p, which only the outer operand contradicts."""
    rule = Rule("a*b + a", op(arith.Add, op(arith.Mul, var("a"), var("b"), commute=True), var("a")), lambda r: None)
    module, make, x = net()
    y = make(arith.Neg, x)
    for pair in ((x, y), (y, x)):
        root = make(arith.Add, make(arith.Mul, *pair), x).op
        found = match(module, rule, root)
        assert (found["a"], found["b"]) == (x, y)
    assert len(list(matches(module, rule, make(arith.Add, make(arith.Mul, x, x), x).op))) == 2


def test_the_same_name_is_the_same_value() -> None:
    module, make, x = net()
    y = make(arith.Neg, x)
    make.returns(make(arith.Add, x, x), make(arith.Add, x, y))
    log = apply_rules(module, [twice], "test")
    assert names(module.verify()) == ["nn.neg", "nn.mul", "nn.add"]
    assert log.misses[twice.algebra].reason == "a would be both %x and %neg"


def test_optional_operands() -> None:
    for bias in (True, False):
        module, make, x = net()
        b = make.constant(np.ones(4, np.float32), "b") if bias else None
        make.returns(make(arith.Relu, make(nn.Linear, x, make.constant(np.eye(4, dtype=np.float32), "w"), b)))
        apply_rules(module, [shy], "test")
        assert names(module.verify()) == ["nn.linear", "nn.abs"]
        (linear,) = [o for o in module.main.ops if isinstance(o, nn.Linear)]
        assert len(linear.arguments) == 2 + bias


def test_an_operand_left_out_binds_nothing() -> None:
    module, make, x = net()
    linear = make(nn.Linear, x, make.constant(np.eye(4, dtype=np.float32), "w"))
    found = match(module, shy, make(arith.Relu, linear).op)
    assert found.get("b") is None
    with pytest.raises(NoMatch, match="b is left out"):
        found["b"]
    assert found.op("linear") is linear.op


def test_subclasses_and_attributes() -> None:
    any_unary = Rule("f(x)", op((arith.Neg, arith.Clip), var("x"), low=0.0), lambda r: None)
    module, make, x = net()
    match(module, any_unary, make(arith.Clip, x, low=0.0).op)
    with pytest.raises(NoMatch, match=r"has low=1\.0, not 0\.0"):
        match(module, any_unary, make(arith.Clip, x, low=1.0).op)
    with pytest.raises(NoMatch, match=r"is no nn\.neg\|nn\.clip"):
        match(module, any_unary, make(arith.Relu, x).op)


# -- why a rule did not fire -------------------------------------------------------------------------------------------
def miss(module: Module, rule: Rule) -> str:
    log = apply_rules(module, [rule], "test")
    assert log.applied == []
    return log.misses[rule.algebra].reason


def test_the_reason_is_that_of_the_match_that_got_furthest() -> None:
    module, make, x = net()
    w = make.constant(np.eye(4, dtype=np.float32), "w")
    shared = make(arith.Relu, make(nn.Linear, x, w), name="shared")
    other = make(arith.Relu, make(arith.Neg, x))
    make.returns(shared, make(nn.Linear, other, w), make(arith.Relu, x))
    log = apply_rules(module, [shy], "test")
    assert log.applied == []
    found = log.misses[shy.algebra]
    assert found.reason == "weight $w is used elsewhere"
    assert found.at == "<%shared = nn.relu(%linear)>"
    assert (found.rule, found.algebra) == ("shy", shy.algebra)


def test_reasons() -> None:
    w = np.eye(4, dtype=np.float32)
    module, make, x = net()
    make.returns(make(arith.Relu, x))
    assert miss(module, shy) == "%x, an operand of <%relu = nn.relu(%x)>, does not come from nn.linear"
    module, make, x = net()
    make.returns(make(arith.Relu, make(arith.Neg, x)))
    assert miss(module, shy) == "<%neg = nn.neg(%x)> is no nn.linear"
    module, make, x = net()
    h = make(nn.Linear, x, make.constant(w, "w"))
    make.returns(make(arith.Relu, h), h)
    assert miss(module, shy) == "%linear has 2 uses; the rule allows 1"
    module, make, x = net()
    make.returns(make(arith.Relu, make(nn.Linear, x, module.main.argument("w", tensor(4, 4)))))
    assert miss(module, shy) == "%w, an operand of <%linear = nn.linear(%x, %w)>, is no constant"


def test_weights_shared_between_graphs() -> None:
    module, make, x = net()
    w = make.constant(np.eye(4, dtype=np.float32), "w")
    other = module.new_graph("other")
    body = Builder(other)
    body.returns(body(nn.Linear, other.argument("y", tensor("N", 4)), other.constant("w")))
    h = make(control.Call, x, graph_name="other", types=(x.type,))
    make.returns(make(arith.Relu, make(nn.Linear, h, w)))
    assert miss(module, shy) == "weight $w is used elsewhere"


# -- what is kept ------------------------------------------------------------------------------------------------------
def chain() -> tuple[Module, Value]:
    module, make, x = net()
    make.location = NodeLoc("net.onnx", "first", "Neg")
    h = make(arith.Add, x, x, name="h")
    make.returns(make(arith.Relu, h, name="y"))
    return module, h


def test_provenance() -> None:
    module, make, x = net()
    c, d = make.constant(np.float32(2), "c"), make.constant(np.float32(3), "d")
    make.location = FileLoc("net.py", 1)
    a = make(arith.Mul, x, c)
    make.location = FileLoc("net.py", 2)
    b = make(arith.Mul, x, d)
    make.location = NodeLoc("net.onnx", "sum")
    make.returns(make(arith.Add, a, b, name="y"))
    log = apply_rules(module, [factor], "tidy")
    made = module.main.value("y").op
    assert made is not None
    assert roots(made.location) == (NodeLoc("net.onnx", "sum"), FileLoc("net.py", 1), FileLoc("net.py", 2))
    assert made.location.describe() == "net.onnx, node 'sum' and 2 more (by tidy)"
    (applied,) = log.applied
    assert (applied.rule, applied.algebra) == ("factor", factor.algebra)
    assert applied.at == "<%y = nn.add(%mul, %mul_2)>"
    # a second pass keeps the first one's name, and the places
    twice_made = Rule("mul => mul", op(arith.Mul, var("a"), const("c")), lambda r: r.new(arith.Abs, r["a"]))
    apply_rules(module, [twice_made], "again")
    assert module.main.value("y").op.location.describe().endswith("(by again <- tidy)")  # type: ignore[union-attr]


def test_names_facts_and_places_are_kept() -> None:
    module, h = chain()
    h.facts = (ImportedName("/h"), Statistics("max", (1.0,)))
    h.op.facts, h.op.place = (Converted("relu"),), "chip"  # type: ignore[union-attr]
    apply_rules(module, [twice], "test")
    made = module.verify().main.value("h")
    assert made.op is not None
    assert made.op.name == "nn.mul"
    assert made.facts == (ImportedName("/h"), Statistics("max", (1.0,)))
    assert (made.op.facts, made.op.place) == ((Converted("relu"),), "chip")


def test_facts_of_an_existing_value_win() -> None:
    module, make, x = net()
    x.facts = (Statistics("max", (2.0,)), Note("mine"))
    y = make(arith.Neg, make(arith.Neg, x))
    y.facts = (Statistics("max", (1.0,)), Statistics("max", (1.0,), "channel"), Statistics("p99.9", (0.5,)))
    make.returns(y)
    apply_rules(module, [cancel], "test")
    assert x.facts == (
        Statistics("max", (2.0,)), Note("mine"), Statistics("max", (1.0,), "channel"), Statistics("p99.9", (0.5,)),
    )  # fmt: skip


def masked() -> tuple[Module, Builder, Value, Value]:
    module, make, x = net()
    mask = module.add(np.array([True, True, False, False]), "mask")
    w = make.constant(Resource.of(np.float32([1, 2, 0, 0]), (Mask(mask), Note("drop me"))), "w")
    return module, make, x, w


def test_masks_go_to_the_new_weight() -> None:
    module, make, x, w = masked()
    d = make.constant(np.float32(0), "d")
    make.returns(make(arith.Add, make(arith.Mul, x, w), make(arith.Mul, x, d)))
    apply_rules(module, [factor], "test")
    assert module.verify().resource("w_2").facts == (Mask("mask"),)


def test_a_mask_that_would_not_fit_stops_the_rule() -> None:
    flat = Rule(
        "x*w => x*sum(w)",
        op(arith.Mul, var("x"), const("w")),
        lambda r: r.new(arith.Mul, r["x"], r.constant(r.array("w").sum(), like="w")),
    )
    module, make, x, w = masked()
    make.returns(make(arith.Mul, x, w))
    before = str(module)
    assert miss(module, flat) == "$w has a mask that its new shape cannot keep"
    assert str(module) == before


def test_a_mask_on_an_op_that_goes_is_an_error() -> None:
    module, make, x = net()
    mask = module.add(np.ones(4, bool), "mask")
    y = make(arith.Neg, make(arith.Neg, x))
    y.op.facts = (Mask(mask),)
    make.returns(y)
    with pytest.raises(RanvierError) as caught:
        apply_rules(module, [cancel], "test")
    assert caught.value.diagnostics[0].code == "dropped-fact"


def test_ops_on_different_targets_stay_apart() -> None:
    module, make, x = net()
    inner = make(arith.Neg, x)
    inner.op.place = "chip"
    make.returns(make(arith.Neg, inner))
    assert miss(module, cancel) == "the ops are placed on different targets"


# -- coming to rest ----------------------------------------------------------------------------------------------------
@rewrite("relu(x) => abs(x)", op(arith.Relu, var("x")))
def there(r: Match) -> Value:
    return r.new(arith.Abs, r["x"])


@rewrite("abs(x) => relu(x)", op(arith.Abs, var("x")))
def back(r: Match) -> Value:
    return r.new(arith.Relu, r["x"])


@rewrite("relu(x) => relu(relu(x))", op(arith.Relu, var("x")))
def more(r: Match) -> Value:
    return r.new(arith.Relu, r.new(arith.Relu, r["x"]))


@pytest.mark.parametrize("rules", [(there, back), (more,)])
def test_rules_that_undo_each_other_are_named(rules: tuple[Rule, ...]) -> None:
    module, make, x = net()
    make.location = FileLoc("net.py", 5)
    make.returns(make(arith.Relu, x))
    with pytest.raises(RanvierError) as caught:
        apply_rules(module, rules, "restless")
    (found,) = caught.value.diagnostics
    assert found.code == "limit"
    assert found.message.startswith("the rules of restless undo each other at <%relu")
    assert any(r.algebra in found.message for r in rules)
    assert "net.py:5" in found.where


def test_long_chains_are_no_undoing() -> None:
    module, make, x = net()
    h = x
    for _ in range(400):
        h = make(arith.Neg, h)
    make.returns(h)
    assert len(apply_rules(module, [cancel], "test").applied) == 200
    assert names(module.verify()) == []


def test_a_rule_that_gives_up_half_way_is_a_fault() -> None:
    def build(r: Match) -> Value:
        r.new(arith.Abs, r["x"])
        raise NoMatch("too late")

    module, make, x = net()
    make.returns(make(arith.Relu, x))
    with pytest.raises(RanvierError, match="gave up after it had built ops: too late"):
        apply_rules(module, [Rule("relu(x)", op(arith.Relu, var("x")), build)], "test")


def test_a_replacement_of_another_type_is_a_fault() -> None:
    rule = Rule("relu(x) => c", op(arith.Relu, var("x")), lambda r: r.constant(np.zeros(3, np.float32)))
    module, make, x = net()
    make.returns(make(arith.Relu, x))
    with pytest.raises(RanvierError) as caught:
        apply_rules(module, [rule], "test")
    assert caught.value.diagnostics[0].code == "stale-type"


def test_the_order_of_rules_and_ops_does_not_matter() -> None:
    """What is exposed deep below an op, or frees a value of a user, is found in whatever order things are tried."""

    def build(reverse: bool) -> Module:
        module, make, x = net()
        c, d = make.constant(np.float32(2), "c"), make.constant(np.float32(3), "d")
        # x*c + neg(neg(x))*d factors once the negations are gone, and what is left of neg(neg(..)) goes too
        parts = [make(arith.Mul, x, c), make(arith.Mul, make(arith.Neg, make(arith.Neg, x)), d)]
        total = make(arith.Add, *(parts[::-1] if reverse else parts))
        w = make.constant(np.eye(4, dtype=np.float32), "w")
        h = make(nn.Linear, total, w, name="h")
        # h has two uses until the negations of the second one are dead
        make(arith.Neg, make(arith.Neg, h))
        make.returns(make(arith.Relu, h), make(arith.Neg, make(arith.Neg, total)))
        return module

    found = set()
    for rules in itertools.permutations([cancel, factor, there]):
        for reverse in (False, True):
            module = build(reverse)
            apply_rules(module, rules, "test")
            for o in list(module.main.ops):
                erase_dead(o)
            found.add(tuple(names(module.verify())))
    assert found == {("nn.mul", "nn.linear", "nn.abs")}


def test_a_user_that_goes_frees_the_others() -> None:
    """`uses=1` holds only after the other user was rewritten away."""
    module, make, x = net()
    h = make(nn.Linear, x, make.constant(np.eye(4, dtype=np.float32), "w"))
    first = make(arith.Relu, h)
    gone = make(arith.Mul, make(arith.Neg, make(arith.Neg, x)), make(arith.Add, h, h))
    zero = Rule("x * y => x", op(arith.Mul, op(arith.Neg, op(arith.Neg, var("x"))), var()), lambda r: r["x"])
    make.returns(first, gone)
    apply_rules(module, [shy, zero], "test")
    assert names(module.verify()) == ["nn.linear", "nn.abs"]


def test_the_log_keeps_the_best_miss_of_each_op() -> None:
    log = RewriteLog()
    _, make, x = net()
    root: Any = make(arith.Relu, x).op
    log.missed(shy, 1, root, "near")
    log.missed(cancel, 3, root, "nearer")
    log.missed(twice, 2, root, "far")
    assert log.nearest[root] == (3, "nearer")
    assert {m.reason for m in log.misses.values()} == {"near", "nearer", "far"}
