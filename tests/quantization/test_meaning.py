"""Rounding rules, grids, gradients: what the ops mean."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ranvier as rv
from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, fake_quant, loss, q, reduce
from ranvier.ir.ops.q import round_by
from ranvier.ir.text.parser import parse_module
from ranvier.ir.types import tensor
from tests.quantization.helpers import RUNTIME, output

HALVES = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("rule", "want"),
    [
        ("half_even", [-2, -2, 0, 0, 2, 2]),
        ("half_away", [-3, -2, -1, 1, 2, 3]),
        ("half_up", [-2, -1, 0, 1, 2, 3]),
        ("floor", [-3, -2, -1, 0, 1, 2]),
    ],
)
def test_halves(rule: Any, want: list[int]) -> None:
    assert round_by(np.array(HALVES), rule).tolist() == want
    module = faked(bits=4, rounding=rule)
    assert output(module, np.array([HALVES], np.float32)).tolist() == [want]
    (found,), _ = evaluate(module, [np.array([HALVES], np.float32)])
    assert found.tolist() == [want]


def faked(scale: Any = 1.0, **options: Any) -> Module:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 6))
    b.returns(b(fake_quant.FakeQuant, x, b.constant(np.float32(scale), "s"), **options))
    return module.verify().freeze()


REALS = st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6)
OPTIONS = st.fixed_dictionaries(
    {"bits": st.integers(2, 8), "signed": st.booleans(), "rounding": st.sampled_from(["half_even", "half_up", "floor"])}
)


@given(REALS, st.floats(2**-6, 8, width=32), OPTIONS)
def test_grids(numbers: list[float], scale: float, options: dict[str, Any]) -> None:
    """Idempotent, monotone, at most half a level off inside of the range (one with floor), and a multiple of scale."""
    x = np.sort(np.array([numbers], np.float32))
    module = faked(scale, **options)
    y = output(module, x)
    (by_meaning,), _ = evaluate(module, [x])
    assert np.array_equal(y, by_meaning)
    if options["rounding"] != "floor":
        assert np.array_equal(output(module, y), y)
    assert (np.diff(y) >= 0).all()
    op = next(iter(module.main.ops))
    assert isinstance(op, fake_quant.FakeQuant)
    low, high = op.levels
    inside = (x >= low * np.float64(np.float32(scale))) & (x <= high * np.float64(np.float32(scale)))
    half = 1.0 if options["rounding"] == "floor" else 0.5
    assert (np.abs(y.astype(np.float64) - x)[inside] <= half * scale * (1 + 1e-6)).all()
    levels = y / np.float64(np.float32(scale))
    assert np.abs(levels - np.rint(levels)).max() < 1e-4


@given(REALS, st.floats(2**-6, 8, width=32), st.integers(-5, 5))
def test_scale_equivariance(numbers: list[float], scale: float, power: int) -> None:
    """Q_{cs}(c x) = c Q_s(x), exactly for powers of two."""
    x, c = np.array([numbers], np.float32), np.float32(2.0**power)
    assert np.array_equal(output(faked(scale * c), x * c), output(faked(scale), x) * c)


@given(REALS, st.floats(2**-6, 8, width=32), OPTIONS)
def test_freezing_changes_nothing(numbers: list[float], scale: float, options: dict[str, Any]) -> None:
    module = faked(scale, **options)
    frozen = rv.opt(module, "freeze-quant")
    assert [op.name for op in frozen.main.ops][:2] == ["q.quantize", "q.dequantize"]
    x = np.array([numbers], np.float32)
    assert np.array_equal(output(frozen, x), output(module, x))
    assert parse_module(str(frozen), resources=frozen.resources) == frozen


def test_straight_through_gradient() -> None:
    """To x: 1 inside, 0 outside. To the scale: round(v) - v inside, the bound outside (LSQ, eq. 3)."""
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    x = b.constant(np.array([-3.0, -0.7, 0.2, 0.6, 1.3, 9.0], np.float32), "x")
    scale = b.constant(np.float32(0.5), "scale")
    y = b(fake_quant.FakeQuant, x, scale, bits=3)
    weighted = b(arith.Mul, y, graph.argument("g", tensor(6)))
    b.returns(b(reduce.Sum, weighted), names=["loss"], roles=["loss"])
    g = np.arange(1, 7, dtype=np.float32)
    found = RUNTIME.grad(module.verify().freeze(), ["x", "scale"], [g])
    assert found["x"].tolist() == [0, 2, 3, 4, 5, 0]
    v = np.array([-6, -1.4, 0.4, 1.2, 2.6, 18], np.float64)
    each = np.where((v >= -4) & (v <= 3), np.rint(v) - v, np.clip(v, -4, 3))
    assert found["scale"] == pytest.approx((g * each).sum(), rel=1e-5)


def test_scales_of_channels_get_gradients_of_their_own() -> None:
    rng = np.random.default_rng(0)
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    w = b.constant(rng.standard_normal((3, 5)).astype(np.float32), "w")
    scale = b.constant(np.array([0.1, 0.2, 0.3], np.float32), "scale")
    y = b(fake_quant.FakeQuant, w, scale, bits=4, axis=0)
    target = graph.argument("t", tensor(3, 5))
    b.returns(b(loss.Mse, y, target), names=["loss"], roles=["loss"])
    t = rng.standard_normal((3, 5)).astype(np.float32)
    found = RUNTIME.grad(module.verify().freeze(), ["scale"], [t])["scale"]
    for i in range(3):
        v = np.asarray(module.array(w)[i], np.float64) / np.float64(module.array(scale)[i])
        level = np.clip(np.rint(v), -8, 7)
        each = np.where((v >= -8) & (v <= 7), level - v, level)
        g = 2 * (level * np.float64(module.array(scale)[i]) - t[i]) / t.size
        assert found[i] == pytest.approx((g * each).sum(), rel=1e-4)


def test_output_noise_has_the_variance_that_it_says() -> None:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 4, 50))
    sigma = b.constant(np.array([0.0, 0.5, 1.0, 2.0], np.float32), "sigma")
    b.returns(b(fake_quant.OutputNoise, x, sigma, key="n", seed=1))
    module.verify().freeze()
    zeros = np.zeros((400, 4, 50), np.float32)
    y = output(module, zeros)
    (by_meaning,), _ = evaluate(module, [zeros])
    assert np.abs(y - by_meaning).max() < 1e-5
    spread = y.astype(np.float64).transpose(1, 0, 2).reshape(4, -1)
    assert np.allclose(spread.std(1), [0, 0.5, 1, 2], rtol=0.03)  # 20000 numbers: 0.5 % is one standard error
    assert np.abs(spread.mean(1)).max() < 0.06
    other = np.asarray(RUNTIME.run(module, [zeros], trial=1).outputs[0])
    assert not np.array_equal(other[:, 1:], y[:, 1:])
    part = np.asarray(RUNTIME.run(module, [zeros[7:9]], sample_ids=np.array([7, 8])).outputs[0])
    assert np.array_equal(part, y[7:9])


def test_gradient_of_output_noise_goes_to_x_and_sigma() -> None:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    x = b.constant(np.ones((2, 3), np.float32), "x")
    sigma = b.constant(np.float32(0.5), "sigma")
    y = b(fake_quant.OutputNoise, b(arith.Add, graph.argument("z", tensor(2, 3)), x), sigma, key="n")
    b.returns(b(reduce.Sum, y), y, names=["loss", "y"], roles=["loss", "output"])
    module.verify().freeze()
    found = RUNTIME.grad(module, ["x", "sigma"], [np.zeros((2, 3), np.float32)])
    noise = (np.asarray(RUNTIME.run(module, [np.zeros((2, 3), np.float32)]).outputs[1]) - 1) / 0.5
    assert (found["x"] == 1).all()
    assert found["sigma"] == pytest.approx(noise.sum(), rel=1e-4)


@given(st.sampled_from(["i5", "u6", "i7", "u7"]), st.booleans())
def test_narrow_and_odd_storages(storage: str, narrow: bool) -> None:
    kind = Elem(storage, Affine(Fraction(1, 3), narrow=narrow))
    low, high = kind.levels
    assert high == kind.range[1]
    assert low == (-high if narrow and storage[0] == "i" else kind.range[0])
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    b.returns(b(q.Quantize, graph.argument("x", tensor(2)), elem=kind))
    assert parse_module(str(module)) == module
    (found,), _ = evaluate(module, [np.array([-1e9, 1e9], np.float32)])
    assert found.tolist() == [low, high]
