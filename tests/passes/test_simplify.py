"""fold-constants, cse and dce: what goes, what stays, and that the meaning is kept on random modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from ranvier.ir.codes import Rate
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.equality import difference
from ranvier.ir.facts import Converted, Histogram, ImportedName, Mask, Note
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, control, core, nn, reduce, shape, snn, time
from ranvier.ir.resources import Resource
from ranvier.ir.types import tensor
from ranvier.passes.simplify.canonicalize import Canonicalize
from ranvier.passes.simplify.cse import CommonSubexpressions
from ranvier.passes.simplify.dce import DeadCode
from ranvier.passes.simplify.fold_batchnorm import FoldBatchNorm
from ranvier.passes.simplify.fold_constants import FoldConstants
from tests.op_cases.control import recurrent
from tests.passes.helpers import apply, close, meaning, names, real, start
from tests.random_networks import networks
from tests.strategies import OpCase, cases

PASSES = (FoldConstants(), CommonSubexpressions(), DeadCode(), Canonicalize(), FoldBatchNorm())


# -- every pass on everything ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", cases()[::2], ids=lambda c: c.name)
def test_passes_keep_the_meaning_of_every_op(case: OpCase) -> None:
    module = case.module()
    before, _ = evaluate(module, case.arrays)
    for pass_ in PASSES:
        out, _ = apply(pass_, module)
        found, _ = evaluate(out, case.arrays)
        for a, b in zip(found, before, strict=True):
            close(a, b)


few = settings(derandomize=True, deadline=None, max_examples=30)


@given(networks())
@few
def test_passes_keep_the_meaning_of_random_networks(drawn: tuple[Module, Any]) -> None:
    check(drawn)


@pytest.mark.slow
@given(networks())
@settings(few, max_examples=400)
def test_passes_keep_the_meaning_of_many_random_networks(drawn: tuple[Module, Any]) -> None:
    check(drawn)


def check(drawn: tuple[Module, Any]) -> None:
    """Every pass keeps the meaning, and finds nothing more to do on what it made."""
    module, inputs = drawn
    before = meaning(module, inputs)
    for pass_ in PASSES:
        out, _ = apply(pass_, module)
        for a, b in zip(meaning(out, inputs), before, strict=True):
            close(a, b, 1e-4, least=0.1)  # what cancels leaves rounding only
        again, _ = apply(pass_, out)
        assert difference(again, out) is None, f"{pass_}\n{module}\n{out}\n{again}"


# -- fold-constants ----------------------------------------------------------------------------------------------------
def test_constants_fold_to_what_the_op_means() -> None:
    module, make, x = start("N", 3)
    a, b = make.constant(real(0, 2, 3), "a"), make.constant(real(1, 3), "b")
    c = make(arith.Exp, make(arith.Add, a, b))
    make.returns(make(arith.Add, x, make(reduce.Sum, c, axes=(0,))))
    out, _ = apply(FoldConstants(), module)
    assert names(out) == ["nn.add"]
    (name,) = out.resources
    wanted = np.exp(real(0, 2, 3) + real(1, 3)).astype(np.float32).sum(0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(out.resource(name).array, wanted)
    np.testing.assert_array_equal(meaning(out, real(2, 4, 3))[0], meaning(module, real(2, 4, 3))[0])


def test_constants_over_time_fold() -> None:
    module, make, x = start("N", 3, time=2)
    a = make.constant(real(0, 2, 3), "a", type=tensor(3, time=2))
    make.returns(make(arith.Add, x, make(arith.Neg, a)))
    out, _ = apply(FoldConstants(), module)
    assert names(out) == ["nn.add"]
    np.testing.assert_array_equal(meaning(out, real(1, 2, 4, 3))[0], meaning(module, real(1, 2, 4, 3))[0])


def test_growth_is_bounded() -> None:
    module, make, x = start("N", 1000, 100)
    big = make(shape.Broadcast, make.constant(real(0, 100), "row"), shape=(1000, 100))
    make.returns(make(arith.Add, x, big))
    assert names(apply(FoldConstants(), module)[0]) == ["core.broadcast", "nn.add"]
    assert names(apply(FoldConstants(growth=1000), module)[0]) == ["nn.add"]
    assert names(apply(FoldConstants(small=100_000), module)[0]) == ["nn.add"]


def test_what_is_not_folded() -> None:
    module, make, x = start("N", 4)
    masked = make.constant(Resource.of(real(0, 4), (Mask(module.add(np.ones(4, bool), "mask")),)), "w")
    absent = make.constant(Resource(tensor(4), digest="00"), "absent")
    repeated = make(time.Repeat, make.constant(real(1, 4), "r"), steps=2)
    spikes = make(snn.Encode, make.constant(real(2, 1, 4), "e"), code=Rate(), steps=2, key="k")
    h = make(arith.Add, make(arith.Neg, masked), make(arith.Neg, absent))
    total = make(arith.Add, make(arith.Add, x, h), make(time.Last, repeated))
    make.returns(make(arith.Add, total, make(snn.Decode, spikes)))
    out, _ = apply(FoldConstants(), module)
    assert out == module


def test_facts_of_what_is_folded_are_kept() -> None:
    module, make, x = start("N", 4)
    minus = make(arith.Neg, make.constant(real(0, 4), "w"))
    minus.facts = (ImportedName("/Neg"),)
    make.returns(make(arith.Add, x, minus))
    out, _ = apply(FoldConstants(), module)
    (resource,) = out.resources.values()
    assert resource.facts == (ImportedName("/Neg"),)


# -- cse ---------------------------------------------------------------------------------------------------------------
def test_equal_ops_become_one() -> None:
    module, make, x = start("N", 4)
    w, same, other = (make.constant(real(s, 4, 4), "w") for s in (0, 0, 1))
    h = [make(arith.Tanh, make(nn.Linear, x, v)) for v in (w, same, other, w)]
    make.returns(*h)
    out, _ = apply(CommonSubexpressions(), module)
    assert names(out) == ["nn.linear", "nn.tanh"] * 2
    assert sorted(out.resources) == ["w", "w_3"]
    for a, b in zip(meaning(out, real(5, 3, 4)), meaning(module, real(5, 3, 4)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_differs_stays() -> None:
    module, make, x = start("N", 4)
    h = [make(arith.LeakyRelu, x, slope=s) for s in (0.1, 0.2)]
    placed = make(arith.Abs, x)
    placed.op.place = "host"
    a = make(shape.Cast, x, elem="i32")
    b = make(shape.Cast, x, elem="i64")
    make.returns(*h, placed, make(arith.Abs, x), a, b)
    out, _ = apply(CommonSubexpressions(), module)
    assert out == module


def test_random_ops_and_delays_stay() -> None:
    module, make, x = start("N", 4)
    spikes = [make(snn.Encode, x, code=Rate(), steps=4, key=k) for k in ("a", "b")]
    values = [make(snn.Psp, s) for s in spikes]
    zero = make.constant(np.float32(0), "zero")
    delayed = [make(core.Delay, values[0], zero) for _ in range(2)]
    make.returns(*values, *delayed)
    out, _ = apply(CommonSubexpressions(), module)
    assert out == module


def test_constants_of_equal_numbers_but_other_facts_stay() -> None:
    module, make, x = start("N", 4)
    mask = module.add(np.ones(4, bool), "mask")
    plain = make.constant(real(0, 4), "w")
    masked = make.constant(Resource.of(real(0, 4), (Mask(mask),)), "w")
    doubles = make.constant(real(0, 4).astype(np.float64), "w")
    make.returns(make(arith.Add, x, plain), make(arith.Add, x, masked), make(shape.Cast, doubles, elem="f32"))
    out, _ = apply(CommonSubexpressions(), module)
    assert out == module


def test_splats_and_large_constants() -> None:
    module, make, x = start("N", 4)
    splats = [make.constant(Resource(tensor(4), splat=s), "s") for s in (0.0, 0.0, -0.0)]
    large = [make.constant(real(0, 4, 40)[:, :4].copy(), "l") for _ in range(2)]
    make.returns(*[make(arith.Add, x, s) for s in splats], *[make(nn.Linear, x, w) for w in large])
    out, _ = apply(CommonSubexpressions(hash_below=8), module)
    assert sorted(out.resources) == ["l", "l_2", "s", "s_3"]


def test_facts_of_what_is_merged_are_joined() -> None:
    module, make, x = start("N", 4)
    a, b = make(arith.Relu, x), make(arith.Relu, x)
    a.facts, b.facts = (Note("first"),), (Note("second"), ImportedName("b"))
    a.op.facts, b.op.facts = (), (Converted("relu"),)
    make.returns(a, b)
    out, _ = apply(CommonSubexpressions(), module)
    (op,) = [o for o in out.main.ops if o.name == "nn.relu"]
    assert op.facts == (Converted("relu"),)
    assert op.result.facts == (Note("first"), ImportedName("b"))


# -- dce ---------------------------------------------------------------------------------------------------------------
def test_the_unused_goes() -> None:
    module, make, x = start("N", 4)
    make(arith.Exp, make(arith.Neg, x))
    make(nn.Linear, x, make.constant(real(0, 4, 4), "dead"))
    make.returns(make(arith.Add, x, make.constant(real(1, 4), "live")))
    module.add(real(2, 4), "never")
    orphan = module.new_graph("orphan")
    Builder(orphan).returns(orphan.argument("y", tensor(3)))
    out, _ = apply(DeadCode(), module)
    assert names(out) == ["nn.add"]
    assert list(out.resources) == ["live"]
    assert list(out.graphs) == ["main"]


def test_dead_cycles_go_and_live_ones_stay() -> None:
    module = Module()
    recurrent(4)(module)
    assert apply(DeadCode(), module)[0] == module
    dead = module.clone()
    dead.main.erase(dead.main.terminator)
    Builder(dead.main).returns(dead.main.args[0])
    out, _ = apply(DeadCode(), dead)
    assert names(out) == []
    assert out.resources == {}


def test_graphs_that_are_called_stay() -> None:
    module, make, x = start("N", 4)
    for name, callee in (("a", "b"), ("b", ""), ("c", "b")):
        graph = module.new_graph(name)
        body = Builder(graph)
        y = graph.argument("y", x.type)
        body.returns(body(control.Call, y, graph_name=callee, types=(x.type,)) if callee else y)
    make.returns(make(control.Call, x, graph_name="a", types=(x.type,)))
    out, _ = apply(DeadCode(), module)
    assert sorted(out.graphs) == ["a", "b", "main"]


def test_resources_that_facts_name_stay() -> None:
    module, make, x = start("N", 4)
    masks = [module.add(np.ones(4, bool), n) for n in ("of_weight", "of_value", "of_op", "of_arg", "of_mask")]
    counts = module.add(np.arange(4).reshape(1, 4), "counts")
    module.resources["of_op"] = module.resource("of_op").with_facts((Mask("of_mask"),))
    module.add(np.ones(4, bool), "of_nothing")
    w = make.constant(Resource.of(real(0, 4), (Mask("of_weight"),)), "w")
    y = make(arith.Add, x, w)
    y.facts, y.op.facts, x.facts = (Mask("of_value"),), (Mask("of_op"),), (Mask("of_arg"),)
    module.facts = (Histogram(counts, (0.0,), (1.0,)),)
    make.returns(y)
    out, _ = apply(DeadCode(), module)
    assert sorted(out.resources) == sorted([*masks, counts, "w"])


def test_outputs_and_arguments_stay() -> None:
    module, make, x = start("N", 4)
    module.main.argument("unused", tensor("N", 2))
    make.returns(make(arith.Neg, x), x, names=["y", "loss"], roles=["output", "loss"])
    assert apply(DeadCode(), module)[0] == module


def test_a_sticky_fact_is_never_lost() -> None:
    module, make, x = start("N", 4)
    mask = module.add(np.ones(4, bool), "mask")
    minus = make(arith.Neg, make.constant(real(0, 4), "w"))
    minus.facts = (Mask(mask),)
    make.returns(make(arith.Add, x, minus))
    assert apply(FoldConstants(), module)[0] == module
    from ranvier.ir.core import replace_uses

    with pytest.raises(RanvierError, match="would lose"):
        replace_uses(minus, make.constant(real(1, 4), "c"))
