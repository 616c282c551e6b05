"""The step graph, called T times with the states that it gave, computes what the module computes over T steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.ir.codes import LayerSync, Rate
from ranvier.ir.core import Builder, Graph, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.facts import Converted, Initial, Note
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, control, core, neurons, nn, snn, time
from ranvier.ir.types import tensor
from ranvier.passes.time.to_step import ToStep
from tests.op_cases.base import Draw
from tests.op_cases.control import recurrent
from tests.passes.helpers import apply, start

T, N, C = 8, 3, 4


def iterate(module: Module, inputs: dict[str, Any], states: dict[str, Any]) -> tuple[list[Any], Module]:
    """Outputs of every step, [T, ...] where they are timed in the source module."""
    step, _ = apply(ToStep(), module)
    count = len(module.main.outputs)
    names = step.main.terminator.attributes["names"][count:]
    types = {a.name: a.type for a in step.main.args}
    begin = {a.name: step.resource(f.value).array for a in step.main.args if (f := a.fact(Initial)) is not None}
    for name, value in states.items():
        np.testing.assert_array_equal(begin.get(name, np.zeros(1)), value)
    now = {n: np.broadcast_to(begin.get(n, 0), (N, *types[n].shape[1:])).astype(types[n].elem.dtype) for n in names}
    rows = []
    for t in range(T):
        given = []
        for arg in step.main.args:
            if arg.name == "step":
                given.append(np.asarray(t))
            elif arg.name in now:
                given.append(now[arg.name])
            else:
                timed = module.main.value(arg.name).type.time is not None
                given.append(inputs[arg.name][t : t + 1] if timed else inputs[arg.name])
        found, _ = evaluate(step, given)
        rows.append(found[:count])
        now = dict(zip(names, found[count:], strict=True))
    outputs = []
    for i, value in enumerate(module.main.outputs):
        column = [r[i] for r in rows]
        outputs.append(np.concatenate(column) if value.type.time is not None else column[-1])
    return outputs, step


def check(module: Module, inputs: dict[str, Any], **states: Any) -> Module:
    wanted, _ = evaluate(module, [inputs[a.name] for a in module.main.args])
    found, step = iterate(module, inputs, {k.replace("__", "."): v for k, v in states.items()})
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    return step


CURRENT = {"x": Draw("step current").dyadic(T, N, C)}
SIGNED = {"code": Rate(signed=True), "elem": "i2"}
NEURONS: dict[str, dict[str, Any]] = {
    "plain": {"code": Rate()},
    "hard": {"code": Rate(), "reset": "hard", "v_reset": -0.25},
    "gt": {"code": Rate(), "compare": "gt"},
    "levels": {"code": Rate(levels=3), "elem": "u4"},
    "scaled": {"code": Rate(), "elem": Elem("i1", Affine((0.5, 0.25, 1.0, 2.0), axis=1))},
    "free": {**SIGNED, "negative": "free"},
    "gated": {**SIGNED, "negative": "gated"},
    "gated_zero": {**SIGNED, "negative": "gated", "lower": "zero"},
    "refractory": {"code": Rate(), "refractory": 2},
    "refractory_hard": {"code": Rate(), "refractory": 1, "reset": "hard", "v_reset": -0.25},
    "refractory_levels": {"code": Rate(levels=3), "elem": Elem("u4", Affine(0.5)), "refractory": 3},
    "refractory_free": {**SIGNED, "negative": "free", "refractory": 1},
    "refractory_gated": {**SIGNED, "negative": "gated", "lower": "zero", "refractory": 2},
}


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("outputs", ["spikes", "all"])
def test_neurons(kind: str, outputs: str) -> None:
    module, make, x = start("N", C, time=T)
    v0, leak = make.constant(np.float32(0.5), "v0"), make.constant(np.full(C, 0.75, np.float32), "leak")
    spikes, state, count = make(neurons.Neuron, x, None, v0, leak, **NEURONS[kind], name="n")
    value = make(snn.Psp, spikes)
    make.returns(value, *((state, count) if outputs == "all" else ()))
    check(module, CURRENT, n__v=0.5)


def test_a_count_goes_on() -> None:
    module, make, x = start("N", C, time=T)
    count0 = make.constant(np.float32(2), "count0")
    spikes, _, count = make(neurons.Neuron, x, None, None, None, None, count0, **NEURONS["gated"], name="n")
    make.returns(make(snn.Psp, spikes), count)
    check(module, CURRENT, n__fired=2)


def test_silence_goes_on() -> None:
    module, make, x = start("N", C, time=T)
    silent0 = make.constant(np.array([0, 1, 2, 5], np.float32), "silent0")
    none = (None,) * 5
    spikes, _, _ = make(neurons.Neuron, x, *none, silent0, code=Rate(), refractory=3, name="n")
    make.returns(make(snn.Psp, spikes))
    check(module, CURRENT, n__silent=[0, 1, 2, 5])


def test_silence_needs_a_refractory_time() -> None:
    _, make, x = start("N", C, time=T)
    silent0 = make.constant(np.float32(1), "silent0")
    with pytest.raises(RanvierError, match="begins silent without a refractory time"):
        make(neurons.Neuron, x, None, None, None, None, None, silent0, code=Rate())


def test_a_layer_that_sees_itself() -> None:
    module = Module()
    recurrent(T)(module)
    step = check(module, CURRENT)
    assert [a.name for a in step.main.args] == ["x", "step", "before.state", "neuron.v"]


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_accumulators(mode: str) -> None:
    module, make, x = start("N", C, time=T)
    running, _ = make(time.Accumulate, x, mode=mode, name="a")
    make.returns(running, make(time.Last, running))
    check(module, CURRENT, a__state=-np.inf if mode == "max" else 0)


@pytest.mark.parametrize("when", ["every", "every(period=3)", "start"])
def test_bias_currents(when: str) -> None:
    module, make, x = start("N", C, time=T)
    bias = make.constant(np.array([0.5, -1.0, 0.25, 2.0], np.float32), "b")
    make.returns(make(snn.BiasCurrent, x, bias, when=when))
    check(module, CURRENT)


def test_direct_input_and_hoisted_work() -> None:
    module, make, x = start("N", C)
    weight = make.constant(Draw("w").dyadic(5, C), "w")
    repeated = make(time.Repeat, make(nn.Linear, x, weight), steps=T)
    make.returns(make(snn.Psp, make(neurons.Neuron, repeated, code=Rate())[0]))
    check(module, {"x": Draw("direct").dyadic(N, C)})


@pytest.mark.parametrize("code", [Rate(), Rate(signed=True, levels=3)])
def test_random_encoders_draw_alike(code: Rate) -> None:
    module, make, x = start("N", C)
    spikes = make(snn.Encode, x, code=code, steps=T, elem=code.element(), key="input", seed=3)
    make.returns(make(snn.Psp, spikes))
    check(module, {"x": Draw("rates").dyadic(N, C, low=0, high=1)})


def test_delays() -> None:
    module, make, x = start("N", C, time=T)
    init = make.constant(np.float32(0.5), "init")
    once = make(core.Delay, x, init, name="d1")
    make.returns(make(arith.Add, x, make(core.Delay, once, init, name="d2")))
    check(module, CURRENT, d1__state=0.5, d2__state=0.5)


@pytest.mark.parametrize("steps", [2, 3, T, T + 1])
def test_delays_of_several_steps(steps: int) -> None:
    module, make, x = start("N", C, time=T)
    init = make.constant(np.array([0.5, -1.0, 2.0, 0.0], np.float32), "init")
    make.returns(make(arith.Add, x, make(core.Delay, x, init, steps=steps, name="d")))
    begins = {f"d__state{i}": [0.5, -1.0, 2.0, 0.0] for i in range(steps)}
    step = check(module, CURRENT, **begins)
    assert [a.name for a in step.main.args] == ["x", "step", *(f"d.state{i}" for i in range(steps))]


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("refractory", [0, 2])
def test_cycles_over_several_steps(steps: int, refractory: int) -> None:
    module = Module()
    around(module.new_graph("main"), steps, refractory)
    check(module, CURRENT)


def around(graph: Graph, steps: int, refractory: int) -> None:
    """A layer that sees its own spikes of some steps before, through a matrix."""
    make = Builder(graph)
    x = graph.argument("x", tensor("N", C, time=T))
    weights = make.constant(Draw("around").dyadic(C, C, low=-1, high=1), "w")
    before = make(core.Delay, x, make.constant(np.float32(0.25), "init"), steps=steps, name="before")
    current = make(arith.Add, x, make(nn.Linear, before, weights))
    value = make(snn.Psp, make(neurons.Neuron, current, code=Rate(), refractory=refractory, name="n")[0])
    before.op.set_operand(0, value)
    make.returns(value)


def test_constants_over_time() -> None:
    """Batch normalization through time: scale and shift of its own at every step."""
    module, make, x = start("N", C, time=T)
    scale = make.constant(Draw("bntt").dyadic(T, C), "scale", type=tensor(C, time=T))
    total, _ = make(time.Accumulate, make(arith.Mul, x, scale), mode="sum")
    make.returns(total)
    step = check(module, CURRENT)
    assert "core.gather" in [op.name for op in step.main.ops]


def test_facts_places_and_locations_stay() -> None:
    module, make, x = start("N", C, time=T)
    spikes, _, _ = make(neurons.Neuron, x, code=Rate(), name="n")
    x.facts, spikes.facts = (Note("in"),), (Note("out"),)
    spikes.op.facts, spikes.op.place = (Converted("relu"),), "host"
    make.returns(spikes)
    step, _ = apply(ToStep(), module)
    neuron = step.main.value("n").op
    assert neuron is not None
    assert (neuron.facts, neuron.place, neuron.results[0].facts) == ((Converted("relu"),), "host", (Note("out"),))
    assert step.main.args[0].facts == (Note("in"),)


def test_other_graphs_and_order_stay() -> None:
    module, make, x = start("N", C, time=T)
    make.returns(x)
    helper = module.new_graph("helper")
    Builder(helper).returns(helper.argument("y", tensor(3)))
    step, _ = apply(ToStep(), module)
    assert list(step.graphs) == ["main", "helper"]


def _refused(op: Any, *more: Any, **attributes: Any) -> str:
    module, make, x = start("N", C, time=T)
    made = make(op, x, *[make.constant(m, "c") for m in more], **attributes)
    make.returns(*(made if isinstance(made, tuple) else (made,)))
    with pytest.raises(RanvierError) as caught:
        apply(ToStep(), module)
    (found,) = caught.value.diagnostics
    assert found.code == "unsupported"
    return found.message


def test_what_needs_a_window_is_refused_by_name() -> None:
    assert "schedule layer_sync" in _refused(neurons.Neuron, code=Rate(), schedule=LayerSync())
    assert "which is computed" in _refused_delay()
    assert "needs the whole window" in _refused(time.FromTime, axis=1)


def _refused_delay() -> str:
    module, make, x = start("N", C, time=T)
    init = make(arith.Relu, module.main.argument("init", tensor("N", C)))
    make.returns(make(core.Delay, x, init))
    with pytest.raises(RanvierError) as caught:
        apply(ToStep(), module)
    return caught.value.diagnostics[0].message


def test_everything_refused_is_named_at_once() -> None:
    module, make, x = start("N", C, time=T)
    spikes, _, _ = make(neurons.Neuron, x, code=Rate(), schedule=LayerSync())
    make.returns(make(time.FromTime, make(snn.Psp, spikes), axis=0))
    with pytest.raises(RanvierError) as caught:
        apply(ToStep(), module)
    assert len(caught.value.diagnostics) == 2


def test_what_calls_run_becomes_steps_too() -> None:
    """Two call sites of one graph with states, and a call in it: each site has states of its own."""
    module, make, x = start("N", C, time=T)
    around(module.new_graph("layer"), 2, 1)
    twice = module.new_graph("twice")
    inside, y = Builder(twice), twice.argument("y", x.type)
    once = inside(control.Call, y, graph_name="layer", types=(x.type,))
    inside.returns(inside(arith.Add, once, inside(control.Call, once, graph_name="layer", types=(x.type,))))
    first = make(control.Call, x, graph_name="twice", types=(x.type,), name="first")
    make.returns(make(control.Call, first, graph_name="layer", types=(x.type,), name="second"))
    step = check(module, CURRENT)
    assert sum(a.name.endswith(".v") for a in step.main.args) == 3
    assert list(step.graphs) == ["main"]


def test_graphs_that_are_chosen_are_refused() -> None:
    module, make, x = start("N", C, time=T)
    helper = module.new_graph("helper")
    Builder(helper).returns(helper.argument("y", x.type))
    bit = make.constant(np.array(True), "bit")
    make.returns(make(control.If, bit, x, then="helper", otherwise="helper", types=(x.type,)))
    with pytest.raises(RanvierError, match=r"core\.if.* runs other graphs"):
        apply(ToStep(), module)
