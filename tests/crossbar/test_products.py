"""Matrices on arrays: with ideal converters the integers of the product, whatever the encoding, mapping and size."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.ir.hardware.adc import Flash
from ranvier.ir.hardware.arrays import Array, Mapping
from ranvier.ir.hardware.inputs import Binary, Thermometer
from ranvier.ir.hardware.weights import Weights
from tests.crossbar.builders import (
    ENCODINGS,
    MAPPINGS,
    by_meaning,
    integer_module,
    levels,
    matrix_module,
    on_crossbar,
    weights,
)

SIZES = (8, 32, 64, 100, 128)
CHANNELS = (1, 3, 65, 192)


def matmul(x: np.ndarray[Any, Any], w: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return x.astype(np.int64) @ w.astype(np.int64).reshape(len(w), -1).T


@pytest.mark.parametrize("mapping", MAPPINGS, ids=str)
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_ideal_array_is_the_integer_product(size: int, encoding: Weights, mapping: Mapping) -> None:
    for channels in CHANNELS:
        rng = np.random.default_rng(size + channels)
        x, w = levels(rng, (2, channels), 8), weights(rng, (5, channels), 8)
        options: dict[str, Any] = {"array": Array(rows=size, cols=size), "weights": encoding, "mapping": mapping}
        module = matrix_module((channels,), w, **options)
        np.testing.assert_array_equal(by_meaning(module, x), matmul(x, w))
        np.testing.assert_array_equal(on_crossbar(module, x), matmul(x, w))
        lossless = Flash(bits=module_bits(module))
        read = matrix_module((channels,), w, adc=lossless, **options)
        np.testing.assert_array_equal(by_meaning(read, x), matmul(x, w))
        np.testing.assert_array_equal(on_crossbar(read, x), matmul(x, w))


@pytest.mark.parametrize("mapping", MAPPINGS, ids=str)
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_ideal_array_is_the_integer_convolution(size: int, encoding: Weights, mapping: Mapping) -> None:
    """Kernels of nine taps, so that mappings differ; channels that fill arrays and leave a remainder."""
    for channels in CHANNELS:
        rng = np.random.default_rng(size + channels)
        x, w = levels(rng, (1, channels, 5, 4), 8), weights(rng, (7, channels, 3, 3), 8)
        want = by_meaning(integer_module((channels, 5, 4), w, padding=(1, 1, 1, 1)), x)
        options: dict[str, Any] = {"array": Array(rows=size, cols=size), "weights": encoding, "mapping": mapping}
        module = matrix_module((channels, 5, 4), w, padding=(1, 1, 1, 1), **options)
        np.testing.assert_array_equal(on_crossbar(module, x), want)
        lossless = Flash(bits=module_bits(module))
        read = matrix_module((channels, 5, 4), w, padding=(1, 1, 1, 1), adc=lossless, **options)
        np.testing.assert_array_equal(on_crossbar(read, x), want)


def module_bits(module: Any) -> int:
    op = module.main.value("mvm").op
    return int(op.grid.lossless_bits(op.input.largest))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@pytest.mark.parametrize("mapping", MAPPINGS, ids=str)
@pytest.mark.parametrize(
    "window",
    [
        {"padding": (1, 1, 1, 1)},
        {"strides": (2, 1), "padding": (0, 1, 1, 0)},
        {"dilations": (2, 1), "padding": (2, 1, 2, 1), "groups": 2},
        {"groups": 6},
    ],
    ids=str,
)
def test_convolutions(window: dict[str, Any], mapping: Mapping, encoding: Weights) -> None:
    rng = np.random.default_rng(7)
    x, w = levels(rng, (3, 6, 7, 6), 4), weights(rng, (12, 6 // window.get("groups", 1), 3, 3), 5)
    bias = rng.integers(-1000, 1000, 12).astype(np.int32)
    want = by_meaning(integer_module((6, 7, 6), w, bits=5, act_bits=4, bias=bias, **window), x)
    for adc in (None, Flash(bits=12)):
        more: dict[str, Any] = {} if adc is None else {"adc": adc}
        more.update(mapping=mapping, weights=encoding, array=Array(rows=16, cols=24, parallel_rows=6))
        module = matrix_module((6, 7, 6), w, bits=5, act_bits=4, bias=bias, **window, **more)
        np.testing.assert_array_equal(by_meaning(module, x), want)
        np.testing.assert_array_equal(on_crossbar(module, x, samples=2), want)


@st.composite
def problems(draw: Any) -> dict[str, Any]:
    groups, kernel = draw(st.sampled_from((1, 2, 3))), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return {
        "groups": groups,
        "channels": groups * draw(st.integers(1, 5)),
        "outputs": groups * draw(st.integers(1, 4)),
        "kernel": kernel,
        "strides": draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "dilations": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "padding": draw(st.tuples(*[st.integers(0, 2)] * 4)),
        "encoding": draw(st.sampled_from(ENCODINGS)),
        "mapping": draw(st.sampled_from(MAPPINGS)),
        "size": draw(st.integers(6, 40)),
        "bits": draw(st.integers(2, 8)),
        "act_bits": draw(st.integers(2, 8)),
        "signed": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**16)),
        "adc": draw(st.sampled_from((None, Flash(bits=16), Flash(bits=3), Flash(bits=4, lsb=(2.0,))))),
        "plane_bits": draw(st.integers(1, 3)),
    }


@given(p=problems())
@settings(max_examples=150, deadline=None)
def test_executor_equals_meaning_and_lossless_equals_integers(p: dict[str, Any]) -> None:
    rng = np.random.default_rng(p["seed"])
    shape = (p["channels"], 7, 6)
    x = levels(rng, (2, *shape), p["act_bits"], p["signed"])
    w = weights(rng, (p["outputs"], p["channels"] // p["groups"], *p["kernel"]), p["bits"])
    window = {k: p[k] for k in ("strides", "dilations", "padding", "groups")}
    common = {"bits": p["bits"], "act_bits": p["act_bits"], "signed": p["signed"], **window}
    cell_bits = int(rng.integers(1, p["bits"], endpoint=True))
    module = matrix_module(
        shape,
        w,
        **common,
        weights=p["encoding"],
        mapping=p["mapping"],
        cell_bits=cell_bits,
        array=Array(rows=p["size"], cols=2 * p["size"]),
        input=Binary(bits=p["act_bits"], signed=p["signed"], plane_bits=p["plane_bits"]),
        **({} if p["adc"] is None else {"adc": p["adc"]}),
    )
    found = on_crossbar(module, x)
    np.testing.assert_array_equal(found, by_meaning(module, x))
    if p["adc"] in (None, Flash(bits=16)):
        np.testing.assert_array_equal(found, by_meaning(integer_module(shape, w, **common), x))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@given(bits=st.integers(2, 8), cell_bits=st.integers(1, 8), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_slices_hold_the_weight(encoding: Weights, bits: int, cell_bits: int, seed: int) -> None:
    cell_bits = min(cell_bits, bits)
    w = weights(np.random.default_rng(seed), (9, 4), bits)
    cells = encoding.cells(w, bits, cell_bits)
    assert cells.min() >= 0
    assert cells.max() < 1 << cell_bits
    np.testing.assert_array_equal(encoding.levels_of(cells, bits, cell_bits), encoding.stored(w.astype(np.int64), bits))
    total = np.einsum("sd,sdko->ko", encoding.significance(bits, cell_bits), cells)
    correction = encoding.correction_weight(w.astype(np.int64), bits)
    if encoding.dummy_column:
        correction = np.full((9, 1), -encoding.dummy_level(bits))
    np.testing.assert_array_equal(total + (0 if correction is None else correction), w)


@given(bits=st.integers(1, 8), plane_bits=st.integers(1, 8), signed=st.booleans())
@settings(deadline=None)
def test_planes_hold_the_input(bits: int, plane_bits: int, signed: bool) -> None:
    for input in (Binary(bits=bits + signed, signed=signed, plane_bits=plane_bits), Thermometer(5, signed)):
        low, high = input.range()
        x = np.arange(low, high + 1)
        planes = input.planes(x)
        assert planes.min() >= 0
        assert planes.max() <= input.largest
        np.testing.assert_array_equal(np.tensordot(input.significance(), planes, 1), x)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_error_falls_as_converters_get_bits(encoding: Weights) -> None:
    rng = np.random.default_rng(0)
    x, w = levels(rng, (8, 130), 8), weights(rng, (17, 130), 8)
    errors = []
    for bits in range(1, 11):
        found = on_crossbar(matrix_module((130,), w, adc=Flash(bits=bits), weights=encoding), x)
        errors.append(float(np.abs(found - matmul(x, w)).mean()))
    assert errors[-1] == 0
    assert errors[0] > 0
    if encoding.arms == 1 and not encoding.dummy_column:  # what two arms lose may cancel, and then comes back
        assert all(a >= b for a, b in itertools.pairwise(errors))


@given(st.lists(st.integers(0, 1 << 20), min_size=1, max_size=50))
@settings(deadline=None)
def test_no_partial_is_read_worse_with_more_bits(partials: list[int]) -> None:
    read = [np.abs(Flash(bits=bits).convert(np.asarray(partials, float), 0) - partials) for bits in range(1, 21)]
    assert all((a >= b).all() for a, b in itertools.pairwise(read))
    assert (read[-1] <= 1).all()


def test_a_batch_is_its_samples() -> None:
    rng = np.random.default_rng(1)
    x, w = levels(rng, (9, 5, 6, 6), 8), weights(rng, (7, 5, 3, 3), 8)
    module = matrix_module((5, 6, 6), w, adc=Flash(bits=4))
    whole = on_crossbar(module, x, samples=64)
    for samples in (1, 2, 5):
        np.testing.assert_array_equal(on_crossbar(module, x, samples=samples), whole)
    np.testing.assert_array_equal(np.concatenate([on_crossbar(module, x[:4]), on_crossbar(module, x[4:])]), whole)


def test_no_channel_is_dropped() -> None:
    w = np.eye(192, dtype=np.int8)
    for mapping in MAPPINGS:
        module = matrix_module((192,), w, mapping=mapping, adc=Flash(bits=9))
        np.testing.assert_array_equal(on_crossbar(module, np.eye(192, dtype=np.uint8)), np.eye(192))


@pytest.mark.parametrize(("mapping", "count"), list(zip(MAPPINGS, (424, 432, 441), strict=True)), ids=str)
def test_arrays_of_vgg9(mapping: Mapping, count: int) -> None:
    from ranvier.ir.hardware.grid import Grid

    inputs, outputs = (3, 64, 64, 128, 128, 256, 256), (64, 64, 128, 128, 256, 256, 256)
    grids = [
        Grid(Array(rows=64, cols=64), ENCODINGS[4], mapping, 4, 4, i, 9, o)
        for i, o in zip(inputs, outputs, strict=True)
    ]
    assert sum(g.arrays for g in grids) == count
