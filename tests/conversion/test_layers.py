"""Every kind of layer is converted: structure, and outputs that approach the source's as T grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier.ir.codes import LayerSync, Rate, Stepwise
from ranvier.ir.core import Module, Value
from ranvier.ir.ops.activations import Clip, LeakyRelu, Prelu, Relu
from ranvier.ir.ops.arith import Add, Compare, Div, Maximum, Minimum, Mul, Neg, Sub
from ranvier.ir.ops.nn import Matmul
from ranvier.ir.ops.pool import AvgPool, MaxPool
from ranvier.ir.ops.reduce import Mean
from ranvier.ir.ops.resize import Resize
from ranvier.ir.ops.shape import Cast, Concat, Pad, Reshape, Select, Slice, Transpose
from tests.conversion.helpers import closeness, convert, converted, neurons, ops_named, outputs, tapped
from tests.zoo.net import Net, around, images

X = images(24, 3, 6, 6)
Activation = Callable[[Net, Value], Value]


def channelwise(op: Any) -> Any:
    scale = op.elem.quant.scale
    return scale if isinstance(scale, tuple) else (scale,)


# -- activations in every form -----------------------------------------------------------------------------------------
def zero(net: Net) -> Value:
    return net.constant(0.0, "zero")


RELU_FORMS: dict[str, Activation] = {
    "relu": lambda net, x: net.relu(x),
    "maximum": lambda net, x: net(Maximum, x, zero(net)),
    "maximum_of_tensor": lambda net, x: net(Maximum, net.constant(np.zeros((1, 6, 1, 1))), x),
    "clip": lambda net, x: net(Clip, x, low=0.0),
    "select": lambda net, x: net(Select, net(Compare, x, zero(net), how="gt"), x, zero(net)),
    "masked": lambda net, x: net(Select, net(Compare, x, zero(net), how="lt"), zero(net), x),
    "times_sign": lambda net, x: net(Mul, x, net(Cast, net(Compare, x, zero(net), how="gt"), elem="f32")),
    "leaky_of_nothing": lambda net, x: net(LeakyRelu, x, slope=0.0),
    "twice": lambda net, x: net.relu(net.relu(x)),
}
RELU6_FORMS: dict[str, Activation] = {
    "clip": lambda net, x: net(Clip, x, low=0.0, high=1.0),
    "minimum_of_relu": lambda net, x: net(Minimum, net.relu(x), net.constant(1.0)),
    "relu_of_minimum": lambda net, x: net.relu(net(Minimum, x, net.constant(1.0))),
    "clip_of_relu": lambda net, x: net(Clip, net.relu(x), low=-3.0, high=1.0),
    "two_relus": lambda net, x: net(Sub, net.relu(x), net.relu(net(Sub, x, net.constant(1.0)))),
}
LEAKY_FORMS: dict[str, Activation] = {
    "leaky": lambda net, x: net(LeakyRelu, x, slope=0.25),
    "maximum": lambda net, x: net(Maximum, x, net(Mul, x, net.constant(0.25))),
    "select": lambda net, x: net(Select, net(Compare, x, zero(net), how="gt"), x, net(Mul, x, net.constant(0.25))),
    "prelu_of_one_slope": lambda net, x: net(Prelu, x, net.constant(np.full(6, 0.25))),
}


@pytest.mark.parametrize("form", RELU_FORMS)
def test_relu_in_every_form(form: str) -> None:
    ann = around(RELU_FORMS[form])
    snn, context = convert(ann, X, steps=128, threshold="max")
    assert [r["became"] for r in context.tables["coverage"]] == ["neuron", "neuron"]
    assert len(neurons(snn)) == 2
    assert neurons(snn)[0].negative == "none"
    assert closeness(ann, snn, X) < 0.03


@pytest.mark.parametrize("form", RELU6_FORMS)
def test_clipped_relu_in_every_form(form: str) -> None:
    ann = around(RELU6_FORMS[form])
    snn = converted(ann, X, steps=128, threshold="max")
    first, _ = neurons(snn)
    assert max(channelwise(first)) == 1.0, "no threshold lies beyond the clip"
    assert closeness(ann, snn, X) < 0.03


@pytest.mark.parametrize("form", LEAKY_FORMS)
def test_leaky_relu_in_every_form(form: str) -> None:
    ann = around(LEAKY_FORMS[form])
    snn = converted(ann, X, steps=128, threshold="max")
    first, second = neurons(snn)
    assert first.negative == "free"
    assert first.code.signed
    assert second.negative == "none"
    assert not second.code.signed
    theta = np.asarray(channelwise(first), np.float32)
    theta_neg = snn.array(first.theta_neg).reshape(-1)
    np.testing.assert_allclose(theta_neg, theta / 0.25, rtol=1e-6)
    assert closeness(ann, snn, X) < 0.03


def test_prelu_has_a_slope_for_each_channel() -> None:
    slopes = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1.5], np.float32)
    ann = around(lambda net, x: net(Prelu, x, net.constant(slopes)))
    snn = converted(ann, X, steps=256, threshold="max")
    first, _ = neurons(snn)
    theta = np.asarray(channelwise(first), np.float32)
    np.testing.assert_allclose(snn.array(first.theta_neg).reshape(-1), theta / slopes, rtol=1e-6)
    assert closeness(ann, snn, X) < 0.03


def test_symmetric_clip_rounds_on_either_side() -> None:
    ann = around(lambda net, x: net(Clip, x, low=-0.5, high=0.5))
    snn = converted(ann, X, steps=64, threshold="max")
    first, _ = neurons(snn)
    assert (first.negative, first.lower, first.theta_neg) == ("free", "zero", None)
    name = ops_named(ann, "nn.clip")[0].result.name
    found = tapped(snn, [name], X)[name].mean(0)
    want = tapped(ann, [name], X)[name]
    assert np.abs(found - want).max() <= 0.5 * 0.5 / 64 + 1e-6
    assert closeness(ann, snn, X) < 0.03


@pytest.mark.parametrize("schedule", [Stepwise(), LayerSync()], ids=str)
def test_leaky_neuron_is_within_one_level(schedule: Any) -> None:
    """For a constant current and v0 = 0: |mean - leaky(z)| <= theta/T on either side; v0 adds slope v0 below zero."""
    slope, steps = 0.125, 16
    net = Net((4,), dyadic=True)
    ann = net.done(net.linear(net(LeakyRelu, net.linear(net.inputs[0], 6), slope=slope), 3))
    x = images(64, 4, dyadic=True) * 8
    name = ops_named(ann, "nn.leaky_relu")[0].result.name
    want = tapped(ann, [name], x)[name]
    for v0 in (0.0, 0.5):
        snn = converted(ann, x, steps=steps, threshold="max", per="layer", v0=v0, schedule=schedule)
        (theta,) = channelwise(neurons(snn)[0])
        error = np.abs(tapped(snn, [name], x)[name].mean(0) - want)
        below = want < 0
        assert below.any()
        assert (want > 0).any()
        assert error[~below].max() <= theta / steps * max(v0, 1 - v0)
        assert error[below].max() <= theta / steps * (1 + slope * v0)


# -- pools, shapes, sums -----------------------------------------------------------------------------------------------
def pooled(pool: Callable[[Net, Value], Value]) -> Module:
    net = Net((3, 8, 8))
    x = pool(net, net.relu(net.conv(net.inputs[0], 4)))
    x = pool(net, net.relu(net.conv(x, 6)))
    return net.done(net.head(net.relu(net.conv(x, 6))))


POOLS: dict[str, Callable[[Net, Value], Value]] = {
    "max": lambda net, x: net.max_pool(x),
    "average": lambda net, x: net.avg_pool(x),
    "overlapping_max": lambda net, x: net(MaxPool, x, kernel=(3, 3), strides=(2, 2), padding=(1, 1, 1, 1)),
    "padded_average": lambda net, x: net(
        AvgPool, x, kernel=(3, 3), strides=(2, 2), padding=(1, 1, 1, 1), count_include_pad=True
    ),
}


@pytest.mark.parametrize("schedule", [Stepwise(), LayerSync()], ids=str)
@pytest.mark.parametrize("pool", POOLS)
def test_pools(pool: str, schedule: Any) -> None:
    ann = pooled(POOLS[pool])
    x = images(16, 3, 8, 8)
    snn = converted(ann, x, steps=256, threshold="max", schedule=schedule)
    assert closeness(ann, snn, x) < 0.03
    for op in ops_named(snn, "nn.max_pool"):
        (source,) = op.arguments
        assert source.type.time is None or source.op.name == "core.accumulate", "spikes are never pooled"


def test_max_pool_stands_before_the_neuron_and_is_exact_in_its_sum() -> None:
    """The pooled current sums up to the pool of the summed currents, also where the largest input changes over time."""
    ann = pooled(POOLS["max"])
    x = images(16, 3, 8, 8)
    snn = converted(ann, x, steps=16, threshold="max", schedule=Stepwise())
    second = ops_named(snn, "nn.max_pool")[1]
    assert second.result.type.time == 16
    total = second.arguments[0].op
    sub = next(u for u in second.result.users if isinstance(u, Sub))
    current = total.arguments[0].name
    values = tapped(snn, [current, sub.result.name], x)
    whole = values[current].sum(0)
    n, c, h, w = whole.shape
    want = whole.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))
    np.testing.assert_allclose(values[sub.result.name].sum(0), want, atol=1e-4)


def test_max_pool_beside_a_skip_connection() -> None:
    """The ReLU before the pool has another user: that one keeps its spikes, the pool gets a neuron of its own."""
    net = Net((3, 8, 8))
    x = net.relu(net.conv(net.conv(net.inputs[0], 4), 4))
    skip = net(Slice, x, axes=(2, 3), starts=(0, 0), stops=(8, 8), steps=(2, 2))
    y = net(Add, net.max_pool(x), skip)
    ann = net.done(net.head(net.relu(net.conv(y, 6))))
    x_ = images(16, 3, 8, 8)
    snn, context = convert(ann, x_, steps=128, threshold="max")
    assert len(neurons(snn)) == 3
    assert len({r["activation"] for r in context.tables["coverage"]}) == 3
    assert closeness(ann, snn, x_) < 0.03


def block(net: Net, x: Value, shortcut: Callable[[Net, Value], Value], stride: int = 1) -> Value:
    y = net.conv(net.relu(net.conv(x, int(x.type.shape[1]) * stride, stride=stride)), int(x.type.shape[1]) * stride)
    return net.relu(net(Add, y, shortcut(net, x)))


def option_a(net: Net, x: Value) -> Value:
    """Every second pixel, and channels of zeros on either side."""
    half = net(Slice, x, axes=(2, 3), starts=(0, 0), stops=(2**31 - 1,) * 2, steps=(2, 2))
    extra = int(x.type.shape[1]) // 2
    return net(Pad, half, before=(0, extra, 0, 0), after=(0, extra, 0, 0))


SHAPED: dict[str, Callable[[Net, Value], Value]] = {
    "residual": lambda net, x: block(net, x, lambda net, x: x),
    "option_a": lambda net, x: block(net, x, option_a, 2),
    "projection": lambda net, x: block(net, x, lambda net, x: net.conv(x, 8, 1, 2), 2),
    "flatten": lambda net, x: net.relu(net.linear(net.flatten(x), 12)),
    "reshape": lambda net, x: net.relu(net.linear(net(Reshape, x, shape=("N", 16, 9)), 5)),
    "transpose": lambda net, x: net.relu(net.linear(net(Transpose, x, perm=(0, 2, 3, 1)), 5)),
    "transposed_conv": lambda net, x: net.relu(net.up(x, 5)),
    "nearest": lambda net, x: net.conv(net(Resize, x, scales=(1, 1, 2, 2), mode="nearest"), 5),
    "linear": lambda net, x: net.conv(net(Resize, x, scales=(1, 1, 2, 2), mode="linear"), 5),
    "global_pool": lambda net, x: net.relu(net.linear(net(Mean, x, axes=(2, 3)), 9)),
    "batch_norm": lambda net, x: net.relu(net.batch_norm(net(Add, net.conv(x, 4), x))),
    "scaled": lambda net, x: net.relu(net(Div, net(Neg, net.conv(x, 6)), net.constant(2.0))),
    "bias_of_a_map": lambda net, x: net.relu(net(Add, net.conv(x, 4), net.constant(np.ones((1, 4, 6, 6)) / 4))),
    "matmul": lambda net, x: net.relu(net(Matmul, net.flatten(x), net.weight(144, 7, fan=144))),
}  # fmt: skip


@pytest.mark.parametrize("schedule", [Stepwise(), LayerSync()], ids=str)
@pytest.mark.parametrize("kind", SHAPED)
def test_layers_and_shapes(kind: str, schedule: Any) -> None:
    net = Net((3, 6, 6), seed=1)
    ann = net.done(net.head(SHAPED[kind](net, net.relu(net.conv(net.inputs[0], 4)))))
    snn, context = convert(ann, X, steps=256, threshold="max", schedule=schedule)
    assert {r["became"] for r in context.tables["coverage"]} == {"neuron"}
    assert len(neurons(snn)) == len(ops_named(ann, "nn.relu"))
    assert not ops_named(snn, "nn.relu")
    assert not ops_named(snn, "nn.batch_norm")
    assert closeness(ann, snn, X) < 0.04


def test_concat_keeps_the_scales_of_its_branches() -> None:
    net = Net((3, 6, 6))
    x = net.conv(net.inputs[0], 4)
    branches = net.relu(net.conv(x, 3)), net(Mul, net.relu(net.conv(x, 5)), net.constant(8.0))
    y = net(Concat, *branches, axis=1)
    ann = net.done(net.head(net.relu(net.conv(y, 6))))
    snn = converted(ann, X, steps=128, threshold="max")
    first, second, third = neurons(snn)
    assert (len(channelwise(first)), len(channelwise(second)), len(channelwise(third))) == (3, 5, 6)
    assert closeness(ann, snn, X) < 0.03


def test_option_a_channels_of_zeros_stay_silent() -> None:
    net = Net((3, 6, 6))
    x = net.relu(net.conv(net.inputs[0], 4))
    ann = net.done(net.head(net.relu(option_a(net, x))))
    snn = converted(ann, X, steps=16)
    padded = neurons(snn)[-1]
    train = tapped(snn, [padded.result.name], X)[padded.result.name]
    assert not train[:, :, :2].any()
    assert not train[:, :, -2:].any()
    assert train.any()
    scales = channelwise(padded)
    assert scales[0] == scales[-1] == max(scales), "a channel that never fires has its layer's largest threshold"


# -- inputs and outputs ------------------------------------------------------------------------------------------------
def test_several_inputs_and_outputs() -> None:
    net = Net((3, 6, 6), (4,))
    x = net.relu(net.conv(net.inputs[0], 4))
    y = net.relu(net.linear(net.inputs[1], 4))
    both = net(Concat, net(Mean, x, axes=(2, 3)), y, axis=1)
    hidden = net.relu(net.linear(both, 8))
    ann = net.done(net.linear(hidden, 3), net.linear(y, 2), x)
    inputs = (X, images(24, 4, seed=2))
    snn = converted(ann, *inputs, steps=256, threshold="max")
    assert [v.type for v in snn.main.outputs] == [v.type for v in ann.main.outputs]
    assert snn.main.terminator.names == ann.main.terminator.names
    from tests.conversion.helpers import RUNTIMES

    for want, found in zip(*(RUNTIMES["torch"].run(m, inputs).outputs for m in (ann, snn)), strict=True):
        assert np.abs(np.asarray(found) - want).max() < 0.03 * np.abs(want).max()


def test_the_first_layer_runs_once() -> None:
    """Direct input does not change over time: its convolution is outside the steps, and equals the unhoisted one."""
    ann = around(RELU_FORMS["relu"])
    snn = converted(ann, X, steps=8)
    first, second = ops_named(snn, "nn.conv")
    assert first.result.type.time is None
    assert len(first.arguments) == 3, "the first convolution keeps its bias"
    assert second.result.type.time == 8
    assert len(second.arguments) == 2
    assert ops_named(snn, "core.repeat")[0].operands[0] is first.result
    assert [op.result.type.time for op in ops_named(snn, "snn.bias_current")] == [8, 8]
    repeated = tapped(snn, [ops_named(snn, "core.repeat")[0].result.name], X)
    want = tapped(ann, [ops_named(ann, "nn.conv")[0].result.name], X)
    for steps in repeated.values():
        for step in steps:
            np.testing.assert_array_equal(step, *want.values())


def test_many_spikes_a_step_for_every_shape() -> None:
    ann = around(LEAKY_FORMS["leaky"])
    snn = converted(ann, X, steps=4, code=Rate(levels=64), threshold="max")
    assert [n.code.largest for n in neurons(snn)] == [64, 64]
    assert closeness(ann, snn, X) < 0.03
    assert outputs(snn, X, runtime="meaning").shape == (24, 5)


def test_a_network_of_one_relu_at_its_end() -> None:
    net = Net((4,))
    ann = net.done(net.relu(net.linear(net.inputs[0], 6)))
    x = images(10, 4)
    snn = converted(ann, x, steps=128, threshold="max")
    assert len(neurons(snn)) == 1
    assert isinstance(ann.main.outputs[0].op, Relu)
    assert closeness(ann, snn, x) < 0.02


def test_a_global_max_pool_goes_before_the_neuron() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ).eval()  # fmt: skip
    x = np.random.default_rng(0).random((16, 1, 8, 8), np.float32)
    exe = rv.compile(net, "convert-snn{signed=true steps=64 schedule=stepwise}", data=x, example=x[:2])
    names = [op.name for op in exe.module.main.ops]
    assert names.index("nn.max_pool") < names.index("snn.neuron")
    with torch.no_grad():
        want = net(torch.from_numpy(x)).numpy()
    assert np.abs(exe(x) - want).max() <= 0.03
