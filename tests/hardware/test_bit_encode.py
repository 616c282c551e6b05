"""Bits and pulses: what they say, what noise they leave, and how many each layer gets."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.api import run_passes
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem, elem
from ranvier.ir.hardware.inputs import Binary, Thermometer
from ranvier.ir.hardware.pulses import Pulses
from ranvier.ir.ops.fake_quant import OutputNoise
from ranvier.ir.ops.integer import QLinear
from ranvier.ir.ops.q import Quantize
from ranvier.ir.ops.xbar import Mvm, NoisyMvm
from ranvier.ir.types import TensorType, tensor
from ranvier.passes.hardware.pulse_search import allocate
from ranvier.passes.hardware.raising import raised
from tests.quantization.helpers import networks, output, quantized
from tests.zoo.digits import TRAIN
from tests.zoo.digits_mlp import digits_mlp, flat_digits

Array = np.ndarray[Any, Any]
RUNTIME = TorchRuntime()


@cache
def integer_digits(bits: int = 4) -> Module:
    """The MLP in levels."""
    options = f"quantize{{bits={bits} act_bits={bits}}}, freeze-quant, lower-integer"
    return rv.opt(digits_mlp(), options, data=flat_digits()[0][:256])


def accuracy(module: Module) -> float:
    x, y = flat_digits()
    return 100 * float((output(module, x[TRAIN:]).argmax(1) == y[TRAIN:]).mean())


# -- variances (P11) ---------------------------------------------------------------------------------------------------
def variance(input: Any, levels: int, rows: int = 16, samples: int = 40000) -> float:
    """Variance of the value in 0..1 of a dot product with all inputs on, through quantization and noisy arrays."""
    module = Module("pulses")
    b = Builder(module.new_graph())
    x = b.graph.argument("x", tensor("N", rows))
    held = b(Quantize, x, elem=Elem(f"u{levels.bit_length()}", Affine(1 / levels)))
    weight = b.constant(
        np.ones((1, rows), np.int8), "w", type=TensorType((1, rows), Elem("i2", Affine(1, narrow=True)))
    )
    b.returns(
        b(
            NoisyMvm,
            held,
            weight,
            None,
            None,
            weight_bits=2,
            cell_bits=1,
            input=input,
            sigma=0.5,
            elem=elem("f32"),
            key="k",
        )
    )
    found = rv.compile(module.verify().freeze(), target="crossbar").run([np.ones((samples, rows), np.float32)])
    return float(np.var(np.asarray(found.outputs[0], np.float64)))


@pytest.mark.parametrize("p", [2, 4, 8])
def test_variances_fall_as_the_encoding_says(p: int) -> None:
    """P11: s^2 / p in pulses, s^2 (2^p + 1) / (3 (2^p - 1)) in bits, within 2 %, through the ops that run."""
    one = variance(Thermometer(1), 1)
    assert one == pytest.approx(2 * 16 * 0.25, rel=0.02)  # two arms of 16 cells that fluctuate by half a level
    assert variance(Pulses(p), p) == pytest.approx(one / p, rel=0.02)
    many = (1 << p) - 1
    assert variance(Binary(p), many) == pytest.approx(one * (2**p + 1) / (3 * (2**p - 1)), rel=0.02)


@pytest.mark.parametrize("p", [1, 2, 4, 8])
def test_pulses_in_the_searched_network(p: int) -> None:
    """The same law in what the search differentiates: the mean of p reads with q.output_noise each."""
    module = Module("mean")
    b = Builder(module.new_graph())
    x = b.graph.argument("x", tensor("N", 4))
    total = None
    for i in range(p):
        read = b(OutputNoise, x, b.constant(np.float32(0.7)), key=f"read{i}")
        total = read if total is None else b(rv.ir.core.OPS["nn.add"], total, read)
    b.returns(b(rv.ir.core.OPS["nn.mul"], total, b.constant(np.float32(1 / p))))
    found = output(module.verify().freeze(), np.zeros((20000, 4), np.float32))
    assert found.var() == pytest.approx(0.49 / p, rel=0.02)


# -- networks stay what they were --------------------------------------------------------------------------------------
@settings(max_examples=15, deadline=None)
@given(networks(), st.integers(2, 8))
def test_raised_networks_say_what_the_integers_say(made: tuple[Module, Array], bits: int) -> None:
    """In reals, but for levels that rounding sends to the other side of a tie."""
    module, x = made
    low = quantized(module, x, f"bits={bits} act_bits={bits}")
    real = raised(low, "test").module.verify().freeze()
    wanted, got = output(low, x), output(real, x)
    assert np.abs(got - wanted).max() <= 0.05 * max(1.0, np.abs(wanted).max()) * (8 if bits < 4 else 1)


@settings(max_examples=10, deadline=None)
@given(networks(), st.sampled_from(["binary", "binary plane_bits=2", "thermometer"]))
def test_encodings_change_nothing_on_ideal_arrays(made: tuple[Module, Array], encoding: str) -> None:
    module, x = made
    low = quantized(module, x, "bits=3 act_bits=3")
    exe = rv.compile(low, f"bit-encode{{encoding={encoding}}}", target="crossbar{rows=16 cols=16}")
    np.testing.assert_array_equal(np.asarray(exe(x)), output(low, x))
    assert {type(op.input) for op in exe.module.main.ops if isinstance(op, Mvm)} == {
        Binary if encoding.startswith("binary") else Thermometer
    }


@settings(max_examples=10, deadline=None)
@given(networks(), st.sampled_from([3, 5, 11, 40]))
def test_other_numbers_of_pulses_only_round(made: tuple[Module, Array], pulses: int) -> None:
    """The crossbar gives bit for bit what the recounted integers give; with many pulses that is nearly what it was."""
    module, x = made
    low = quantized(module, x, "bits=3 act_bits=3")
    counted = rv.opt(low, f"bit-encode{{encoding=thermometer pulses={pulses}}}")
    exe = rv.compile(counted, target="crossbar{rows=16 cols=16}")
    np.testing.assert_array_equal(np.asarray(exe(x)), output(counted, x))
    for op in counted.main.ops:
        if isinstance(op, QLinear) and op.x is not None and op.x.op is not None:
            values = np.asarray(RUNTIME.run(counted, [x], [op.x.name]).taps[op.x.name])
            assert np.abs(values.astype(int)).max() <= pulses


def test_few_pulses_cost_accuracy_and_many_do_not() -> None:
    plain = accuracy(integer_digits())
    found = {
        p: accuracy(rv.opt(integer_digits(), f"bit-encode{{encoding=thermometer pulses={p}}}")) for p in (1, 15, 30)
    }
    assert found[15] == plain
    assert found[30] == plain
    assert found[1] < plain - 2


# -- the search --------------------------------------------------------------------------------------------------------
@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.integers(1, 5)), min_size=1, max_size=3), st.integers(0, 10))
def test_the_allocation_is_the_best_one(layers: list[tuple[float, int]], more: int) -> None:
    """Against all integers: within a tenth, and exactly where all layers cost the same."""
    worth, costs = np.asarray([w for w, _ in layers]), np.asarray([c for _, c in layers])
    total = int(costs.sum()) + more
    got = allocate(worth, costs, total, 1, 20)
    assert int(np.dot(costs, got)) <= total
    grids = np.stack(np.meshgrid(*[np.arange(1, 13)] * len(costs), indexing="ij"), -1).reshape(-1, len(costs))
    allowed = grids[grids @ costs <= total]
    best = (worth / allowed).sum(1).min()
    reached = float((worth / np.asarray(got)).sum())
    assert reached <= best * (1 + 1e-9 if (costs == costs[0]).all() else 1.5)


@pytest.mark.slow
def test_the_gradient_beats_or_ties_the_closed_form() -> None:
    """At as many pulses, where noise matters more than rounding: accuracy within half a point, loss within a twentieth
    of the closed form, and no worse than equal pulses for all."""
    x, y = flat_digits()
    for sigma, gamma in ((1.0, 0.01), (1.0, 0.05)):
        options = f"bit-encode{{encoding=gbo sigma={sigma} gamma={gamma} epochs=8}}"
        trace = run_passes(integer_digits(), options, data=x[:384], labels=y[:384].astype(np.int64))
        gradient, closed, uniform = trace.stages[-1].tables["bit-encode"]
        assert closed["pulses a sample"] <= gradient["pulses a sample"]
        assert gradient["accuracy"] >= closed["accuracy"] - 0.005
        assert gradient["loss"] <= 1.05 * closed["loss"]
        assert gradient["loss"] <= 1.02 * uniform["loss"]


def test_searched_pulses_reach_the_arrays() -> None:
    x, y = flat_digits()
    options = "bit-encode{encoding=gbo sigma=1 gamma=0.01 epochs=2 candidates=[4, 15, 30]}"
    exe = rv.compile(integer_digits(), options, target="crossbar", data=x[:128], labels=y[:128].astype(np.int64))
    inputs = [op.input for op in exe.module.main.ops if isinstance(op, Mvm)]
    assert all(isinstance(i, Thermometer) for i in inputs)
    table = next(s for s in exe.trace.stages if "bit-encode" in s.tables).tables["bit-encode"]
    best = min(table[:2], key=lambda row: row["loss"])
    assert " ".join(str(i.pulses) for i in inputs) == best["pulses"]
    again = rv.parse(str(exe.module), {n: r for n, r in exe.module.resources.items()})
    assert again == exe.module


def test_what_it_refuses() -> None:
    x, _ = flat_digits()
    for passes, message in (
        ("bit-encode{encoding=gbo}", "calibration data"),
        ("bit-encode{candidates=[4, 2]}", "candidates must rise"),
    ):
        with pytest.raises(RanvierError, match=message):
            rv.opt(integer_digits(), passes)
    with pytest.raises(RanvierError, match="needs labels"):
        rv.opt(integer_digits(), "bit-encode{encoding=gbo}", data=x[:64])
    with pytest.raises(RanvierError, match="lower-integer"):
        rv.opt(digits_mlp(), "bit-encode")
