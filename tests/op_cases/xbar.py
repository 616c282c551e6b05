"""Cases of matrices on crossbar arrays: every encoding, mapping, input and converter; all but noise exact."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranvier.ir.elements import Affine, Elem
from ranvier.ir.hardware.adc import Flash, Sar
from ranvier.ir.hardware.arrays import Array, KernelSplit, WholeKernel
from ranvier.ir.hardware.circuits import Circuit
from ranvier.ir.hardware.curves import Sinh
from ranvier.ir.hardware.inputs import Binary, Spike, Thermometer
from ranvier.ir.hardware.weights import Dummy, Offset, Shift2p, TwoSided
from ranvier.ir.ops import xbar
from ranvier.ir.ops.xbar_circuit import CircuitMvm
from tests.op_cases.base import Draw, OpCase, case, spikes, value, weight

Cases = Iterator[OpCase]
U4, I4 = Elem("u4", Affine(0.25)), Elem("i4", Affine(0.25))
SMALL = Array(rows=8, cols=8)


def per_channel(count: int) -> Elem:
    """Narrow levels of 4 bits with a scale for each output."""
    return Elem("i4", Affine(tuple((i + 1) / 16 for i in range(count)), axis=0, narrow=True))


def sums(count: int, axis: int = 1, scale: float = 0.25) -> Elem:
    """Sums of products with levels worth `scale`."""
    return Elem("i32", Affine(tuple(scale * (i + 1) / 16 for i in range(count)), axis=axis))


def xbar_cases() -> Cases:
    """Stored matrices, noise, matrices that are written."""
    yield from _stored()
    yield from _noisy()
    yield from _solved()
    yield from _written()


def _stored() -> Cases:
    d = Draw("mvm")
    x = value(d.ints(3, 2, 5, 4, low=0, high=15), batch=True, dtype=U4)
    w = value(d.ints(3, 2, 3, 3, low=-7, high=7), dtype=per_channel(3), constant=True)
    four = {"weight_bits": 4, "input": Binary(bits=4), "array": SMALL}
    same = {"padding": (1, 1, 1, 1), "elem": sums(3)}
    yield case("differential", xbar.Mvm, x, w, exact=True, **four, **same)
    yield case("offset", xbar.Mvm, x, w, exact=True, weights=Offset(), mapping=KernelSplit(), **four, **same)
    yield case("dummy", xbar.Mvm, x, w, exact=True, weights=Dummy(), cell_bits=3, mapping=WholeKernel(), **four, **same)
    yield case("two_sided", xbar.Mvm, x, w, exact=True, weights=TwoSided(), adc=Sar(bits=3, lsb=(2, 1)), **four, **same)
    bias = weight(d.ints(3, low=-99, high=99, dtype=np.int32))
    yield case("shift2p", xbar.Mvm, x, w, None, bias, exact=True, weights=Shift2p(), **four, **same)
    cells = weight(d.positive(2, 2, 18, 3))
    yield case("cells", xbar.Mvm, x, w, cells, pedestal=0.25, **four, padding=(1, 1, 1, 1), elem=Elem("f32"))
    flat = value(d.ints(3, 6, low=-8, high=7), batch=True, dtype=I4)
    v = value(d.ints(4, 6, low=-7, high=7), dtype=per_channel(4), constant=True)
    signed = {**four, "input": Binary(bits=4, signed=True), "elem": sums(4)}
    yield case("signed", xbar.Mvm, flat, v, exact=True, adc=Flash(bits=4), **signed)
    pulses = {**four, "input": Thermometer(pulses=8, signed=True), "elem": sums(4)}
    yield case("thermometer", xbar.Mvm, flat, v, exact=True, **pulses)
    event = spikes(d.bits(4, 3, 6), batch=True)
    yield case("spikes", xbar.Mvm, event, v, exact=True, weight_bits=4, input=Spike(), elem=sums(4, scale=1.0))


def _noisy() -> Cases:
    d = Draw("noisy_mvm")
    x = value(d.ints(3, 6, low=0, high=15), batch=True, dtype=U4)
    w = value(d.ints(4, 6, low=-7, high=7), dtype=per_channel(4), constant=True)
    four = {"weight_bits": 4, "input": Binary(bits=4), "array": SMALL, "sigma": 0.2, "key": "a"}
    yield case("constant", xbar.NoisyMvm, x, w, **four, elem=Elem("f32"))
    yield case("converted", xbar.NoisyMvm, x, w, **four, adc=Flash(bits=5), elem=sums(4))
    yield case("proportional", xbar.NoisyMvm, x, w, **four, noise="proportional", elem=Elem("f32"))
    variance = weight(d.positive(2, 2, 6, 4))
    yield case("given", xbar.NoisyMvm, x, w, None, None, variance, **four, elem=Elem("f32"))
    event = spikes(d.bits(4, 3, 6), batch=True)
    steps = {"weight_bits": 4, "input": Spike(), "sigma": 0.1, "key": "b", "elem": Elem("f32")}
    yield case("spikes", xbar.NoisyMvm, event, w, **steps)


def _solved() -> Cases:
    d = Draw("circuit_mvm")
    x = value(d.ints(3, 6, low=0, high=15), batch=True, dtype=U4)
    w = value(d.ints(4, 6, low=-7, high=7), dtype=per_channel(4), constant=True)
    cells = weight(d.positive(2, 2, 6, 4))
    four = {"weight_bits": 4, "input": Binary(bits=4), "array": SMALL}
    gated = Circuit(1e-5, 20.0, 20.0, gated=True)
    curved = Circuit(1e-5, 20.0, 20.0, iv=Sinh(a=2.0))
    yield case("gated", CircuitMvm, x, w, cells, **four, circuit=gated, elem=Elem("f32"))
    yield case("converted", CircuitMvm, x, w, cells, **four, circuit=gated, adc=Flash(bits=5), elem=sums(4))
    two = {**four, "input": Binary(bits=4, plane_bits=2)}
    yield case("curved", CircuitMvm, x, w, cells, **two, circuit=curved, pedestal=0.5, elem=Elem("f32"))


def _written() -> Cases:
    d = Draw("xbar.matmul")
    four = {"weight_bits": 4, "array": SMALL, "elem": Elem("i32", Affine(0.0625))}
    narrow = Elem("i4", Affine(0.25, narrow=True))
    right = value(d.ints(3, 2, 6, 4, low=-7, high=7), batch=True, dtype=narrow)
    left = value(d.ints(3, 2, 5, 6, low=0, high=15), batch=True, dtype=U4)
    yield case("heads", xbar.DynamicMatmul, left, right, exact=True, input=Binary(bits=4), **four)
    signed = value(d.ints(3, 5, 6, low=-8, high=7), batch=True, dtype=I4)
    shared = value(d.ints(3, 6, 4, low=-7, high=7), batch=True, dtype=narrow)
    two = Binary(bits=4, signed=True)
    yield case("signed", xbar.DynamicMatmul, signed, shared, exact=True, input=two, weights=Offset(), **four)
    yield case("converted", xbar.DynamicMatmul, signed, shared, exact=True, input=two, adc=Flash(bits=3), **four)
