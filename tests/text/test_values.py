"""The one grammar of values: what is printed reads back as the same value of the same type."""

from __future__ import annotations

import math
import string
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranvier.ir.codes import Rate
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem, elem
from ranvier.ir.text.values import (
    DEEPEST,
    WORD,
    Call,
    GraphName,
    Range,
    ResourceName,
    Word,
    format_value,
    parse_value,
)
from ranvier.ir.types import SpikesType, StateType, TensorType, tensor

few = settings(derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

CONSTANTS = {"true", "false", "none", "inf", "nan"}
words = st.from_regex(WORD, fullmatch=True).filter(lambda w: w not in CONSTANTS).map(Word)
idents = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=8)
fields = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
reals = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
rationals = st.fractions().filter(lambda q: q.denominator != 1)
scales = st.one_of(
    st.floats(min_value=2.0**-60, max_value=2.0**60), st.fractions(min_value=Fraction(1, 999), max_value=99)
)
STORAGE = ("i1", "u1", "i2", "u2", "i3", "u4", "i4", "i8", "u8", "i16", "u32", "i64", "f16", "bf16", "f32", "f64")
plain_elements = st.sampled_from(STORAGE).map(elem)


@st.composite
def quantized(draw: Any) -> Elem:
    storage = draw(st.sampled_from([s for s in STORAGE if "f" not in s]))
    several = draw(st.booleans())
    scale = tuple(draw(st.lists(scales, min_size=1, max_size=12))) if several else draw(scales)
    halves = st.integers(-20, 20).map(lambda n: Fraction(n, 2) if n % 2 else n // 2)
    zero: Any = draw(halves)
    if several and draw(st.booleans()):
        zero = tuple(draw(st.lists(halves, min_size=len(scale), max_size=len(scale))))
    axis = draw(st.integers(0, 3)) if several else None
    group = draw(st.sampled_from([None, 2, 32])) if several else None
    rounding = draw(st.sampled_from(["half_even", "half_away", "half_up", "floor"]))
    order = draw(st.sampled_from(["round_then_shift", "shift_then_round"]))
    return Elem(storage, Affine(scale, zero, axis, group, rounding, order))


dims = st.one_of(st.integers(0, 999), st.sampled_from(["N", "T", "?", "X", "HX", "NX1", "B_2", "X_X"]))
shapes = st.lists(dims, max_size=4).map(tuple)
times = st.one_of(st.none(), st.integers(1, 99), st.sampled_from(["T", "STEPS"]))
codes = st.builds(
    Rate, signed=st.booleans(), levels=st.integers(1, 9), encoder=st.sampled_from(["bernoulli", "regular"])
)
layouts = st.one_of(st.none(), st.just(Word("channels_last")), st.just(Call("tiles", (4, 4), {"order": Word("zyx")})))


@st.composite
def types(draw: Any) -> Any:
    element = draw(st.one_of(plain_elements, quantized()))
    shape, layout = draw(shapes), draw(layouts)
    kind = draw(st.sampled_from(["tensor", "spikes", "state"]))
    if kind == "state":
        return StateType(shape, element, layout)
    if kind == "tensor":
        return TensorType(shape, element, draw(times), layout)
    return SpikesType(shape, element, draw(codes), draw(times.filter(lambda t: t is not None)), layout)


leaves = st.one_of(
    st.integers(),
    st.booleans(),
    st.none(),
    reals,
    rationals,
    st.builds(lambda a, n: Range(a, a + n), st.integers(-999, 999), st.integers(0, 999)),
    st.text(),
    words,
    idents.map(GraphName),
    idents.map(ResourceName),
    quantized(),
    types(),
)
calls = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True).filter(
    lambda w: w not in CONSTANTS | {"tensor", "spikes", "state"}
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(tuple),
        st.builds(Call, calls, st.lists(inner, max_size=3).map(tuple), st.dictionaries(fields, inner, max_size=3)),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equal, of equal types, bit for bit; nan is nan."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Call):
        return a.name == b.name and same(a.args, b.args) and same(tuple(a.fields.items()), tuple(b.fields.items()))
    return bool(a == b)


def check(value: Any) -> None:
    text = format_value(value)
    assert same(parse_value(text), value), text
    assert format_value(parse_value(text)) == text


@given(values)
@few
def test_what_is_printed_reads_back(value: Any) -> None:
    check(value)


@pytest.mark.slow
@given(values)
@settings(few, max_examples=600)
def test_much_that_is_printed_reads_back(value: Any) -> None:
    check(value)


@given(reals)
@few
def test_reals_are_exact(x: float) -> None:
    assert same(parse_value(format_value(x)), x)
    # a numpy number prints as the number that it is
    assert format_value(np.float64(x)) == format_value(x)


@given(types())
@few
def test_types_read_back(kind: Any) -> None:
    found = parse_value(str(kind))
    assert found == kind
    assert [type(d) for d in found.shape] == [type(d) for d in kind.shape]
    assert str(found) == str(kind)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1.8p-3", 0.1875),
        ("-0x1p4", -16.0),
        ("0x0.0000000000001p-1022", 5e-324),
        ("1e3", 1000.0),
        ("1.", 1.0),
        ("-2.5E-3", -0.0025),
        ("-inf", -math.inf),
        ("-0.0", -0.0),
        ("-0", 0),
        ("6/4", Fraction(3, 2)),
        ("4..8", Range(4, 8)),
        ("-2..2", Range(-2, 2)),
        ('"a\\n\\"b\\" \\u00e9"', 'a\n"b" é'),
        ("[]", ()),
        ("[1, [2, []]]", (1, (2, ()))),
        ("ttfs(tau=8)", Call("ttfs", (), {"tau": 8})),
        ("f(1 2, a=3 b = 4)", Call("f", (1, 2), {"a": 3, "b": 4})),
        ("f()", Call("f")),
        ("@body", GraphName("body")),
        ("$a/b.c-d", ResourceName("a/b.c-d")),
        ("[1, // one\n 2]", (1, 2)),
    ],
)
def test_ways_to_write_a_value(text: str, value: Any) -> None:
    assert same(parse_value(text), value)


