"""Two-stage methods: SRP and COS against the authors' neurons, step by step, and what their trials cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.codes import Rate
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import NeuronCode, is_trial
from ranvier.ir.latency import latency
from ranvier.ir.ops.activations import LeakyRelu
from ranvier.passes.conversion.convert_snn import ConvertSnn
from ranvier.pipeline import parse_pipeline
from tests.conversion.helpers import converted, each_runtime, neurons, outputs, tapped
from tests.zoo.digits import TRAIN, digits, digits_network
from tests.zoo.net import Net, images, residual

Array = np.ndarray[Any, Any]
both = pytest.mark.parametrize("runtime", list(each_runtime()))
X = images(40, 6, dyadic=True)
THETA = 4.0


def chain(layers: int) -> Module:
    """Clipped at four thresholds of a dyadic size, so that sums are exact."""
    net = Net((6,), dyadic=True)
    x = net.inputs[0]
    for _ in range(layers):
        x = net.relu(net.linear(x, 6))
    return net.done(net.linear(x, 3))


def dyadic_thresholds(module: Module) -> Module:
    """The module with facts that give every ReLU the threshold THETA."""
    made = module.clone()
    for op in made.main.ops:
        if op.name == "nn.relu":
            op.result.facts += (NeuronCode(Rate(), 8, (THETA,)),)
    return made.freeze()


def parameters(module: Module) -> list[tuple[Array, Array]]:
    """Weight and bias of each linear op."""
    return [
        (module.array(op.operands[1]), module.array(op.operands[2]))  # type: ignore[arg-type]
        for op in module.main.ops
        if op.name == "nn.linear"
    ]


class Authors:
    """The neuron of the authors' code: SpikingJelly's IFNode with a soft reset, in units of the threshold."""

    def __init__(self, shape: tuple[int, ...]):
        self.v = np.full(shape, 0.5, np.float32)

    def __call__(self, current: Array) -> Array:
        self.v = self.v + current / np.float32(THETA)
        spikes = (self.v >= 1).astype(np.float32)
        self.v = self.v - spikes
        return spikes


def srp(module: Module, x: Array, trial: int, steps: int) -> Array:
    """`MPLayer` of the SRP code: the trial of the whole network, then masks; the mean output of the second stage."""
    *hidden, (head, offset) = parameters(module)
    layers = [Authors((len(x), len(b))) for _, b in hidden]
    masks = [np.ones(())] * len(hidden)
    total: Any = 0
    for t in range(trial + steps):
        h = x
        for i, (w, b) in enumerate(hidden):
            h = layers[i](h @ w.T + b) * masks[i] * np.float32(THETA)
        total = total + (h @ head.T + offset if t >= trial else 0)
        if t == trial - 1:
            masks = [(n.v > 1e-3).astype(np.float32) for n in layers]
            layers = [Authors(n.v.shape) for n in layers]
    return np.asarray(total / steps)


def cos(module: Module, x: Array, trial: int, steps: int) -> Array:
    """`MPLayer` of the COS code: layer by layer, each tried on the first steps of what the one before it gives."""
    *hidden, (head, offset) = parameters(module)
    given = [x] * steps
    for w, b in hidden:
        currents = [h @ w.T + b for h in given]
        neuron, fired, quiet, count = Authors(currents[0].shape), [], [], 0.0
        for current in currents[:trial]:
            spikes = neuron(current)
            count = count + spikes
            fired.append(np.where(spikes > 0, neuron.v + 1, 1000))
            quiet.append(np.where(spikes > 0, -1000, neuron.v))
        down, up = np.maximum(np.min(fired, 0) - 0.999, 1), np.maximum(1.001 - np.max(quiet, 0), 1)
        start = np.where((neuron.v < 0) & (count > 0), 0.5 - down, 0.5)
        start = np.where(neuron.v >= 1, 0.5 + up, start).astype(np.float32)
        neuron.v = start
        given = [neuron(current) * np.float32(THETA) for current in currents]
    return np.asarray(sum(h @ head.T + offset for h in given) / steps)


@both
@pytest.mark.parametrize("trial", [4, 5, 8])
@pytest.mark.parametrize("method", ["srp", "cos"])
def test_the_network_is_that_of_the_authors(method: str, trial: int, runtime: str) -> None:
    """Three layers, eight steps. COS begins a neuron just below a threshold, by 0.999: no dyadic number."""
    module = chain(3)
    want = {"srp": srp, "cos": cos}[method](module, X, trial, 8)
    made = dyadic_thresholds(module)
    snn = converted(made, X, steps=8, schedule="stepwise", correct=f"{method}(steps={trial})")
    found = outputs(snn, X, runtime=runtime)
    plain = outputs(converted(made, X, steps=8, schedule="stepwise"), X)
    differ = np.abs(found - want).max(1) > 1e-4
    assert differ.mean() <= (0 if method == "srp" else 0.05)
    assert np.abs(plain - want).max() > 0.1, "the method does nothing here"


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("trial", [2, 8])
def test_a_trial_takes_its_time(layers: int, trial: int) -> None:
    """SRP tries the whole network at once; COS a layer on the corrected layer before it, so that each waits."""
    module = chain(layers)
    one, each = (
        latency(converted(module, X, steps=8, schedule="stepwise", correct=f"{m}(steps={trial})"))
        for m in ("srp", "cos")
    )
    assert one == trial + 8
    assert each == layers * trial + 8


def test_a_trial_may_be_longer_than_the_window() -> None:
    assert latency(converted(chain(2), X, steps=2, schedule="stepwise", correct="srp(steps=16)")) == 18


@both
def test_silent_neurons_are_those_whose_membrane_the_trial_left_at_nothing(runtime: str) -> None:
    module = dyadic_thresholds(chain(2))
    snn = converted(module, X, steps=8, schedule="stepwise", correct="srp(steps=4)")
    tried = converted(dyadic_thresholds(chain(2)), X, steps=8, schedule="stepwise")
    names = [n.result.name for n in neurons(snn) if not is_trial(n)]
    assert [n.result.name for n in neurons(tried)] == names, "the window's values keep their names"
    found = tapped(snn, [*names, "relu.left"], X, runtime=runtime)
    silent = found["relu.left"] <= 1e-3 * THETA
    assert silent.any()
    assert not found[names[0]][:, silent].any()
    assert found[names[0]][:, ~silent].any()


@both
def test_convolutions_pools_and_branches_are_tried_too(runtime: str) -> None:
    """A residual block, pools, and an input in spikes."""
    module, x = residual(), images(6, 2, 8, 8)
    for method in ("srp(steps=16)", "cos(steps=16)"):
        options: dict[str, Any] = {"steps": 32, "schedule": "stepwise", "threshold": "max"}
        snn = converted(module, x, correct=method, input="rate(encoder=regular)", **options)
        assert sum(map(is_trial, neurons(snn))) == (4 if method.startswith("srp") else 0)
        want = outputs(module, x)
        assert np.abs(outputs(snn, x, runtime=runtime) - want).max() <= 0.35 * np.abs(want).max()


def test_evaluations_count_the_trial_but_not_its_neurons_again() -> None:
    module = chain(2)
    made = {
        name: rv.compile(module, f"convert-snn{{steps=4 schedule=stepwise{options}}}", data=X).evaluate(X)
        for name, options in (("none", ""), ("srp", " correct=srp(steps=4)"))
    }
    assert made["srp"].neurons == made["none"].neurons == 12
    assert made["srp"].latency_steps == 8
    longer = rv.compile(module, "convert-snn{steps=4 schedule=stepwise correct=srp(steps=9)}", data=X).evaluate(X)
    assert (longer.timesteps, longer.latency_steps) == (4, 13)
    assert all(0 <= layer.rate <= 1 for layer in longer.layers)
    tried = next(layer for layer in longer.layers if layer.name.endswith(".trial"))
    assert tried.rate == pytest.approx(tried.spikes_per_sample / tried.neurons / 9)
    assert made["srp"].spikes_per_sample > made["none"].spikes_per_sample  # type: ignore[operator]
    assert made["srp"].multiply_accumulates == made["none"].multiply_accumulates, "direct input is computed once"
    assert made["srp"].baseline_levels == made["none"].baseline_levels == 5


def test_a_trial_mends_the_digits_network() -> None:
    """Thresholds at the layer's maximum, T=4: better by three points, and not below as many steps without a trial."""
    x, y = digits()

    def accuracy(steps: int, correct: str) -> tuple[float, int]:
        options = f"schedule=stepwise threshold=max per=layer steps={steps} correct={correct}"
        exe = rv.compile(digits_network(), f"fold-batchnorm, convert-snn{{{options}}}", data=x[:TRAIN])
        found = exe.evaluate(x[TRAIN:], y[TRAIN:])
        assert found.accuracy is not None
        assert found.latency_steps is not None
        return 100 * found.accuracy, found.latency_steps

    plain, longer, srp = accuracy(4, "none"), accuracy(8, "none"), accuracy(4, "srp(steps=4)")
    assert srp[1] == longer[1] == 8
    assert srp[0] >= plain[0] + 3
    assert srp[0] >= longer[0]


