"""How values are driven into arrays: the rule of `map-crossbar`, and what it will find where nothing is mapped yet."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ranvier.backends.crossbar.passes.level_spikes import counts_itself, element_of
from ranvier.ir.core import Op, Value
from ranvier.ir.elements import elem
from ranvier.ir.hardware.facts import InputEncoding
from ranvier.ir.hardware.inputs import Binary, Input, Spike
from ranvier.ir.ops.nn import AvgPool
from ranvier.ir.ops.reduce import Mean, Sum
from ranvier.ir.types import SpikesType, element_count

SUMS = (*(f"{{}}{bits}" for bits in range(2, 9)), "i16", "i32")
"""Storage of sums, the smallest first, as `lower-integer` chooses it."""


def input_of(op: Op, x: Value, plane_bits: int = 1) -> Input:
    """How an op's levels or spikes x are driven: as `bit-encode` said, spikes as they are, or bit by bit."""
    said = next((f.input for f in op.facts if isinstance(f, InputEncoding)), None)
    if isinstance(said, Input):
        return said
    if isinstance(x.type, SpikesType):
        return of_levels(*x.type.code.alphabet(), plane_bits)
    kind = x.type.elem
    return Binary(bits=kind.bits, signed=kind.levels[0] < 0, plane_bits=plane_bits)


def of_levels(low: int, high: int, plane_bits: int = 1) -> Input:
    """How spikes from low to high are driven."""
    if high <= 1:
        return Spike(signed=low < 0)
    return Binary(bits=high.bit_length() + (low < 0), signed=low < 0, plane_bits=plane_bits)


def foreseen_input(op: Op) -> tuple[Input | None, str]:
    """How `map-crossbar` will drive a linear op that reads spikes or what is made of them; None where it is not known.

    With None there is a reason why the op will stay digital, or "" where it reads no spikes.
    """
    x = op.operands[0]
    assert x is not None
    if isinstance(x.type, SpikesType) or (not x.type.elem.is_float and x.type.elem.quant is not None):
        return input_of(op, x), ""
    count = 1
    for value in _chain(x):
        count *= summed(value)
        kind = value.type
        if isinstance(kind, SpikesType):
            return _of_spikes(kind, count)
    return None, ""


def _of_spikes(kind: SpikesType, count: int) -> tuple[Input | None, str]:
    """Sums of `count` spikes each, or of the levels that `level-spikes` puts behind their psp."""
    if counts_itself(kind):
        low, high = kind.code.alphabet()
        if count == 1:
            return of_levels(low, high), ""
    else:
        element, why = element_of(kind.with_elem(kind.code.element()))  # scales go into the weights
        if element is None:
            return None, why
        low, high = element.levels
        if count == 1:
            return Binary(bits=element.bits, signed=low < 0), ""
    for storage in SUMS:
        held = elem(storage.format("i" if low < 0 else "u"))
        least, most = held.range
        if least <= count * low and count * high <= most:
            return Binary(bits=held.bits, signed=least < 0), ""
    return None, f"sums of {count} spikes of {kind.code} are not held by i32"


def summed(value: Value) -> int:
    """How many elements of its operand one element of a value adds up."""
    op = value.op
    if isinstance(op, AvgPool):
        return math.prod(op.kernel)
    if isinstance(op, Sum | Mean) and op.operands[0] is not None:
        x = op.operands[0].type
        taken = [x.shape[a] for a in op.axes_in(x.rank)]
        return element_count(taken)
    return 1


def _chain(value: Value) -> Iterator[Value]:
    """The value and what it is computed from, through ops of one variable operand, up to spikes."""
    yield value
    while value.op is not None and not isinstance(value.type, SpikesType):
        above = [x for x in value.op.arguments if not x.is_constant]
        if len(above) != 1:
            return
        value = above[0]
        yield value
