"""Small mapped modules for tests of physics."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Affine, Elem, elem
from ranvier.ir.hardware.adc import Ideal
from ranvier.ir.hardware.arrays import Array, Im2col
from ranvier.ir.hardware.inputs import Binary
from ranvier.ir.hardware.weights import Differential
from ranvier.ir.ops.q import Dequantize, Quantize
from ranvier.ir.ops.requantize import Requantize
from ranvier.ir.ops.xbar import Mvm, product_elem
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType, tensor


def levels(shape: tuple[int, ...], bits: int = 4, seed: int = 0) -> Any:
    most = (1 << (bits - 1)) - 1
    return np.random.default_rng(seed).integers(-most, most + 1, shape)


def module_of(
    matrices: list[Any],
    shape: tuple[Any, ...],
    *,
    act_bits: int = 4,
    read: str = "dequantize",
    **options: Any,
) -> Module:
    """x (real) -> levels -> one xbar.mvm after the other, requantized between, dequantized at the end."""
    options = {
        "array": Array(rows=16, cols=16),
        "weights": Differential(),
        "weight_bits": 4,
        "cell_bits": 2,
        "mapping": Im2col(),
        "input": Binary(bits=act_bits),
        "adc": Ideal(),
    } | options
    module = Module("mapped")
    graph = module.new_graph("main")
    x = graph.argument("x", tensor("N", *shape))
    build = Builder(graph)
    act = Elem(f"u{act_bits}", Affine(1.0, rounding="half_up"))
    value = build(Quantize, x, elem=act, name="x_levels")
    for i, w in enumerate(matrices):
        kind = TensorType(w.shape, Elem(f"i{options['weight_bits']}", Affine(0.25, narrow=True)))
        weight = graph.constant(module.add(Resource(kind, w.astype(np.int8)), f"w{i}"))
        storage = product_elem("i32", value.type, weight.type, 1)
        value = build(Mvm, value, weight, None, None, elem=storage, name=f"y{i}", **options)
        if i + 1 < len(matrices):
            scaled = Elem(f"u{act_bits}", Affine(4.0, rounding="half_up"))
            value = build(Requantize, value, elem=scaled, name=f"a{i}")
    if read == "dequantize":
        value = build(Dequantize, value, name="out")
    build.returns(value)
    return module.verify()


def floats(*shape: int, seed: int = 1, most: int = 15) -> Any:
    return np.random.default_rng(seed).integers(0, most + 1, shape).astype(np.float32)


__all__ = ["elem", "floats", "levels", "module_of"]