# -- tokens that a first grammar got wrong -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "word",
    ["info", "nano", "inf_", "nan2", "infinite", "inf-cost", "nan.x", "p99.9", "fold-batchnorm", "truely", "none_",
     "tensor", "spikes", "x", "f32", "u4", "bf16", "i8x"],
)  # fmt: skip
def test_words_are_whole(word: str) -> None:
    found = parse_value(word)
    assert type(found) is Word
    assert found == word


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("tensor<Nx3x32x32xf32>", tensor("N", 3, 32, 32)),
        ("tensor<f32>", tensor()),
        ("tensor<0x4xf32>", tensor(0, 4)),
        ("tensor<XxXxf32>", tensor("X", "X")),
        ("tensor<NX1xXxu4>", tensor("NX1", "X", dtype="u4")),
        ("tensor<?x?xbf16>", tensor("?", "?", dtype="bf16")),
        ("tensor< Nx8xi1 , T = 4 >", tensor("N", 8, dtype="i1", time=4)),
        ("tensor<Nx8xf32,T=T>", tensor("N", 8, time="T")),
        ("tensor<u4@affine(scale=1/3, zero=15/2)>", tensor(dtype=Elem("u4", Affine(Fraction(1, 3), Fraction(15, 2))))),
        ("spikes<Nx8xi1, rate, T=4>", SpikesType(("N", 8), elem("i1"), Rate(), 4)),
        ("spikes<Nx8xi2, T=4, rate(signed=true)>", SpikesType(("N", 8), elem("i2"), Rate(signed=True), 4)),
    ],
)  # fmt: skip
def test_types_are_written_in_several_ways(text: str, kind: Any) -> None:
    assert parse_value(text) == kind


ERRORS = {
    "": "expected a value, found the end of the text",
    "[1, 2": "expected `,` or `]`, found the end of the text",
    "[1 2]": "expected `,` or `]`, found `2]`",
    "f(1": "expected `)`, found the end of the text",
    "f(a=1, a=2)": "'a' is given twice",
    '"open': "the string is not closed",
    '"\\q"': '"\\q" has an unknown escape',
    "1/0": "1/0 divides by zero",
    "1/00": "1/00 divides by zero",
    "8..4": "the range 8..4 is empty",
    "1e999": "1e999 is beyond a 64-bit float",
    "0x1p99999": "0x1p99999 is beyond a 64-bit float",
    "9" * 5000: "a number of 5000 characters",
    "[" * 500: f"values are nested more than {DEEPEST} deep",
    "4bit": "expected a value, found `4bit`",
    "1.5x": "expected a value, found `1.5x`",
    "1 2": "expected the end of the value, found `2`",
    "tensor<": "expected an element type such as f32, i8 or u4, found the end of the text",
    "tensor<Nx3xf31>": "expected an element type such as f32, i8 or u4, found `f31>`",
    "tensor<Nx3xf32": "expected `,` or `>`, found the end of the text",
    "tensor<4xf32, T=2.5>": "expected `,` or `>`, found `.5>`",
    "tensor<4xf32, rate>": "expected `T=` or `layout=`, found `rate>`",
    "spikes<4xi1, T=4>": "spikes need a code and T",
    "spikes<4xi1, rat, T=4>": "no code is called 'rat'",
    "spikes<4xi1, rate(levels=0), T=4>": "`rate`: levels must be an integer from 1 to 32768, not 0",
    "state<4xf32, T=4>": "a state has no time axis",
    "u4@linear(scale=1)": "not a quantization: unknown quantization 'linear'; known: affine",
    "u4@affine(zero=1)": "not a quantization: affine needs a scale",
    "u4@affine(scale=0)": "not a quantization: a scale must be positive and finite",
    "u4@affine(scale=1, zero=1/3)": "not a quantization: a zero must be a multiple of one half",
    "f32@affine(scale=1)": "not a quantization: f32 cannot be quantized",
    "#a0": "expected a value, found `#a0`",
}


@pytest.mark.parametrize("text", ERRORS, ids=lambda t: t[:20] or "empty")
def test_what_is_no_value_is_named(text: str) -> None:
    with pytest.raises(RanvierError) as caught:
        parse_value(text)
    (found,) = caught.value.diagnostics
    assert found.message == ERRORS[text]
    assert found.where.startswith("<value>:1:")
    assert found.excerpt.endswith("^")


@given(st.text('()[]{}<>=,.:@#$%"\\/-+ \tTNx0123456789einfatrup_', max_size=30))
@settings(derandomize=True, deadline=None, max_examples=500)
def test_nonsense_raises_nothing_else(text: str) -> None:
    try:
        value = parse_value(text)
    except RanvierError:
        return
    assert same(parse_value(format_value(value)), value)
