"""Time, delays, and graphs that name graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.ir.codes import Rate
from ranvier.ir.core import Builder, Graph, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, control, core, neurons, nn, snn, time
from ranvier.ir.timing import PureOp
from ranvier.ir.types import tensor
from tests.op_cases.base import Draw, value, weight
from tests.op_cases.control import recurrent
from tests.ops.helpers import apply, close
from tests.strategies import OpCase, cases


def run(module: Module, *arrays: Any, **more: Any) -> Any:
    return evaluate(module.verify(), arrays, **more)[0]


def empty(*kinds: Any) -> tuple[Module, Builder, list[Any]]:
    module = Module()
    graph = module.new_graph("main")
    return module, Builder(graph), [graph.argument(f"x{i}", k) for i, k in enumerate(kinds)]


# -- per step ----------------------------------------------------------------------------------------------------------
def untimed_cases() -> list[OpCase]:
    """Cases of pure ops without time, to be run over time."""
    return [c for c in cases() if issubclass(c.op, PureOp) and all(v.type.time is None for v in c.module().main.values)]


@pytest.mark.parametrize("case", untimed_cases(), ids=lambda c: c.name)
def test_a_pure_op_over_time_is_the_op_at_each_step(case: OpCase) -> None:
    """Every argument gets three steps; the results are those of three runs."""
    module = case.module()
    args = module.main.args
    rng = np.random.default_rng(0)
    steps = [[a[rng.permutation(len(a))] if a.ndim else a for a in case.arrays] for _ in range(3)]
    (op,) = [op for op in module.main.ops if op.name != "core.return"]
    timed = Module()
    graph = timed.new_graph("main")
    make = Builder(graph)
    values = {a: graph.argument(a.name, a.type.with_time(3)) for a in args}
    for v in op.arguments:
        if v.is_constant:
            values[v] = graph.constant(timed.add(module.resource(v.resource), v.resource))
    operands = [None if v is None else values[v] for v in op.operands]
    make.returns(make(type(op), *operands, **op.attributes))
    (found,) = run(timed, *[np.stack(column) for column in zip(*steps, strict=True)])
    for t in range(3):
        np.testing.assert_array_equal(found[t], run(module, *steps[t])[0])


# -- delay -------------------------------------------------------------------------------------------------------------
def test_delay_gives_what_came_before() -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = apply(core.Delay, value(x, time=True), weight(np.array([7, 8, 9], np.float32)), steps=2)
    np.testing.assert_array_equal(found, np.concatenate([[[7, 8, 9]] * 2, x[:2]]))


def test_recurrent_layer_is_the_plain_loop() -> None:
    steps, batch, width = 7, 3, 4
    module = Module()
    recurrent(steps, width)(module)
    x = Draw("x").dyadic(steps, batch, width)
    weights = Draw("recurrent weights").dyadic(width, width, low=-1, high=1)
    found, spikes = run(module, x)
    v, s = np.zeros((batch, width)), np.zeros((batch, width))
    for t in range(steps):
        v = v + x[t] + s @ weights.T
        s = (v >= 1).astype(float)
        v = v - s
        np.testing.assert_array_equal(found[t], s)
        np.testing.assert_array_equal(spikes[t], s)
    assert 0 < spikes.mean() < 1


def test_recurrent_layer_over_a_symbolic_number_of_steps() -> None:
    module = Module()
    recurrent("T")(module)
    short, long = Draw("x").dyadic(3, 2, 4), Draw("x").dyadic(9, 2, 4)
    assert run(module, short)[0].shape == (3, 2, 4)
    np.testing.assert_array_equal(run(module, long)[0][:3], run(module, long[:3])[0])


def test_two_delays_on_one_cycle() -> None:
    """Fibonacci numbers: x[t] = x[t-1] + x[t-2]."""
    module, make, (u,) = empty(tensor(1, time=8))
    one, zero = make.constant(np.float32(1)), make.constant(np.float32(0))
    near, far = make(core.Delay, u, one), make(core.Delay, u, zero, steps=2)
    total = make(arith.Add, make(arith.Add, near, far), u)
    near.op.set_operand(0, total)
    far.op.set_operand(0, total)
    make.returns(total)
    assert run(module, np.zeros((8, 1), np.float32))[0].ravel().tolist() == [1, 1, 2, 3, 5, 8, 13, 21]


def test_a_delay_whose_operand_comes_later_without_a_cycle() -> None:
    module, make, (u,) = empty(tensor(2, time=3))
    late = make(core.Delay, u, make.constant(np.float32(0)))
    later = make(arith.Neg, u)
    late.op.set_operand(0, later)
    make.returns(late)
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(run(module, x)[0], np.concatenate([np.zeros((1, 2)), -x[:2]]))


def test_a_neuron_and_its_state_on_a_cycle() -> None:
    """Lateral inhibition: a spike takes 2 from the next step's current; the final state comes out too."""
    module, make, (u,) = empty(tensor("N", 2, time=6))
    before = make(core.Delay, u, make.constant(np.float32(0)))
    current = make(arith.Sub, u, make(arith.Add, before, before))
    fired, state, count = make(neurons.Neuron, current, code=Rate())
    before.op.set_operand(0, make(snn.Psp, fired))
    make.returns(fired, state, count)
    fired_, state_, count_ = run(module, np.full((6, 1, 2), 1, np.float32))
    assert fired_[:, 0, 0].astype(int).tolist() == [1, 0, 0, 1, 0, 0]
    np.testing.assert_array_equal(count_, [[2, 2]])
    np.testing.assert_array_equal(state_, 6 - 2 * 2 - count_)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (np.zeros((2, 4), np.float32), "`core.delay` begins with [2, 4] but gives [2, 3]"),
        (np.zeros((1, 2, 3), np.float32), "`core.delay` begins with [1, 2, 3] but gives [2, 3]"),
    ],
)
def test_delay_needs_a_fitting_beginning(start: Any, message: str) -> None:
    with pytest.raises(RanvierError) as raised:
        apply(core.Delay, value(np.zeros((4, 2, 3), np.float32), time=True), weight(start))
    assert raised.value.diagnostics[0].message == message


