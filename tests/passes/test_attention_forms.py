"""GELU written out, and attention as exporters write it: one form each, which computes the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from ranvier.ir.core import Builder, Module, Value
from ranvier.ir.equality import difference
from ranvier.ir.facts import Mask
from ranvier.ir.ops import activations, arith, nn, shape
from ranvier.ir.resources import Resource
from ranvier.passes.simplify.canonicalize import Canonicalize
from tests.passes.helpers import apply, close, meaning, names, real, start

Form = Callable[[Builder, Value], Value]


def c(make: Builder, number: Any) -> Value:
    return make.constant(np.asarray(number, np.float32), "c")


# -- gelu --------------------------------------------------------------------------------------------------------------
def by_division(m: Builder, x: Value) -> Value:
    return m(arith.Erf, m(arith.Div, x, c(m, math.sqrt(2))))


def by_product(m: Builder, x: Value) -> Value:
    return m(arith.Erf, m(arith.Mul, c(m, 0.70710678), x))


def power(m: Builder, x: Value) -> Value:
    cube = m(arith.Mul, m(arith.Pow, x, c(m, 3)), c(m, 0.044715))
    return m(arith.Tanh, m(arith.Mul, m(arith.Add, x, cube), c(m, 0.79788)))


def products(m: Builder, x: Value) -> Value:
    cube = m(arith.Mul, m(arith.Mul, m(arith.Mul, c(m, 0.044715), x), x), x)
    return m(arith.Tanh, m(arith.Mul, c(m, math.sqrt(2 / math.pi)), m(arith.Add, cube, x)))


def factored(m: Builder, x: Value) -> Value:
    square = m(arith.Mul, m(arith.Mul, x, x), c(m, 0.044715))
    return m(arith.Tanh, m(arith.Mul, m(arith.Mul, x, c(m, 0.7978846)), m(arith.Add, c(m, 1), square)))


CURVES: dict[str, Form] = {f.__name__: f for f in (by_division, by_product, power, products, factored)}


def one_more(m: Builder, curve: Value) -> Value:
    return m(arith.Add, c(m, 1), curve)


OUTER: dict[str, Callable[[Builder, Value, Value], Value]] = {
    "x*.5*(1 + f)": lambda m, x, f: m(arith.Mul, m(arith.Mul, x, c(m, 0.5)), one_more(m, f)),
    ".5*(x*(1 + f))": lambda m, x, f: m(arith.Mul, c(m, 0.5), m(arith.Mul, x, one_more(m, f))),
    "x*(.5*(1 + f))": lambda m, x, f: m(arith.Mul, x, m(arith.Mul, c(m, 0.5), one_more(m, f))),
    "x*(1 + f)/2": lambda m, x, f: m(arith.Div, m(arith.Mul, one_more(m, f), x), c(m, 2)),
    "x/2*(1 + f)": lambda m, x, f: m(arith.Mul, m(arith.Div, x, c(m, 2)), one_more(m, f)),
    "x*(.5 + .5 f)": lambda m, x, f: m(arith.Mul, x, m(arith.Add, m(arith.Mul, f, c(m, 0.5)), c(m, 0.5))),
}
INPUT = np.concatenate([real(0, 3, 4, 6) * 3, np.zeros((1, 4, 6), np.float32)])


def build(form: Form, *dims: Any) -> Module:
    module, make, x = start(*(dims or ("N", 4, 6)))
    make.returns(form(make, x), names=["y"])
    return module


def check(module: Module, *inputs: Any, tolerance: float = 1e-6) -> Module:
    """Meaning and types are kept, the result is verified, and a second run changes nothing."""
    out, _ = apply(Canonicalize(), module)
    assert [v.type for v in out.main.outputs] == [v.type for v in module.main.outputs]
    for found, wanted in zip(meaning(out, *inputs), meaning(module, *inputs), strict=True):
        close(found, wanted, tolerance)
    assert difference(apply(Canonicalize(), out)[0], out) is None
    return out


@pytest.mark.parametrize(("outer", "curve"), list(product(OUTER, CURVES)))
def test_gelu(outer: str, curve: str) -> None:
    out = check(build(lambda m, x: OUTER[outer](m, x, CURVES[curve](m, x))), INPUT, tolerance=1e-5)
    (found,) = [o for o in out.main.ops if o.name != "core.return"]
    assert found.name == "nn.gelu"
    assert found.attributes["approximate"] == ("none" if curve.startswith("by") else "tanh")
    assert out.resources == {}


def test_gelu_of_a_product() -> None:
    """x may itself be a product, with the same constants."""

    def form(m: Builder, x: Value) -> Value:
        y = m(arith.Mul, m(arith.Tanh, x), c(m, 0.5))
        return OUTER["x*.5*(1 + f)"](m, y, by_division(m, y))

    assert names(check(build(form), INPUT)) == ["nn.tanh", "nn.mul", "nn.gelu"]


def other(m: Builder, x: Value) -> Value:
    return m(arith.Tanh, x)


NOT_GELU: dict[str, Form] = {
    "of another x": lambda m, x: OUTER["x*(.5*(1 + f))"](m, other(m, x), by_division(m, x)),
    "without the half": lambda m, x: m(arith.Mul, x, one_more(m, by_division(m, x))),
    "erf(x)": lambda m, x: OUTER["x*(.5*(1 + f))"](m, x, m(arith.Erf, x)),
    "erf(sqrt(2)/x)": lambda m, x: OUTER["x*(.5*(1 + f))"](m, x, m(arith.Erf, m(arith.Div, c(m, 1.41421356), x))),
    "2 + erf": lambda m, x: m(
        arith.Mul, m(arith.Mul, x, c(m, 0.5)), m(arith.Add, by_division(m, x), c(m, 2))
    ),
    "tanh(x)": lambda m, x: OUTER["x*(.5*(1 + f))"](m, x, other(m, x)),
    "halves that broadcast": lambda m, x: m(
        arith.Mul, m(arith.Mul, x, c(m, np.full((2, 1, 1, 1), 0.5))), one_more(m, by_division(m, x))
    ),
    "different halves": lambda m, x: m(
        arith.Mul, m(arith.Mul, x, c(m, np.linspace(0.4, 0.5, 6))), one_more(m, by_division(m, x))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_GELU)
def test_what_is_no_gelu(name: str) -> None:
    out = check(build(NOT_GELU[name]), np.abs(INPUT[:3]) + 0.1)
    assert "nn.gelu" not in names(out)


# -- attention ---------------------------------------------------------------------------------------------------------
def attention(m: Builder, q: Value, k: Value, v: Value, exported: bool) -> Value:
    """softmax(q k^T / sqrt(d)) v as torch.export gives it, and as torch.onnx writes it."""
    n, h, length, d = q.type.shape
    if exported:
        flat = m(shape.Transpose, m(shape.Reshape, k, shape=(-1, length, d)), perm=(0, 2, 1))
        keys = m(shape.Reshape, flat, shape=(n, h, d, length))
        root = c(m, [d**-0.25])
        scores = m(nn.Matmul, m(arith.Mul, q, root), m(arith.Mul, keys, root))
    else:
        scores = m(nn.Matmul, q, m(shape.Transpose, k, perm=(0, 1, 3, 2)))
        scores = m(arith.Mul, scores, c(m, d**-0.5))
    out: Value = m(nn.Matmul, m(activations.Sigmoid, scores), v)
    return out


@pytest.mark.parametrize("dims", [("N", 2, 5, 4), (3, 2, 5, 5)], ids=str)
def test_two_ways_to_write_attention(dims: tuple[Any, ...]) -> None:
    found = []
    for exported in (False, True):
        module, make, x = start(*dims)
        make.returns(attention(make, x, make(arith.Neg, x), make(arith.Tanh, x), exported))
        found.append(names(check(module, real(0, 3, *dims[1:]), tolerance=1e-5)))
    assert found[0] == found[1]
    assert sorted(found[0]) == sorted(
        ["nn.neg", "core.transpose", "nn.matmul", "nn.mul", "nn.sigmoid", "nn.tanh", "nn.matmul"]
    )


def test_factors_multiply() -> None:
    def form(m: Builder, x: Value) -> Value:
        return m(arith.Mul, c(m, 3), m(arith.Mul, m(arith.Mul, x, c(m, [2])), c(m, np.full((4, 1), 0.25))))

    out = check(build(form), INPUT)
    assert names(out) == ["nn.mul"]
    assert [float(r.array.item()) for r in out.resources.values()] == [1.5]


def masked(m: Builder) -> Value:
    mask = m.graph.module.add(np.ones((), bool), "mask")
    return m.constant(Resource.of(np.float32(2), (Mask(mask),)), "c")


def flattened(m: Builder, x: Value, between: tuple[int, ...], outer: tuple[Any, ...]) -> Value:
    inner = m(shape.Transpose, m(shape.Reshape, x, shape=(-1, 6, 2)), perm=between)
    return m(shape.Reshape, inner, shape=outer)


KEPT: dict[str, Form] = {
    "factors a channel": lambda m, x: m(arith.Mul, m(arith.Mul, x, c(m, np.arange(6))), c(m, 2)),
    "a factor that broadcasts": lambda m, x: m(arith.Mul, m(arith.Mul, x, c(m, np.full((2, 1, 1, 1), 2))), c(m, 2)),
    "factors too large": lambda m, x: m(arith.Mul, m(arith.Mul, x, c(m, 1e30)), c(m, 1e30)),
    "a masked factor": lambda m, x: m(arith.Mul, m(arith.Mul, x, masked(m)), c(m, 2)),
    "scaled keys, a number each": lambda m, x: m(
        nn.Matmul, x, m(arith.Mul, m(shape.Transpose, x, perm=(0, 2, 1)), c(m, np.arange(4)))
    ),
    "matrices swapped with the batch": lambda m, x: flattened(m, x, (1, 0, 2), ("N", 4, 6)),
    "matrices taken apart": lambda m, x: flattened(m, x, (0, 2, 1), ("N", 4, 6)),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_only_looks_alike_stays(name: str) -> None:
    module = build(KEPT[name])
    out, _ = apply(Canonicalize(), module)
    assert names(out) == names(module)


def test_a_transpose_of_flattened_matrices_keeps_the_reshape_that_it_needs() -> None:
    out = check(build(lambda m, x: flattened(m, x, (0, 2, 1), ("N", 2, 2, 6))), INPUT)
    assert names(out) == ["core.reshape", "core.transpose"]
    assert next(iter(out.main.ops)).attributes["shape"] == ("N", 2, 6, 2)
