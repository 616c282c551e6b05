"""`inline`: the ops of a graph in place of each call of it compute what the calls computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from ranvier.ir.codes import Rate
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import Note
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, control, snn
from ranvier.ir.types import tensor
from ranvier.passes.simplify.inline import Inline
from tests.op_cases.base import Draw
from tests.op_cases.control import recurrent
from tests.passes.helpers import apply, close, meaning, names, real, start
from tests.random_networks import networks


def called(module: Module, *times: str) -> Module:
    """A module whose @main calls what was @main, once for each name, and gives all that the calls give."""
    module = module.clone()
    graph = module.graphs.pop("main")
    graph.name = "net"
    main = module.new_graph("main")
    module.graphs["net"] = graph
    make, kinds = Builder(main), tuple(v.type for v in graph.outputs)
    args = [main.argument(a.name, a.type) for a in graph.args]
    results = [make(control.Call, *args, graph_name="net", types=kinds, name=name) for name in times]
    make.returns(*(v for r in results for v in (r if isinstance(r, tuple) else (r,))))
    return module.verify()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks())
def test_random_networks_stay_what_they_are(drawn: tuple[Module, Any]) -> None:
    module, x = drawn
    inlined, context = apply(Inline(), called(module, "a", "b"))
    assert names(inlined) == names(module) * 2
    assert context.notes == ["2 calls were replaced by what they run"]
    for found, wanted in zip(meaning(inlined, x), meaning(module, x) * 2, strict=True):
        close(found, wanted, 0)


def test_each_call_site_keeps_its_own_state() -> None:
    module = Module()
    recurrent(6)(module)
    x = Draw("inline").dyadic(6, 3, 4)
    outer = called(module, "a", "b")
    inlined, _ = apply(Inline(), outer)
    for found, wanted in zip(meaning(inlined, x), meaning(outer, x), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert names(inlined).count("core.delay") == 2
    assert "b.neuron" in [v.name for v in inlined.main.values]


def test_random_ops_draw_what_they_drew() -> None:
    module, make, x = start("N", 4)
    make.returns(make(snn.Psp, make(snn.Encode, x, code=Rate(), steps=8, elem="i1", key="input", seed=3)))
    values = Draw("drawn").dyadic(3, 4, low=0, high=1)
    outer = called(module, "a")
    ids = np.array([4, 9, 2])
    inlined, _ = apply(Inline(), outer)
    wanted, found = (evaluate(m, [values], sample_ids=ids, trial=2)[0][0] for m in (outer, inlined))
    np.testing.assert_array_equal(found, wanted)
    with pytest.raises(RanvierError, match="draws by the key 'input' in more than one call"):
        apply(Inline(), called(module, "a", "b"))


def test_calls_in_calls_and_in_branches() -> None:
    module, make, x = start("N", 3)
    kind = x.type
    inner = module.new_graph("inner")
    within, y = Builder(inner), inner.argument("y", kind)
    within.returns(within(arith.Neg, y))
    for name in ("then", "otherwise"):
        graph = module.new_graph(name)
        branch, z = Builder(graph), graph.argument("z", kind)
        branch.returns(branch(control.Call, z, graph_name="inner", types=(kind,)))
    bit = make.constant(np.array(True), "bit")
    make.returns(make(control.If, bit, x, then="then", otherwise="otherwise", types=(kind,)))
    inlined, _ = apply(Inline(), module)
    assert names(inlined) == ["core.if"]
    assert list(inlined.graphs) == ["main", "then", "otherwise"]
    assert [op.name for op in inlined.graph("then").ops] == ["nn.neg", "core.return"]
    close(meaning(inlined, real(0, 2, 3))[0], -real(0, 2, 3))


def test_open_dims_of_the_called_graph_are_known_then() -> None:
    module, make, x = start("N", 3)
    callee = module.new_graph("callee")
    inside, y = Builder(callee), callee.argument("y", tensor("N", "?"))
    inside.returns(inside(arith.Neg, y))
    make.returns(make(arith.Relu, make(control.Call, x, graph_name="callee", types=(tensor("N", "?"),))))
    inlined, _ = apply(Inline(), module)
    assert str(inlined.main.outputs[0].type) == "tensor<Nx3xf32>"


def test_facts_places_and_locations_stay() -> None:
    module, make, x = start("N", 3)
    callee = module.new_graph("callee")
    inside, y = Builder(callee), callee.argument("y", x.type)
    y.facts = (Note("of the argument"),)
    out = inside(arith.Neg, y)
    out.facts = (Note("of the result"),)
    inside.returns(out)
    result = make(control.Call, x, graph_name="callee", types=(x.type,), name="result")
    result.op.place = "host"
    make.returns(result)
    inlined, _ = apply(Inline(), module)
    (op, _) = inlined.main.ops
    assert op.place == "host"
    assert (inlined.main.args[0].facts, op.result.facts) == ((Note("of the argument"),), (Note("of the result"),))
    assert op.result.name == "result.neg"


def test_an_argument_that_is_given_back() -> None:
    module, make, x = start("N", 3)
    callee = module.new_graph("callee")
    y, z = callee.argument("y", x.type), callee.argument("z", x.type)
    Builder(callee).returns(z, y)
    make.returns(*make(control.Call, x, make(arith.Neg, x), graph_name="callee", types=(x.type, x.type)))
    inlined, _ = apply(Inline(), module)
    a, b = meaning(inlined, real(0, 2, 3))
    close(a, -b)
    assert names(inlined) == ["nn.neg"]
