"""Every op on batches of other sizes and orders, and the ops with windows and products on random shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Op
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import nn, pool
from ranvier.ir.types import Type
from tests.backends.torch_runtime.test_against_meaning import agree
from tests.op_cases.base import Draw, Given, case, value, weight
from tests.strategies import OpCase, cases

Array = np.ndarray[Any, Any]
BATCHES = {"one": [1], "seven": [0, 0, 1, 2, 1, 0, 2], "permuted": [2, 0, 1]}
few = settings(derandomize=True, deadline=None, max_examples=40)
runs = st.sampled_from([None, 2])


def on_first_axis(kind: Type) -> bool:
    return bool(kind.shape) and kind.shape[0] == "N"


def rows(kind: Type, array: Array, at: list[int]) -> Array:
    """Some samples of an array, if its type has the batch on its first axis."""
    if not on_first_axis(kind):
        return array
    return array[:, at] if kind.time is not None else array[at]


def batched(one: OpCase) -> bool:
    return any(on_first_axis(a.type) for a in one.module().main.args)


CASES = [c for c in cases() if batched(c)]


def compare(one: OpCase, arrays: list[Array], ids: list[int], tile: int | None) -> None:
    """The runtime's outputs are those of the meaning on the same samples, whose ids random ops draw by."""
    module = one.module().verify()
    want, _ = evaluate(module, arrays, sample_ids=ids)
    found = TorchRuntime(tile=tile).run(module, arrays, sample_ids=np.array(ids)).outputs
    for output, a, b in zip(module.main.outputs, found, want, strict=True):
        agree(a, b, one.exact, output.type)


@pytest.mark.parametrize("tile", [None, 2], ids=["auto", "tile2"])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("one", CASES, ids=lambda c: c.name)
def test_every_op_on_another_batch(one: OpCase, batch: str, tile: int | None) -> None:
    at = BATCHES[batch]
    arrays = [rows(a.type, x, at) for a, x in zip(one.module().main.args, one.arrays, strict=True)]
    compare(one, arrays, at, tile)


def on_random(tile: int | None, seed: int, op: type[Op], *operands: Given | None, **attributes: Any) -> None:
    """Compare on operands that were drawn; shapes that the op refuses are drawn again."""
    one = case(f"random {seed}", op, *operands, **attributes)
    try:
        one.module()
    except RanvierError:
        assume(False)
    n = one.arrays[0].shape[0]
    compare(one, list(one.arrays), list(range(n)), tile)


def sizes(draw: Any, low: int, high: int, count: int) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(low, high), min_size=count, max_size=count)))


@few
@given(st.data(), st.integers(1, 3), runs, st.integers(0, 99))
def test_convolutions_of_random_shapes(data: st.DataObject, axes: int, tile: int | None, seed: int) -> None:
    batch, groups, each, out = sizes(data.draw, 1, 3, 4)
    space, kernel = sizes(data.draw, 3, 7, axes), sizes(data.draw, 1, 3, axes)
    strides, dilations = sizes(data.draw, 1, 3, axes), sizes(data.draw, 1, 2, axes)
    padding = sizes(data.draw, 0, 2, 2 * axes)
    d = Draw(str(seed))
    x = value(d.real(batch, groups * each, *space), batch=True)
    w, b = weight(d.real(groups * out, each, *kernel)), weight(d.real(groups * out))
    options = {"strides": strides, "dilations": dilations, "padding": padding, "groups": groups}
    on_random(tile, seed, nn.Conv, x, w, data.draw(st.sampled_from([b, None])), **options)


@few
@given(st.data(), st.integers(1, 3), runs, st.integers(0, 99))
def test_transposed_convolutions_of_random_shapes(data: st.DataObject, axes: int, tile: int | None, seed: int) -> None:
    batch, groups, each, out = sizes(data.draw, 1, 3, 4)
    space, kernel = sizes(data.draw, 2, 5, axes), sizes(data.draw, 1, 3, axes)
    strides, dilations = sizes(data.draw, 1, 3, axes), sizes(data.draw, 1, 2, axes)
    padding, more = sizes(data.draw, 0, 1, 2 * axes), sizes(data.draw, 0, 1, axes)
    d = Draw(str(seed))
    x = value(d.real(batch, groups * each, *space), batch=True)
    w, b = weight(d.real(groups * each, out, *kernel)), weight(d.real(groups * out))
    options = {"strides": strides, "dilations": dilations, "padding": padding, "groups": groups}
    bias = data.draw(st.sampled_from([b, None]))
    on_random(tile, seed, nn.ConvTranspose, x, w, bias, output_padding=more, **options)


@pytest.mark.parametrize("op", [pool.MaxPool, pool.AvgPool], ids=lambda op: op.name)
@few
@given(st.data(), st.integers(1, 3), runs, st.integers(0, 99))
def test_pools_of_random_shapes(op: type[Op], data: st.DataObject, axes: int, tile: int | None, seed: int) -> None:
    batch, channels = sizes(data.draw, 1, 4, 2)
    space, kernel = sizes(data.draw, 3, 8, axes), sizes(data.draw, 1, 3, axes)
    strides, padding = sizes(data.draw, 1, 3, axes), sizes(data.draw, 0, 1, 2 * axes)
    flags = {"ceil_mode": data.draw(st.booleans())}
    if op is pool.AvgPool:
        flags["count_include_pad"] = data.draw(st.booleans())
    x = value(Draw(str(seed)).real(batch, channels, *space), batch=True)
    on_random(tile, seed, op, x, kernel=kernel, strides=strides, padding=padding, **flags)


@few
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 9), st.integers(1, 9), runs, st.booleans())
def test_linear_layers_of_random_shapes(
    lead: list[int], width: int, out: int, tile: int | None, with_bias: bool
) -> None:
    d = Draw(f"{lead} {width} {out}")
    bias = weight(d.real(out)) if with_bias else None
    on_random(tile, 0, nn.Linear, value(d.real(*lead, width), batch=True), weight(d.real(out, width)), bias)


@few
@given(st.lists(st.integers(1, 4), max_size=2), st.tuples(*[st.integers(1, 6)] * 4), runs, st.booleans())
def test_matrix_products_of_random_shapes(
    lead: list[int], shape: tuple[int, int, int, int], tile: int | None, constant: bool
) -> None:
    batch, n, k, m = shape
    d = Draw(f"{lead} {shape}")
    left = value(d.real(batch, *lead, n, k), batch=True)
    right = weight(d.real(*lead, k, m)) if constant else value(d.real(batch, *lead, k, m), batch=True)
    on_random(tile, 0, nn.Matmul, left, right)
