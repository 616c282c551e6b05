"""Cases of fake quantization, integer arithmetic and requantization."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranvier.ir.codes import MultiThreshold
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.ops import fake_quant, integer, nn, requantize
from tests.op_cases.base import Draw, OpCase, case, spikes, value, weight

Cases = Iterator[OpCase]
U8 = Elem("u8", Affine(0.25, rounding="half_up"))
I5 = Elem("i5", Affine(0.125, narrow=True))
SUMS = Elem("i32", Affine((0.25, 0.0375, 1 / 3), axis=1))


def channels(storage: str, count: int, axis: int = 0) -> Elem:
    """A narrow type with a scale for each index of an axis."""
    return Elem(storage, Affine(tuple((i + 1) / 16 for i in range(count)), axis=axis, narrow=True))


def fake_quant_cases() -> Cases:
    """Grids of several kinds, ties among the numbers; noise that is not there, so that results are exact."""
    d = Draw("fake_quant")
    x = value(d.dyadic(5, 3, 4), batch=True)
    one = weight(np.float32(0.25))
    yield case("signed", fake_quant.FakeQuant, x, one, bits=4, exact=True)
    yield case("unsigned", fake_quant.FakeQuant, x, one, bits=3, signed=False, rounding="half_up", exact=True)
    per = weight(d.positive(3))
    yield case("axis", fake_quant.FakeQuant, x, per, bits=2, narrow=True, axis=1, rounding="half_away", exact=True)
    timed = value(d.dyadic(4, 3, 2), time=True)
    yield case("timed", fake_quant.FakeQuant, timed, weight(d.positive(2)), axis=-1, rounding="floor", exact=True)
    yield case("scalar", fake_quant.OutputNoise, x, weight(np.float32(0.5)), key="a", seed=3)
    yield case(
        "channels", fake_quant.OutputNoise, value(d.real(5, 3, 4, 4), batch=True), weight(d.positive(3)), key="b"
    )
    yield case("timed", fake_quant.OutputNoise, value(d.real(4, 5, 3), time=True, batch=True), weight(d.positive(3)))


def integer_cases() -> Cases:
    """Products of levels and of spikes."""
    d = Draw("integer")
    x = value(d.ints(3, 4, 6, 5, low=0, high=255), dtype=U8, batch=True)
    kind = channels("i5", 6)
    w = value(d.ints(6, 2, 3, 3, low=-15, high=15), dtype=kind, constant=True)
    bias = value(d.ints(6, low=-1000, high=1000), dtype="i32", constant=True)
    yield case("plain", integer.QConv, x, w, bias, groups=2, padding=(1, 0, 0, 2), strides=(2, 1), exact=True)
    one = value(d.ints(6, 4, 2, 2, low=-15, high=15), dtype=I5, constant=True)
    yield case("one_scale", integer.QConv, x, one, accumulator="i64", dilations=(2, 1), exact=True)
    line = value(d.ints(3, 4, 9, low=0, high=255), dtype=U8, batch=True)
    yield case("line", integer.QConv, line, value(d.ints(6, 4, 3), dtype=kind, constant=True), exact=True)
    fired = spikes(d.bits(4, 3, 4, 6, 5), batch=True, element=Elem("i1", Affine(0.75)))
    yield case("spikes", integer.QConv, fired, one, padding=(1, 1, 1, 1), exact=True)
    flat = value(d.ints(3, 7, low=0, high=255), dtype=U8, batch=True)
    rows = value(d.ints(6, 7, low=-15, high=15), dtype=kind, constant=True)
    yield case("plain", integer.QLinear, flat, rows, bias, exact=True)
    tokens = value(d.ints(3, 2, 7, low=0, high=255), dtype=U8, batch=True)
    yield case("tokens", integer.QLinear, tokens, rows, exact=True)
    counts = spikes(d.ints(4, 3, 7, low=-3, high=3), code=MultiThreshold(levels=3, signed=True), batch=True)
    yield case("spikes", integer.QLinear, counts, rows, exact=True)
    a = value(d.ints(3, 2, 4, 7, low=0, high=255), dtype=U8, batch=True)
    b = value(d.ints(3, 2, 7, 5, low=-15, high=15), dtype=I5, batch=True)
    yield case("plain", integer.QMatmul, a, b, exact=True)
    yield case("constant", integer.QMatmul, a, value(d.ints(7, 5), dtype=I5, constant=True), exact=True)
    yield case("wide", integer.QMatmul, a, b, accumulator="i64", exact=True)


def requantize_cases() -> Cases:
    """Sums brought to another grid, and sums of levels."""
    d = Draw("requantize")
    out = Elem("u8", Affine(0.7, rounding="half_up"))
    sums = value(d.ints(4, 3, 5, low=-900, high=900), dtype=SUMS, batch=True)
    yield case("channels", requantize.Requantize, sums, elem=out, exact=True)
    signed = Elem("i6", Affine(0.5, 3, rounding="half_up"))
    one = Elem("i32", Affine(0.125))
    yield case("ties", requantize.Requantize, value(d.ints(4, 3, 5), dtype=one, batch=True), elem=signed, exact=True)
    wide = Elem("i64", Affine(1e-9))
    far = value(d.ints(4, 3, 5, low=-(2**40), high=2**40), dtype=wide, batch=True)
    yield case("wide", requantize.Requantize, far, elem=signed, exact=True)
    levels = value(d.ints(4, 3, 5, low=0, high=255), dtype=U8, batch=True)
    yield case("residual", requantize.QAdd, sums, levels, elem=out, exact=True)
    yield case("one", requantize.QAdd, levels, elem=signed, exact=True)
    yield case("three", requantize.QAdd, sums, levels, sums, elem=signed, exact=True)
    image = value(d.ints(3, 4, 6, 6, low=0, high=255), dtype=U8, batch=True)
    yield case("mean", requantize.QSum, image, axes=(2, 3), mean=True, exact=True)
    yield case("keep", requantize.QSum, image, axes=(-1,), keep=True, exact=True)
    yield case("timed", requantize.QSum, value(d.ints(4, 3, 2, 5, low=0), time=True, dtype=U8), axes=(1,), exact=True)
    yield case("mean", requantize.QSumPool, image, kernel=(2, 2), strides=(2, 2), mean=True, exact=True)
    yield case("padded", requantize.QSumPool, image, kernel=(3, 3), padding=(1, 1, 1, 1), mean=True, exact=True)
    yield case("hanging", requantize.QSumPool, image, kernel=(4, 4), strides=(3, 3), ceil_mode=True, exact=True)
    fired = spikes(d.bits(4, 3, 4, 6, 6), batch=True, element=Elem("i1", Affine(0.75)))
    yield case("spikes", requantize.QSum, fired, axes=(2, 3), mean=True, exact=True)
    yield case("spikes", requantize.QSumPool, fired, kernel=(2, 2), strides=(2, 2), exact=True)
    line = value(d.ints(3, 4, 6, low=0, high=255), dtype=U8, batch=True)
    yield case("line", requantize.QSumPool, line, kernel=(3,), dilations=(2,), padding=(0, 1), exact=True)
    yield case("levels", nn.MaxPool, image, kernel=(2, 3), strides=(2, 1), padding=(0, 1, 0, 1), exact=True)


def quant_cases() -> Cases:
    """All of these."""
    yield from fake_quant_cases()
    yield from integer_cases()
    yield from requantize_cases()
