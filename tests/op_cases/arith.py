"""Cases of the elementwise ops, reductions, losses and quantization."""

from __future__ import annotations

import numpy as np

from ranvier.ir.elements import Affine, Elem
from ranvier.ir.ops import activations, arith, loss, q, reduce
from tests.op_cases.base import Cases, Draw, case, value, weight

EXACT_BINARY = (arith.Add, arith.Sub, arith.Mul, arith.Div, arith.Maximum, arith.Minimum)
EXACT_UNARY = (arith.Neg, arith.Abs, arith.Relu, arith.Floor, arith.Ceil, arith.Round, arith.Sign)
INTEGER_UNARY = (arith.Neg, arith.Abs, arith.Relu, arith.Sign)
CURVES = (arith.Exp, arith.Erf, arith.Sin, arith.Cos, arith.Tanh, arith.Sigmoid, arith.Softplus, arith.Silu, arith.Mish)
MORE_CURVES = (arith.HardSwish, arith.Softsign, arith.Elu, arith.Selu, arith.Celu, arith.Gelu, arith.HardSigmoid)


def arith_cases() -> Cases:
    """Binary and unary ops, comparisons."""
    yield from _binary()
    yield from _unary()
    yield from _with_attributes()
    yield from _bits()


def _binary() -> Cases:
    for op in EXACT_BINARY:
        d = Draw(op.name)
        same = value(d.real(3, 4), batch=True), value(d.real(3, 4), batch=True)
        yield case("same", op, *same, exact=True)
        yield case("spread", op, value(d.real(3, 2, 1), batch=True), weight(d.real(5)), exact=True)
        yield case("timed", op, value(d.real(4, 3, 2), time=True), weight(d.real(2)), exact=True)
        divisor = d.ints(3, 4, low=1, high=5) * np.where(d.bits(3, 4), 1, -1)
        yield case("integers", op, value(d.ints(3, 4)), value(divisor), exact=True)
        yield case(
            "i8",
            op,
            value(d.ints(9, low=-100, high=100), dtype="i8"),
            weight(d.ints(9, low=1, high=100, dtype=np.int8)),
            exact=True,
        )
    d = Draw("pow")
    yield case("reals", arith.Pow, value(d.positive(3, 4)), value(d.real(3, 4)))
    yield case("square", arith.Pow, value(d.real(3, 4), batch=True), weight(np.float32(2)))
    yield case("timed", arith.Pow, value(d.positive(4, 3, 2), time=True), weight(d.real(2)))
    yield case("integers", arith.Pow, value(d.ints(9, low=-4, high=4)), value(d.ints(9, low=0, high=5)), exact=True)
    for sign in ("divisor", "dividend"):
        d = Draw("mod" + sign)
        yield case(f"reals_{sign}", arith.Mod, value(d.dyadic(3, 4)), weight(np.float32(0.75)), sign=sign, exact=True)
        yield case(
            f"integers_{sign}",
            arith.Mod,
            value(d.ints(3, 9)),
            weight(np.array([[3], [-4], [7]])),
            sign=sign,
            exact=True,
        )


def _unary() -> Cases:
    for op in (*EXACT_UNARY, *CURVES, *MORE_CURVES):
        d = Draw(op.name)
        exact = op in EXACT_UNARY
        yield case("batch", op, value(d.real(3, 4, scale=2), batch=True), exact=exact)
        yield case("timed", op, value(d.real(4, 3, 2, scale=2), time=True, batch=True), exact=exact)
        yield case("dyadic", op, value(d.dyadic(5, 7)), exact=exact)
        yield case("f64", op, value(d.dyadic(9), dtype="f64"), exact=exact)
        if op in INTEGER_UNARY:
            yield case("integers", op, value(d.ints(3, 4)), exact=True)
    for op in (arith.Log, arith.Sqrt, arith.Reciprocal):
        d = Draw(op.name)
        yield case("batch", op, value(d.positive(3, 4), batch=True))
        yield case("timed", op, value(d.positive(4, 3, 2), time=True))
        yield case("flat", op, value(d.positive(7)))


def _with_attributes() -> Cases:
    d = Draw("attributes")
    x = value(d.real(3, 4, 5, scale=3), batch=True)
    timed = value(d.real(4, 3, 2, scale=3), time=True)
    yield case("default", arith.LeakyRelu, x, exact=True)
    yield case("slope", arith.LeakyRelu, x, slope=0.3, exact=True)
    yield case("timed", arith.LeakyRelu, timed, slope=-1.0, exact=True)
    yield case("channel", arith.Prelu, x, weight(d.real(4)), exact=True)
    yield case("one", arith.Prelu, x, weight(d.real(1)), exact=True)
    yield case("broadcast", arith.Prelu, x, value(d.real(4, 5)), exact=True)
    yield case("timed", arith.Prelu, timed, weight(d.real(2)), exact=True)
    yield case("tanh", arith.Gelu, x, approximate="tanh")
    yield case("alpha", arith.Elu, x, alpha=0.5)
    yield case("alpha", arith.Celu, x, alpha=2.0)
    yield case("alpha", arith.Selu, x, alpha=1.5, gamma=1.1)
    yield case("alpha", arith.HardSigmoid, x, alpha=0.2, beta=0.4)
    yield case("relu6", arith.Clip, x, low=0.0, high=6.0, exact=True)
    yield case("below", arith.Clip, x, high=0.7, exact=True)
    yield case("above", arith.Clip, timed, low=-0.3, exact=True)
    yield case("integers", arith.Clip, value(d.ints(3, 9)), low=-2.5, high=3.5, exact=True)
    assert activations.Clip is arith.Clip


