"""Every rule of the verifier, broken by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ranvier.ir.codes import LayerSync, Rate
from ranvier.ir.core import Builder, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import elem
from ranvier.ir.facts import Histogram, Mask
from ranvier.ir.locations import FileLoc
from ranvier.ir.ops import arith, control, core, neurons, nn, snn
from ranvier.ir.resources import Resource
from ranvier.ir.types import SpikesType, tensor
from ranvier.ir.verify import findings
from tests.op_cases.control import recurrent
from tests.random_modules import pool
from tests.strategies import OpCase


def network() -> Module:
    """linear, relu, add."""
    module = Module("net")
    graph = module.new_graph("main")
    make = Builder(graph, location=FileLoc("net.py", 7))
    x = graph.argument("x", tensor("N", 4))
    h = make(nn.Linear, x, make.constant(np.eye(4, dtype=np.float32), "w"), name="h")
    a = make(arith.Relu, h, name="a")
    make.returns(make(arith.Add, a, x, name="y"))
    return module.verify()


def op(module: Module, name: str) -> Op:
    found = module.main.value(name).op
    assert found is not None
    return found


def codes(module: Module) -> list[tuple[str, str]]:
    with pytest.raises(RanvierError) as caught:
        module.verify()
    assert [d.code for d in findings(module)] == [d.code for d in caught.value.diagnostics]
    return [(d.code, d.message) for d in caught.value.diagnostics]


def expect(module: Module, code: str, part: str) -> None:
    found = codes(module)
    assert (code, part) in [(c, part if part in m else m) for c, m in found], found


def _two_names(m: Module) -> None:
    m.main.value("a").name = "h"


def _no_name(m: Module) -> None:
    m.main.value("a").name = ""


def _unlinked(m: Module) -> None:
    op(m, "a").prev = None


def _foreign_result(m: Module) -> None:
    m.main.value("a").op = op(m, "h")


def _early(m: Module) -> None:
    m.main.move(op(m, "y"), op(m, "a"))


def _gone(m: Module) -> None:
    relu = op(m, "a")
    relu.result.uses.clear()
    m.main.erase(relu)


def _no_operand(m: Module) -> None:
    op(m, "a").set_operand(0, None)


def _no_resource(m: Module) -> None:
    del m.resources["w"]


def _another_resource(m: Module) -> None:
    m.resources["w"] = Resource.of(np.ones((4, 5), np.float32)).renamed("w")


def _use_not_listed(m: Module) -> None:
    m.main.value("h").uses.clear()


def _use_not_there(m: Module) -> None:
    m.main.value("h").uses[(op(m, "y"), 0)] = None


def _use_beyond(m: Module) -> None:
    m.main.value("h").uses[(op(m, "y"), 9)] = None


def _constant_use_not_there(m: Module) -> None:
    m.main.constant("w").uses[(op(m, "y"), 1)] = None


def _foreign_constant(m: Module) -> None:
    value = Value(tensor(4, 4), "w", resource="w")
    op(m, "h").set_operand(1, value)


def _stale_type(m: Module) -> None:
    m.main.value("a").type = tensor("N", 5)


def _operands_do_not_fit(m: Module) -> None:
    m.main.args[0].type = tensor("N", 5)


def _no_return(m: Module) -> None:
    m.main.erase(m.main.terminator)


def _return_in_the_middle(m: Module) -> None:
    m.main.move(m.main.terminator, op(m, "y"))


def _wrong_symbol(m: Module) -> None:
    for v in m.main.values:
        v.type = tensor("batch", 4)


def _no_mask(m: Module) -> None:
    m.main.value("a").facts = (Mask("mask"),)


def _no_counts(m: Module) -> None:
    m.facts = (Histogram("counts", (0.0,), (1.0,)),)


def _resource_mask(m: Module) -> None:
    m.resources["w"] = m.resources["w"].with_facts((Mask("mask"),))


BROKEN: list[tuple[Callable[[Module], None], str, str]] = [
    (_two_names, "duplicate-name", "@main: two values are called %h"),
    (_no_name, "duplicate-name", "two values are called %"),
    (_unlinked, "broken-use-list", "is not linked to its neighbours and results"),
    (_foreign_result, "broken-use-list", "is not linked to its neighbours and results"),
    (_early, "use-before-definition", "uses %a before it is defined"),
    (_gone, "unknown-name", "uses %a, which no op of the graph defines"),
    (_no_operand, "wrong-operands", "lacks its operand 'x'"),
    (_no_resource, "unknown-name", "uses $w, which the module does not have"),
    (_another_resource, "stale-type", "$w is tensor<4x5xf32>"),
    (_use_not_listed, "broken-use-list", "%h does not list its use by <%a = nn.relu(%h)>"),
    (_use_not_there, "broken-use-list", "%h lists a use by <%y = nn.add(%a, %x)> that is not there"),
    (_use_beyond, "broken-use-list", "%h lists a use by <%y = nn.add(%a, %x)> that is not there"),
    (_constant_use_not_there, "broken-use-list", "$w lists a use by <%y = nn.add(%a, %x)> that is not there"),
    (_foreign_constant, "broken-use-list", "uses $w of another graph"),
    (_stale_type, "stale-type", "has type tensor<Nx5xf32> but infers tensor<Nx4xf32>"),
    (_operands_do_not_fit, "shape-mismatch", "needs 4 inputs on the last axis of x, which is [N, 5]"),
    (_no_return, "no-return", "@main: the graph does not end in core.return"),
    (_return_in_the_middle, "no-return", "@main: core.return is not the last op"),
    (_wrong_symbol, "shape-mismatch", "%x has the dim 'batch', which is no number, `?`, or symbol in capitals"),
    (_no_mask, "unknown-name", "the fact mask of %a names $mask, which the module does not have"),
    (_no_counts, "unknown-name", "the fact histogram of the module names $counts"),
    (_resource_mask, "unknown-name", "the fact mask of $w names $mask"),
]


@pytest.mark.parametrize(("break_it", "code", "message"), BROKEN, ids=[b[0].__name__.strip("_") for b in BROKEN])
def test_broken_rules_are_named(break_it: Callable[[Module], None], code: str, message: str) -> None:
    module = network()
    break_it(module)
    expect(module, code, message)


def test_findings_say_where() -> None:
    module = network()
    _stale_type(module)
    _no_mask(module)
    with pytest.raises(RanvierError) as caught:
        module.verify()
    stale = next(d for d in caught.value.diagnostics if d.code == "stale-type")
    assert stale.where == "net.py:7"
    # all findings at once
    assert {d.code for d in caught.value.diagnostics} == {"stale-type", "shape-mismatch", "unknown-name"}


def test_an_empty_graph() -> None:
    module = Module()
    module.new_graph("main")
    expect(module, "no-return", "@main: the graph does not end in core.return")


# -- time and spikes ---------------------------------------------------------------------------------------------------
def test_windowed_neurons_on_a_cycle() -> None:
    module = Module()
    recurrent(4)(module)
    op(module, "neuron").attributes["schedule"] = LayerSync()
    expect(module, "delay-cycle", "needs a whole window but lies on a cycle through core.delay")


def test_calls_on_a_cycle() -> None:
    module = Module()
    graph = module.new_graph("main")
    make = Builder(graph)
    x = graph.argument("x", tensor("N", 4, time=3))
    before = make(core.Delay, x, make.constant(np.float32(0), "zero"))
    helper = module.new_graph("helper")
    Builder(helper).returns(helper.argument("y", x.type))
    called = make(control.Call, before, graph_name="helper", types=(x.type,))
    before.op.set_operand(0, called)
    make.returns(called)
    expect(module, "delay-cycle", "lies on a cycle through core.delay")


def test_a_delay_of_nothing() -> None:
    module = Module()
    recurrent(4)(module)
    op(module, "before").set_operand(0, Value(tensor("N", 4, time=4), "ghost"))
    expect(module, "unknown-name", "uses %ghost, which no op of the graph defines")


def test_spikes_outside_their_element() -> None:
    module = Module()
    recurrent(4)(module)
    spikes = op(module, "neuron").results[0]
    assert isinstance(spikes.type, SpikesType)
    spikes.type = spikes.type.with_elem(elem("f32"))
    expect(module, "alphabet", "holds spikes of rate (0..1) in f32")


def test_random_ops_share_no_key() -> None:
    module = Module()
    graph = module.new_graph("main")
    make = Builder(graph)
    x = graph.argument("x", tensor("N", 4))
    made = [make(snn.Encode, x, code=Rate(), steps=3, key=k) for k in ("a", "b", "a")]
    regular = [make(snn.Encode, x, code=Rate(encoder="regular"), steps=3, key="b") for _ in range(2)]
    make.returns(*made, *regular)
    ((code, message),) = codes(module)
    assert code == "duplicate-op-key"
    assert "share the key 'a'" in message


# -- graphs that name graphs -------------------------------------------------------------------------------------------
def call(make: Builder, x: Value, name: str) -> Value:
    found: Value = make(control.Call, x, graph_name=name, types=(x.type,))
    return found


def test_graphs_that_are_not_there_or_do_not_fit() -> None:
    module = network()
    other = module.new_graph("other")
    make = Builder(other)
    y = other.argument("y", tensor("N", 5))
    make.returns(call(make, y, "main"), call(make, y, "nowhere"))
    found = codes(module)
    assert [c for c, _ in found] == ["type-mismatch", "unknown-name"]
    assert "gives (tensor<Nx5xf32>) to @main, which takes (tensor<Nx4xf32>)" in found[0][1]
    assert "names @nowhere, which the module does not have" in found[1][1]


def test_circles_of_calls() -> None:
    module = Module()
    for name, callee in (("main", "a"), ("a", "b"), ("b", "a")):
        graph = module.new_graph(name)
        make = Builder(graph)
        make.returns(call(make, graph.argument("x", tensor("N", 4)), callee))
    expect(module, "recursive-call", "a -> b -> a")


# -- what was handed out -----------------------------------------------------------------------------------------------
MUTATORS: dict[str, Callable[[Module], object]] = {
    "new_graph": lambda m: m.new_graph("more"),
    "add": lambda m: m.add(np.zeros(3, np.float32)),
    "tidy": lambda m: m.tidy(),
    "argument": lambda m: m.main.argument("z", tensor(3)),
    "insert": lambda m: m.main.insert(arith.Relu(Value(tensor(3), "free"))),
    "erase": lambda m: m.main.erase(m.main.terminator),
    "move": lambda m: m.main.move(op(m, "y"), op(m, "a")),
    "rename": lambda m: m.main.rename(m.main.value("a"), "b"),
    "rename_constant": lambda m: m.main.rename_constant("w", "v"),
    "forget_constant": lambda m: m.main.forget_constant("w"),
    "set": lambda m: m.main.terminator.set(roles=("loss",)),
    "set_operand": lambda m: op(m, "a").set_operand(0, m.main.args[0]),
    "drop_uses": lambda m: op(m, "a").drop_uses(),
    "replace_uses": lambda m: replace_uses(m.main.value("a"), m.main.value("h")),
    "builder": lambda m: Builder(m.main)(arith.Relu, Value(tensor(3), "free")),
}


@pytest.mark.parametrize("name", MUTATORS)
def test_a_module_that_was_handed_out_never_changes(name: str) -> None:
    module = network().freeze()
    before = str(module)
    with pytest.raises(RanvierError) as caught:
        MUTATORS[name](module)
    assert caught.value.diagnostics[0].code == "frozen-module"
    assert caught.value.diagnostics[0].help == "work on module.clone()"
    assert str(module.verify()) == before
    assert module.clone().verify() == module
    MUTATORS[name](module.clone())


def test_arrays_are_read_only() -> None:
    module = network()
    array = module.resource("w").array
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 5
    mine = np.ones(3, np.float32)
    name = module.add(mine)
    mine[0] = 7
    assert module.resource(name).array.tolist() == [1, 1, 1]


@pytest.mark.parametrize("case", pool()[::5], ids=lambda c: c.name)
def test_every_op_forgets_its_operands(case: OpCase) -> None:
    module = case.module()
    for graph in module.graphs.values():
        for one in list(graph.ops):
            one.drop_uses()
        assert not any(v.uses for v in graph.values)
        assert graph.constants == []


def test_wrong_operands_leave_no_use_behind() -> None:
    module = network()
    x = module.main.args[0]
    before = list(x.uses)
    with pytest.raises(RanvierError, match="mixes f32 and f64"):
        arith.Add(x, Value(tensor("N", 4, dtype="f64"), "wide"))
    with pytest.raises(RanvierError, match="takes"):
        neurons.Neuron()
    assert list(x.uses) == before
