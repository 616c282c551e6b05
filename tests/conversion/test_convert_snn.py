"""Options of `convert-snn`, what it refuses, and what it reports."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.codes import EarlyFire, LayerSync, Rate, Stepwise
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import Converted
from ranvier.ir.interfaces import PassContext
from ranvier.ir.ops.activations import Clip, Gelu, LeakyRelu, Prelu, Relu, Sigmoid, Silu
from ranvier.ir.ops.arith import Add, Mul, Sqrt
from ranvier.ir.ops.control import Call
from ranvier.ir.ops.nn import Linear
from ranvier.ir.ops.reduce import Argmax, Softmax
from ranvier.ir.types import tensor
from ranvier.passes.conversion.convert_snn import ConvertSnn
from ranvier.passes.conversion.thresholds import choose, spike_counts
from tests.conversion.helpers import (
    RUNTIMES,
    closeness,
    convert,
    converted,
    neurons,
    ops_named,
    outputs,
    spike_trains,
    tapped,
)
from tests.zoo.net import Net, around, images, residual

X = images(24, 3, 6, 6)


def plain(net: Net, x: Any) -> Any:
    return net.relu(x)


def refused(module: Module, *data: Any, **options: Any) -> list[Any]:
    """The diagnostics that a conversion ends in."""
    with pytest.raises(RanvierError) as info:
        convert(module, *data, **options)
    return list(info.value.diagnostics)


# -- what is not converted ---------------------------------------------------------------------------------------------
def gelu_and_silu() -> Module:
    """conv, GELU (static), conv, ReLU, conv, SiLU (timed), linear."""
    net = Net((3, 6, 6))
    x = net(Gelu, net.conv(net.inputs[0], 4))
    x = net.conv(net.relu(net.conv(x, 4)), 5)
    return net.done(net.head(net(Silu, x)))


def test_every_unconverted_activation_is_named_with_its_place() -> None:
    found = refused(gelu_and_silu(), X)
    assert [d.code for d in found] == ["not-converted"] * 2
    assert "nn.gelu" in found[0].message
    assert "nn.silu" in found[1].message
    assert found[0].where.startswith("net.py:2")
    assert found[1].where.startswith("net.py:6")
    assert all("allow_unconverted" in d.help for d in found)


def test_unconverted_activations_are_computed_on_decoded_values_when_allowed() -> None:
    ann = gelu_and_silu()
    snn, context = convert(ann, X, steps=256, threshold="max", allow_unconverted=True)
    assert Counter(r["became"] for r in context.tables["coverage"]) == {"neuron": 1, "real-valued": 2}
    assert sum("stays real-valued" in n for n in context.notes) == 2
    assert closeness(ann, snn, X) < 0.02


def test_a_product_of_two_spiking_values_is_refused() -> None:
    net = Net((3, 6, 6))
    x = net.relu(net.conv(net.inputs[0], 4))
    ann = net.done(net.head(net.relu(net.conv(net(Mul, x, net.relu(net.conv(x, 4))), 4))))
    (found,) = refused(ann, X)
    assert "a product of two spiking values" in found.message
    snn = converted(ann, X, steps=256, threshold="max", allow_unconverted=True)
    assert closeness(ann, snn, X) < 0.03


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        (lambda net, x: net(Clip, x, low=-0.25, high=0.5), "clips from 0, or symmetrically"),
        (lambda net, x: net(Prelu, x, net.constant([0.1, 0.2, -0.3, 0.4, 0.5, 0.6])), "positive constants"),
        (lambda net, x: net(LeakyRelu, x, slope=-0.5), "no integrate-and-fire neuron"),
        (lambda net, x: net(Sigmoid, x), "no integrate-and-fire neuron"),
    ],
    ids=["clip", "prelu", "leaky", "sigmoid"],
)
def test_shapes_without_a_neuron_say_why(activation: Any, reason: str) -> None:
    (found,) = refused(around(activation), X)
    assert reason in found.message


def test_a_neuron_behind_an_unconverted_activation_makes_it_hidden() -> None:
    """Also without weights between them."""
    net = Net((4,))
    ann = net.done(net.relu(net(Sigmoid, net.linear(net.relu(net.linear(net.inputs[0], 5)), 5))))
    (found,) = refused(ann, images(8, 4))
    assert "nn.sigmoid" in found.message


def test_what_only_the_outputs_see_is_applied_after_the_readout() -> None:
    net = Net((3, 6, 6))
    x = net.head(net.relu(net.conv(net.inputs[0], 4)))
    ann = net.done(net(Softmax, x, axis=-1), net(Sigmoid, x), net(Argmax, x, axis=1))
    snn, context = convert(ann, X, steps=256, threshold="max")
    became = {r["op"]: r["became"] for r in context.tables["coverage"]}
    assert became == {
        "nn.relu": "neuron", "nn.softmax": "after readout", "nn.sigmoid": "after readout", "nn.argmax": "after readout",
    }  # fmt: skip
    assert len(ops_named(snn, "core.last")) == 1, "the readout is shared"
    want, found = (RUNTIMES["torch"].run(m, [X]).outputs for m in (ann, snn))
    np.testing.assert_allclose(found[0], want[0], atol=0.02)
    np.testing.assert_allclose(found[1], want[1], atol=0.02)
    assert (np.asarray(found[2]) == want[2]).mean() > 0.9


def test_what_prepares_inputs_is_no_activation() -> None:
    net = Net((3, 6, 6))
    positive = net(Add, net(Mul, net.inputs[0], net.inputs[0]), net.constant(1.0))
    ann = net.done(net.head(net.relu(net.conv(net(Sqrt, positive), 4))))
    snn, context = convert(ann, X, steps=256, threshold="max")
    assert [r["op"] for r in context.tables["coverage"]] == ["nn.relu"]
    assert closeness(ann, snn, X) < 0.03


def test_the_coverage_lists_each_activation_once_with_threshold_and_place() -> None:
    ann = residual()
    x = images(16, 2, 8, 8)
    _, context = convert(ann, x)
    table = context.tables["coverage"]
    assert [r["activation"] for r in table] == [f"%{op.result.name}" for op in ops_named(ann, "nn.relu")]
    assert all(r["threshold"] and r["where"].startswith("net.py:") and r["became"] == "neuron" for r in table)
    assert context.notes[0].startswith("5 activations became neurons, 0 are applied after the readout")
    assert "16 samples" in context.notes[0]


# -- what is refused ---------------------------------------------------------------------------------------------------
def test_a_spiking_network_is_not_converted_again() -> None:
    snn = converted(around(plain), X)
    (found,) = refused(snn, X)
    assert found.code == "already-timed"


def test_control_flow_is_refused_with_its_place() -> None:
    net = Net((4,))
    body = Builder(net.module.new_graph("body"))
    body.returns(body(Relu, body.graph.argument("y", tensor("N", 5))))
    x = net(Call, net.linear(net.inputs[0], 5), graph_name="body", types=(tensor("N", 5),))
    (found,) = refused(net.done(net.linear(x, 2)), images(4, 4))
    assert found.code == "unsupported"
    assert "core.call" in found.message
    assert found.where == "net.py:2"


def test_calibration_data_is_needed() -> None:
    with pytest.raises(RanvierError, match="needs calibration data"):
        ConvertSnn().run(around(plain).clone(), PassContext(RUNTIMES["torch"]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X[:, :2], "shape"),
        (X[0], "shape"),
        (np.where(np.arange(24).reshape(-1, 1, 1, 1) == 3, np.nan, X), "NaN"),
        (np.where(np.arange(24).reshape(-1, 1, 1, 1) == 3, np.inf, X), "not finite"),
        (X[:0], "empty"),
        ((X, X), "1 input"),
    ],
    ids=["channels", "rank", "nan", "infinite", "empty", "two"],
)
def test_bad_calibration_data_is_refused(data: Any, message: str) -> None:
    with pytest.raises(RanvierError) as info:
        rv.opt(around(plain), "convert-snn", data=data)
    (found,) = info.value.diagnostics
    assert found.code == "bad-data"
    assert message in str(found)
    assert found.help


def test_a_network_that_overflows_on_the_data_is_refused() -> None:
    net = Net((2,))
    x = net(Mul, net.linear(net.inputs[0], 3), net.constant(3e38))
    ann = net.done(net.linear(net.relu(net(Mul, x, net.constant(1e3))), 2))
    (found,) = refused(ann, images(4, 2))
    assert found.code == "bad-data"
    assert "infinite or NaN" in found.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": "mean"}, "mse | max | p99.9"),
        ({"threshold": "p0"}, "mse | max | p99.9"),
        ({"threshold": "p101"}, "mse | max | p99.9"),
        ({"steps": 0}, "steps"),
        ({"v0": 1.5}, "v0"),
        ({"per": "neuron"}, "channel"),
        ({"reset": "hard", "signed": True}, "signed neurons need reset=soft"),
        ({"reset": "hard", "code": Rate(signed=True)}, "signed neurons need reset=soft"),
        ({"reset": "hard"}, "use schedule=stepwise, or leave reset out"),
        ({"reset": "hard", "schedule": "early_fire(start=4)"}, "with early_fire(start=4), what rate"),
        ({"reset": "hard", "schedule": "stepwise", "code": "burst"}, "spikes of burst take their own amounts"),
        ({"reset": "hard", "schedule": "stepwise", "code": "phase"}, "leave reset out: it is soft then"),
        ({"code": "phase(period=8)", "steps": 4}, "takes 8 steps, of which 4 are no multiple"),
        ({"code": "phase(period=8)", "steps": 12}, "give a multiple of 8 steps, or the code a cycle that divides 12"),
        ({"readout": "rate"}, "no readout is called 'rate'"),
    ],
    ids=str,
)
def test_options_are_checked_when_written(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RanvierError) as info:
        ConvertSnn(**options)
    assert message in str(info.value)


def test_a_hard_reset_says_nothing_to_neurons_that_fire_once() -> None:
    """They empty their membrane with the first spike, whatever the reset."""
    soft, hard = (converted(around(plain), X, code="ttfs", steps=8, reset=reset) for reset in ("soft", "hard"))
    np.testing.assert_array_equal(outputs(soft, X), outputs(hard, X))


@pytest.mark.parametrize(("code", "ignored"), [("ttfs", True), ("ttas", True), ("fs(K=8)", True), ("rate", False)])
def test_an_initial_membrane_that_a_code_ignores_is_said(code: str, ignored: bool) -> None:
    _, context = convert(around(plain), X, code=code, steps=8, v0=0.25)
    assert any(note.startswith(f"v0=0.25 says nothing to neurons of {code}") for note in context.notes) == ignored


def test_a_leaky_activation_needs_a_soft_reset() -> None:
    (found,) = refused(around(lambda net, x: net(LeakyRelu, x, slope=0.1)), X, reset="hard", schedule="stepwise")
    assert found.code == "bad-value"
    assert "reset=soft" in found.message


def test_options_in_text() -> None:
    ann = around(plain)
    text = (
        "convert-snn{steps=8 schedule=early_fire(start=3) threshold=p99.5 per=layer signed=true lower=threshold v0=0}"
    )
    snn = rv.opt(ann, text, data=X)
    first = neurons(snn)[0]
    assert first.schedule == EarlyFire(3)
    assert (first.negative, first.lower, first.v0) == ("gated", "threshold", None)
    assert not isinstance(first.elem.quant.scale, tuple)  # type: ignore[union-attr]
    for wrong, help in (("step=8", "steps"), ("code=rat", "rate"), ("schedule=stepwize", "stepwise")):
        with pytest.raises(RanvierError, match=f"did you mean `{help}`"):
            rv.opt(ann, f"convert-snn{{{wrong}}}", data=X)


# -- thresholds --------------------------------------------------------------------------------------------------------
def activations(samples: int = 64) -> Any:
    rng = np.random.default_rng(5)
    return np.maximum(rng.standard_normal((samples, 4, 9, 9)) * [[[[1.0]], [[3.0]], [[0.2]], [[0.0]]]], 0).astype(
        np.float32
    )


def test_thresholds_are_what_their_definition_says() -> None:
    a = activations()
    rows = np.moveaxis(a, 1, 0).reshape(4, -1)
    found = choose("max", a, 1, code=Rate(), steps=8, v0=0.5)
    np.testing.assert_array_equal(found.range[:3], rows[:3].max(1))
    assert found.range[3] == found.range.max()
    assert found.dead == 1
    assert "largest element" in found.definition
    found = choose("p99", a, 1, code=Rate(), steps=8, v0=0.5)
    np.testing.assert_allclose(found.range[:3], np.quantile(rows[:3], 0.99, axis=1), rtol=1e-6)
    assert "zeros included" in found.definition
    found = choose("p99", a, None, code=Rate(), steps=8, v0=0.5)
    np.testing.assert_allclose(found.range, [np.quantile(a, 0.99)], rtol=1e-6)
    assert "all samples and elements" in found.definition


@pytest.mark.parametrize("v0", [0.0, 0.5])
@pytest.mark.parametrize("steps", [2, 8, 64])
def test_mse_thresholds_minimise_the_error(steps: int, v0: float) -> None:
    """Within a hundredth of the smallest error that the exact values give on the grid."""
    a = activations()
    found = choose("mse", a, 1, code=Rate(), steps=steps, v0=v0)
    assert f"T={steps}, v0={v0:g}" in found.definition

    def error(row: Any, theta: float) -> float:
        unit = theta / steps
        return float(((unit * np.clip(np.floor(row / unit + v0), 0, steps) - row) ** 2).mean())

    for row, theta in zip(np.moveaxis(a, 1, 0).reshape(4, -1)[:3], found.range, strict=False):
        best = min(error(row, float(row.max()) * (1 - 0.01 * i)) for i in range(95))
        assert error(row, float(theta)) <= best * 1.01 + 1e-9
    assert found.dead == 1
    assert found.range[3] == found.range[:3].max()


@pytest.mark.parametrize("slope", [None, 1.0, 0.25])
@pytest.mark.parametrize("v0", [0.0, 0.5])
def test_the_error_counts_spikes_as_neurons_fire_them(v0: float, slope: float | None) -> None:
    """For a constant current, spike for spike: rectified, symmetric and leaky."""
    steps = 8
    net = Net((1,))
    y = net(Linear, net.inputs[0], net.constant([[1.0]]))
    if slope is None:
        y = net.relu(y)
    else:
        y = net(Clip, y, low=-1.0, high=1.0) if slope == 1 else net(LeakyRelu, y, slope=slope)
    ann = net.done(net.linear(y, 2))
    x = (np.arange(-96, 97) / 64).astype(np.float32).reshape(-1, 1)
    snn = converted(ann, x, steps=steps, threshold="max", v0=v0)
    (neuron,) = neurons(snn)
    theta = float(neuron.elem.quant.scales(2).item())  # type: ignore[union-attr]
    a = tapped(ann, [y.name], x)[y.name]
    want = spike_counts(a * steps / theta, steps, v0, None if slope is None else np.full(1, slope, np.float32))
    np.testing.assert_array_equal(spike_trains(snn, x)[0].astype(int).sum(0), want)


def test_the_definition_and_the_data_are_kept_on_the_neuron() -> None:
    ann = around(plain)
    for kind, part in (("mse", "minimises the mean squared error"), ("max", "largest element"), ("p99", "99th")):
        for neuron in neurons(converted(ann, X, threshold=kind)):
            (fact,) = [f for f in neuron.facts if isinstance(f, Converted)]
            assert part in fact.threshold
            assert fact.activation.startswith("nn.relu %")


def test_dead_channels_are_counted() -> None:
    net = Net((3, 6, 6))
    x = net.conv(net.inputs[0], 6)
    dead = net.constant(np.array([0, -1e3, 0, 0, -1e3, 0]).reshape(1, 6, 1, 1))
    ann = net.done(net.head(net.relu(net(Add, x, dead))))
    snn, context = convert(ann, X, steps=64, threshold="max")
    scales = neurons(snn)[0].elem.quant.scale  # type: ignore[union-attr]
    assert isinstance(scales, tuple)
    assert scales[1] == scales[4] == max(scales)
    assert any(n.startswith("2 channels never fired") for n in context.notes)
    assert closeness(ann, snn, X) < 0.03


# -- how it runs -------------------------------------------------------------------------------------------------------
def test_early_fire_sees_the_steps_before_it_fires() -> None:
    ann = residual(seed=3)
    x = images(32, 2, 8, 8)
    errors = {}
    for schedule in (Stepwise(), EarlyFire(4), LayerSync()):
        snn = converted(ann, x, steps=8, schedule=schedule, threshold="max")
        assert all(n.schedule == schedule for n in neurons(snn))
        errors[schedule.word] = float(np.abs(outputs(snn, x) - outputs(ann, x)).mean())
    assert errors["layer_sync"] < errors["early_fire"] < errors["stepwise"]


def test_hard_reset_loses_what_lies_above_the_threshold() -> None:
    ann = residual(seed=3)
    x = images(32, 2, 8, 8)
    soft, hard = (converted(ann, x, steps=64, threshold="max", reset=r, schedule=Stepwise()) for r in ("soft", "hard"))
    assert {n.reset for n in neurons(hard)} == {"hard"}
    assert closeness(ann, hard, x) > 3 * closeness(ann, soft, x)


def test_signed_neurons_mend_spikes_fired_too_early() -> None:
    ann = residual(seed=3)
    x = images(32, 2, 8, 8)
    plain, signed = (converted(ann, x, steps=16, threshold="max", signed=s, schedule=Stepwise()) for s in (False, True))
    want = outputs(ann, x)
    assert np.abs(outputs(signed, x) - want).mean() < np.abs(outputs(plain, x) - want).mean()
    assert min(t.min() for t in spike_trains(signed, x)) == -1
    for train in spike_trains(signed, x):
        assert train.astype(int).cumsum(0).min() == 0, "never more negative spikes than positive ones"


@pytest.mark.parametrize("levels", [1, 16])
def test_outputs_read_by_counting_spikes(levels: int) -> None:
    ann = residual(seed=3)
    x = images(32, 2, 8, 8)
    snn = converted(ann, x, steps=128, threshold="max", readout="count", code=Rate(levels=levels))
    (last,) = [op for op in neurons(snn) if op.negative == "free"]
    assert ops_named(snn, "snn.decode")[0].operands[0] is last.result
    assert not ops_named(snn, "core.last")
    counts = tapped(snn, [last.result.name], x)[last.result.name]
    scale = last.elem.quant.scales(2)  # type: ignore[union-attr]
    np.testing.assert_allclose(outputs(snn, x), counts.sum(0) * scale / 128, rtol=1e-5)
    assert closeness(ann, snn, x) < 0.03


def test_inputs_encoded_as_spikes() -> None:
    """Bernoulli spikes of either sign: means within 5 standard errors, and draws that only the seed changes.

    8/T is what Bernstein's inequality adds to 5 standard errors for rare spikes.
    """
    ann = residual(seed=3)
    x = images(8, 2, 8, 8)
    steps = 400
    snn = converted(ann, x, steps=steps, threshold="max", input=Rate(), schedule=Stepwise(), seed=7)
    (encode,) = ops_named(snn, "snn.encode")
    assert encode.attributes["code"].signed
    assert ops_named(snn, "nn.conv")[0].result.type.time == steps, "the first layer now runs at every step"
    scale = float(np.abs(x).max())
    psp = tapped(snn, ["x.psp"], x)["x.psp"]
    p = np.abs(x) / scale
    deviation = np.abs(psp.mean(0) - x) / scale
    assert (deviation <= 5 * np.sqrt(p * (1 - p) / steps) + 8 / steps).all()
    share = (psp != 0).mean(0)
    assert abs((share - p).mean()) <= 5 * np.sqrt((p * (1 - p)).mean() / (steps * p.size))
    again, other = (tapped(converted(ann, x, steps=steps, input=Rate(), seed=s), ["x.psp"], x)["x.psp"] for s in (7, 8))
    np.testing.assert_array_equal(again, psp)
    assert (other != psp).any()


def test_inputs_encoded_regularly_approach_direct_input() -> None:
    ann = residual(seed=3)
    x = images(16, 2, 8, 8)
    snn = converted(ann, x, steps=256, threshold="max", input=Rate(encoder="regular"))
    assert closeness(ann, snn, x) < 0.03


def test_positive_inputs_need_no_sign() -> None:
    net = Net((5,))
    ann = net.done(net.linear(net.relu(net.linear(net.inputs[0], 6)), 3))
    x = np.abs(images(16, 5))
    snn = converted(ann, x, input=Rate())
    assert ops_named(snn, "snn.encode")[0].attributes["code"] == Rate()
