"""Cases of the ops that move elements about."""

from __future__ import annotations

import numpy as np

from ranvier.ir.codes import Rate
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.ops import shape
from tests.op_cases.base import Cases, Draw, case, spikes, value, weight


def shape_cases() -> Cases:
    """Reshape to cast, on tensors, timed tensors and spikes."""
    yield from _axes()
    yield from _cuts()
    yield from _picks()
    yield from _casts()


def _axes() -> Cases:
    d = Draw("axes")
    signed = Rate(signed=True)
    yield case("flatten", shape.Reshape, value(d.real(3, 2, 4, 4), batch=True), shape=("N", -1), exact=True)
    yield case("split", shape.Reshape, value(d.real(2, 12)), shape=(2, 3, 4), exact=True)
    yield case("timed", shape.Reshape, value(d.real(4, 3, 2, 4), time=True, batch=True), shape=("N", 8), exact=True)
    yield case("spikes", shape.Reshape, spikes(d.bits(4, 3, 2, 4), batch=True), shape=("N", 8), exact=True)
    yield case("reverse", shape.Transpose, value(d.real(2, 3, 4)), perm=(2, 1, 0), exact=True)
    yield case("batch", shape.Transpose, value(d.real(3, 2, 4, 5), batch=True), perm=(0, 2, 3, 1), exact=True)
    yield case(
        "spikes", shape.Transpose, spikes(d.ints(4, 3, 2, 5, low=-1, high=1), code=signed), perm=(0, 2, 1), exact=True
    )
    yield case(
        "two", shape.Concat, value(d.real(3, 2, 4), batch=True), value(d.real(3, 3, 4), batch=True), axis=1, exact=True
    )
    yield case("three", shape.Concat, *[value(d.real(2, n)) for n in (1, 2, 3)], axis=-1, exact=True)
    yield case("timed", shape.Concat, value(d.real(4, 2, 3), time=True), weight(d.real(2, 1)), axis=1, exact=True)
    yield case("spikes", shape.Concat, *[spikes(d.bits(4, 3, n), batch=True) for n in (2, 3)], axis=1, exact=True)
    yield case("rows", shape.Broadcast, value(d.real(1, 5)), shape=(4, 5), exact=True)
    yield case("front", shape.Broadcast, value(d.real(5)), shape=(2, 3, 5), exact=True)
    yield case("timed", shape.Broadcast, value(d.real(4, 3, 1), time=True, batch=True), shape=("N", 6), exact=True)
    yield case("spikes", shape.Broadcast, spikes(d.bits(4, 2, 1)), shape=(2, 3), exact=True)


def _cuts() -> Cases:
    d = Draw("cuts")
    most = 2**31 - 1
    cut = {"axes": (1, 2), "starts": (1, -3), "stops": (most, -1), "steps": (2, 1)}
    yield case("two", shape.Slice, value(d.real(3, 5, 6), batch=True), **cut, exact=True)
    yield case(
        "back",
        shape.Slice,
        value(d.real(2, 5)),
        axes=(1,),
        starts=(-1,),
        stops=(-(2**31) + 1,),
        steps=(-2,),
        exact=True,
    )
    yield case("timed", shape.Slice, value(d.real(4, 3, 6), time=True), axes=(-1,), starts=(2,), stops=(5,), exact=True)
    yield case(
        "spikes", shape.Slice, spikes(d.bits(4, 3, 6), batch=True), axes=(1,), starts=(0,), stops=(3,), exact=True
    )
    same = {"before": (0, 0, 1, 2), "after": (0, 0, 2, 0)}
    yield case("zeros", shape.Pad, value(d.real(3, 2, 4, 5), batch=True), **same, exact=True)
    yield case("value", shape.Pad, value(d.real(3, 4)), before=(1, 0), after=(0, 2), value=-1.5, exact=True)
    yield case("crop", shape.Pad, value(d.real(3, 6)), before=(0, -1), after=(1, -2), exact=True)
    for mode in ("reflect", "edge", "wrap"):
        yield case(mode, shape.Pad, value(d.real(2, 3, 4, 5)), **same, mode=mode, exact=True)
    yield case("timed", shape.Pad, value(d.real(4, 2, 3), time=True), before=(0, 1), after=(0, 1), exact=True)
    yield case("spikes", shape.Pad, spikes(d.bits(4, 3, 2), batch=True), before=(0, 1), after=(0, 2), exact=True)
    yield case("integers", shape.Pad, value(d.ints(3, 4)), before=(1, 0), after=(0, 1), value=7, exact=True)


def _picks() -> Cases:
    d = Draw("picks")
    yield case(
        "embedding", shape.Gather, weight(d.real(9, 4)), value(d.ints(3, 5, low=0, high=8), batch=True), exact=True
    )
    yield case(
        "columns", shape.Gather, value(d.real(3, 6), batch=True), weight(np.array([5, 0, -1])), axis=1, exact=True
    )
    yield case("scalar", shape.Gather, value(d.real(3, 6, 2), batch=True), weight(np.array(2)), axis=-2, exact=True)
    yield case(
        "timed",
        shape.Gather,
        value(d.real(4, 3, 6), time=True),
        weight(d.ints(2, 2, low=0, high=5)),
        axis=1,
        exact=True,
    )
    bits = value(d.bits(3, 4), batch=True)
    yield case("full", shape.Select, bits, value(d.real(3, 4), batch=True), value(d.real(3, 4), batch=True), exact=True)
    yield case("spread", shape.Select, value(d.bits(4)), value(d.real(3, 1)), weight(d.real(1)), exact=True)
    yield case(
        "timed", shape.Select, value(d.bits(5, 3, 4), time=True), value(d.real(3, 4)), weight(d.real(4)), exact=True
    )
    yield case("integers", shape.Select, value(d.bits(2, 4)), value(d.ints(2, 4)), value(d.ints(2, 4)), exact=True)


def _casts() -> Cases:
    d = Draw("casts")
    x = np.array([[-3.7, -0.5, 0.0, 0.5, 2.5, 200.0, -200.0, 3.0]], np.float32)
    for to in ("i64", "i32", "i8", "u8", "i1", "i4", "f16", "f64", "bf16"):
        yield case(f"f32_to_{to}", shape.Cast, value(x), elem=to, exact=True)
    for to in ("f32", "i8", "u8", "u4", "i1"):
        yield case(f"i64_to_{to}", shape.Cast, value(d.ints(3, 4, low=-300, high=300)), elem=to, exact=True)
    yield case("bits_to_f32", shape.Cast, value(d.bits(4, 3, 2), time=True), elem="f32", exact=True)
    levels = Elem("i8", Affine(0.5))
    yield case("levels_to_i32", shape.Cast, value(d.ints(3, 4), dtype=levels), elem="i32", exact=True)
