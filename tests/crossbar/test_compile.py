"""Whole networks on the crossbar: equal to integer arithmetic where ideal, folded plans equal to expanded ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.backends.crossbar.passes.fuse_xbar import FuseXbar
from ranvier.backends.crossbar.passes.prove_adc import ProveAdc
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Module
from ranvier.ir.hardware.adc import Flash
from ranvier.ir.hardware.arrays import Array
from ranvier.ir.hardware.transparency import transparent_partials
from ranvier.ir.interfaces import PassContext
from ranvier.ir.ops.xbar import Mvm
from ranvier.ir.types import SpikesType
from tests.crossbar.builders import ENCODINGS, MAPPINGS, by_meaning, levels, matrix_module, on_crossbar, weights
from tests.zoo.digits import TRAIN, digits, digits_network
from tests.zoo.resnet20 import calibration_images, evaluation_images, missing
from tests.zoo.resnet20 import network as resnet20


@cache
def network() -> Module:
    return rv.opt(digits_network(), "fold-batchnorm, canonicalize")


@cache
def compiled(options: str = "", passes: str = "") -> Any:
    return rv.compile(network(), passes, target=f"crossbar{{{options}}}", data=digits()[0][:256])


def stage(exe: Any, word: str) -> Module:
    found = [s.module for s in exe.trace if s.name.startswith(word)]
    assert isinstance(found[-1], Module)
    return found[-1]


@pytest.mark.parametrize(
    "options",
    [
        "",
        "rows=64 cols=32 weights=offset mapping=kernel_split",
        "weights=dummy mapping=whole_kernel cell_bits=4 rows=100",
        "weights=shift2p cell_bits=1 parallel_rows=9",
        "weights=two_sided adc=flash adc_bits=12",
    ],
)
def test_ideal_digits_are_the_integers(options: str) -> None:
    exe = compiled(options)
    images = digits()[0][TRAIN : TRAIN + 40]
    integers = TorchRuntime().run(stage(exe, "lower-integer"), [images]).outputs[0]
    np.testing.assert_array_equal(exe(images), integers)
    assert "xbar.mvm" in str(exe.module)


@pytest.mark.parametrize(
    "code",
    [
        "steps=8",
        "signed=true steps=8",
        "code=phase(period=8)",
        "code=fs(K=6)",
        "code=multi_threshold steps=4",
        "code=ttfs steps=16",
        "code=ttas(spikes=3) steps=16",
        "code=burst(beta=2) steps=8",
        "code=multi_threshold(rule=nearest) steps=4",
    ],
)
def test_spiking_digits_are_those_of_torch(code: str) -> None:
    exe = compiled("", f"convert-snn{{{code}}}")
    images = digits()[0][TRAIN : TRAIN + 24]
    integers = TorchRuntime().run(stage(exe, "lower-integer"), [images]).outputs[0]
    largest = np.abs(integers).max()
    assert np.abs(exe(images) - integers).max() <= 1e-5 * largest
    layers = 7
    assert str(exe.module).count("xbar.mvm(") == layers


def test_phases_are_bits_that_arrays_take_one_by_one() -> None:
    """The sums of eight phases, each shifted by its place, are the int64 product of 8-bit levels and weights."""
    exe = compiled("", "convert-snn{code=phase(period=8)}")
    product = next(op for op in exe.module.main.ops if isinstance(op, Mvm) and isinstance(op.x.type, SpikesType))
    integer = next(op for op in stage(exe, "lower-integer").main.ops if op.result.name == product.result.name)
    weight = np.asarray(stage(exe, "lower-integer").resources[integer.weight.resource].array).astype(np.int64)
    names = [product.x.name, product.result.name]
    taps = exe.run(digits()[0][TRAIN : TRAIN + 12], names).taps
    places = (1 << np.arange(7, -1, -1, dtype=np.int64)).reshape(-1, 1, 1, 1, 1)
    levels_in, sums = ((taps[name].astype(np.int64) * places).sum(0) for name in names)
    assert levels_in.max() > 128, "all bits are used"
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(levels_in, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
    )
    np.testing.assert_array_equal(sums, np.einsum("nchwij,ocij->nohw", windows, weight))


def test_a_quantize_of_the_user_wins() -> None:
    exe = compiled("", "quantize{bits=4 act_bits=4}")
    op = next(op for op in exe.module.ops if op.name == "xbar.mvm")
    assert op.attributes["weight_bits"] == 4
    assert op.attributes["input"].bits == 4


def test_what_has_no_matrix_is_named_in_the_plan() -> None:
    plan = compiled().program.plan()
    assert "7 matrix products: 7 exact" in plan
    assert "digital, beside the arrays" in plan
    assert "q.requantize" in plan


def proven(module: Module) -> Module:
    copy = module.clone()
    for each in (ProveAdc(), FuseXbar()):
        each.run(copy, PassContext(TorchRuntime()))
    return copy.verify().freeze()


@given(
    seed=st.integers(0, 2**16),
    bits=st.integers(2, 9),
    encoding=st.sampled_from(ENCODINGS),
    mapping=st.sampled_from(MAPPINGS),
    rows=st.integers(6, 70),
)
@settings(max_examples=60, deadline=None)
def test_folded_is_expanded(seed: int, bits: int, encoding: Any, mapping: Any, rows: int) -> None:
    rng = np.random.default_rng(seed)
    w = np.clip(np.rint(rng.normal(0, 30, (6, 3, 3, 3))), -127, 127).astype(np.int8)
    options: dict[str, Any] = {"weights": encoding, "mapping": mapping, "array": Array(rows=rows, cols=20)}
    module = matrix_module((3, 5, 5), w, adc=Flash(bits=bits), padding=(1, 1, 1, 1), **options)
    folded = proven(module)
    for x in (levels(rng, (2, 3, 5, 5), 8), np.full((1, 3, 5, 5), 255, np.uint8), np.zeros((1, 3, 5, 5), np.uint8)):
        want = by_meaning(module, x)
        np.testing.assert_array_equal(on_crossbar(module, x), want)
        np.testing.assert_array_equal(on_crossbar(folded, x), want)


def test_folding_takes_products_away() -> None:
    rng = np.random.default_rng(0)
    module = matrix_module((130,), weights(rng, (12, 130), 8), adc=Flash(bits=9))
    assert "2 converted" in rv_plan(module)
    assert "0 converted" in rv_plan(proven(module))


def rv_plan(module: Module) -> str:
    from ranvier.backends.crossbar.program import CrossbarProgram

    return CrossbarProgram(module).plan()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("rows=0", ["rows", "from 1 to 65536"]),
        ("cell_bits=8 weight_bits=4", ["cell_bits=8", "from 1 to weight_bits=4"]),
        ("adc=flash", ["adc_bits", "from 1 to 32"]),
        ("adc=ideal adc_bits=6", ["adc=ideal has no adc_bits=6", "flash, sar or ramp"]),
        ("weights=ofset", ["did you mean `offset`"]),
        ("adc=pipeline adc_bits=8", ["auto | ideal | flash | sar | ramp"]),
        ("r_wire=-1", ["r_wire", "at least 0"]),
        ("device=flux_capacitor", ["flux_capacitor", "pcm"]),
        ("cost_table=puma-128", ["puma-128", "isaac-128"]),
        ("range=mse", ["range=mse for ideal converters", "adc_bits: an integer from 1 to 32"]),
        ("time=100", ["time=100 for device=ideal", "device: one that drifts"]),
        ("compensation=global", ["compensation=global for device=ideal", "or no compensation"]),
        ("parallel_rows=500", ["parallel_rows=500 of arrays with rows=128", "from 1 to rows=128"]),
        ("range=batch", ["max | granular | percentile | mse"]),
    ],
)
def test_impossible_targets(options: str, words: list[str]) -> None:
    with pytest.raises(rv.RanvierError) as why:
        rv.compile(network(), target=f"crossbar{{{options}}}", data=digits()[0][:4])
    for word in words:
        assert word in str(why.value)


def test_a_resolution_means_a_converter() -> None:
    exe = rv.compile(network(), target="crossbar{rows=64 adc_bits=6}", data=digits()[0][:32])
    converters = {str(op.attributes["adc"]).split("(")[0] for op in exe.module.ops if op.name == "xbar.mvm"}
    assert converters == {"sar"}


def test_more_cell_bits_than_the_weight_has() -> None:
    with pytest.raises(rv.RanvierError, match="cell_bits is from 1 to weight_bits=4"):
        rv.opt(
            network(),
            "quantize{bits=4}, freeze-quant, lower-integer, map-crossbar{cell_bits=6}",
            data=digits()[0][:32],
        )


ATTENTION = """ranvier v1 "attention"