# -- axes and time -----------------------------------------------------------------------------------------------------
def test_to_time_and_back() -> None:
    x = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    for axis in (0, 1, 2, -1):
        timed = apply(time.ToTime, x, axis=axis)
        np.testing.assert_array_equal(timed, np.moveaxis(x, axis, 0))
        np.testing.assert_array_equal(apply(time.FromTime, value(timed, time=True), axis=axis), x)
    with pytest.raises(RanvierError, match="would give a value a second time axis"):
        apply(time.ToTime, value(x, time=True), axis=0)
    with pytest.raises(RanvierError, match=r"`core.from_time` needs a value over time"):
        apply(time.FromTime, x, axis=0)


def test_accumulate_goes_on_from_start_and_offset() -> None:
    x = Draw("x").dyadic(6, 2, 3)
    running = {"mean": np.cumsum(x, 0) / np.arange(1, 7).reshape(-1, 1, 1), "sum": np.cumsum(x, 0)}
    running["max"] = np.maximum.accumulate(x, 0)
    for mode, want in running.items():
        found, state = apply(time.Accumulate, value(x, time=True), mode=mode)
        close(found, want.astype(np.float32))
        _, half = apply(time.Accumulate, value(x[:4], time=True), mode=mode)
        rest = apply(time.Accumulate, value(x[4:], time=True), value(half), value(np.array(4)), mode=mode)
        np.testing.assert_array_equal(rest[0], found[4:])
        np.testing.assert_array_equal(rest[1], state)


def test_accumulate_of_integers() -> None:
    x = Draw("x").ints(5, 3)
    found, _ = apply(time.Accumulate, value(x, time=True), mode="max")
    np.testing.assert_array_equal(found, np.maximum.accumulate(x, 0))
    with pytest.raises(RanvierError, match=r"`core.accumulate` needs real numbers, not i64"):
        apply(time.Accumulate, value(x, time=True), mode="mean")


def test_operands_over_different_steps_do_not_meet() -> None:
    with pytest.raises(RanvierError, match=r"`nn.add` has operands over 3 and 4 steps"):
        apply(arith.Add, value(np.zeros((3, 2), np.float32), time=True), value(np.zeros((4, 2), np.float32), time=True))


# -- graphs ------------------------------------------------------------------------------------------------------------
def test_each_call_site_has_its_own_state() -> None:
    module = Module()
    flat = tensor(1, time=4)
    cell = module.new_graph("cell")
    make = Builder(cell)
    fired, _, _ = make(neurons.Neuron, cell.argument("x", flat), code=Rate())
    make.returns(make(snn.Psp, fired))
    graph = module.new_graph("main")
    make, x = Builder(graph), graph.argument("x", flat)
    first = make(control.Call, x, graph_name="cell", types=(flat,))
    make.returns(first, make(control.Call, x, graph_name="cell", types=(flat,)))
    a, b = run(module, np.full((4, 1), 0.75, np.float32))
    np.testing.assert_array_equal(a, b)
    assert a.ravel().tolist() == [0, 1, 1, 1]


