"""The value-domain twin: equal to a layer_sync network (card, E6, E9), and what evaluations say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.codes import Code, FewSpikes, FirstSpike, MultiThreshold, Phase, Rate
from ranvier.ir.ops.activations import LeakyRelu
from ranvier.passes.conversion.value_domain import NoTwin, levels, value_domain
from tests.conversion.helpers import converted, each_runtime, outputs, tapped
from tests.zoo.net import Net, images, residual

both = pytest.mark.parametrize("runtime", list(each_runtime()))
X = images(12, 2, 8, 8, dyadic=True)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 8},
        {"steps": 4, "per": "layer", "v0": 0},
        {"steps": 8, "signed": True},
        {"code": "phase(period=4)"},
        {"code": "fs(K=4)"},
        {"code": "fs(K=4 round=floor)"},
        {"steps": 8, "code": "burst"},
        {"steps": 8, "readout": "count"},
        {"steps": 8, "input": "rate(encoder=regular)"},
    ],
    ids=str,
)
@both
def test_layer_sync_is_its_twin(runtime: str, options: dict[str, Any]) -> None:
    snn = converted(residual(dyadic=True), X, threshold="max", **options)
    twin = value_domain(snn)
    assert not any(v.type.time is not None for v in twin.main.values)
    found, want = outputs(twin, X, runtime=runtime), outputs(snn, X, runtime=runtime)
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-6)
    assert np.abs(want).max() > 0.1


@pytest.mark.parametrize("code", ["ttfs(tau=2)", "ttas(tau=2 spikes=3)", "multi_threshold(levels=3 signed=true)"])
@both
def test_layer_sync_is_its_twin_in_rounded_numbers_too(runtime: str, code: str) -> None:
    """Kernels and sevenths are not dyadic, so a few ties may flip."""
    ann = residual()
    snn = converted(ann, X, threshold="max", steps=8, code=code)
    found, want = outputs(value_domain(snn), X, runtime=runtime), outputs(snn, X, runtime=runtime)
    assert np.mean(np.abs(found - want) > 1e-4) < 0.05


@both
def test_max_pool_over_time_and_leaky_neurons(runtime: str) -> None:
    net = Net((2, 8, 8), dyadic=True)
    pooled = net.max_pool(net.conv(net.relu(net.conv(net.inputs[0], 4)), 4))
    ann = net.done(net.head(net.relu(net.conv(pooled, 4))))
    snn = converted(ann, X, threshold="max", steps=8)
    np.testing.assert_allclose(
        outputs(value_domain(snn), X, runtime=runtime), outputs(snn, X, runtime=runtime), rtol=1e-6, atol=1e-6
    )


def test_what_has_no_twin_is_said() -> None:
    """The estimate of diff says what was corrected when: of T ternary steps, up to 3^T values."""
    with pytest.raises(NoTwin, match=r"diff has no value for a whole window .* up to 3\^4"):
        value_domain(converted(residual(), X, steps=4, code="diff", schedule="stepwise"))


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "stepwise", "correct": "srp(steps=4)"},
        {"schedule": "stepwise", "correct": "cos(steps=2)"},
    ],
    ids=str,
)
def test_neurons_with_as_many_levels_have_the_twin_of_plain_ones(options: dict[str, Any]) -> None:
    ann = residual(dyadic=True)
    plain = converted(ann, X, threshold="max", steps=4)
    twin = value_domain(converted(ann, X, threshold="max", steps=4, **options))
    assert not any(op.name.startswith("core.first") for op in twin.main.ops)
    np.testing.assert_allclose(outputs(twin, X), outputs(plain, X), rtol=1e-6, atol=1e-6)


def test_thresholds_of_a_neurons_own_become_slopes() -> None:
    """A leaky ReLU, rounded to the nearest of T levels on either side."""
    net = Net((4,), dyadic=True)
    x = net(LeakyRelu, net.linear(net.inputs[0], 8), slope=0.25)
    ann = net.done(net.linear(x, 3))
    data = images(16, 4, dyadic=True)
    snn = converted(ann, data, threshold="max", per="layer", steps=4)
    hidden = tapped(ann, [x.name], data)[x.name]
    theta = np.abs(hidden).max()
    want = np.clip(np.floor(hidden / theta * 4 + 0.5), -4, 4) * theta / 4
    found = tapped(value_domain(snn), [f"{x.name}.spikes"], data)[f"{x.name}.spikes"]
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-6)
    assert (want < 0).any()


@pytest.mark.parametrize(
    ("code", "steps", "both_signs", "count"),
    [
        (Rate(), 8, False, 9),
        (Rate(signed=True), 8, True, 17),
        (Phase(period=4), 4, False, 16),
        (FewSpikes(K=6), 6, False, 64),
        (MultiThreshold(levels=4), 1, False, 16),
        (MultiThreshold(levels=4), 2, False, 31),
        (FirstSpike(tau=4.0), 16, False, 17),
    ],
    ids=str,
)
def test_levels_of_a_window(code: Code, steps: int, both_signs: bool, count: int) -> None:
    assert levels(code, steps, both_signs) == count


def test_evaluations_hold_spikes_against_the_quantized_network() -> None:
    ann = residual()
    labels = outputs(ann, X).argmax(1)
    synchronous = rv.compile(ann, "convert-snn{steps=8}", data=X).evaluate(X, labels)
    assert synchronous.agreement_with_baseline == 1
    assert synchronous.baseline_accuracy == synchronous.accuracy
    assert synchronous.baseline_agreement == synchronous.agreement
    assert synchronous.baseline_levels == 9
    assert "quantized network of equal capacity: levels" in str(synchronous)
    uneven = rv.compile(ann, "convert-snn{steps=8 code=diff schedule=stepwise}", data=X).evaluate(X, labels)
    assert (uneven.baseline_accuracy, uneven.baseline_levels) == (None, None)
    assert "none: diff has no value for a whole window at once" in str(uneven)
    source = rv.compile(ann).evaluate(X, labels)
    assert source.baseline_accuracy is None
    assert "equal capacity" not in str(source)


@pytest.mark.parametrize("options", ["steps=8", "steps=8 input=rate", "code=ttfs(tau=2) steps=8"])
def test_the_twin_loses_no_spikes_and_makes_up_for_none(options: str) -> None:
    ann = residual(dyadic=True)
    plain = rv.opt(ann, f"convert-snn{{threshold=max {options}}}", data=X)
    noisy = rv.opt(plain, "noise{deletion=0.6}, compensate-deletion{p=0.6}")
    want, found = (outputs(value_domain(m), X) for m in (plain, noisy))
    assert np.mean(np.abs(found - want) > 1e-4 * np.abs(want).max()) < 0.05, "0.4 is not dyadic: a few ties may flip"
