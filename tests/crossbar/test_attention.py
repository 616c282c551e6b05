"""Attention on arrays: products of two values, of which one is written for every sample."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.hardware.inputs import Binary
from ranvier.ir.hardware.weights import Differential
from ranvier.ir.ops.xbar import DynamicMatmul, product_elem
from ranvier.ir.types import TensorType
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
