"""One matrix on arrays as a module, its integers, and what int64 arithmetic says it gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.backends.crossbar.program import CrossbarProgram
from ranvier.ir.core import Builder, Module, Op
from ranvier.ir.elements import Affine, Elem, elem
from ranvier.ir.hardware.arrays import Im2col, KernelSplit, Mapping, WholeKernel
from ranvier.ir.hardware.weights import Differential, Dummy, Offset, Shift2p, TwoSided, Weights
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops.integer import QConv, QLinear
from ranvier.ir.ops.xbar import Mvm, product_elem
from ranvier.ir.types import TensorType

Array = np.ndarray[Any, Any]
ENCODINGS: tuple[Weights, ...] = (Offset(), Differential(), TwoSided(), Dummy(), Shift2p())
MAPPINGS: tuple[Mapping, ...] = (Im2col(), KernelSplit(), WholeKernel())


def level_types(weight: Array, bits: int, act_bits: int, signed: bool) -> tuple[Elem, Elem]:
    """Element types of inputs and of a weight with a scale for each output."""
    scales = tuple(2.0 ** -(1 + o % 3) for o in range(len(weight)))
    act = Elem(f"{'i' if signed else 'u'}{act_bits}", Affine(0.5))
    return act, Elem(f"i{bits}", Affine(scales, axis=0, narrow=True))


def matrix_module(
    shape: tuple[int, ...],
    weight: Array,
    *,
    bits: int = 8,
    act_bits: int = 8,
    signed: bool = False,
    bias: Array | None = None,
    storage: str = "i32",
    kind: type[Op] = Mvm,
    **attributes: Any,
) -> Module:
    """`@main(x)` with one product of x [N, *shape] and a weight: on arrays, or in integers by q.conv or q.linear."""
    act, held = level_types(weight, bits, act_bits, signed)
    module = Module("matrix")
    graph = module.new_graph("main")
    build = Builder(graph)
    x = graph.argument("x", TensorType(("N", *shape), act))
    w = build.constant(weight, "w", type=TensorType(weight.shape, held))
    b = None if bias is None else build.constant(bias, "b")
    if kind is Mvm:
        from ranvier.ir.hardware.inputs import Binary

        attributes.setdefault("input", Binary(bits=act_bits, signed=signed))
        axis = 1 if weight.ndim > 2 else len(shape)
        attributes.setdefault("elem", product_elem(storage, x.type, w.type, axis))
        out = build(Mvm, x, w, None, b, weight_bits=bits, **attributes)
    else:
        out = build(kind, x, w, b, accumulator=storage, **attributes)
    build.returns(out)
    return module.verify().freeze()


def integer_module(shape: tuple[int, ...], weight: Array, **options: Any) -> Module:
    """The same product as integers without arrays."""
    return matrix_module(shape, weight, kind=QConv if weight.ndim > 2 else QLinear, **options)


def by_meaning(module: Module, *inputs: Array) -> Array:
    """The first output by the meaning of the ops."""
    return evaluate(module, inputs)[0][0]


def on_crossbar(module: Module, *inputs: Array, samples: int = 64) -> Array:
    """The first output of the executor."""
    return CrossbarProgram(module, samples).run(inputs).outputs[0]


def levels(rng: np.random.Generator, shape: tuple[int, ...], bits: int, signed: bool = False) -> Array:
    """Random levels of inputs."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return rng.integers(low, high, shape, endpoint=True).astype(elem(f"{'i' if signed else 'u'}{bits}").dtype)


def weights(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> Array:
    """Random narrow levels of weights."""
    most = (1 << (bits - 1)) - 1
    return rng.integers(-most, most, shape, endpoint=True).astype(np.int8)
