import dataclasses
import math

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ranvier.api import as_target
from ranvier.ir import fields
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.fields import option
from ranvier.ir.interfaces import Pass
from ranvier.ir.records import known, record_class
from ranvier.pipeline import Checkpoint, Fixpoint, Pipeline, as_pipeline, parse_pipeline, read_pipeline
from ranvier.registry import find_pass, find_target, pass_names, target_names

PASSES = [word for word in pass_names() if not word.startswith("test-")]


def values(kind, default):
    """What a field may hold; a kind that this test does not know holds its default."""
    match kind:
        case fields.Integer(min=low, max=high):
            return st.integers(-(2**40) if low is None else low, 2**40 if high is None else high)
        case fields.Real(min=low, max=high):
            return st.floats(low, high, allow_nan=False, allow_infinity=low is None and high is None)
        case fields.AnyOf(kinds=kinds):
            return st.one_of(*(values(each, default) for each in kinds))
        case fields.Optional(kind=inner):
            return st.none() | values(inner, default)
        case fields.ListOf(item=item, length=None):
            return st.lists(values(item, default), max_size=3).map(tuple)
        case fields.Enum(choices=choices):
            return st.sampled_from(choices)
        case fields.Flag():
            return st.booleans()
        case fields.RecordOf(family=family):
            return st.sampled_from(known(family)).flatmap(lambda word: records(record_class(family, word)))
    return st.text(max_size=8) if type(kind) is fields.Text else st.just(default)


@st.composite
def records(draw, cls):
    """A record with drawn options; combinations that it refuses are not tried."""
    given_ = {}
    for each in cls.options():
        default = None if each.default is dataclasses.MISSING else each.default
        if default is None or draw(st.booleans()):
            value = draw(values(each.metadata["kind"], default))
            if value is not None or each.default is None:
                given_[each.name] = value
    try:
        return cls(**given_)
    except RanvierError:
        assume(False)


@dataclasses.dataclass(frozen=True)
class EveryKind(Pass):
    """An option of every kind."""

    word = "test-every-kind"
    number: int = option(fields.Integer(), 3)
    real: float = option(fields.Real(), 0.1)
    flag: bool = option(fields.Flag(), False)
    text: str = option(fields.Text(), "a")
    choice: str = option(fields.Enum("one", "two"), "one")
    many: tuple[str, ...] = option(fields.ListOf(fields.Text()), ())
    maybe: int | None = option(fields.Optional(fields.Integer(1)), None)
    either: object = option(fields.AnyOf(fields.Integer(), fields.Enum("rest"), fields.Text()), 1)
    code: object = option(fields.RecordOf("code"), "rate")
    element: object = option(fields.ElemKind(), "f32")


@pytest.mark.parametrize("word", [*PASSES, "test-every-kind"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_every_pass_prints_and_parses_back(word, data):
    made = data.draw(records(find_pass(word)))
    pipeline = Pipeline((Fixpoint((made, made), max_rounds=3), made, Checkpoint('é "\\')))
    assert parse_pipeline(str(pipeline)) == pipeline
    assert parse_pipeline(str(made)).steps == (made,)


@pytest.mark.parametrize("word", target_names())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_every_target_prints_and_parses_back(word, data):
    made = data.draw(records(find_target(word)))
    assert as_target(str(made)) == made


def test_layout_is_free():
    text = """
    dce,                     # a comment, (with} anything
    test-every-kind{number=4, real=1e-05
        text="x y"},         #glued
    fixpoint{max_rounds=5}(cse,
        dce,),
    """
    pipeline = parse_pipeline(text)
    assert str(pipeline) == 'dce, test-every-kind{number=4 real=1e-05 text="x y"}, fixpoint{max_rounds=5}(cse, dce)'
    assert [p.word for p in pipeline.passes] == ["dce", "test-every-kind", "cse", "dce"]
    assert len(pipeline) == 3


def test_reals_keep_their_bits():
    for x in (0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.inf):
        again = next(parse_pipeline(str(EveryKind(real=x))).passes)
        assert math.copysign(1, again.real) == math.copysign(1, x)
        assert again.real == x


def test_python_objects_and_text_mix():
    dce = find_pass("dce")()
    assert as_pipeline([dce, "cse, dce"]) == parse_pipeline("dce, cse, dce")
    assert as_pipeline(dce) == parse_pipeline("dce")
    assert as_pipeline("") == Pipeline()
    with pytest.raises(RanvierError, match=r"bad-value.*passes cannot be given as int"):
        as_pipeline(3)


def test_from_a_file(tmp_path):
    path = tmp_path / "a.rvp"
    path.write_text("dce,\n  csee\n")
    with pytest.raises(RanvierError) as caught:
        read_pipeline(path)
    place = f"  --> {path}:2:3\n  |   csee\n  |   ^"
    assert str(caught.value) == f"error[unknown-pass]: no pass is called 'csee'\n{place}\n  help: did you mean `cse`?"
    path.write_text("dce, cse")
    assert len(read_pipeline(path)) == 2


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("dce cse", "syntax", 1, 5),
        ("dce,\n,cse", "syntax", 2, 1),
        ("dce(cse)", "syntax", 1, 4),
        ("fixpoint", "missing-option", 1, 1),
        ("fixpoint()", "missing-option", 1, 1),
        ("fixpoint(dce", "syntax", 1, 13),
        ("dce,\n fixpoint(dce, cze)", "unknown-pass", 2, 16),
        ("test-every-kind{numbr=1}", "unknown-option", 1, 17),
        ("test-every-kind{number=1.5}", "bad-value", 1, 24),
        ("test-every-kind{number=1 number=2}", "duplicate-name", 1, 26),
        ("test-every-kind{code=rote}", "unknown-name", 1, 22),
        ("test-every-kind{number=", "syntax", 1, 24),
        ("test-every-kind{number=1", "syntax", 1, 25),
        ("checkpoint", "missing-option", 1, 1),
        ('checkpoint{name="a}', "syntax", 1, 17),
    ],
)
def test_errors_have_their_place(text, code, line, column):
    with pytest.raises(RanvierError) as caught:
        parse_pipeline(text, "p.rvp")
    first = caught.value.diagnostics[0]
    assert (first.code, first.where) == (code, f"p.rvp:{line}:{column}")
    assert first.excerpt.splitlines()[-1] == " " * (column - 1) + "^"


def test_all_errors_at_once():
    with pytest.raises(RanvierError) as caught:
        parse_pipeline("dcee, test-every-kind{numbr=1 real=x}, cse{a=1}")
    assert [d.code for d in caught.value.diagnostics] == [
        "unknown-pass",
        "unknown-option",
        "bad-value",
        "unknown-option",
    ]
