"""Random networks: frozen, lowered and run as integers, against rationals and against what they were made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops.integer import QConv, QLinear
from ranvier.ir.ops.q import Dequantize
from ranvier.ir.ops.requantize import QAdd, Requantize
from ranvier.ir.text.parser import parse_module
from ranvier.passes.quantization.intervals import intervals
from tests.quantization.helpers import RUNTIME, Array, networks, output, quantized, rescaled

OPTIONS = st.builds(
    "bits={} act_bits={} method={}".format,
    st.integers(2, 8), st.integers(2, 8), st.sampled_from(["minmax", "mse"]),
)  # fmt: skip
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def taps(module: Module, x: Array) -> dict[str, Array]:
    names = [r.name for op in module.main.ops for r in op.results if op.name != "core.return"]
    return evaluate(module, [x], taps=names)[1]


@FEW
@given(networks(), OPTIONS)
def test_every_rounding_is_that_of_rationals(drawn: tuple[Module, Array], options: str) -> None:
    """Requantized levels equal the exact rational's, by the op's multipliers; products equal int64 sums of Python."""
    module, x = drawn
    made = quantized(module, x, options)
    found = taps(made, x[:1])
    count = 0
    for op in made.main.ops:
        if isinstance(op, Requantize | QAdd):
            arrays = [found[v.name] for v in op.arguments]
            assert np.array_equal(rescaled(op, arrays), found[op.result.name])
            count += 1
        elif isinstance(op, QLinear):
            a, w = found[op.x.name].astype(object), made.array(op.weight).astype(object)
            want = a @ w.T + (0 if op.bias is None else made.array(op.bias).astype(object))
            assert np.array_equal(want, found[op.result.name].astype(object))
    assert count


@FEW
@given(networks(), OPTIONS)
def test_multipliers_give_the_factors_of_the_types(drawn: tuple[Module, Array], options: str) -> None:
    """31 bits of a factor are as good as the factor: the levels are those of the exact scales but on near ties."""
    module, x = drawn
    made = quantized(module, x, options)
    found = taps(made, x[:1])
    for op in made.main.ops:
        if isinstance(op, Requantize | QAdd):
            exact = rescaled(op, [found[v.name] for v in op.arguments], exact_factors=True)
            assert (np.abs(exact - found[op.result.name].astype(np.int64)) <= 1).all()
            assert (exact != found[op.result.name]).mean() <= 0.01


@FEW
@given(networks(), OPTIONS)
def test_runtime_is_the_meaning_bit_for_bit(drawn: tuple[Module, Array], options: str) -> None:
    module, x = drawn
    made = quantized(module, x, options)
    names = [r.name for op in made.main.ops for r in op.results if r.type.elem.quant is not None]
    by_torch = RUNTIME.run(made, [x], names)
    outputs, by_meaning = evaluate(made, [x], taps=names)
    for name in names:
        assert np.array_equal(by_torch.taps[name], by_meaning[name]), name
    assert np.array_equal(by_torch.outputs[0], outputs[0])
    assert parse_module(str(made), resources=made.resources) == made


@FEW
@given(networks(), OPTIONS)
def test_levels_are_those_of_fake_quantization_but_on_ties(drawn: tuple[Module, Array], options: str) -> None:
    """Fed the same levels, an integer layer gives the levels of the reals, or the neighbour where these are near a tie.

    What moves a sum is the bias, rounded to half a level of the sum at most, and float32 sums of the reals.
    """
    module, x = drawn
    frozen, made = quantized(module, x, options, "freeze-quant"), quantized(module, x, options)
    levels = [op.result.name for op in made.main.ops if isinstance(op, Requantize)]
    if not levels:
        return
    first = made.main.value(levels[0]).op
    assert first is not None
    source = first.arguments[0].op
    want, found = (RUNTIME.run(m, [x], [levels[0]]).taps[levels[0]].astype(np.int64) for m in (frozen, made))
    off = np.abs(want - found)
    assert off.max() <= 1
    if isinstance(source, QConv):
        ratio = max(float(s) for s in source.result.type.elem.quant.scale) / float(first.result.type.elem.quant.scale)
        # a share of ratio of all reals lies so near to a tie that half a level of the sum may move it over
        assert off.mean() <= 2 * ratio + 0.02


@FEW
@given(networks(), OPTIONS, st.integers(0, 2**16))
def test_intervals_hold_whatever_the_input(drawn: tuple[Module, Array], options: str, seed: int) -> None:
    module, x = drawn
    made = quantized(module, x, options)
    bounds = intervals(made, made.main)
    wild = np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32) * 100
    for inputs in (x, wild, np.sign(wild) * 1e6):
        found = taps(made, inputs.astype(np.float32))
        for value, (low, high) in bounds.items():
            array = found[value.name]
            assert low <= array.min()
            assert array.max() <= high, value
    rv.opt(made, "verify-integer")


@FEW
@given(networks(), OPTIONS)
def test_quantize_and_freeze_leave_what_is_quantized(drawn: tuple[Module, Array], options: str) -> None:
    module, x = drawn
    once = quantized(module, x, options, "")
    assert rv.opt(once, "quantize{bits=3 act_bits=3}", data=x) == once
    frozen = rv.opt(once, "freeze-quant")
    assert rv.opt(frozen, "quantize{bits=3 act_bits=3}, freeze-quant", data=x) == frozen
    lowered = rv.opt(frozen, "lower-integer")
    assert rv.opt(lowered, "quantize{bits=3}, freeze-quant, lower-integer", data=x) == lowered


@FEW
@given(networks())
def test_simplification_keeps_levels(drawn: tuple[Module, Array]) -> None:
    """Constants that say how they are quantized are not computed away."""
    module, x = drawn
    frozen = quantized(module, x, "", "freeze-quant")
    simple = rv.opt(frozen, "canonicalize")
    count = [sum(isinstance(op, Dequantize) for op in m.ops) for m in (frozen, simple)]
    assert count[1] >= count[0] - 1
    assert np.array_equal(output(simple, x), output(frozen, x))


@FEW
@given(networks(), st.integers(2, 8))
def test_least_squares_is_never_worse(drawn: tuple[Module, Array], bits: int) -> None:
    """Squared error of weights: mse <= minmax, and with mse a scale for each channel is no worse than one for all."""
    from ranvier.passes.quantization.ranges import weight_scales

    module, _ = drawn
    high = (1 << (bits - 1)) - 1
    for name, resource in module.resources.items():
        if not name.startswith("w"):
            continue
        w = resource.array.astype(np.float64).reshape(len(resource.array), -1)

        def error(axis: int | None, method: str, w: Array = w) -> Any:
            scale = weight_scales(w, axis, method, high).astype(np.float64)[:, None]
            return ((np.clip(np.rint(w / scale), -high, high) * scale - w) ** 2).sum()

        assert error(0, "mse") <= error(0, "minmax") * (1 + 1e-6)
        assert error(None, "mse") <= error(None, "minmax") * (1 + 1e-6)


def test_all_of_a_network_becomes_integer() -> None:
    """Named in a note otherwise."""
    from tests.zoo.digits import digits, digits_network

    made = rv.opt(
        digits_network(), "fold-batchnorm, canonicalize, quantize, freeze-quant, lower-integer", data=digits()[0][:64]
    )
    real = [op for op in made.main.ops if op.results and op.result.type.elem.is_float]
    assert [type(op) for op in real] == [Dequantize]
    assert real[0].result in made.main.outputs


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_levels_are_computed_once_in_float64(bits: int) -> None:
    from tests.zoo.digits import digits, digits_network

    module = rv.opt(digits_network(), "fold-batchnorm, canonicalize")
    once = rv.opt(module, f"quantize{{bits={bits}}}", data=digits()[0][:64])
    frozen = rv.opt(once, "freeze-quant")
    name = "block2.conv1.weight"
    scale = np.asarray(once.resource(f"{name}.scale").array, np.float64).reshape(-1, 1, 1, 1)
    high = (1 << (bits - 1)) - 1
    want = np.clip(np.rint(np.asarray(module.resource(name).array, np.float64) / scale), -high, high)
    levels = frozen.resource(f"{name}.levels")
    assert np.array_equal(levels.array, want)
    assert levels.type.elem.storage == f"i{bits}"
    quant = levels.type.elem.quant
    assert quant is not None
    assert quant.scale == tuple(scale.ravel().tolist())
    assert quant.axis == 0
    assert quant.narrow
