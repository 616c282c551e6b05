"""Gradients agree with finite differences; training learns, repeats itself, and refuses what it does not offer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import Mask
from ranvier.ir.interfaces import Optimizer, Runtime
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, loss, neurons, nn, snn
from ranvier.ir.ops import time as timing
from ranvier.ir.resources import Resource
from ranvier.ir.types import tensor

Array = np.ndarray[Any, Any]


def mlp(sizes: tuple[int, ...], steps: int = 0, surrogate: str = "atan", seed: int = 0) -> Module:
    """A classifier with its objective: ReLUs, or with `steps` neurons of rate code and a mean readout."""
    r = np.random.default_rng(seed)
    module = Module("mlp")
    graph = module.new_graph()
    b = Builder(graph)
    h = graph.argument("x", tensor("N", sizes[0]))
    labels = graph.argument("labels", tensor("N", dtype="i64"))
    if steps:
        h = b(timing.Repeat, h, steps=steps)
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        weight = b.constant((r.normal(size=(n_out, n_in)) * np.sqrt(2 / n_in)).astype("f4"), f"w{i}")
        h = b(nn.Linear, h, weight, b.constant(r.normal(size=n_out).astype("f4") / 10, f"b{i}"))
        if i + 2 < len(sizes):
            h = b(snn.Psp, b(neurons.Neuron, h, code="rate", surrogate=surrogate)[0]) if steps else b(arith.Tanh, h)
    if steps:
        total, _ = b(timing.Accumulate, h, mode="mean")
        h = b(timing.Last, total)
    objective = b(loss.CrossEntropy, h, labels)
    b.returns(h, objective, names=["logits", "loss"], roles=["output", "loss"])
    return module.verify().freeze()


def batch(n: int, features: int, classes: int, seed: int = 1) -> tuple[Array, Array]:
    r = np.random.default_rng(seed)
    return r.normal(size=(n, features)).astype("f4"), r.integers(0, classes, n)


def test_it_is_a_runtime() -> None:
    assert isinstance(TorchRuntime(), Runtime)


def test_gradient_is_that_of_finite_differences() -> None:
    module, data = mlp((5, 4, 3)), batch(6, 5, 3)
    names = ["w0", "b0", "w1", "b1"]
    found = TorchRuntime().grad(module, names, data)

    def loss_with(name: str, array: Array) -> float:
        other = module.clone()
        other.resources[name] = Resource(module.resource(name).type, array.astype("f4"), name=name)
        return float(evaluate(other, data)[0][1])

    for name in names:
        array = module.resource(name).array.astype("f8")
        for index in list(np.ndindex(array.shape))[::3]:
            up, down = array.copy(), array.copy()
            up[index] += 1e-2
            down[index] -= 1e-2
            slope = (loss_with(name, up) - loss_with(name, down)) / 2e-2
            assert abs(slope - found[name][index]) < 2e-3


def test_gradients_through_spikes_are_the_surrogates() -> None:
    """One neuron, one step: d spike / d v = f(v/theta - 1) / theta, with v = w x."""
    module = Module("one")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 1, time=1))
    h = b(nn.Linear, x, b.constant(np.array([[0.5]], "f4"), "w"))
    theta = b.constant(np.array(2.0, "f4"), "theta")
    y = b(timing.Last, b(snn.Psp, b(neurons.Neuron, h, theta, code="rate", surrogate="triangle")[0]))
    b.returns(y, names=["y"], roles=["loss"])
    inputs = [np.array([[[3.0]]], "f4")]  # v = 1.5, u = -0.25
    found = TorchRuntime().grad(module.verify(), ["w", "theta"], inputs)
    assert found["w"].item() == pytest.approx((1 - 0.25) / 2 * 3)
    assert found["theta"].item() == pytest.approx(-(1 - 0.25) * 1.5 / 4)


@pytest.mark.parametrize("surrogate", ["atan", "triangle", "rectangle"])
def test_every_surrogate_reaches_the_first_layer(surrogate: str) -> None:
    module = mlp((5, 8, 3), steps=4, surrogate=surrogate)
    found = TorchRuntime().grad(module, ["w0"], batch(16, 5, 3))
    assert np.abs(found["w0"]).max() > 0


def accuracy(module: Module, x: Array, labels: Array) -> float:
    logits = TorchRuntime().run(module, [x, labels]).outputs[0]
    return float((logits.argmax(1) == labels).mean())


@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("optimizer", [Optimizer("adam", lr=0.01), Optimizer("sgd", lr=0.1, momentum=0.9)])
def test_digits_are_learnt(steps: int, optimizer: Optimizer) -> None:
    from sklearn.datasets import load_digits

    x, labels = load_digits(return_X_y=True)
    x = (x / 16).astype("f4")
    module = mlp((64, 64, 10), steps=steps)
    wrt = ["w0", "b0", "w1", "b1"]
    trained = TorchRuntime().train(module, wrt, optimizer, [x[:1400], labels[:1400]], seed=0, epochs=8)
    assert accuracy(module, x[1400:], labels[1400:]) < 0.5
    assert accuracy(trained, x[1400:], labels[1400:]) > 0.88
    assert trained.frozen
    assert trained.main.outputs[0].type == module.main.outputs[0].type


def test_training_repeats_itself_and_leaves_the_module_alone() -> None:
    module, data = mlp((5, 8, 3), steps=3), batch(50, 5, 3)
    before = module.resource("w0").array.copy()

    def train(seed: int) -> Array:
        done = TorchRuntime().train(module, ["w0", "w1"], Optimizer("adam", lr=0.01), data, seed, epochs=2, batch=16)
        return done.resource("w0").array

    assert np.array_equal(train(3), train(3))
    assert not np.array_equal(train(3), train(4))
    assert np.array_equal(module.resource("w0").array, before)


def test_a_mask_holds_while_training() -> None:
    module = mlp((5, 8, 3)).clone()
    bits = np.random.default_rng(0).random((8, 5)) < 0.5
    module.resources["mask"] = Resource.of(bits).renamed("mask")
    module.resources["w0"] = Resource.of(
        np.where(bits, module.resource("w0").array, np.float32(0)), facts=(Mask("mask"),)
    ).renamed("w0")
    trained = TorchRuntime().train(module.freeze(), ["w0"], Optimizer("adam", lr=0.1), batch(50, 5, 3), 0)
    assert not trained.resource("w0").array[~bits].any()
    assert trained.resource("w0").facts == (Mask("mask"),)


def test_what_is_not_offered_is_refused() -> None:
    module, data = mlp((5, 4, 3)), batch(8, 5, 3)
    runtime = TorchRuntime()
    with pytest.raises(RanvierError, match="did you mean `adam`"):
        runtime.train(module, ["w0"], Optimizer("adamw"), data, 0)
    with pytest.raises(RanvierError, match="did you mean `w0`"):
        runtime.train(module, ["w00"], Optimizer(), data, 0)
    with pytest.raises(RanvierError, match="bad-input"):
        runtime.train(module, ["w0"], Optimizer(), (data[0], data[1][:4]), 0)
    integers = module.clone()
    integers.resources["n"] = Resource.of(np.arange(3)).renamed("n")
    with pytest.raises(RanvierError, match="integers have no gradient"):
        runtime.grad(integers, ["n"], data)
    without = Module("plain")
    graph = without.new_graph()
    Builder(graph).returns(graph.argument("x", tensor("N", 3)))
    with pytest.raises(RanvierError, match="no-loss"):
        runtime.grad(without.verify(), [], [np.ones((1, 3), "f4")])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lr": -1}, "lr must be a number greater than 0, not -1"),
        ({"lr": float("nan")}, "lr must be a number greater than 0, not nan"),
        ({"lr": "fast"}, "not 'fast'"),
        ({"name": "sgd", "momentum": 1.5}, "momentum must be"),
        ({"weight_decay": -0.1}, "weight_decay must be"),
        ({"betas": (2.0, 0.9)}, "betas must be"),
        ({"betas": 0.9}, "betas must be two numbers"),
    ],
)
def test_numbers_of_an_optimizer_are_checked(options: dict[str, Any], says: str) -> None:
    with pytest.raises(RanvierError, match=says) as caught:
        Optimizer(**options)
    assert caught.value.diagnostics[0].code == "bad-value"


@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        (Optimizer("adam", momentum=0.9), "`adam` has no option 'momentum'"),
        (Optimizer("sgd", betas=(0.8, 0.9)), "`sgd` has no option 'betas'"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(optimizer: Optimizer, says: str) -> None:
    with pytest.raises(RanvierError, match=says) as caught:
        TorchRuntime().train(mlp((5, 4, 3)), ["w0"], optimizer, batch(8, 5, 3), 0)
    assert caught.value.diagnostics[0].code == "unknown-option"


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch": 0}, {"batch": 2.5}, {"epochs": True}])
def test_epochs_and_batch_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(RanvierError, match="must be an integer of at least 1") as caught:
        TorchRuntime().train(mlp((5, 4, 3)), ["w0"], Optimizer(), batch(8, 5, 3), 0, **options)
    assert caught.value.diagnostics[0].where == f"{next(iter(options))}="


def test_data_with_nan_are_refused() -> None:
    x, labels = batch(8, 5, 3)
    x[6, 2] = np.nan
    with pytest.raises(RanvierError, match="data for input %x holds NaN: 1 of 40") as caught:
        TorchRuntime().train(mlp((5, 4, 3)), ["w0"], Optimizer(), (x, labels), 0)
    (found,) = caught.value.diagnostics
    assert found.code == "bad-data"
    assert found.notes == ("first in sample 6, at [6, 2]",)


@pytest.mark.parametrize(
    ("size", "what"), [(8, r"the loss .* in epoch 0, step 1"), (16, r"\$w0 is no longer finite in epoch 0, step 0")]
)
def test_divergence_is_an_error(size: int, what: str) -> None:
    optimizer = Optimizer("sgd", lr=3e38, weight_decay=10)
    with pytest.raises(RanvierError, match=what) as caught:
        TorchRuntime().train(mlp((5, 4, 3)), ["w0", "w1"], optimizer, batch(16, 5, 3), 0, batch=size)
    (found,) = caught.value.diagnostics
    assert found.code == "diverged"
    assert "lower lr" in found.help


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        Optimizer("sgd", lr=0.1),
        Optimizer("sgd", lr=0.1, momentum=0.9, weight_decay=0.01),
        Optimizer("adam", lr=0.01),
        Optimizer("adam", lr=0.01, weight_decay=0.1, betas=(0.8, 0.9)),
    ],
)
def test_optimizers_are_those_of_torch(optimizer: Optimizer) -> None:
    from ranvier.backends.torch_runtime.optimizers import OPTIMIZERS

    start, target = (torch.from_numpy(np.random.default_rng(i).normal(size=(4, 3))) for i in range(2))
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    options = {"lr": optimizer.lr, "weight_decay": optimizer.weight_decay}
    if optimizer.name == "sgd":
        reference: torch.optim.Optimizer = torch.optim.SGD([theirs], momentum=optimizer.momentum, **options)
    else:
        reference = torch.optim.Adam([theirs], betas=optimizer.betas, **options)
    step = OPTIMIZERS[optimizer.name]([ours], optimizer)
    for _ in range(20):
        for leaf in (ours, theirs):
            leaf.grad = None
            ((leaf - target) ** 2).sum().backward()
        with torch.no_grad():
            step()
        reference.step()
    torch.testing.assert_close(ours, theirs)
