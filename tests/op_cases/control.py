"""Cases of the ops that name graphs, and of a graph that is recurrent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.ir.codes import Rate
from ranvier.ir.core import Builder, Graph, Module, Op
from ranvier.ir.ops import arith, control, core, neurons, nn, reduce, snn
from ranvier.ir.types import Type, tensor
from tests.op_cases.base import Cases, Draw, OpCase


def control_cases() -> Cases:
    """Call, if, loop, return; and a delay cycle."""
    yield from _calls()
    yield from _ifs()
    yield from _loops()
    d = Draw("recurrent")
    steps, current = 6, d.dyadic(6, 3, 4)
    yield _case("core.delay[recurrent]", core.Delay, recurrent(steps), current)
    yield _case("core.return[nothing computed]", core.Return, _pass_through, d.real(3, 4))
    yield _case("core.return[twice]", core.Return, _twice, d.real(3, 4))
    yield _case("core.return[loss]", core.Return, _loss, d.real(3, 4))


def _case(name: str, op: type[Op], build: Callable[[Module], Graph], *arrays: Any) -> OpCase:
    return OpCase(name, op, build, tuple(np.asarray(a) for a in arrays), exact=True)


def recurrent(steps: int | str, width: int = 4) -> Callable[[Module], Graph]:
    """A neuron layer that sees its own spikes of the step before through a matrix."""

    def build(module: Module) -> Graph:
        graph = module.new_graph("main")
        make = Builder(graph)
        x = graph.argument("x", tensor("N", width, time=steps))
        zero = make.constant(np.zeros((), np.float32), "zero")
        weights = make.constant(Draw("recurrent weights").dyadic(width, width, low=-1, high=1), "w")
        # the delay's operand comes later: built on x, set to the psp below
        before = make(core.Delay, x, zero, name="before")
        back = make(nn.Linear, before, weights)
        spikes, _, _ = make(neurons.Neuron, make(arith.Add, x, back), code=Rate())
        value = make(snn.Psp, spikes)
        before.op.set_operand(0, value)
        make.returns(value, spikes)
        return graph

    return build


def _body(module: Module, name: str, *kinds: Type) -> tuple[Builder, list[Any]]:
    graph = module.new_graph(name)
    return Builder(graph), [graph.argument(f"a{i}", kind) for i, kind in enumerate(kinds)]


def _calls() -> Cases:
    d = Draw("calls")
    flat, timed = tensor("N", 4), tensor("N", 4, time=5)

    def plain(module: Module) -> Graph:
        make, (x,) = _body(module, "double", flat)
        make.returns(make(arith.Add, x, x))
        make, (x,) = _body(module, "main", flat)
        once = make(control.Call, x, graph_name="double", types=(flat,))
        make.returns(make(control.Call, once, graph_name="double", types=(flat,)))
        return module.main

    def stateful(module: Module) -> Graph:
        make, (x,) = _body(module, "cell", timed)
        spikes, _, _ = make(neurons.Neuron, x, code=Rate())
        make.returns(make(snn.Psp, spikes))
        make, (x,) = _body(module, "main", timed)
        # each call site has its own state
        first = make(control.Call, x, graph_name="cell", types=(timed,))
        make.returns(first, make(control.Call, first, graph_name="cell", types=(timed,)))
        return module.main

    def several(module: Module) -> Graph:
        make, (x, y) = _body(module, "both", flat, flat)
        make.returns(make(arith.Sub, x, y), make(arith.Mul, x, y))
        make, (x, y) = _body(module, "main", flat, flat)
        make.returns(*make(control.Call, y, x, graph_name="both", types=(flat, flat)))
        return module.main

    yield _case("core.call[twice]", control.Call, plain, d.dyadic(3, 4))
    yield _case("core.call[stateful]", control.Call, stateful, d.dyadic(5, 3, 4))
    yield _case("core.call[several]", control.Call, several, d.dyadic(3, 4), d.dyadic(3, 4))


def _ifs() -> Cases:
    d = Draw("ifs")
    flat, timed = tensor("N", 4), tensor("N", 4, time=5)

    def chosen(kind: Any, per_sample: bool) -> Callable[[Module], Graph]:
        def build(module: Module) -> Graph:
            make, (x,) = _body(module, "yes", kind)
            make.returns(make(arith.Neg, x))
            make, (x,) = _body(module, "no", kind)
            make.returns(make(arith.Mul, x, x))
            bit = tensor("N", dtype="i1") if per_sample else tensor(dtype="i1")
            make, (c, x) = _body(module, "main", bit, kind)
            picked = {"then": "yes", "otherwise": "no", "types": (kind,), "per_sample": per_sample}
            make.returns(make(control.If, c, x, **picked))
            return module.main

        return build

    for bit in (True, False):
        yield _case(f"core.if[{bit}]", control.If, chosen(flat, False), np.array(bit), d.dyadic(3, 4))
    bits = np.array([True, False, True])
    yield _case("core.if[per_sample]", control.If, chosen(flat, True), bits, d.dyadic(3, 4))
    yield _case("core.if[per_sample_timed]", control.If, chosen(timed, True), bits, d.dyadic(5, 3, 4))


def _loops() -> Cases:
    d = Draw("loops")
    flat, index, bit = tensor("N", 4), tensor(dtype="i64"), tensor(dtype="i1")

    def build(module: Module) -> Graph:
        make, (_, x, step) = _body(module, "round", index, flat, flat)
        following = make(arith.Add, x, step)
        limit = make.constant(np.float32(8), "limit")
        make.returns(make(arith.Compare, make(reduce.Max, following), limit, how="lt"), following)
        make, (trip, x, step) = _body(module, "main", index, flat, flat)
        make.returns(make(control.Loop, trip, x, step, body="round", types=(flat,)))
        return module.main

    def powers(module: Module) -> Graph:
        make, (_, go, x) = _body(module, "round", index, bit, flat)
        one = make(arith.Add, x, x)
        make.returns(go, go, one)
        make, (trip, go, x) = _body(module, "main", index, bit, flat)
        make.returns(*make(control.Loop, trip, go, x, body="round", types=(bit, flat)))
        return module.main

    for trip in (0, 3, 50):
        yield _case(
            f"core.loop[{trip}]", control.Loop, build, np.array(trip), d.dyadic(3, 4), np.abs(d.dyadic(3, 4)) + 1
        )
    for go in (True, False):
        yield _case(f"core.loop[carries {go}]", control.Loop, powers, np.array(3), np.array(go), d.dyadic(3, 4))


def _pass_through(module: Module) -> Graph:
    make, (x,) = _body(module, "main", tensor("N", 4))
    make.returns(x)
    return module.main


def _twice(module: Module) -> Graph:
    make, (x,) = _body(module, "main", tensor("N", 4))
    y = make(arith.Neg, x)
    make.returns(y, x, y, names=("a", "b", "c"))
    return module.main


def _loss(module: Module) -> Graph:
    make, (x,) = _body(module, "main", tensor("N", 4))
    make.returns(make(arith.Relu, x), make(arith.Add, x, x), names=("y", "loss"), roles=("output", "loss"))
    return module.main