def body(module: Module, name: str, *kinds: Any) -> tuple[Builder, list[Any]]:
    graph: Graph = module.new_graph(name)
    return Builder(graph), [graph.argument(f"a{i}", k) for i, k in enumerate(kinds)]


def test_a_loop_stops_when_its_body_says_so() -> None:
    module = Module()
    index, bit, flat = tensor(dtype="i64"), tensor(dtype="i1"), tensor(2)
    make, (i, x) = body(module, "round", index, flat)
    two = make.constant(np.array(2))
    make.returns(make(arith.Compare, i, two, how="lt"), make(arith.Add, x, x))
    make, (trip, x) = body(module, "main", index, flat)
    make.returns(make(control.Loop, trip, x, body="round", types=(flat,)))
    x0 = np.array([1, 3], np.float32)
    assert run(module, np.array(2), x0)[0].tolist() == [4, 12]
    assert run(module, np.array(9), x0)[0].tolist() == [8, 24]
    assert run(module, np.array(0), x0)[0].tolist() == [1, 3]
    assert bit.rank == 0


def test_a_loop_body_of_another_kind_is_refused() -> None:
    module = Module()
    index, flat = tensor(dtype="i64"), tensor(2)
    make, (_, x) = body(module, "round", index, flat)
    make.returns(make(arith.Add, x, x))
    make, (trip, x) = body(module, "main", index, flat)
    make.returns(make(control.Loop, trip, x, body="round", types=(flat,)))
    with pytest.raises(
        RanvierError, match=r"expects \(tensor<i1>, tensor<2xf32>\) of @round, which gives \(tensor<2xf32>\)"
    ):
        module.verify()


def test_a_call_that_does_not_fit_is_refused() -> None:
    module = Module()
    make, (x,) = body(module, "double", tensor("N", 3))
    make.returns(make(arith.Add, x, x))
    make, (x,) = body(module, "main", tensor("N", 4))
    make.returns(make(control.Call, x, graph_name="double", types=(tensor("N", 4),)))
    message = r"gives \(tensor<Nx4xf32>\) to @double, which takes \(tensor<Nx3xf32>\)"
    with pytest.raises(RanvierError, match=message):
        module.verify()


def test_the_choice_of_one_of_two_graphs() -> None:
    module = Module()
    flat = tensor("N", 2)
    make, (x,) = body(module, "yes", flat)
    make.returns(make(arith.Neg, x))
    make, (x,) = body(module, "no", flat)
    make.returns(x)
    make, (c, x) = body(module, "main", tensor("N", dtype="i1"), flat)
    chosen = make(control.If, c, x, then="yes", otherwise="no", per_sample=True, types=(flat,))
    make.returns(make(nn.Linear, chosen, make.constant(np.eye(2, dtype=np.float32))))
    x0 = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = run(module, np.array([True, False, True]), x0)[0]
    np.testing.assert_array_equal(found, x0 * [[-1], [1], [-1]])
    with pytest.raises(RanvierError, match=r"needs an i1 condition of 0 axes, not tensor<Nxi1>"):
        make(control.If, c, x, then="yes", otherwise="no", types=(flat,))


def test_taps_are_values_of_main_by_name() -> None:
    module, make, (x,) = empty(tensor("N", 2))
    middle = make(arith.Neg, x, name="middle")
    make.returns(make(arith.Relu, middle))
    x0 = np.array([[1, -2]], np.float32)
    _, tapped = evaluate(module, [x0], taps=["middle", "x0"])
    np.testing.assert_array_equal(tapped["middle"], -x0)
    np.testing.assert_array_equal(tapped["x0"], x0)
    with pytest.raises(RanvierError, match="did you mean `middle`"):
        evaluate(module, [x0], taps=["midle"])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(2, np.float32), "input %x0 has shape [2], but its type is tensor<Nx2xf32>"),
        (np.zeros((1, 3), np.float32), "input %x0 has shape [1, 3], but its type is tensor<Nx2xf32>"),
        (np.array([["a", "b"]]), "input %x0 holds <U1, but its type is tensor<Nx2xf32>"),
    ],
)
def test_inputs_are_checked(array: Any, message: str) -> None:
    module, make, (x,) = empty(tensor("N", 2))
    make.returns(make(arith.Neg, x))
    with pytest.raises(RanvierError) as raised:
        run(module, array)
    assert raised.value.diagnostics[0].message == message
