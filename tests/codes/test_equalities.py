"""Exact equalities of the codes (E2, E8 to E14, E17 of the conversion card), on dyadic values bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ranvier.ir.codes import (
    AverageSpike,
    Burst,
    Code,
    FewSpikes,
    FirstSpike,
    LayerSync,
    MultiThreshold,
    Phase,
    Rate,
    Stepwise,
)
from ranvier.ir.core import Builder, Module
from ranvier.ir.ops.activations import Sigmoid
from ranvier.ir.ops.arith import Sub
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.nn import Linear
from ranvier.ir.ops.pool import MaxPool
from ranvier.ir.ops.time import Accumulate, Last
from ranvier.ir.types import tensor
from tests.codes.helpers import CASES, both, constant, dyadic, neuron, run
from tests.conversion.helpers import converted, spike_trains
from tests.zoo.net import images, residual

OCTAVE = 1 / math.log(2)  # tau with which the kernel is 2^-t


# -- E2 ----------------------------------------------------------------------------------------------------------------
CONSERVING = [
    (c, t, negative)
    for c, t in CASES
    if not isinstance(c, FirstSpike)
    for negative in (("free", "gated") if c.signed else ("none",))
]


@pytest.mark.parametrize(("code", "steps", "negative"), CONSERVING, ids=[f"{c} T={t} {n}" for c, t, n in CONSERVING])
@both
def test_e2_what_flows_in_is_worth_what_is_fired_or_stays(runtime: str, code: Code, steps: int, negative: str) -> None:
    """theta sum(psp) = sum(z) + v0 - v_T, whatever the current does."""
    z = np.stack([dyadic(40, -1, 2, 4, seed) for seed in range(steps)])
    spikes, state, psp, value = run(neuron(code, steps, 0.75, 0.375, negative=negative), z, runtime)
    exact = getattr(code, "word", "") != "diff"
    np.testing.assert_allclose(
        psp.sum(0), z.astype(np.float64).sum(0) + 0.375 - state, rtol=0, atol=0 if exact else 1e-4
    )
    np.testing.assert_allclose(value, psp.mean(0), rtol=1e-6, atol=1e-6)
    assert spikes.any()


# -- E8 ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("K", [1, 3, 6, 8])
@pytest.mark.parametrize(("rounding", "shift"), [("floor", 0.0), ("mid", 0.5)])
@both
def test_e8_few_spikes_quantize(runtime: str, rounding: str, shift: float, K: int) -> None:
    alpha, least = 2.0, 2.0 ** (1 - K)
    z = (np.arange(-96, 3 * 512) / 512).astype(np.float32).reshape(-1, 3)
    code = FewSpikes(K=K, round=rounding)
    module = neuron(code, K, alpha, alpha * code.round_offset(0.5, K))
    value = run(module, constant(z, K), runtime)[3]
    np.testing.assert_array_equal(value, least * np.clip(np.floor(z / least + shift), 0, 2**K - 1))
    inside = (z >= 0) & (z <= alpha - least)
    error = (z - value)[inside]
    assert error.min() >= -shift * least
    assert error.max() < (1 - shift) * least + 1e-12


@both
def test_e8_firing_above_instead_of_at_the_threshold_is_one_level_low(runtime: str) -> None:
    K, least = 5, 2.0**-5
    z = (np.arange(3, 33) / 32).astype(np.float32).reshape(-1, 3)
    at, above = (
        run(neuron(FewSpikes(K=K, round="floor"), K, 1.0, 0.0, compare=c), constant(z, K), runtime)[3]
        for c in ("ge", "gt")
    )
    inner = (z > 0) & (z < 1)
    np.testing.assert_array_equal(at[inner], z[inner])
    np.testing.assert_array_equal(above[inner], z[inner] - least)


# -- E9 ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("period", [1, 4, 8])
@both
def test_e9_phases_are_bits(runtime: str, period: int) -> None:
    theta = 0.5
    z = (np.arange(-33, 3 * 400) / 2048).astype(np.float32).reshape(-1, 3)
    spikes, _, _, value = run(neuron(Phase(period=period), period, theta, 0.0), constant(z, period), runtime)
    level = np.clip(np.floor(z / theta * 2**period), 0, 2**period - 1).astype(np.int64)
    for k in range(period):
        np.testing.assert_array_equal(spikes[k], (level >> (period - 1 - k)) & 1)
    np.testing.assert_array_equal(value, level * theta * 2.0**-period)
    few = run(neuron(FewSpikes(K=period, round="floor"), period, theta, 0.0), constant(z, period), runtime)
    np.testing.assert_array_equal(few[0], spikes)
    np.testing.assert_array_equal(few[3], value)


# -- E10, E11, E12 -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("t_d", [0.0, 2.0])
@both
def test_e10_e11_the_first_spike_tells_the_logarithm(runtime: str, t_d: float) -> None:
    steps, tau = 8, OCTAVE
    x = dyadic(400, 0, 5, 12)
    x[0] = 0, 2.0 ** (t_d - 7), 2.0 ** (t_d - 7) - 2.0**-12
    code = FirstSpike(tau=tau, t_d=t_d, round="ceil")
    spikes, _, _, value = run(neuron(code, steps, 1.0, 0.0), constant(x, steps), runtime)
    assert spikes.sum(0).max() == 1
    # x = m 2^e with 1/2 <= m < 1, so ceil(t_d - log2 x) = t_d - e + 1
    time = np.maximum(t_d - np.frexp(np.where(x > 0, x, 1).astype(np.float64))[1] + 1, 0)
    fires = (x > 0) & (time < steps)
    np.testing.assert_array_equal(spikes.any(0), fires)
    np.testing.assert_array_equal(spikes.argmax(0)[fires], time[fires])
    np.testing.assert_allclose(value[fires], 2.0 ** (t_d - time[fires]), rtol=1e-6)
    assert not value[~fires].any()
    np.testing.assert_array_equal(fires, x >= 2.0 ** (t_d - (steps - 1)))
    inside = fires & (x <= 2.0**t_d)
    ratio = value[inside] / x[inside]
    assert ratio.max() <= 1 + 1e-6
    assert ratio.min() > 0.5
    assert len(np.unique(value.astype(np.float32))) <= steps + 1


@pytest.mark.parametrize("rounding", ["mid", "ceil"])
@pytest.mark.parametrize("tau", [3.0, 8.0])
@both
def test_e11_a_layer_of_first_spikes_is_its_value_model(runtime: str, tau: float, rounding: str) -> None:
    steps = 16
    code = FirstSpike(tau=tau, round=rounding)
    x = np.random.default_rng(1).uniform(0, 1.5, (4000, 3)).astype(np.float32)
    spikes, _, _, value = run(neuron(code, steps, 1.0, 0.0), constant(x, steps), runtime)
    assert spikes.sum(0).max() == 1
    np.testing.assert_allclose(value, code.quantize(x, steps), rtol=1e-6)


@pytest.mark.parametrize("tau", [3.0, 8.0])
@both
def test_e12_mid_rounds_to_nearest_in_the_logarithm(runtime: str, tau: float) -> None:
    steps, half = 32, math.exp(0.5 / tau)
    x = np.random.default_rng(2).uniform(0, 1.2, (4000, 3)).astype(np.float32)
    mid = run(neuron(FirstSpike(tau=tau), steps, 1.0, 0.0), constant(x, steps), runtime)[3]
    inside = (x > math.exp(-(steps - 0.5) / tau)) & (x < 1)
    ratio = mid[inside] / x[inside]
    assert 1 / half - 1e-6 < ratio.min()
    assert ratio.max() <= half + 1e-6
    # the later time of a value that is half a step larger
    ceil = run(neuron(FirstSpike(tau=tau, round="ceil"), steps, 1.0, 0.0), constant(x * half, steps), runtime)[3]
    assert np.mean(np.abs(mid - ceil) > 1e-6) < 1e-3


# -- E13 ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [2, 5, 10])
@both
def test_e13_spikes_in_a_row_are_worth_the_first_one(runtime: str, count: int) -> None:
    steps, tau = 32, 8.0
    x = np.random.default_rng(3).uniform(math.exp(-(steps - count - 1) / tau), 1.2, (1000, 3)).astype(np.float32)
    one, many = FirstSpike(tau=tau), AverageSpike(tau=tau, spikes=count)
    want = run(neuron(one, steps, 1.0, 0.0), constant(x, steps), runtime)[3]
    spikes, _, _, value = run(neuron(many, steps, 1.0, 0.0), constant(x, steps), runtime)
    np.testing.assert_allclose(value, want, rtol=1e-6, atol=1e-6)
    assert (spikes.sum(0) == count).all()
    first = spikes.argmax(0)
    assert all((np.take_along_axis(spikes, (first + k)[None], 0) == 1).all() for k in range(count))


# -- E14 ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("schedule", [Stepwise(), LayerSync()], ids=str)
@pytest.mark.parametrize(
    ("code", "low"),
    [(Burst(beta=1.0), -1.0), (Rate(signed=True), 0.0), (MultiThreshold(levels=1), -1.0), (Burst(cap=0), -1.0)],
    ids=str,
)
@both
def test_e14_codes_that_are_integrate_and_fire(runtime: str, code: Code, low: float, schedule: Any) -> None:
    """Bursts that do not grow, signed neurons without cause to take back, one size of spike: spike by spike."""
    steps = 16
    z = np.stack([dyadic(40, low, 1.5, 4, seed) for seed in range(steps)])
    plain = run(neuron(Rate(), steps, 0.75, 0.375, schedule), z, runtime)
    other = run(neuron(code, steps, 0.75, 0.375, schedule), z, runtime)
    assert 0 < plain[0].mean() < 1
    for a, b in zip(plain, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("code", ["burst(beta=1)", "multi_threshold(levels=1)"])
@both
def test_e14_in_a_network(runtime: str, code: str) -> None:
    x = images(12, 2, 8, 8, dyadic=True)
    options: dict[str, Any] = {"steps": 8, "threshold": "max", "schedule": "stepwise"}
    plain, other = (
        spike_trains(converted(residual(dyadic=True), x, code=c, **options), x, runtime=runtime) for c in ("rate", code)
    )
    for a, b in zip(plain, other, strict=True):
        np.testing.assert_array_equal(a, b)


# -- E17 ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "attributes"), [(MaxPool, {"kernel": (2, 2)}), (Sigmoid, {})])
@both
def test_e17_increments_of_a_function_add_up_to_it(runtime: str, kind: Any, attributes: dict[str, Any]) -> None:
    steps = 8
    module = Module("increments")
    b = Builder(module.new_graph("main"))
    x = b.graph.argument("x", tensor("N", 2, 4, 4, time=steps))
    total = b(Accumulate, x, mode="sum")[0]
    y = b(kind, total, **attributes)
    grown = b(Sub, y, b(Delay, y, b.constant(np.float32(0))))
    b.returns(b(Last, b(Accumulate, grown, mode="sum")[0]), b(kind, b(Last, total), **attributes))
    z = np.random.default_rng(5).integers(-16, 32, (steps, 6, 2, 4, 4)).astype(np.float32) / 16
    found, want = run(module.verify().freeze(), z, runtime)
    np.testing.assert_allclose(found, want, rtol=0, atol=0 if kind is MaxPool else 1e-5)


@both
def test_e17_a_bias_comes_once(runtime: str) -> None:
    """The increments of W x + b are W times the increments, and the first one has b: their sum has it once."""
    steps, rng = 8, np.random.default_rng(7)
    weight, bias = (rng.integers(-16, 16, shape).astype(np.float32) / 8 for shape in ((3, 5), (3,)))
    module = Module("increments")
    b = Builder(module.new_graph("main"))
    x = b.graph.argument("x", tensor("N", 5, time=steps))
    y = b(Linear, b(Accumulate, x, mode="sum")[0], b.constant(weight), b.constant(bias))
    grown = b(Sub, y, b(Delay, y, b.constant(np.float32(0))))
    b.returns(grown, b(Last, b(Accumulate, grown, mode="sum")[0]))
    z = rng.integers(-16, 32, (steps, 6, 5)).astype(np.float32) / 16
    increments, total = run(module.verify().freeze(), z, runtime)
    np.testing.assert_array_equal(increments[0], z[0] @ weight.T + bias)
    np.testing.assert_array_equal(increments[1:], z[1:] @ weight.T)
    np.testing.assert_array_equal(total, z.sum(0) @ weight.T + bias)
