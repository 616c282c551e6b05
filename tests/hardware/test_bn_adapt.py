"""Batch norms estimated anew: what they undo exactly, and what they cannot."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.ops.activations import Relu
from ranvier.ir.ops.arith import Add, Mul
from ranvier.ir.ops.fake_quant import OutputNoise
from ranvier.ir.ops.nn import Linear
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.types import tensor
from ranvier.passes.hardware.bn_adapt import BatchNormAdapt

Array = np.ndarray[Any, Any]
RUNTIME = TorchRuntime()
SIZES = (6, 8, 5)


def network(rng: Any, gains: list[Array] | None, offsets: list[Array], sigma: float = 0.0) -> Module:
    """Linear ops whose results are gain * y + offset by channel, with noise, then batch norms and ReLUs."""
    module = Module("affine")
    b = Builder(module.new_graph())
    x = b.graph.argument("x", tensor("N", SIZES[0]))
    for i, (k, n) in enumerate(itertools.pairwise(SIZES)):
        made = {name: b.constant(rng.standard_normal(n).astype(np.float32)) for name in ("scale", "bias", "mean")}
        var = b.constant(rng.uniform(0.5, 2, n).astype(np.float32))
        x = b(Linear, x, b.constant(rng.standard_normal((n, k)).astype(np.float32)))
        if gains is not None:
            x = b(Add, b(Mul, x, b.constant(gains[i].astype(np.float32))), b.constant(offsets[i].astype(np.float32)))
        if sigma:
            x = b(OutputNoise, x, b.constant(np.float32(sigma)), key=f"n{i}")
        x = b(BatchNorm, x, made["scale"], made["bias"], made["mean"], var, epsilon=0.0, name=f"bn{i}")
        x = b(Relu, x, name=f"r{i}")
    b.returns(x)
    return module.verify().freeze()


def clean(seed: int) -> Module:
    return network(np.random.default_rng(seed), [np.ones(n) for n in SIZES[1:]], [np.zeros(n) for n in SIZES[1:]])


def adapted(module: Module, x: Array, options: str = "batches=2") -> Module:
    return rv.opt(module, f"bn-adapt{{{options}}}", data=x)


def outputs(module: Module, x: Array) -> Array:
    return np.asarray(RUNTIME.run(module, [x]).outputs[0], np.float64)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**20))
def test_gains_and_offsets_of_channels_are_undone(seed: int) -> None:
    """P10: with y' = a y + b, a > 0, the adapted network is the adapted clean one."""
    rng = np.random.default_rng(seed + 1)
    gains = [rng.uniform(0.05, 3, n) for n in SIZES[1:]]
    offsets = [rng.standard_normal(n) * 3 for n in SIZES[1:]]
    x = rng.standard_normal((64, SIZES[0])).astype(np.float32)
    wanted = outputs(adapted(clean(seed), x), x)
    broken = network(np.random.default_rng(seed), gains, offsets)
    got = outputs(adapted(broken, x), x)
    assert np.abs(got - wanted).max() <= 2e-4 * np.abs(wanted).max()
    assert np.abs(outputs(broken, x) - wanted).max() > 1e-2 * np.abs(wanted).max()


def test_noise_keeps_its_ratio_to_the_signal() -> None:
    """P10: Var n = s^2 scales the signal by sqrt(v / (v + s^2)), and leaves noise of the rest."""
    module = Module("one")
    b = Builder(module.new_graph())
    x = b.graph.argument("x", tensor("N", 1))
    one, zero = b.constant(np.ones(1, np.float32)), b.constant(np.zeros(1, np.float32))
    noisy = b(OutputNoise, x, b.constant(np.float32(0.5)), key="n")
    b.returns(b(BatchNorm, noisy, one, zero, zero, one, epsilon=0.0))
    data = np.random.default_rng(0).standard_normal((20000, 1)).astype(np.float32) * 2
    got = outputs(adapted(module.verify().freeze(), data, "samples=none batches=1"), data)
    v = float(data.var())
    slope = float((got * data).mean() / v)
    assert slope * np.sqrt(v) == pytest.approx(np.sqrt(v / (v + 0.25)), abs=0.01)
    assert float((got - slope * data).var()) == pytest.approx(0.25 / (v + 0.25), abs=0.01)


def test_the_statistics_are_those_of_the_adapted_predecessors() -> None:
    """Layer after layer: each layer's input has mean 0 and variance 1 behind it, the first one's too."""
    x = np.random.default_rng(3).standard_normal((100, SIZES[0])).astype(np.float32)
    made = adapted(clean(5), x, "batches=1")
    for op in made.main.ops:
        if isinstance(op, BatchNorm):
            assert op.x is not None
            values = np.asarray(RUNTIME.run(made, [x], [op.x.name]).taps[op.x.name], np.float64)
            np.testing.assert_allclose(made.array(op.mean), values.mean(0), atol=1e-5)
            np.testing.assert_allclose(made.array(op.var), values.var(0, ddof=1), rtol=1e-5)


def test_batches_are_averaged() -> None:
    x = np.random.default_rng(1).standard_normal((12, 3, 2)).astype(np.float64)
    mean, var = BatchNormAdapt(batches=3).statistics(x)
    parts = np.split(x, 3)
    np.testing.assert_allclose(mean, np.mean([p.mean((0, 2)) for p in parts], 0))
    np.testing.assert_allclose(var, np.mean([p.var((0, 2), ddof=1) for p in parts], 0))
    timed = np.stack([x, x + 1])
    np.testing.assert_allclose(BatchNormAdapt(batches=3).statistics(timed, timed=True)[0], mean + 0.5)
    np.testing.assert_allclose(BatchNormAdapt(batches=3).statistics(timed, True, per_step=True)[0], [mean, mean + 1])


def test_affine_comes_nearest_to_the_ideal_network() -> None:
    """Where noise is large, scale and bias of least squares beat statistics alone in squared error."""
    rng = np.random.default_rng(0)
    noisy = network(rng, [np.ones(n) for n in SIZES[1:]], [np.zeros(n) for n in SIZES[1:]], sigma=2.0)
    x = rng.standard_normal((400, SIZES[0])).astype(np.float32)
    wanted = outputs(clean(0), x)
    errors = [
        float(((outputs(adapted(noisy, x, f"samples=none {o}"), x) - wanted) ** 2).mean())
        for o in ("mode=stats", "mode=affine")
    ]
    assert errors[1] < 0.8 * errors[0]


def test_without_batch_norms_it_says_how_to_keep_them() -> None:
    x = np.zeros((8, SIZES[0]), np.float32)
    module = rv.opt(network(np.random.default_rng(0), None, []), "fold-batchnorm")
    with pytest.raises(RanvierError, match="leave fold-batchnorm out") as caught:
        adapted(module, x)
    assert caught.value.diagnostics[0].code == "no-batchnorm"
    with pytest.raises(RanvierError, match="3 samples in 2 batches"):
        adapted(clean(0), x[:3])
    with pytest.raises(RanvierError, match="calibration data"):
        rv.opt(clean(0), "bn-adapt")


def test_quantization_keeps_batch_norms() -> None:
    """The pipeline before mapping leaves nn.batch_norm behind the integer sums."""
    x = np.random.default_rng(0).standard_normal((32, SIZES[0])).astype(np.float32)
    made = rv.opt(clean(0), "quantize, freeze-quant, lower-integer", data=x)
    assert [op.name for op in made.main.ops].count("nn.batch_norm") == 2
    assert [op.name for op in made.main.ops].count("q.linear") == 2
