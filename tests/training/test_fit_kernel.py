"""`fit-ttfs-kernel`: a kernel for every layer from its activations."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.codes import FirstSpike
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import NeuronCode
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.text.parser import parse_module
from ranvier.passes.conversion.fit_kernel import FitTtfsKernel, by_ends, by_gradients, by_grid
from tests.zoo.digits import TRAIN, digits, digits_network

METHODS = ("grid", "closed", "go")


@cache
def fitted(method: str, steps: int = 8, round: str = "mid") -> Module:
    x, _ = digits()
    source = rv.opt(digits_network(), "fold-batchnorm, canonicalize")
    return rv.opt(source, f"fit-ttfs-kernel{{method={method} steps={steps} round={round}}}", data=x[:128])


@pytest.mark.parametrize("method", METHODS)
def test_the_conversion_uses_the_kernel_of_each_layer(method: str) -> None:
    x, y = digits()
    module = fitted(method)
    facts = {v.name: v.fact(NeuronCode) for v in module.main.values if v.fact(NeuronCode) is not None}
    assert len(facts) == 5
    assert parse_module(str(module), resources=module.resources) == module
    snn = rv.opt(module, "convert-snn{code=ttfs steps=8}", data=x[:128])
    codes = [op.code for op in snn.main.ops if isinstance(op, Neuron)]
    assert codes == [f.code for f in facts.values()]
    right = TorchRuntime().run(snn, [x[TRAIN:]]).outputs[0].argmax(1) == y[TRAIN:]
    assert right.mean() >= 0.97


def test_the_grid_is_the_best_of_its_kernels() -> None:
    array = np.abs(np.random.default_rng(0).normal(size=(200, 4, 5))).astype(np.float32)
    fit = FitTtfsKernel(steps=8, round="ceil")
    best = by_grid(fit, array, None)
    assert fit.error(array, None, best) <= min(
        fit.error(array, None, FirstSpike(tau=t, round="ceil")) for t in (1, 2, 4, 8)
    )


def test_the_closed_form_begins_and_ends_with_the_activations() -> None:
    array = np.linspace(0.1, 1, 1000, dtype=np.float32).reshape(100, 10)
    fit = FitTtfsKernel(steps=16, threshold="max", per="layer")
    code = by_ends(fit, array, None)
    assert code.kernel(0) == pytest.approx(1.0, rel=1e-5)
    assert code.kernel(15) == pytest.approx(np.percentile(array, 2), rel=1e-3)


def test_gradients_move_the_ends_of_the_kernel_to_those_of_the_activations() -> None:
    """L_max: exp(t_d / tau) comes to the largest value; a longer window lets tau grow to cover the same range."""
    array = np.random.default_rng(1).lognormal(-1, 0.7, size=(256, 20)).astype(np.float32)
    fit = FitTtfsKernel(steps=20, threshold="p90", per="layer", epochs=200)
    code = by_gradients(fit, array, None)
    unit, _ = fit.unit(array, None, fit.code(fit.steps / 3, 0.0))
    assert code.kernel(0) == pytest.approx(unit.max(), rel=0.05)
    before = fit.error(array, None, fit.code(fit.steps / 3, 0.0))
    assert fit.error(array, None, code) < before


def test_what_cannot_be_fitted_is_refused() -> None:
    x, _ = digits()
    with pytest.raises(RanvierError, match="method"):
        rv.opt(digits_network(), "fit-ttfs-kernel{method=best}", data=x[:8])
    with pytest.raises(RanvierError, match="missing-data"):
        rv.opt(digits_network(), "fit-ttfs-kernel")
    with pytest.raises(RanvierError, match="found for 8 steps, not 32"):
        rv.opt(fitted("closed"), "convert-snn{code=ttfs}", data=x[:8])
