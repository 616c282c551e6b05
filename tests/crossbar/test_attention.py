"""Attention on arrays: products of two values, of which one is written for every sample."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.backends.crossbar.dynamic import static_largest
from ranvier.backends.crossbar.passes.calibrate_adc import CalibrateAdc, count_products
from ranvier.backends.crossbar.physics.ranges import percentile_steps
from ranvier.backends.crossbar.program import CrossbarProgram
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.hardware.adc import Flash
from ranvier.ir.hardware.arrays import Array
from ranvier.ir.hardware.facts import NotModelled
from ranvier.ir.hardware.inputs import Binary
from ranvier.ir.hardware.weights import Differential
from ranvier.ir.ops.xbar import DynamicMatmul, product_elem
from ranvier.ir.text.parser import parse_module
from ranvier.ir.text.printer import print_module
from ranvier.ir.types import TensorType
from tests.crossbar.builders import ENCODINGS, matrix_module, weights
from tests.passes.helpers import apply
from tests.zoo import vit

PRODUCTS = 4


@cache
def network() -> Any:
    return vit.build()


@cache
def compiled(options: str = "") -> Any:
    return rv.compile(network().module(), target=f"crossbar{{{options}}}", data=network().calibration[:64])


def product(element: Elem, **options: Any) -> Module:
    """`@main(a, b)`: one product whose second operand is written to arrays."""
    module = Module("product")
    graph = module.new_graph("main")
    build = Builder(graph)
    a = graph.argument("a", TensorType(("N", 3, 20), Elem("u8", Affine(0.5))))
    b = graph.argument("b", TensorType(("N", 20, 5), element))
    kind = product_elem("i32", a.type, b.type, 2)
    settings: dict[str, Any] = {"input": Binary(bits=8), "weight_bits": 8, "elem": kind, **options}
    build.returns(build(DynamicMatmul, a, b, name="scores", **settings))
    return module.verify()


@pytest.mark.parametrize("options", ["", "weights=two_sided", "rows=16 cols=32 adc=flash adc_bits=10"])
def test_attention_is_that_of_the_integers(options: str) -> None:
    exe = compiled(options)
    lowered = [s.module for s in exe.trace if s.name.startswith("lower-integer")][-1]
    images = network().evaluation[:4]
    np.testing.assert_array_equal(exe(images), TorchRuntime().run(lowered, [images]).outputs[0])
    assert sum(op.name == "xbar.matmul" for op in exe.module.ops) == PRODUCTS


def test_what_is_written_is_narrow_and_other_activations_are_not() -> None:
    written = [op.arguments[1].type.elem for op in compiled().module.ops if isinstance(op, DynamicMatmul)]
    assert [e.levels for e in written] == [(-127, 127)] * PRODUCTS
    driven = [op.arguments[0].type.elem.levels for op in compiled().module.ops if op.name == "xbar.mvm"]
    assert (-128, 127) in driven


def test_levels_that_do_not_fit_are_refused_with_what_holds_them() -> None:
    with pytest.raises(RanvierError, match=r"stores -127\.\.127.*but the weight is -128\.\.127") as found:
        product(Elem("i8", Affine(0.25)), weights=Differential())
    help = str(found.value)
    assert "weights=offset" in help
    assert "narrow" in help
    with pytest.raises(RanvierError, match="raise weight_bits"):
        product(Elem("u8", Affine(0.25)))


def narrow() -> Elem:
    return Elem("i8", Affine(0.25, narrow=True))


def operands(rng: np.random.Generator, extreme: bool = False) -> tuple[Any, Any]:
    if extreme:
        return np.full((1, 3, 20), 255, np.uint8), np.full((1, 20, 5), 127, np.int8)
    return rng.integers(0, 256, (6, 3, 20)).astype(np.uint8), rng.integers(-127, 128, (6, 20, 5)).astype(np.int8)


def result(module: Module, *arrays: Any) -> Any:
    return CrossbarProgram(module).run(arrays).outputs[0]


@pytest.mark.parametrize("parallel_rows", [None, 8])
def test_a_static_bound_is_reached_and_never_exceeded(parallel_rows: int | None) -> None:
    for encoding in ENCODINGS:
        module = product(narrow(), weights=encoding, array=Array(16, 40, parallel_rows))
        op: Any = module.main.value("scores").op
        tallies = count_products(op, *operands(np.random.default_rng(0), extreme=True))
        bounds = static_largest(op)
        assert all(t.largest <= bound for t, bound in zip(tallies, bounds, strict=True))
        if encoding == Differential():
            assert (
                [t.largest for t in tallies]
                == bounds
                == [3.0 * (parallel_rows or 16)] * 3 + [1.0 * (parallel_rows or 16)]
            )


def test_max_clips_nothing_and_lossless_bits_keep_integers() -> None:
    x = operands(np.random.default_rng(1))
    want = result(product(narrow()), *x)
    for bits, exact in ((7, True), (4, False)):
        after, context = apply(CalibrateAdc(), product(narrow(), adc=Flash(bits=bits)))
        op: Any = after.main.value("scores").op
        assert op.adc.low == 0
        assert all(op.adc.limits(s)[1] >= most for s, most in enumerate(static_largest(op)))
        assert any("scores: steps" in n for n in context.notes)
        plan = CrossbarProgram(after).plan()
        assert np.array_equal(result(after, *x), want) == exact
        assert ("exact arithmetic: by its meaning" in plan) == exact
        assert (
            "as converted: by its meaning" in plan and "rounded to steps of 4, 4, 4, 2 cell levels" in plan
        ) != exact
        assert "clipped" not in plan


def test_granular_clips_and_the_plan_says_so() -> None:
    after, _ = apply(CalibrateAdc(range="granular"), product(narrow(), adc=Flash(bits=4)))
    plan = CrossbarProgram(after).plan()
    assert "as converted" in plan
    assert "clipped to 0..15" in plan
    assert "rounded" not in plan


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_ranges_that_look_see_the_partials_of_products(method: str) -> None:
    x = operands(np.random.default_rng(2))
    module = product(narrow(), adc=Flash(bits=4))
    op: Any = module.main.value("scores").op
    seen = count_products(op, *x)
    want = percentile_steps(seen, 4, 90.0, True) if method == "percentile" else None
    after, context = apply(CalibrateAdc(range=method, percentile=90.0), module, x)
    made: Any = after.main.value("scores").op
    assert want is None or made.adc.lsb == want
    assert max(made.adc.lsb) < max(max_lsb(module))
    assert any("of the partial sums seen are clipped" in n for n in context.notes)


def max_lsb(module: Module) -> tuple[float, ...]:
    op: Any = apply(CalibrateAdc(), module)[0].main.value("scores").op
    return tuple(op.adc.lsb)


def test_partials_of_products_are_those_of_the_meaning() -> None:
    """Cells and planes by hand, for every matrix."""
    a, b = operands(np.random.default_rng(3))
    op: Any = product(narrow()).main.value("scores").op
    tallies = count_products(op, a, b)
    for s, tally in enumerate(tallies):
        arms = [np.maximum(sign * b.astype(int), 0) >> 2 * s & 3 for sign in (1, -1)]
        planes = [a.astype(int) >> i & 1 for i in range(8)]
        values = np.concatenate([(p @ arm).ravel() for p in planes for arm in arms])
        counts = np.bincount(np.rint(values / tally.width).astype(int), minlength=tally.bins)
        np.testing.assert_array_equal(tally.counts, counts)


def test_physics_that_does_not_reach_products_is_named() -> None:
    exe = compiled("device=ideal(r_off_ohm=1e6) r_wire=1.0 read_noise=0.01 adc_bits=8")
    notes = [n for s in exe.trace for n in s.notes if "stays ideal" in n]
    names = [op.result.name for op in exe.module.ops if isinstance(op, DynamicMatmul)]
    assert len(names) == PRODUCTS
    for name in names:
        for what in ("cells of ideal", "wires", "read noise of 0.01"):
            assert sum(n.startswith(f"%{name} stays ideal") and what in n for n in notes) == 1
        line = next(x for x in exe.program.plan().splitlines() if x.startswith(f"%{name} ="))
        assert "not modelled: cells of ideal" in line
        assert "read noise of 0.01" in line
    again = parse_module(print_module(exe.module))
    assert [f for op in again.ops for f in op.facts if isinstance(f, NotModelled)] == [
        NotModelled(("cells of ideal(r_off_ohm=1000000.0)", "wires", "read noise of 0.01"))
    ] * PRODUCTS


def test_the_plan_counts_what_is_written() -> None:
    plan = compiled().program.plan().splitlines()
    assert plan[0].startswith("# crossbar: 10 matrices on ")
    assert "12 written in every sample, by 4 ops, on " in plan[0]
    assert plan[1].endswith("exact arithmetic, 0 as converted, 0 approximate")


def test_the_plan_tells_lossy_converters_of_stored_matrices() -> None:
    rng = np.random.default_rng(4)
    w = weights(rng, (12, 130), 8)
    lossy = CrossbarProgram(matrix_module((130,), w, adc=Flash(bits=4))).plan()
    assert "0 exact arithmetic" in lossy
    assert "as converted" in lossy
    assert "clipped to 0..15" in lossy
    stepped = CrossbarProgram(matrix_module((130,), w, adc=Flash(bits=8, lsb=(2.0,)))).plan()
    assert "rounded to steps of 2 cell levels" in stepped
    assert "0 as converted" in CrossbarProgram(matrix_module((130,), w, adc=Flash(bits=9))).plan()