@pytest.mark.parametrize("method", ["srp(steps=4)", "cos(steps=4)"])
def test_lost_spikes_do_not_change_what_a_neuron_knows_of_itself(method: str) -> None:
    """Where all spikes are lost on their way, the first layer's membranes, and so its spikes, are the same."""
    passes = f"convert-snn{{steps=8 schedule=stepwise correct={method}}}"
    module = dyadic_thresholds(chain(2))
    plain, lost = (rv.opt(module, passes + tail, data=X) for tail in ("", ", noise{deletion=1}"))
    first = next(n.result.name for n in neurons(plain) if not is_trial(n))
    want, found = (tapped(m, [first], X)[first] for m in (plain, lost))
    assert want.any()
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    ("options", "reason", "help"),
    [
        ({"correct": "srp", "steps": 4}, "no spike comes too early", "schedule=stepwise"),
        ({"correct": "cos", "steps": 4, "schedule": "stepwise"}, "looks at 8 steps", "fewer steps"),
        ({"correct": "srp", "schedule": "stepwise", "signed": True}, "take back by themselves", "signed"),
        ({"correct": "srp", "schedule": "stepwise", "reset": "hard"}, "throws the membrane away", "reset"),
        ({"correct": "cos", "schedule": "stepwise", "code": "burst"}, "left over", "code=rate"),
        ({"correct": "srp", "schedule": "stepwise", "code": "rate(levels=3)"}, "left over", "code=rate"),
    ],
    ids=str,
)
def test_refusals(options: dict[str, Any], reason: str, help: str) -> None:
    with pytest.raises(RanvierError, match=reason) as info:
        ConvertSnn(**options)
    assert help in str(info.value)


def test_other_neurons_of_a_network_are_refused_by_name() -> None:
    net = Net((6,))
    leaky = net(LeakyRelu, net.linear(net.inputs[0], 6), slope=0.1)
    module = net.done(net.linear(leaky, 3))
    with pytest.raises(RanvierError, match=rf"no rule for %{leaky.name}, whose neurons fire rate"):
        converted(module, X, steps=8, schedule="stepwise", correct="srp")


def test_the_option_prints_as_it_is_read() -> None:
    text = "convert-snn{steps=8 schedule=stepwise correct=cos(steps=4)}"
    assert str(parse_pipeline(text)) == text