graph @main(
  %q: tensor<Nx2x5x6xi4@affine(scale=0.5)>, %k: tensor<Nx2x6x5xi4@affine(scale=0.25, narrow=true)>
) -> (out: tensor<Nx2x5x5xf32>) {
  %scores = q.matmul(%q, %k) : tensor<Nx2x5x5xi32@affine(scale=0.125)>
  %out = q.dequantize(%scores) : tensor<Nx2x5x5xf32>
  return %out
}
"""


def test_products_of_two_values_are_written_to_arrays() -> None:
    module = rv.parse(ATTENTION)
    rng = np.random.default_rng(0)
    q = rng.integers(-8, 8, (3, 2, 5, 6)).astype(np.int8)
    k = rng.integers(-7, 8, (3, 2, 6, 5)).astype(np.int8)
    passes = "map-crossbar{rows=4 cols=16 adc=flash adc_bits=6}"
    exe = rv.compile(module, passes, target="crossbar{adc=flash adc_bits=6}", data=(q, k))
    np.testing.assert_array_equal(exe(q, k), (q.astype(np.int64) @ k.astype(np.int64) / 8).astype(np.float32))
    assert "by its meaning" in exe.program.plan()


def test_a_device_that_endures_few_writes_refuses_them() -> None:
    with pytest.raises(rv.RanvierError, match="write-limited"):
        rv.opt(rv.parse(ATTENTION), "map-crossbar, program{device=pcm}")


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_resnet20_is_its_integers_and_its_spikes_those_of_torch() -> None:
    import torch

    images = evaluation_images(0, 2)[0]
    source = rv.compile(resnet20(), "fold-batchnorm, canonicalize", example=torch.zeros(2, 3, 32, 32)).module
    for passes in ("", "convert-snn{schedule=stepwise steps=8}"):
        data = calibration_images(64)
        lowered = rv.opt(source, f"{passes + ', ' if passes else ''}quantize, freeze-quant, lower-integer", data=data)
        mapped = rv.opt(lowered, "map-crossbar{weights=offset mapping=kernel_split}")
        found = on_crossbar(mapped, images)
        want = TorchRuntime().run(lowered, [images]).outputs[0]
        if passes:
            assert (found.argmax(1) == want.argmax(1)).mean() >= 0.95
            assert np.abs(found - want).max() <= 1e-2 * np.abs(want).max()
        else:
            np.testing.assert_array_equal(found, want)
        assert str(mapped).count("xbar.mvm(") == str(lowered).count("q.conv(") + str(lowered).count("q.linear(")


@pytest.mark.parametrize(("bits", "share"), [(8, 1.0), (7, 0.9986), (6, 0.427), (5, 0.25)])
def test_how_much_is_proven_of_normal_weights(bits: int, share: float) -> None:
    """Normal 8-bit weights (deviation 30), pairs of 2-bit cells, 128 rows: what the card found by Monte Carlo (C2)."""
    rng = np.random.default_rng(0)
    w = np.clip(np.rint(rng.normal(0, 30, (512, 512))), -127, 127).astype(np.int8)
    op = matrix_module((512,), w, adc=Flash(bits=bits)).main.value("mvm").op
    assert isinstance(op, Mvm)
    assert abs(transparent_partials(op, op.grid.cells(w)).mean() - share) <= 0.02
