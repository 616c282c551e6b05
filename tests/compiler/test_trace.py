import json

import numpy as np
import pytest

import ranvier as rv
from ranvier.drift import cosine, drift, largest_difference
from tests.compiler.networks import SAMPLES, network


@pytest.fixture(scope="module")
def trace():
    passes = "fold-batchnorm, dce, checkpoint{name=clean}, convert-snn{steps=8 threshold=max}"
    return rv.compile(network(), passes, target="meaning", data=SAMPLES).trace


def test_stages_are_found_by_number_name_and_checkpoint(trace):
    assert [s.name for s in trace] == ["source", "fold-batchnorm", "dce", "convert-snn", "plan"]
    assert trace[0] is trace["source"]
    assert trace["clean"] is trace["dce"] is trace[-3]
    assert trace[1:3] == [trace["fold-batchnorm"], trace["dce"]]
    with pytest.raises(rv.RanvierError, match=r"no stage 'fold-batchnrm'[\s\S]*did you mean `fold-batchnorm`"):
        trace["fold-batchnrm"]
    with pytest.raises(rv.RanvierError, match="none is number 9"):
        trace[9]


def test_the_plan_is_the_last_stage(trace):
    assert trace[-1].module is None
    assert trace[-1].listing.startswith("# every op by its meaning")
    with pytest.raises(rv.RanvierError, match="lowered plan"):
        trace.run("plan", SAMPLES)


def test_diff(trace):
    text = trace.diff("source", "clean")
    assert text.startswith("--- source\n+++ dce\n")
    assert "\n-  %norm = nn.batch_norm(" in text
    assert trace.diff("source", 0) == ""


def test_any_stage_runs_against_any_other(trace):
    one = trace.run("source", SAMPLES, ["relu"])
    other = trace.run("clean", SAMPLES, ["relu"])
    assert np.allclose(one.taps["relu"], other.taps["relu"], atol=1e-5)
    compared = trace.compare("source", "clean", SAMPLES)
    assert [row.value for row in compared][:2] == ["%image", "%relu"] or "%relu" in [row.value for row in compared]
    assert all(row.max_abs < 1e-4 for row in compared)
    assert compared[-1].value == "output logits"
    assert "output logits" in str(compared)


def test_spikes_are_compared_in_real_units(trace):
    compared = {row.value: row for row in trace.compare("clean", "convert-snn", SAMPLES)}
    assert compared["output logits"].cosine > 0.95
    assert compared["%image"].max_abs == 0


def test_it_prints_as_a_table(trace):
    text = str(trace)
    assert "-1 nn.batch_norm" in text
    assert "clean" in text
    assert "lower to meaning" in text
    assert max(map(len, text.splitlines())) <= 300


def test_json_holds_everything(trace):
    stages = json.loads(trace.to_json())
    assert [s["name"] for s in stages] == [s.name for s in trace]
    assert stages[1]["drift"]["samples"] == 16
    assert stages[2]["labels"] == ["clean"]
    assert stages[3]["tables"]["coverage"]
    assert stages[0]["listing"] == str(network())


def test_drift_of_arrays():
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = drift([a], [a + np.array([[0, 0], [2, 0]])], 2)
    assert (found.max_abs, found.relative, found.top1) == (2.0, 0.5, 0.5)
    assert drift([a], [a[:1]], 2) is None
    assert drift([a], [a, a], 2) is None
    assert drift([a * 0], [a * 0], 2).relative == 0
    assert drift([a * 0], [a], 2).relative == np.inf
    assert drift([np.full(2, np.inf)], [np.full(2, np.inf)], 2).max_abs == 0
    assert largest_difference(np.array([np.nan]), np.array([1.0])) == np.inf
    assert cosine(a, -a) == pytest.approx(-1)
    assert cosine(a * 0, a) == 0
