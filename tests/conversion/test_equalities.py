"""The exact equalities of rate-coded conversion (E1 to E20 as far as rate code goes), on dyadic values bit for bit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.ir.codes import LayerSync, Rate, Stepwise
from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Affine, Elem, elem
from ranvier.ir.interfaces import PassContext
from ranvier.ir.ops.activations import Relu
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.nn import Conv, Linear
from ranvier.ir.ops.pool import AvgPool
from ranvier.ir.ops.shape import Reshape
from ranvier.ir.ops.snn import BiasCurrent, Decode, Encode, Psp
from ranvier.ir.ops.time import Repeat
from ranvier.ir.types import tensor
from ranvier.passes.conversion.activations import pool_before_activation
from ranvier.passes.simplify.fold_batchnorm import FoldBatchNorm
from tests.conversion.helpers import (
    RUNTIMES,
    converted,
    each_runtime,
    neurons,
    ops_named,
    outputs,
    spike_trains,
    tapped,
)
from tests.zoo.net import Net, images, residual

Array = np.ndarray[Any, Any]
both = pytest.mark.parametrize("runtime", list(each_runtime()))
few = settings(derandomize=True, deadline=None, max_examples=15)


def neuron_module(steps: int, theta: float, v0: float, **attributes: Any) -> Module:
    """One layer of neurons of threshold theta on a current [T, N, 3]."""
    module = Module("neuron")
    b = Builder(module.new_graph("main"))
    current = b.graph.argument("current", tensor("N", 3, time=steps))
    code = attributes.pop("code", Rate())
    element = Elem(code.element().storage, Affine(theta))
    start = b.constant(np.float32(v0), "v0")
    theta_neg = attributes.pop("theta_neg", None)
    below = None if theta_neg is None else b.constant(np.float32(theta_neg), "theta_neg")
    b.returns(*b(Neuron, current, None, start, None, below, code=code, elem=element, **attributes))
    return module.verify().freeze()


def fired(module: Module, current: Array, runtime: str) -> tuple[Array, Array]:
    """Spikes [T, N, 3] as numbers and the final membrane."""
    found = RUNTIMES[runtime].run(module, [current]).outputs
    return np.asarray(found[0]).astype(np.float64), np.asarray(found[1]).astype(np.float64)


def constant(z: Array, steps: int) -> Array:
    """The same current at every step."""
    return np.broadcast_to(z, (steps, *z.shape)).copy()


# -- E1 ----------------------------------------------------------------------------------------------------------------
def hand_made(weights: list[Array], biases: list[Array], thetas: list[float], scales: list[float]) -> Module:
    """Linear layers with neurons of threshold `thetas` whose spikes are worth `scales`; direct input over 6 steps."""
    module = Module("hand")
    b = Builder(module.new_graph("main"))
    x = b(Repeat, b.graph.argument("x", tensor("N", weights[0].shape[1])), steps=6)
    for w, bias, theta, scale in zip(weights, biases, thetas, scales, strict=True):
        current = b(BiasCurrent, b(Linear, x, b.constant(w, "w")), b.constant(bias, "b"))
        threshold, v0 = b.constant(np.float32(theta), "theta"), b.constant(np.float32(theta / 2), "v0")
        spikes, _, _ = b(Neuron, current, threshold, v0, code=Rate(), elem=Elem("i1", Affine(scale)))
        x = b(Psp, spikes)
    b.returns(x)
    return module.verify().freeze()


@both
def test_e1_weights_or_thresholds_normalized_or_real_units(runtime: str) -> None:
    rng = np.random.default_rng(0)
    weights = [(rng.integers(-4, 8, s) / 8).astype(np.float32) for s in ((7, 5), (6, 7), (4, 6))]
    biases = [(rng.integers(-2, 3, len(w)) / 8).astype(np.float32) for w in weights]
    thetas = [2.0, 0.5, 4.0]
    ones = [1.0] * 3
    before = [1.0, *thetas[:-1]]
    real = hand_made(weights, biases, thetas, thetas)
    normed = hand_made(
        [w * np.float32(a / c) for w, a, c in zip(weights, before, thetas, strict=True)],
        [b / np.float32(c) for b, c in zip(biases, thetas, strict=True)], ones, ones,
    )  # fmt: skip
    balanced = hand_made([w * np.float32(a) for w, a in zip(weights, before, strict=True)], biases, thetas, ones)
    x = images(20, 5, dyadic=True) * 4
    trains = [spike_trains(m, x, runtime=runtime) for m in (real, normed, balanced)]
    assert all(t.any() and not t.all() for t in trains[0])
    for other in trains[1:]:
        for a, b in zip(trains[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


# -- E2 ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"compare": "gt"},
        {"code": Rate(levels=3)},
        {"schedule": LayerSync()},
        {"schedule": LayerSync(period=4)},
        {"code": Rate(signed=True), "negative": "gated"},
        {"code": Rate(signed=True), "negative": "gated", "lower": "zero"},
        {"code": Rate(signed=True), "negative": "free", "lower": "zero", "schedule": LayerSync()},
        {"code": Rate(signed=True, levels=4), "negative": "free"},
        {"code": Rate(signed=True), "negative": "free", "theta_neg": 3.0},
    ],
    ids=str,
)
@both
@given(seed=st.integers(0, 1 << 20), v0=st.sampled_from([0.0, 0.375, 0.75]))
@few
def test_e2_what_flows_in_is_fired_or_stays(runtime: str, attributes: dict[str, Any], seed: int, v0: float) -> None:
    theta, steps = 0.75, 8
    z = (np.random.default_rng(seed).integers(-24, 33, (steps, 4, 3)) / 16).astype(np.float32)
    module = neuron_module(steps, theta, v0, **dict(attributes))
    spikes, membrane = fired(module, z, runtime)
    positive, negative = np.clip(spikes, 0, None).sum(0), np.clip(-spikes, 0, None).sum(0)
    given_back = theta * positive - attributes.get("theta_neg", theta) * negative
    np.testing.assert_array_equal(given_back, z.astype(np.float64).sum(0) + v0 - membrane)
    assert "negative" in attributes or not negative.any()


# -- E3, E4, E5 --------------------------------------------------------------------------------------------------------
ROUNDINGS = [
    (0.0, "ge", np.floor, 1.0),
    (0.5, "ge", lambda a: np.floor(a + 0.5), 0.5),
    (1.0, "gt", np.ceil, 1.0),
]


@pytest.mark.parametrize(("v0", "compare", "rounding", "bound"), ROUNDINGS, ids=["floor", "round", "ceil"])
@pytest.mark.parametrize("schedule", [Stepwise(), LayerSync()], ids=str)
@both
@given(seed=st.integers(0, 1 << 20), steps=st.sampled_from([1, 2, 4, 8, 32]), theta=st.sampled_from([0.5, 0.75, 3.0]))
@few
def test_e3_e4_a_constant_current_is_rounded_as_v0_says(
    runtime: str,
    schedule: Any,
    v0: float,
    compare: str,
    rounding: Any,
    bound: float,
    seed: int,
    steps: int,
    theta: float,
) -> None:
    """Ties are where z T / theta is whole (v0 = 0 and theta) or lies half-way (v0 = theta/2): half goes up."""
    z = (np.random.default_rng(seed).integers(-64, 256, (50, 3)) / 64).astype(np.float32)
    module = neuron_module(steps, theta, v0 * theta, compare=compare, schedule=schedule)
    count = fired(module, constant(z, steps), runtime)[0].sum(0)
    np.testing.assert_array_equal(count, np.clip(rounding(z.astype(np.float64) * steps / theta), 0, steps))
    error = np.abs(count * theta / steps - np.clip(z, 0, theta))
    assert (error <= bound * theta / steps).all()


@both
def test_e4_the_bounds_are_reached(runtime: str) -> None:
    z = (np.arange(3 << 10) / (1 << 10)).astype(np.float32).reshape(-1, 3)
    for v0, compare, _, bound in ROUNDINGS:
        module = neuron_module(4, 1.0, v0, compare=compare)
        count = fired(module, constant(z, 4), runtime)[0].sum(0)
        largest = np.abs(count / 4 - np.clip(z, 0, 1)).max()
        assert 0.99 * bound / 4 < largest <= bound / 4


@both
def test_e5_the_order_of_a_current_matters(runtime: str) -> None:
    """The mean is worth 2 spikes; a large first step with v0 = theta/2 fires a third, which cannot be taken back."""
    current = np.full((8, 1, 3), -1, np.float32)
    current[0] = 21
    assert current[:, 0, 0].sum() == 14
    stepwise = fired(neuron_module(8, 7.0, 3.5), current, runtime)[0].sum(0)
    np.testing.assert_array_equal(stepwise, 3)
    at_once = fired(neuron_module(8, 7.0, 3.5, schedule=LayerSync()), current, runtime)[0].sum(0)
    np.testing.assert_array_equal(at_once, 2)
    taken_back = neuron_module(8, 7.0, 3.5, code=Rate(signed=True), negative="gated", lower="zero")
    np.testing.assert_array_equal(fired(taken_back, current, runtime)[0].sum(0), 2)


# -- E6, E7 ------------------------------------------------------------------------------------------------------------
def quantized(ann: Module, snn: Module, x: Array, steps: int, v0: float) -> dict[str, Array]:
    """Values of the network in which each ReLU is theta/T clip(floor(z T/theta + v0), 0, T): QCFS (Bu 2022)."""
    ranges = {}
    for op in neurons(snn):
        scale = op.elem.quant.scales(op.result.type.rank).astype(np.float64)  # type: ignore[union-attr]
        ranges[op.result.name.removesuffix(".spikes")] = scale * op.code.largest
    env: dict[Any, Array] = {ann.main.args[0]: x.astype(np.float64)}
    for op in ann.main.ops:
        arrays = [ann.array(v).astype(np.float64) if v.is_constant else env[v] for v in op.arguments]
        if isinstance(op, Relu):
            theta = ranges[op.result.name]
            env[op.result] = theta / steps * np.clip(np.floor(arrays[0] * steps / theta + v0), 0, steps)
        elif isinstance(op, Reshape):
            env[op.result] = arrays[0].reshape(len(x), -1)
        elif op.results:
            env[op.result] = np.asarray(op.meaning(*arrays))
    return {v.name: a for v, a in env.items()}


def relus(module: Module) -> list[str]:
    return [op.result.name for op in ops_named(module, "nn.relu")]


@pytest.mark.parametrize("per", ["channel", "layer"])
@pytest.mark.parametrize("steps", [1, 4, 8])
@both
def test_e6_layer_sync_is_a_quantized_network(runtime: str, steps: int, per: str) -> None:
    ann = residual(dyadic=True)
    x = images(12, 2, 8, 8, dyadic=True)
    snn = converted(ann, x, steps=steps, threshold="max", per=per)
    want = quantized(ann, snn, x, steps, 0.5)
    found = tapped(snn, relus(ann), x, runtime=runtime)
    for name in relus(ann):
        np.testing.assert_array_equal(found[name].astype(np.float64).mean(0), want[name])
    assert all(want[n].any() for n in relus(ann))
    np.testing.assert_allclose(outputs(snn, x, runtime=runtime), want[ann.main.outputs[0].name], rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 4, 8])
@both
def test_e7_many_spikes_in_one_step_are_one_spike_in_many(runtime: str, steps: int) -> None:
    ann = residual(dyadic=True)
    x = images(12, 2, 8, 8, dyadic=True)
    snn = converted(ann, x, steps=steps, threshold="max")
    once = converted(ann, x, steps=1, threshold="max", code=Rate(levels=steps))
    many, one = (tapped(m, relus(ann), x, runtime=runtime) for m in (snn, once))
    for a, b in zip(neurons(snn), neurons(once), strict=True):
        assert (a.code.largest, b.code.largest, b.result.type.time) == (1, steps, 1)
    for name in relus(ann):
        np.testing.assert_array_equal(many[name].mean(0), one[name][0])
    np.testing.assert_allclose(outputs(snn, x, runtime=runtime), outputs(once, x, runtime=runtime), rtol=1e-6)


# -- E15, E16 ----------------------------------------------------------------------------------------------------------
@both
def test_e15_batch_norm_pools_and_activations_commute(runtime: str) -> None:
    net = Net((3, 8, 8))
    x = net.batch_norm(net.conv(net.inputs[0], 6))
    x = net.max_pool(net.relu(x))
    x = net.batch_norm(net.conv(x, 8, bias=False))
    ann = net.done(net.batch_norm(net.head(net.relu(x))))
    made = ann.clone()
    FoldBatchNorm().run(made, PassContext(RUNTIMES["torch"]))
    from ranvier.ir.rewriting import apply_rules

    apply_rules(made, (pool_before_activation,), "test")
    made.verify().freeze()
    assert not ops_named(made, "nn.batch_norm")
    assert ops_named(made, "nn.max_pool")[0].operands[0].op.name == "nn.conv"  # type: ignore[union-attr]
    inputs = images(9, 3, 8, 8)
    assert np.abs(outputs(made, inputs, runtime=runtime) - outputs(ann, inputs, runtime=runtime)).max() <= 1e-4


@both
def test_e15_average_pool_and_pointwise_convolution_commute(runtime: str) -> None:
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((5, 3, 1, 1)).astype(np.float32)
    made = []
    for order in ((AvgPool, Conv), (Conv, AvgPool)):
        module = Module("order")
        b = Builder(module.new_graph("main"))
        x = b.graph.argument("x", tensor("N", 3, 8, 8))
        for kind in order:
            x = b(Conv, x, b.constant(weight)) if kind is Conv else b(AvgPool, x, kernel=(2, 2), strides=(2, 2))
        b.returns(x)
        made.append(module.verify().freeze())
    inputs = images(4, 3, 8, 8)
    first, second = (outputs(m, inputs, runtime=runtime) for m in made)
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("factor", [4.0, 0.125])
@pytest.mark.parametrize("signed", [False, True])
@both
def test_e16_scaling_a_layer_and_its_user_changes_no_spike(runtime: str, signed: bool, factor: float) -> None:
    def network(scale: float) -> Module:
        net = Net((5,), dyadic=True)
        sizes = (8, 7, 4)
        scales = (scale, 1 / scale, 1.0)
        before = 1.0
        x = net.inputs[0]
        for size, own in zip(sizes, scales, strict=True):
            x = net.linear(x, size)
            linear = x.op
            assert linear is not None
            w, b = (net.module.array(v) for v in linear.arguments[1:])
            linear.set_operand(1, net.constant(w * np.float32(own / before)))
            linear.set_operand(2, net.constant(b * np.float32(own)))
            before = own
            x = net.relu(x) if size != sizes[-1] else x
        return net.done(x)

    x = images(16, 5, dyadic=True)
    trains = [
        spike_trains(
            converted(network(c), x, steps=8, threshold="max", schedule=Stepwise(), signed=signed), x, runtime=runtime
        )
        for c in (1.0, factor)
    ]
    assert len(trains[0]) == 2
    for a, b in zip(*trains, strict=True):
        assert a.any()
        np.testing.assert_array_equal(a, b)


# -- E18 ---------------------------------------------------------------------------------------------------------------
def encoder(steps: int, scale: float, code: Rate) -> Module:
    module = Module("encoder")
    b = Builder(module.new_graph("main"))
    x = b.graph.argument("x", tensor("N", 3))
    spikes = b(Encode, x, code=code, steps=steps, elem=Elem(code.element().storage, Affine(scale)), key="x")
    b.returns(spikes, b(Decode, spikes))
    return module.verify().freeze()


@pytest.mark.parametrize("steps", [1, 2, 8, 16])
@both
def test_e18_the_signed_encoder_rounds_to_levels(runtime: str, steps: int) -> None:
    """Sum of spikes = clip(round(x / s), -T, T) with s = scale / T. Ties go up, for either sign."""
    scale = 2.0
    x = (np.arange(-3 * 64, 3 * 64) / 64).astype(np.float32).reshape(-1, 3)
    module = encoder(steps, scale, Rate(signed=True, encoder="regular"))
    spikes, values = RUNTIMES[runtime].run(module, [x]).outputs
    level = scale / steps
    want = np.clip(np.floor(x.astype(np.float64) / level + 0.5), -steps, steps)
    np.testing.assert_array_equal(np.asarray(spikes).astype(np.float64).sum(0), want)
    np.testing.assert_allclose(values, want * level, rtol=1e-6)
    assert np.abs(np.asarray(spikes)).max() == 1


@both
def test_e18_the_signed_neuron_rounds_likewise(runtime: str) -> None:
    """A neuron that may fire either way, begun at theta/2, is the same encoder for a constant current."""
    z = (np.arange(-3 * 64, 3 * 64) / 64).astype(np.float32).reshape(-1, 3)
    module = neuron_module(8, 2.0, 1.0, code=Rate(signed=True), negative="free", lower="zero")
    count = fired(module, constant(z, 8), runtime)[0].sum(0)
    np.testing.assert_array_equal(count, np.clip(np.floor(z.astype(np.float64) * 8 / 2 + 0.5), -8, 8))


# -- E19, E20 ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", ["direct", Rate(), Rate(encoder="regular")], ids=str)
@both
def test_e19_no_state_leaks_between_samples_or_runs(runtime: str, code: Any) -> None:
    ann = residual(dyadic=True)
    x = images(7, 2, 8, 8, dyadic=True)
    snn = converted(ann, x, steps=6, threshold="max", schedule=Stepwise(), input=code, signed=True)
    names = [n.result.name for n in neurons(snn)]
    ids = np.arange(7)

    def run(order: Array, batch: int) -> list[Array]:
        found = RUNTIMES[runtime].run(snn, [x[order]], names, sample_ids=ids[order], batch=batch)
        return [*found.outputs, *(found.taps[n] for n in names)]

    whole = run(ids, 7)
    shuffled = np.random.default_rng(0).permutation(7)
    for order, batch in ((ids, 7), (ids, 1), (ids, 3), (shuffled, 7), (shuffled, 2)):
        logits, *trains = run(order, batch)
        np.testing.assert_allclose(logits, whole[0][order], rtol=1e-6, atol=1e-6)
        for found, want in zip(trains, whole[1:], strict=True):
            np.testing.assert_array_equal(found, want[:, order])


@pytest.mark.parametrize("signed", [False, True])
@both
def test_e20_more_steps_agree_more(runtime: str, signed: bool) -> None:
    """E4 makes the error vanish as T grows: at T = 256 the classes of a small network are all the source's."""
    ann = residual(seed=3)
    x = images(64, 2, 8, 8)
    want = outputs(ann, x)
    errors = []
    for steps in (4, 32, 256):
        snn = converted(ann, x, steps=steps, threshold="max", signed=signed, schedule=Stepwise())
        found = outputs(snn, x, runtime=runtime)
        errors.append(float(np.abs(found - want).mean()))
    assert all(b < a for a, b in pairwise(errors))
    assert (found.argmax(1) == want.argmax(1)).all()


def test_spikes_are_stored_as_small_integers() -> None:
    assert Rate().element() == elem("i1")
    assert Rate(signed=True).element() == elem("i2")
    assert Rate(levels=8).element() == elem("u4")
