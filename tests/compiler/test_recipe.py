from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.building import load_parts, read_arrays
from ranvier.ir.diagnostics import RanvierError
from ranvier.module_files import write_module
from ranvier.recipe import DataLine, Recipe, Split, build_recipe, load_recipe, parse_recipe
from tests.compiler.networks import LABELS, SAMPLES, network

EXAMPLE = """\
# digits, at several numbers of steps
model "net.rv"
data "data.npz" calibrate=8 tune=2
     evaluate=5
sweep steps=[2, 4]
sweep rule = [max, p99.9]
passes fold-batchnorm,   # first
       dce,
       convert-snn{steps=$steps threshold=$rule}
target meaning
target torch{device="cpu"} passes fixpoint(cse, dce)
"""


@pytest.fixture
def folder(tmp_path):
    write_module(network(), tmp_path / "net.rv")
    np.savez(tmp_path / "data.npz", x=SAMPLES, y=LABELS)
    return tmp_path


def test_print_and_parse():
    recipe = parse_recipe(EXAMPLE)
    assert parse_recipe(str(recipe)) == recipe
    assert str(parse_recipe(str(recipe))) == str(recipe)
    assert str(recipe).splitlines()[:3] == [
        'model     "net.rv"',
        'data      "data.npz" calibrate=8 tune=2 evaluate=5',
        "sweep     steps=[2, 4]",
    ]


def test_builds():
    builds = parse_recipe(EXAMPLE).builds()
    assert [b.name for b in builds[:4]] == [
        "meaning steps=2 rule=max",
        "meaning steps=2 rule=p99.9",
        "meaning steps=4 rule=max",
        "meaning steps=4 rule=p99.9",
    ]
    assert len(builds) == 8
    assert str(builds[-1].pipeline).endswith("convert-snn{steps=4 threshold=p99.9}, fixpoint(cse, dce)")


def names_of(text):
    return [build.name for build in parse_recipe(text).builds()]


def test_no_two_builds_are_called_alike():
    lines = ("meaning", "meaning passes dce", "meaning passes dce, cse", "torch passes cse")
    text = "\n".join(('model "a.rv"', *(f"target {line}" for line in lines)))
    assert names_of(text) == ["meaning", "meaning passes dce", "meaning passes dce, cse", "torch"]
    assert names_of('model "a.rv"\ntarget meaning\ntarget meaning\ntarget meaning') == [
        "meaning",
        "meaning #2",
        "meaning #3",
    ]
    sweep = 'model "a.rv"\nsweep steps=[2, 2, 3]\npasses convert-snn{steps=$steps}'
    assert names_of(sweep) == ["steps=2", "steps=2 #2", "steps=3"]
    both = f"{sweep}\ntarget torch\ntarget torch passes dce"
    assert names_of(both) == [
        *("torch steps=2", "torch steps=2 #2", "torch steps=3"),
        *("torch steps=2 passes dce", "torch steps=2 passes dce #2", "torch steps=3 passes dce"),
    ]


def test_one_target_needs_no_name():
    text = 'model "a.rv" sweep steps=2..4 passes convert-snn{steps=$steps}'
    assert [b.name for b in parse_recipe(text).builds()] == ["steps=2", "steps=3", "steps=4"]
    assert [b.name for b in parse_recipe('model "a.rv"').builds()] == ["torch"]


def test_a_target_that_does_not_use_a_sweep_is_built_once():
    text = """model "a.rv" target meaning
    sweep steps=[1, 2]
    target meaning passes convert-snn{steps=$steps}"""
    assert [b.name for b in parse_recipe(text).builds()] == ["meaning", "meaning steps=1", "meaning steps=2"]


def test_passes_that_begin_a_line_are_a_statement():
    recipe = parse_recipe('model "a.rv"\ntarget meaning\npasses dce\n')
    assert [item.word for item in recipe.passes] == ["dce"]
    assert recipe.targets[0].passes == ()


WORDS = st.sampled_from(["dce", "cse", "canonicalize", "fold-batchnorm"])
SPLITS = st.builds(
    Split,
    calibrate=st.integers(0, 9),
    tune=st.integers(0, 9),
    evaluate=st.just("rest") | st.integers(0, 9),
    shuffle=st.none() | st.integers(0, 99),
    inputs=st.just("x") | st.lists(st.text(max_size=4), min_size=1, max_size=3).map(tuple),
    labels=st.none() | st.text(max_size=4),
)


@settings(deadline=None, max_examples=60)
@given(path=st.text(max_size=9), split=st.none() | SPLITS, words=st.lists(WORDS), targets=st.lists(WORDS, max_size=2))
def test_random_recipes_print_and_parse(path, split, words, targets):
    recipe = parse_recipe('model "a.rv"' + "".join(f"\ntarget meaning passes {w}" for w in targets))
    passes = parse_recipe('model "a"' + (f"passes {', '.join(words)}" if words else "")).passes
    data = None if split is None else DataLine(path, split)
    made = Recipe(path, data, (), passes, recipe.targets)
    assert parse_recipe(str(made)) == made


