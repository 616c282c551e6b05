"""What quantization refuses, and how it says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import fake_quant, integer, nn, q, requantize
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType, tensor
from ranvier.passes.quantization.intervals import intervals

U8 = Elem("u8", Affine(0.5))
I8 = Elem("i8", Affine(0.25))
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)


def linear(weight: Any = None, bias: Any = None) -> Module:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 6))
    w = b.constant(np.eye(3, 6, dtype=np.float32) if weight is None else weight, "w")
    b.returns(b(nn.Linear, x, w, None if bias is None else b.constant(np.asarray(bias, np.float32), "b")))
    return module.verify().freeze()


def message(passes: str, module: Module, data: Any = X) -> str:
    with pytest.raises(rv.RanvierError) as caught:
        rv.opt(module, passes, data=data)
    return str(caught.value)


@pytest.mark.parametrize("field", ["bits", "act_bits"])
@pytest.mark.parametrize("bits", [1, 9])
def test_bits_out_of_range(field: str, bits: int) -> None:
    said = message(f"quantize{{{field}={bits}}}", linear())
    assert field in said
    assert "from 2 to 8" in said


def test_unknown_method() -> None:
    said = message("quantize{method=minmaxx}", linear())
    assert "minmax | mse" in said
    assert "did you mean" in said


def test_no_calibration_data() -> None:
    said = message("quantize", linear(), None)
    assert "missing-data" in said
    assert "`quantize` needs calibration data" in said
    assert "data=" in said


def test_weights_that_are_not_finite() -> None:
    w = np.eye(3, 6, dtype=np.float32)
    w[1, 2] = np.nan
    said = message("quantize", linear(w))
    assert "weight $w holds NaN" in said


def test_activations_that_are_not_finite() -> None:
    module = linear()
    with pytest.raises(rv.RanvierError, match="holds infinite numbers"):
        rv.opt(module, "quantize", data=np.full((2, 6), np.inf, np.float32))


def test_what_is_quantized_already_is_said() -> None:
    module = rv.opt(linear(), "quantize", data=X)
    exe = rv.compile(module, "quantize{bits=4}", data=X)
    notes = [n for stage in exe.trace.stages for n in getattr(stage, "notes", ())]
    assert any("quantized operands already" in n for n in notes)


def test_a_scale_that_is_computed_cannot_be_frozen() -> None:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    b.returns(b(fake_quant.FakeQuant, graph.argument("x", tensor("N", 6)), graph.argument("s", tensor())))
    said = message("freeze-quant", module.verify().freeze(), None)
    assert "scale that is computed" in said
    assert "make it a constant" in said


def build(kind: Any, *types: Any, constants: dict[int, Any] | None = None, **attributes: Any) -> str:
    module = Module()
    graph = module.new_graph("main")
    values = [graph.argument(f"x{i}", t) for i, t in enumerate(types)]
    with pytest.raises(rv.RanvierError) as caught:
        Builder(graph)(kind, *values, **attributes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "types", "attributes", "words"),
    [
        (integer.QLinear, [tensor("N", 6), tensor(3, 6, dtype=I8)], {}, ["levels as x", "q.quantize"]),
        (
            integer.QLinear,
            [tensor("N", 6, dtype=Elem("u8", Affine(0.5, 3))), tensor(3, 6, dtype=I8)],
            {},
            ["zero=0 as x"],
        ),
        (
            integer.QLinear,
            [tensor("N", 100_000, dtype=U8), tensor(3, 100_000, dtype=I8)],
            {},
            ["i32 does not hold", "accumulator=i64"],
        ),
        (integer.QLinear, [tensor("N", 6, dtype=U8), tensor(3, 6, dtype=I8), tensor(3, dtype="i8")], {}, ["as bias"]),
        (
            integer.QConv,
            [tensor("N", 2, 4, 4, dtype=Elem("u8", Affine((0.5, 1.0), axis=1))), tensor(3, 2, 1, 1, dtype=I8)],
            {},
            ["one scale as x"],
        ),
        (requantize.Requantize, [tensor("N", 6, dtype=U8)], {"elem": I8}, ["rounds half up", "rounding=half_up"]),
        (
            requantize.Requantize,
            [tensor("N", 6, dtype=Elem("i32", Affine(1e12)))],
            {"elem": Elem("i8", Affine(1e-3, rounding="half_up"))},
            ["nothing to shift"],
        ),
        (fake_quant.FakeQuant, [tensor("N", 6), tensor(6)], {}, ["axis=none", "one for each of its indices"]),
        (fake_quant.FakeQuant, [tensor("N", 6), tensor()], {"bits": 1}, ["bits", "from 2 to 8"]),
        (fake_quant.FakeQuant, [tensor("N", 6), tensor()], {"signed": False, "narrow": True}, ["narrow"]),
        (fake_quant.OutputNoise, [tensor("N", 6), tensor(5)], {}, ["sigma", "broadcast"]),
    ],
)
def test_ops_refuse(kind: Any, types: list[Any], attributes: dict[str, Any], words: list[str]) -> None:
    said = build(kind, *types, **attributes)
    for word in words:
        assert word in said


def test_a_large_bias_makes_sums_wider() -> None:
    module = rv.opt(linear(bias=[1e7, 0, 1]), "quantize, freeze-quant, lower-integer", data=X)
    op = next(o for o in module.main.ops if isinstance(o, integer.QLinear))
    assert op.accumulator == "i64"
    (found,), _ = evaluate(module, [X])
    assert abs(found[0, 0] - 1e7) <= 2
    low, high = intervals(module, module.main)[op.result]
    assert high > 2**31 > -low


def test_sums_that_may_leave_their_storage_are_named() -> None:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    x = b(q.Quantize, graph.argument("x", tensor("N", 6)), elem=U8)
    w = b.constant(Resource(TensorType((3, 6), I8), np.full((3, 6), 127, np.int8)), "w")
    bias = b.constant(np.full(3, 2**31 - 1, np.int32), "bias")
    b.returns(b(q.Dequantize, b(integer.QLinear, x, w, bias, name="sums")))
    said = message("verify-integer", module.verify().freeze(), None)
    assert "integer-overflow" in said
    assert "%sums" in said
    assert "accumulator=i64" in said


def test_weights_of_zeros() -> None:
    """A scale stays positive; the bias is still there."""
    module = rv.opt(
        linear(np.zeros((3, 6), np.float32), [0.5, -0.25, 1]), "quantize, freeze-quant, lower-integer", data=X
    )
    (found,), _ = evaluate(module, [X])
    assert np.abs(found - np.array([0.5, -0.25, 1])).max() < 1e-3
