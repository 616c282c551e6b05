import shlex

import numpy as np
import pytest

from ranvier.api import run_passes
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.interfaces import invariant
from ranvier.manager import PassManager
from ranvier.module_files import write_module
from ranvier.pipeline import parse_pipeline, read_pipeline
from ranvier.reference import MeaningRuntime
from ranvier.repro import InternalError
from tests.compiler.networks import LABELS, SAMPLES, Broken, NeedsLabels, network

MEANING = MeaningRuntime()


@invariant("test-no-relu")
def no_relu(module):
    from ranvier.ir.diagnostics import Diagnostic

    for op in module.ops:
        if op.name == "nn.relu":
            yield Diagnostic("unsupported", f"{op!r} is a relu")


def run(passes, **more):
    return run_passes(network(), passes, runtime=MEANING, **more)


def test_every_pass_leaves_a_stage():
    trace = run("fold-batchnorm, dce, cse", data=SAMPLES)
    assert [stage.name for stage in trace] == ["source", "fold-batchnorm", "dce", "cse"]
    folded = trace["fold-batchnorm"]
    assert folded.op_changes["nn.batch_norm"] == -1
    assert folded.seconds > 0
    assert folded.rewrites
    assert folded.drift.samples == 16
    assert 0 < folded.drift.max_abs < 1e-5
    assert folded.drift.top1 == 1.0
    assert folded.drift.cosine == pytest.approx(1)
    assert trace["source"].drift.max_abs == 0


def test_what_does_not_change_is_the_same_module():
    trace = run("dce, dce, cse, canonicalize, dce")
    assert trace["dce"].changed
    assert not trace["dce-2"].changed
    assert trace["dce-2"].module is trace["dce"].module
    assert all(stage.module.frozen for stage in trace)
    assert all(stage.drift is None for stage in trace)


def test_the_source_is_never_touched():
    module = network()
    before = str(module)
    run_passes(module, "fold-batchnorm, dce", runtime=MEANING)
    assert str(module) == before


def test_an_unfrozen_module_is_copied_first():
    module = network().clone()
    trace = run_passes(module, "dce", runtime=MEANING)
    assert not module.frozen
    assert trace[0].module == module
    assert trace[0].module is not module


def test_needs_are_checked_before_anything_runs():
    with pytest.raises(RanvierError) as caught:
        run([Broken(), NeedsLabels(), "fixpoint(test-needs-labels)"])
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [
        ("missing-data", "`test-needs-labels` needs calibration data"),
        ("missing-data", "`test-needs-labels` needs labels"),
    ]
    trace = run([NeedsLabels()], data=SAMPLES, labels=LABELS)
    assert trace[-1].notes == ["20 labels"]
    assert trace[-1].tables == {"labels": [{"label": 0}, {"label": 1}]}


def test_fixpoint_runs_until_nothing_changes():
    trace = run("fixpoint{max_rounds=5}(test-restless{times=2}, dce), cse")
    texts = [stage.text for stage in trace]
    assert texts[1:] == [
        "round 1: test-restless{times=2}",
        "round 1: dce",
        "round 2: test-restless{times=2}",
        "round 2: dce",
        "round 3: test-restless{times=2}",
        "round 3: dce",
        "cse",
    ]
    assert trace[-1].module.main.outputs[0].name == "turn_2"


def test_a_fixpoint_that_does_not_rest_is_an_error_or_a_note():
    with pytest.raises(RanvierError) as caught:
        run("fixpoint{max_rounds=3}(test-restless)")
    assert caught.value.diagnostics[0].code == "limit"
    trace = run("fixpoint{max_rounds=3 on_limit=note}(test-restless), dce")
    assert "its round 3" in trace["test-restless-3"].notes[0]


def test_checkpoints_name_stages():
    trace = run("checkpoint{name=start}, dce, checkpoint{name=a}, checkpoint{name=b}, cse")
    assert trace["start"] is trace[0]
    assert trace["a"] is trace["b"] is trace["dce"]
    with pytest.raises(RanvierError, match="duplicate-name"):
        run("checkpoint{name=a}, dce, checkpoint{name=a}")
    with pytest.raises(RanvierError, match="duplicate-name"):
        run("dce, checkpoint{name=dce}")


def test_what_a_pass_finds_names_the_pass():
    with pytest.raises(RanvierError) as caught:
        run(["dce", "convert-snn{steps=4}"], data=SAMPLES[:, :2])
    assert caught.value.diagnostics[0].code == "bad-data"
    twice = "convert-snn{steps=4}, convert-snn{steps=8}"
    with pytest.raises(RanvierError) as caught:
        run(twice, data=SAMPLES)
    assert "found by the pass `convert-snn{steps=8}`" in caught.value.diagnostics[0].notes


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("raise", "ZeroDivisionError: by design"),
        ("stale", "stale-type: "),
        ("promise", "unsupported: <%relu = nn.relu(%norm)> is a relu"),
    ],
)
def test_a_fault_leaves_a_folder_and_its_command(tmp_path, monkeypatch, how, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InternalError) as caught:
        run([Broken(how)], data=SAMPLES, labels=LABELS)
    text = str(caught.value)
    assert says in text
    folder = caught.value.folder
    assert folder.name.startswith("ranvier-repro-")
    assert sorted(p.name for p in tmp_path.iterdir()) == [folder.name]
    files = sorted(p.name for p in folder.iterdir())
    assert files == ["before.rv", "before.safetensors", "data.npz", "error.txt", "pipeline.rvp"]
    command = f"ranvier opt {folder}/before.rv --passes {folder}/pipeline.rvp --data {folder}/data.npz"
    assert command in text

    # what the command does
    words = shlex.split(command)
    again = {words[i].lstrip("-"): words[i + 1] for i in range(3, len(words), 2)}
    with np.load(again["data"]) as data, pytest.raises(InternalError) as repeated:
        run_passes(words[2], read_pipeline(again["passes"]), data=data["x"], labels=data["y"], runtime=MEANING)
    assert says in str(repeated.value)


def test_large_data_stay_out_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_REPRO_DIR", str(tmp_path))
    monkeypatch.setattr("ranvier.repro.LARGEST_DATA", 100)
    with pytest.raises(InternalError) as caught:
        run([Broken()], data=SAMPLES)
    assert not (caught.value.folder / "data.npz").exists()
    assert "--data" not in str(caught.value)
    assert caught.value.folder.parent == tmp_path


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_REPRO_DIR", str(tmp_path / "missing"))
    with pytest.raises(InternalError) as caught:
        run([Broken()])
    assert caught.value.folder is None
    assert "no folder could be written" in str(caught.value)


def test_progress_is_told():
    told = []
    manager = PassManager(parse_pipeline("dce, fixpoint(cse)"), MEANING, progress=lambda *what: told.append(what))
    manager.run(network())
    assert told == [("dce", 0, 2), ("round 1: cse", 1, 2), ("done", 2, 2)]


def test_drift_says_why_it_is_not_measured():
    trace = run("to-step", data=SAMPLES)
    measured = trace[-1].drift is not None
    assert measured or any("drift was not measured" in note for note in trace[-1].notes)


def test_written_modules_read_back(tmp_path):
    from ranvier.api import load

    module = network()
    files = write_module(module, tmp_path / "a.rv")
    assert [f.name for f in files] == ["a.rv", "a.safetensors"]
    assert load(tmp_path / "a.rv") == module