def test_building(folder):
    (folder / "r.rvp").write_text(EXAMPLE.replace('target torch{device="cpu"} passes fixpoint(cse, dce)', ""))
    told = []
    results = build_recipe(folder / "r.rvp", progress=lambda *what: told.append(what))
    assert [r.name for r in results] == [f"steps={n} rule={rule}" for n in (2, 4) for rule in ("max", "p99.9")]
    assert [r.target for r in results] == ["meaning"] * 4
    assert results[0].evaluation.samples == 5
    assert results[2].evaluation.timesteps == 4
    assert results[0].executable.data_description == "data.npz, samples 0 to 7"
    assert results[0].executable.trace[0].module is results[3].executable.trace[0].module
    assert told[-1] == ("done", 4, 4)
    assert ("steps=4 rule=max: evaluating", 2, 4) in told


def test_without_data_nothing_is_evaluated(folder):
    (result,) = build_recipe(parse_recipe('model "net.rv" passes dce target meaning', folder=folder))
    assert result.evaluation is None
    assert result.executable(SAMPLES).shape == (20, 10)


def parts(folder, **options):
    return load_parts(DataLine("data.npz", Split(**options)), folder, network())


def test_parts_never_overlap(folder):
    found = parts(folder, calibrate=8, tune=2, evaluate=5)
    assert np.array_equal(found["calibrate"].inputs[0], SAMPLES[:8])
    assert np.array_equal(found["tune"].labels, LABELS[8:10])
    assert np.array_equal(found["evaluate"].inputs[0], SAMPLES[15:])
    rest = parts(folder, calibrate=8)
    assert len(rest["evaluate"].labels) == 12
    assert "tune" not in rest
    assert len(parts(folder, calibrate="rest", evaluate=3)["calibrate"].labels) == 17
    with pytest.raises(RanvierError, match=r"hold 20 samples, 25 are asked for \(calibrate=20, tune=0, evaluate=5\)"):
        parts(folder, calibrate=20, evaluate=5)
    with pytest.raises(RanvierError, match="cannot both be the rest"):
        Split(calibrate="rest")


def test_shuffling_is_a_permutation(folder):
    found = parts(folder, calibrate=8, shuffle=3)
    assert not np.array_equal(found["calibrate"].inputs[0], SAMPLES[:8])
    both = np.concatenate([found["calibrate"].inputs[0], found["evaluate"].inputs[0]])
    assert np.array_equal(np.sort(both.ravel()), np.sort(SAMPLES.ravel()))
    assert found["calibrate"].description == "data.npz, samples 0 to 7 after a permutation with seed 3"
    again = parts(folder, calibrate=8, shuffle=3)
    assert np.array_equal(again["calibrate"].inputs[0], found["calibrate"].inputs[0])


def test_data_files_are_checked(folder):
    with pytest.raises(RanvierError, match=r"no array called 'X'[\s\S]*known: x, y; say which"):
        parts(folder, inputs="X")
    assert parts(folder, labels=None)["evaluate"].labels is None
    (folder / "bad.npz").write_bytes(b"PK nothing")
    np.save(folder / "array.npy", SAMPLES)
    np.savez(folder / "pickled.npz", x=np.array([{"a": 1}], object))
    for name in ("bad.npz", "array.npy", "pickled.npz"):
        with pytest.raises(RanvierError, match="damaged-file"):
            read_arrays(folder / name, ["x"])
    with pytest.raises(RanvierError, match="missing-file"):
        build_recipe(parse_recipe('model "net.rv" data "dato.npz" target meaning', folder=folder))


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("", "syntax", "1:1"),
        ('modle "a"', "syntax", "1:1"),
        ('model "a"\nmodel "b"', "duplicate-name", "2:1"),
        ("model a", "syntax", "1:7"),
        ('model "a" data "b" calibrat=3', "unknown-option", "1:20"),
        ('model "a" data "b" calibrate=-1', "bad-value", "1:30"),
        ('model "a" data "b" tune=1 tune=2', "duplicate-name", "1:27"),
        ('model "a" data "b" calibrate=rest', "bad-value", "1:11"),
        ('model "a" sweep n=[]', "bad-value", "1:19"),
        ('model "a" sweep n=1 sweep n=2', "duplicate-name", "1:27"),
        ('model "a"\nsweep steps=[1, 2]\npasses dce', "unknown-name", "2:7"),
        ('model "a"\nsweep steps=[1, 0]\npasses convert-snn{steps=$steps}', "bad-value", "3:26"),
        ('model "a"\npasses convert-snn{steps=$steps}', "unknown-name", "2:26"),
        ('model "a" passes dee', "unknown-pass", "1:18"),
        ('model "a" target tortch', "unknown-target", "1:18"),
        ('model "a" target meaning{x=1}', "unknown-option", "1:26"),
        ('model "a" target meaning passes', "syntax", "1:32"),
    ],
)
def test_errors_have_their_place(text, code, place):
    with pytest.raises(RanvierError) as caught:
        parse_recipe(text, "r.rvp")
    first = caught.value.diagnostics[0]
    assert (first.code, first.where) == (code, f"r.rvp:{place}")


def test_a_recipe_that_is_no_text(tmp_path):
    (tmp_path / "r.rvp").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RanvierError, match="damaged-file"):
        load_recipe(tmp_path / "r.rvp")
    with pytest.raises(RanvierError, match="missing-file"):
        load_recipe(Path("no.rvp"))