def _bits() -> Cases:
    d = Draw("bits")
    for how in ("eq", "ne", "lt", "le", "gt", "ge"):
        yield case(how, arith.Compare, value(d.dyadic(3, 9)), value(d.dyadic(9)), how=how, exact=True)
        yield case(f"{how}_i64", arith.Compare, value(d.ints(3, 9)), weight(np.array(2)), how=how, exact=True)
    yield case("timed", arith.Compare, value(d.dyadic(4, 3), time=True), value(d.dyadic(3)), how="ge", exact=True)
    yield case("bits", arith.Compare, value(d.bits(3, 9)), value(d.bits(9)), how="eq", exact=True)
    for how in ("and", "or", "xor"):
        yield case(how, arith.Logical, value(d.bits(3, 4), batch=True), value(d.bits(4)), how=how, exact=True)
    yield case("not", arith.Logical, value(d.bits(4, 3, 2), time=True), how="not", exact=True)


def reduce_cases() -> Cases:
    """Sums to softmax."""
    for op in (reduce.Sum, reduce.Mean, reduce.Max, reduce.Min, reduce.Prod):
        d = Draw(op.name)
        exact = op in (reduce.Max, reduce.Min)
        yield case("all", op, value(d.real(3, 4)), exact=exact)
        yield case("spatial", op, value(d.real(3, 2, 4, 4), batch=True), axes=(2, 3), exact=exact)
        yield case("keep", op, value(d.real(3, 4, 2), batch=True), axes=(-2,), keep=True, exact=exact)
        yield case("timed", op, value(d.real(4, 3, 5), time=True, batch=True), axes=(1,), exact=exact)
        if op is not reduce.Mean:
            yield case("integers", op, value(d.ints(3, 4)), axes=(1,), exact=True)
    for op in (reduce.Argmax, reduce.Argmin):
        d = Draw(op.name)
        yield case("last", op, value(d.real(3, 9), batch=True), axis=-1, exact=True)
        yield case("keep", op, value(d.real(3, 4, 2)), axis=1, keep=True, exact=True)
        yield case("timed", op, value(d.real(4, 3, 5), time=True), axis=1, exact=True)
        yield case("ties", op, value(d.ints(4, 9, low=0, high=2)), axis=1, exact=True)
    for op in (reduce.Softmax, reduce.LogSoftmax):
        d = Draw(op.name)
        yield case("last", op, value(d.real(3, 9), batch=True))
        yield case("channels", op, value(d.real(3, 4, 2, scale=30), batch=True), axis=1)
        yield case("timed", op, value(d.real(4, 3, 5), time=True))
    d = Draw("cumsum")
    yield case("rows", reduce.Cumsum, value(d.real(3, 9), batch=True), axis=1)
    yield case("dyadic", reduce.Cumsum, value(d.dyadic(3, 4, 2)), axis=-2, exact=True)
    yield case("timed", reduce.Cumsum, value(d.real(4, 3, 5), time=True), axis=0)
    yield case("integers", reduce.Cumsum, value(d.ints(3, 9)), axis=1, exact=True)


def loss_cases() -> Cases:
    """Objectives."""
    d = Draw("loss")
    labels = value(d.ints(3, low=0, high=4), batch=True)
    yield case("flat", loss.CrossEntropy, value(d.real(3, 5), batch=True), labels)
    yield case("spatial", loss.CrossEntropy, value(d.real(3, 5, 2, 2)), value(d.ints(3, 2, 2, low=0, high=4)))
    yield case("timed", loss.CrossEntropy, value(d.real(4, 3, 5), time=True, batch=True), labels)
    yield case("flat", loss.Mse, value(d.real(3, 5), batch=True), value(d.real(3, 5), batch=True))
    yield case("timed", loss.Mse, value(d.real(4, 3, 5), time=True), value(d.real(3, 5)))
    yield case("spatial", loss.Mse, value(d.real(3, 2, 2, 2)), weight(d.real(3, 2, 2, 2)))


def q_cases() -> Cases:
    """Levels of several maps, ties among them."""
    d = Draw("q")
    maps = {
        "i8": Elem("i8", Affine(0.25)),
        "u8_zero": Elem("u8", Affine(0.125, 3)),
        "u4_half": Elem("u4", Affine(0.25, 7.5, order="shift_then_round")),
        "axis": Elem("i8", Affine((0.25, 0.5, 1.0), (0, 1, -2), axis=1)),
        "group": Elem("i4", Affine((0.25, 0.5), axis=2, group=2)),
        "half_away": Elem("i8", Affine(0.25, rounding="half_away")),
        "half_up": Elem("i8", Affine(0.25, rounding="half_up")),
        "floor": Elem("i8", Affine(0.25, rounding="floor")),
        "thirds": Elem("i8", Affine(1 / 3)),
    }
    for name, kind in maps.items():
        yield case(name, q.Quantize, value(d.dyadic(5, 3, 4), batch=True), elem=kind, exact=True)
        low, high = kind.range
        yield case(name, q.Dequantize, value(d.ints(5, 3, 4, low=low, high=high), dtype=kind, batch=True))
    yield case("timed", q.Quantize, value(d.dyadic(4, 3, 2), time=True), elem=maps["i8"], exact=True)
    yield case("timed", q.Dequantize, value(d.ints(4, 3, 2), time=True, dtype=maps["i8"]))
