"""What thresholds and statistics follow from is written into the module, the trace and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ranvier as rv
from ranvier.ir.codes import FirstSpike
from ranvier.ir.core import Module
from ranvier.ir.facts import Converted, Histogram, NeuronCode, Statistics
from tests.conversion.helpers import neurons
from tests.zoo.net import around, images

X = images(24, 3, 6, 6)
CONVERT = "convert-snn{{steps=8 signed=true calibration={} samples=20}}"
NONE = "no real data was used"


def plain() -> Module:
    return around(lambda net, x: net.relu(net.conv(net.relu(net.conv(x, 4)), 4)))


def provenances(snn: Module) -> set[str]:
    return {f.provenance for n in neurons(snn) for f in n.facts if isinstance(f, Converted)}


@pytest.mark.parametrize("source", ["noise", "class_impression"])
def test_neurons_say_that_no_real_data_was_used(source: str) -> None:
    snn = rv.opt(plain(), CONVERT.format(source))
    assert provenances(snn) == {source}
    assert str(snn).count(f"provenance={source}") == len(neurons(snn))
    assert rv.parse(str(snn), resources=snn.resources) == snn
    assert rv.opt(plain(), CONVERT.format(source), data=X) == snn, "data given is not looked at"


def test_trace_and_report_say_so(tmp_path: Path) -> None:
    def written(source: str) -> tuple[str, str, list[dict[str, Any]]]:
        exe = rv.compile(plain(), CONVERT.format(source), data=X if source == "data" else None)
        exe.report(tmp_path / "report.html")
        return str(exe.trace), (tmp_path / "report.html").read_text(), exe.trace[1].tables["calibration data"]

    trace, report, (row,) = written("class_impression")
    assert NONE in trace
    assert NONE in report
    assert (row["provenance"], row["samples"], row["real data"]) == ("class_impression", 20, "none was used")
    assert "none was used" in report
    trace, report, (row,) = written("data")
    assert NONE not in trace
    assert NONE not in report
    assert (row["provenance"], row["samples"], row["real data"]) == ("given", len(X), "as given")


def test_a_code_that_was_found_on_data_is_no_code_without_data() -> None:
    module = plain().clone()
    value = next(op.result for op in module.main.ops if op.name == "nn.relu")
    value.facts = (NeuronCode(FirstSpike(tau=2.0), 8),)
    text = "convert-snn{code=ttfs(tau=2) steps=8 calibration=noise}"
    trace = rv.compile(module.freeze(), text).trace
    assert NONE not in str(trace)
    assert provenances(trace[1].module) == {"given", "noise"}


def test_a_correction_on_made_samples_uses_no_data_either() -> None:
    exe = rv.compile(plain(), CONVERT.format("noise correct=advanced"))
    assert NONE in str(exe.trace)
    assert provenances(exe.trace[1].module) == {"noise"}


@pytest.mark.parametrize("source", ["noise", "class_impression"])
def test_statistics_say_what_they_are_of(source: str) -> None:
    text = f"calibrate{{calibration={source} samples=12 bins=4}}"
    module = rv.opt(plain(), text)
    assert rv.parse(str(module), resources=module.resources) == module
    facts = [f for v in module.main.values for f in v.facts if isinstance(f, Statistics | Histogram)]
    assert {type(f) for f in facts} == {Statistics, Histogram}
    assert {f.provenance for f in facts} == {source}
    assert all("12 synthetic samples" in f.data for f in facts)
    assert NONE in str(rv.compile(plain(), text).trace)
    given = rv.opt(plain(), "calibrate{bins=4}", data=X)
    assert {f.provenance for v in given.main.values for f in v.facts} == {"given"}
