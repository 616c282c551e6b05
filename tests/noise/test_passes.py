"""`noise` and `compensate-deletion`: where they act, what stays as it was, what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.codes import AverageSpike, Burst, Code, FirstSpike, Phase, Rate
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import Compensated
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops.activations import Relu
from ranvier.ir.ops.arith import Add
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.loss import Mse
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.nn import Linear
from ranvier.ir.ops.noise import Noise
from ranvier.ir.ops.snn import BiasCurrent, Decode, Encode, Psp
from ranvier.ir.ops.time import Accumulate, Last
from ranvier.ir.resources import Resource
from ranvier.ir.text.parser import parse_module
from ranvier.ir.types import SpikesType, tensor
from ranvier.passes.time.to_step import ToStep
from ranvier.pipeline import parse_pipeline
from tests.passes.helpers import apply

Array = np.ndarray[Any, Any]
T = 16


def ann() -> Module:
    """Two layers."""
    r = np.random.default_rng(0)
    module = Module("ann")
    graph = module.new_graph()
    b = Builder(graph)
    h = graph.argument("x", tensor("N", 5))
    for i, (n, m) in enumerate([(5, 7), (7, 6), (6, 3)]):
        h = b(
            Linear,
            h,
            b.constant(r.normal(size=(m, n)).astype("f4"), f"w{i}"),
            b.constant(r.normal(size=m).astype("f4"), f"b{i}"),
        )
        h = b(Relu, h, name=f"relu{i}") if i < 2 else h
    b.returns(h)
    return module.verify().freeze()


X = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)


def snn(code: str = "rate", **options: Any) -> Module:
    """The two layers in spikes."""
    text = " ".join(f"{k}={v}" for k, v in {"steps": T, "schedule": "layer_sync", **options}.items())
    return rv.opt(ann(), f"convert-snn{{code={code} {text}}}", data=X)


def coded(code: Code, steps: int) -> Module:
    """A value in spikes, weights and a bias behind, and the mean current."""
    module = Module("coded")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 4))
    psp = b(Psp, b(Encode, x, code=code, steps=steps, elem=code.element(), key="x", name="spikes"))
    r = np.random.default_rng(0)
    weight = b.constant(r.normal(size=(3, 4)).astype("f4"), "w")
    current = b(BiasCurrent, b(Linear, psp, weight), b.constant(r.normal(size=3).astype("f4"), "bias"))
    b.returns(b(Last, b(Accumulate, current, mode="mean")[0]))
    return module.verify().freeze()


def run(module: Module, *inputs: Array, runtime: str = "torch", **options: Any) -> Array:
    if runtime == "meaning":
        return evaluate(module, inputs, **options)[0][0]
    return np.asarray(TorchRuntime().run(module, inputs, **options).outputs[0])


def taps(module: Module, name: str, x: Array) -> Array:
    return evaluate(module, [x], taps=[name])[1][name]


# -- noise -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text", ["noise", "noise{deletion=0.25 seed=3}", "noise{jitter=1.5}", "noise{on=[relu1.spikes]}"]
)
def test_noise_stands_behind_every_neuron_and_nothing_else_reads_its_spikes(text: str) -> None:
    module = rv.opt(snn(), text)
    ops = list(module.main.ops)
    found = [op for op in ops if isinstance(op, Noise)]
    assert [op.x.name for op in found] == (["relu1.spikes"] if "[" in text else ["relu0.spikes", "relu1.spikes"])
    for op in found:
        assert op.x.users == [op]
        assert [u.name for u in op.result.users] == ["snn.psp"]
        assert op.key == f"{op.x.name}.noise"
    assert parse_module(str(module), resources=module.resources) == module
    if text == "noise":
        np.testing.assert_array_equal(run(module, X), run(snn(), X))


def test_pipelines_print_and_parse() -> None:
    text = 'noise{deletion=0.25 jitter=1.5 seed=3 on=["relu1.spikes"]}, compensate-deletion{p=0.25}'
    assert str(parse_pipeline(text)) == text


def test_inputs_encoders_and_outputs_are_edges_too() -> None:
    module = Module("m")
    graph = module.new_graph()
    b = Builder(graph)
    a = graph.argument("a", SpikesType(("N", 2), Rate().element(), Rate(), T))
    x = graph.argument("x", tensor("N", 2))
    encoded = b(Encode, x, code=Rate(), steps=T, key="a.noise", name="e")
    spikes = b(Neuron, b(Add, b(Psp, a), b(Psp, encoded)), code=Rate(), name="s")[0]
    b.returns(spikes, a)
    made = rv.opt(module.freeze(), "noise{deletion=0.5}, noise{deletion=0.5}")
    found = [op for op in made.main.ops if isinstance(op, Noise)]
    assert len(found) == 6
    assert len({op.key for op in found} | {"a.noise"}) == 7
    assert all(v.op in found for v in made.main.outputs)
    ones = np.ones((T, 500, 2), np.bool_)
    arrived = TorchRuntime().run(made, [ones, np.zeros((500, 2), np.float32)]).outputs[1]
    assert abs(arrived.mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / arrived.size)


@pytest.mark.parametrize("noise", ["deletion=0.3", "jitter=1.5", "deletion=0.3 jitter=1.5"])
@pytest.mark.parametrize("code", ["rate", "ttfs", "ttas(spikes=3)", "phase", "burst", "diff", "multi_threshold", "fs"])
def test_meaning_and_runtime_agree_and_batches_do_not_matter(code: str, noise: str) -> None:
    options: dict[str, Any] = {"schedule": "stepwise"} if code == "diff" else {}
    options |= {"steps": {"phase": 8, "fs": 6}.get(code, T)}
    module = rv.opt(snn(code, **options), f"noise{{{noise} seed=2}}")
    want = run(module, X, runtime="meaning")
    found = run(module, X)
    assert np.mean(np.abs(found - want) > 1e-4 * np.abs(want).max()) <= 1e-2
    np.testing.assert_array_equal(found, run(module, X))
    part = run(module, X[5:9], sample_ids=np.arange(5, 9))
    assert np.mean(np.abs(part - found[5:9]) > 1e-4 * np.abs(want).max()) <= 1e-2
    assert (np.abs(found - run(module, X, trial=1)) > 1e-3).any()


@pytest.mark.parametrize("noise", ["deletion=0.3", "jitter=1.5", "deletion=0.3 jitter=1.5"])
def test_gradients_go_through_noise(noise: str) -> None:
    """With gradients the same is drawn: the slope in the last weights is that of the meaning."""
    module = coded(Rate(encoder="regular"), T).clone()
    graph = module.main
    outputs = graph.outputs[0]
    graph.erase(graph.terminator)
    b = Builder(graph)
    target = graph.argument("target", tensor("N", 3))
    b.returns(b(Mse, outputs, target), roles=["loss"])
    module = rv.opt(module.freeze(), f"noise{{{noise}}}")
    x, y = np.abs(X[:, :4]), np.zeros((len(X), 3), np.float32)
    found = TorchRuntime().grad(module, ["w"], [x, y])["w"]
    array = module.resource("w").array
    for index in [(0, 0), (2, 3), (1, 2)]:
        loss = []
        for step in (1e-2, -1e-2):
            other, changed = module.clone(), array.copy()
            changed[index] += step
            other.resources["w"] = Resource(module.resource("w").type, changed, name="w")
            loss.append(float(evaluate(other, [x, y])[0][0]))
        assert abs((loss[0] - loss[1]) / 2e-2 - found[index]) < 5e-3


def test_a_step_graph_draws_what_the_window_does() -> None:
    module = rv.opt(coded(Rate(), T), "noise{deletion=0.4}")
    x = np.abs(X[:, :4])
    want = evaluate(module, [x])[0][0]
    step, _ = apply(ToStep(), module)
    state = np.zeros((len(x), 3), np.float32)
    for t in range(T):
        (found, state), _ = evaluate(step, [{"x": x, "step": np.asarray(t)}.get(a.name, state) for a in step.main.args])
    np.testing.assert_array_equal(found, want)
    with pytest.raises(RanvierError, match="shifts spikes over the whole window"):
        rv.opt(coded(Rate(), T), "noise{jitter=1}, to-step")


# -- compensation ------------------------------------------------------------------------------------------------------
CODES = [
    (Rate(), T),
    (Rate(encoder="regular", levels=3), T),
    (Phase(), 8),
    (FirstSpike(tau=4.0), T),
    (AverageSpike(tau=4.0, spikes=4), T),
]


@pytest.mark.parametrize("p", [0.1, 0.4])
@pytest.mark.parametrize(("code", "steps"), CODES, ids=lambda v: str(v))
def test_the_expected_current_is_that_without_loss(code: Code, steps: int, p: float) -> None:
    """E[out | p, compensated] = out, to five standard errors, the bias unscaled."""
    plain = coded(code, steps)
    x = np.tile(np.float32([0.1, 0.45, 0.7, 0.95]), (3000, 1))
    clean = run(plain, x)
    want, spread = clean.mean(0), clean.std(0)
    noisy = rv.opt(plain, f"compensate-deletion{{p={p}}}, noise{{deletion={p}}}")
    found = run(noisy, x)
    error = np.sqrt((found.std(0) ** 2 + spread**2) / len(x))
    assert (np.abs(found.mean(0) - want) <= 5 * error).all()
    lossy = run(rv.opt(plain, f"noise{{deletion={p}}}"), x).mean(0)
    assert (np.abs(lossy - want) > 5 * error).any()


@pytest.mark.parametrize("code", ["rate", "ttfs", "multi_threshold", "rate(levels=3)"])
def test_thresholds_stay(code: str) -> None:
    """A neuron that sees the same current fires the same spikes; what they are worth grows."""
    before, after = snn(code), rv.opt(snn(code), "compensate-deletion{p=0.5}")
    np.testing.assert_array_equal(taps(before, "relu0.spikes", X), taps(after, "relu0.spikes", X))
    np.testing.assert_array_equal(2 * taps(before, "relu0", X), taps(after, "relu0", X))
    assert (taps(before, "relu1.spikes", X) != taps(after, "relu1.spikes", X)).any()
    for op in after.main.ops:
        if isinstance(op, Neuron):
            assert op.facts[-1] == Compensated(0.5)
            assert op.theta is not None
    assert parse_module(str(after), resources=after.resources) == after
    np.testing.assert_allclose(run(after, X), run(after, X, runtime="meaning"), rtol=1e-4, atol=1e-4)


def test_encoders_give_the_same_spikes() -> None:
    x = np.abs(X[:, :4]) / 4
    before = coded(Rate(encoder="regular"), T)
    after = rv.opt(before, "compensate-deletion{p=0.75}")
    np.testing.assert_array_equal(taps(before, "spikes", x), taps(after, "spikes", x))


def test_compensated_before_or_after_noise_is_the_same() -> None:
    one = rv.opt(snn(), "noise{deletion=0.3}, compensate-deletion{p=0.3}")
    other = rv.opt(snn(), "compensate-deletion{p=0.3}, noise{deletion=0.3}")
    assert one == other


def test_spikes_on_a_cycle() -> None:
    """The type of a delay follows from an op that comes later."""
    module = Module("m")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 2, time=4))
    start = graph.argument("s", SpikesType(("N", 2), Rate().element(), Rate(), 4))
    back = b(Delay, start, b.constant(np.zeros((), np.bool_), "none"), name="back")
    again = b(Delay, back, b.constant(np.zeros((), np.bool_), "none"), name="again")
    spikes = b(Neuron, b(Add, x, b(Psp, again)), code=Rate(), name="s")[0]
    back.op.set_operand(0, spikes)
    b.returns(b(Decode, spikes))
    made = rv.opt(module.freeze(), "compensate-deletion{p=0.5}, noise{deletion=0.5}")
    assert {float(v.type.elem.quant.scale) for v in made.main.values if isinstance(v.type, SpikesType)} == {2.0}
    given = [X[:8].reshape(4, 5, 2), np.zeros((4, 5, 2), np.bool_)]
    np.testing.assert_array_equal(run(made, *given), run(made, *given, runtime="meaning"))


def test_only_what_is_named_is_compensated() -> None:
    made = rv.opt(snn(), "compensate-deletion{p=0.5 on=[relu1.spikes]}")
    facts = {op.result.name: [f for f in op.facts if isinstance(f, Compensated)] for op in made.main.ops if op.results}
    assert [n for n, f in facts.items() if f] == ["relu1.spikes"]


# -- refusals ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["noise{deletion=0.1}", "compensate-deletion{p=0.1}"])
def test_a_module_without_spikes_is_refused(text: str) -> None:
    with pytest.raises(RanvierError, match=r"no-spikes.*noise on a non-spike edge: the module has no spikes"):
        rv.opt(ann(), text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noise{on=[relu1]}", r"no-spikes.*noise on a non-spike edge: %relu1 is tensor"),
        ("noise{on=[relu1.spike]}", r"(?s)unknown-name.*help: did you mean `relu1.spikes`"),
        ("noise{deletion=1.5}", "bad-value"),
        ("noise{jitter=-1}", "bad-value"),
        ("noise{on=most}", "bad-value"),
        ("compensate-deletion", "missing-option"),
        ("compensate-deletion{p=1}", "nothing is left to scale"),
        ("compensate-deletion{p=0.1}, compensate-deletion{p=0.1}", "no-compensation.*compensated already"),
        ("noise, compensate-deletion{p=0.1 on=[relu1.spikes.noise]}", r"made by snn.noise, which has no scale"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(RanvierError, match=message):
        rv.opt(snn(), text)


def test_a_code_without_a_factor_is_refused() -> None:
    with pytest.raises(RanvierError, match=r"no-compensation.*carries burst, where a lost spike changes"):
        rv.opt(snn("burst"), "compensate-deletion{p=0.1}")
    assert Burst(beta=1.0).after_deletion(0.25) == 0.75
    assert Burst().after_deletion(0.25) is None
