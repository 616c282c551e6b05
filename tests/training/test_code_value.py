"""`snn.code_value` is the neuron's window, and its gradient is the one that the card states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.codes import Code, FewSpikes, FirstSpike, MultiThreshold, Phase, Rate
from ranvier.ir.core import Builder, Module, Value
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops.arith import Add, Mul
from ranvier.ir.ops.code_value import CodeValue
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.reduce import Sum
from ranvier.ir.ops.snn import Psp
from ranvier.ir.ops.time import Accumulate, Last, Repeat
from ranvier.ir.types import tensor

STEPS = 8
SIGNED = Rate(signed=True)


def module_of(code: Code, theta: Any, with_neuron: bool = False, v0: float = 0.0, **options: Any) -> Module:
    """One value [N, 4] through a neuron's window, as a function or as a neuron."""
    module = Module("value")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 4))
    if with_neuron:
        scale = float(np.asarray(theta).reshape(-1)[0])
        start = b.constant(np.float32(scale * v0), "v0") if v0 else None
        current = b(Repeat, x, steps=STEPS)
        element = Elem(code.element().storage, Affine(scale))
        spikes, _, _ = b(Neuron, current, None, start, code=code, elem=element, schedule="layer_sync", **options)
        mean, _ = b(Accumulate, b(Psp, spikes), mode="mean")
        y = b(Last, mean)
    else:
        y = b(
            CodeValue, x, b.constant(np.asarray(theta, np.float32), "theta"), code=code, steps=STEPS, v0=v0, **options
        )
    b.returns(y, names=["y"])
    return module.verify().freeze()


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (FirstSpike(tau=2.5), {}),
        (FirstSpike(tau=3.0, t_d=1.5, round="ceil"), {}),
        (Rate(), {"v0": 0.5}),
        (SIGNED, {"negative": "free", "lower": "zero"}),
        (SIGNED, {"negative": "gated"}),
        (Phase(period=4), {}),
        (FewSpikes(K=8), {}),
        (MultiThreshold(levels=3), {"v0": 0.125}),
    ],
    ids=str,
)
@pytest.mark.parametrize("runtime", ["meaning", "torch"])
def test_it_is_the_mean_of_a_neurons_window(code: Code, options: dict[str, Any], runtime: str) -> None:
    """E11's other half: dec(enc(x)) is what the neuron under layer_sync sends, bit for bit where sums are exact."""
    x = (np.random.default_rng(0).integers(-64, 192, (500, 4)) / 64).astype(np.float32)
    found = []
    for with_neuron in (False, True):
        module = module_of(code, 0.5, with_neuron, **options)
        run = TorchRuntime().run(module, [x]).outputs if runtime == "torch" else evaluate(module, [x])[0]
        found.append(run[0])
    np.testing.assert_array_equal(*found)


def slopes(code: Code, x: list[float], theta: float, *parameters: float) -> dict[str, np.ndarray[Any, Any]]:
    """Gradients of the sum of the values with respect to x (through a shift), theta and the parameters."""
    module = Module("slope")
    graph = module.new_graph()
    b = Builder(graph)
    given = graph.argument("x", tensor(len(x)))
    shift = b.constant(np.zeros(len(x), np.float32), "x0")
    names = ["theta", *code.trainable[: len(parameters)]]
    operands: list[Value] = [b.constant(np.float32(v), n) for n, v in zip(names, (theta, *parameters), strict=True)]
    y = b(CodeValue, b(Add, b(Mul, given, b.constant(np.float32(1), "one")), shift), *operands, code=code, steps=STEPS)
    b.returns(b(Sum, y), names=["loss"], roles=["loss"])
    return TorchRuntime().grad(module.verify().freeze(), ["x0", *names], [np.asarray(x, np.float32)])


def test_the_gradient_takes_rounding_of_the_time_as_the_identity() -> None:
    """y = theta exp((t_d - t) / tau): dy/dx = y/x where it fires in the window, 0 below it and where it saturates."""
    tau, t_d, theta = 3.0, 1.0, 0.5
    code = FirstSpike(tau=tau, t_d=t_d, round="ceil")
    top = theta * np.exp(t_d / tau)
    x = np.array([0.01, 0.3, 0.45, top * 1.5], np.float32)
    found = slopes(code, list(x), theta, tau, t_d)
    y = theta * code.quantize(x / theta, STEPS)
    assert y[0] == 0
    np.testing.assert_allclose(found["x0"], [0, y[1] / x[1], y[2] / x[2], 0], rtol=1e-5)
    inner = slice(1, 3)
    at_tau = (y[inner] / tau * np.log(x[inner] / y[inner])).sum() - top * t_d / tau**2
    assert found["tau"] == pytest.approx(at_tau, rel=1e-4)
    assert found["t_d"] == pytest.approx(top / tau, rel=1e-4)
    assert found["theta"] == pytest.approx(top / theta, rel=1e-4)


def test_the_gradient_of_a_code_without_one_is_that_of_the_clipped_value() -> None:
    found = slopes(Rate(), [-0.5, 0.1, 0.4, 0.9], 0.5)
    np.testing.assert_array_equal(found["x0"], [0, 1, 1, 0])
    assert found["theta"] == pytest.approx(1.0)


def test_trained_fields_go_before_those_of_the_code() -> None:
    x = np.linspace(0.1, 2, 40, dtype=np.float32).reshape(10, 4)
    module = Module("fields")
    graph = module.new_graph()
    b = Builder(graph)
    fields = [b.constant(np.float32(v), n) for n, v in (("tau", 2.25), ("t_d", 0.5))]
    b.returns(b(CodeValue, graph.argument("x", tensor("N", 4)), None, *fields, code=FirstSpike(), steps=STEPS))
    want = FirstSpike(tau=2.25, t_d=0.5).quantize(x, STEPS)
    np.testing.assert_allclose(TorchRuntime().run(module.verify(), [x]).outputs[0], want, rtol=1e-6)


def test_as_many_elements_are_bypassed_as_asked_for_and_the_draws_are_one_samples_own() -> None:
    x = np.full((4000, 4), 0.7, np.float32)
    module = module_of(FirstSpike(tau=2.0, round="ceil"), 1.0, bypass=0.25, key="here")
    want, _ = evaluate(module, [x])
    found = TorchRuntime().run(module, [x], batch=100).outputs[0]
    np.testing.assert_array_equal(found, want[0])
    assert abs((found == np.float32(0.7)).mean() - 0.25) < 0.02
    again = TorchRuntime().run(module, [x[:50]], sample_ids=np.arange(50, 100)).outputs[0]
    np.testing.assert_array_equal(again, found[50:100])
    other = TorchRuntime().run(module, [x], trial=1).outputs[0]
    assert (other != found).any()


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        (SIGNED, {}, "negative=gated or free"),
        (Rate(), {"negative": "free"}, "negative=none"),
        (FewSpikes(K=4), {}, "4 steps"),
        (FirstSpike(), {"bypass": 1.5}, "bypass"),
    ],
)
def test_what_makes_no_sense_is_refused(code: Code, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RanvierError, match=message):
        module_of(code, 1.0, **options)


def test_half_the_fields_are_refused() -> None:
    module = Module("half")
    graph = module.new_graph()
    b = Builder(graph)
    with pytest.raises(RanvierError, match="it has tau, t_d"):
        b(CodeValue, graph.argument("x", tensor("N", 4)), None, b.constant(np.float32(1)), code="ttfs", steps=4)
