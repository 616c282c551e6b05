"""`ranvier codes`: the table of spike codes of a model."""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv
from ranvier.code_table import all_codes, code_options, code_table
from ranvier.ir.diagnostics import RanvierError
from tests.conversion.helpers import outputs
from tests.zoo.net import Net, images

X = images(40, 6)


def network():
    net = Net((6,))
    return net.done(net.linear(net.relu(net.linear(net.inputs[0], 12)), 4))


@pytest.fixture
def folder(ranvier):
    module = network()
    rv.compile(module).save("net.rvx")
    ranvier("export", "net.rvx", "-o", "net.rv")
    np.savez(ranvier.folder / "data.npz", x=X, y=outputs(module, X).argmax(1))
    return ranvier


def test_the_table_of_all_codes(folder):
    outcome = folder(
        "codes", "net.rv", "--data", "data.npz", "--steps", "4,32", "--calibrate", "20", "--evaluate", "20"
    )
    assert outcome.code == 0, outcome.err
    for word in ("rate", "phase", "burst", "ttfs", "ttas", "fs", "multi_threshold", "diff"):
        assert f"\n{word}" in outcome.out
    assert "percent of 20 samples; the source model has 100.00%" in outcome.out
    assert "bits" in outcome.out
    assert "latency at T=32" in outcome.out
    assert "the quantized network of equal capacity: accuracy" in outcome.out
    refused = outcome.out.partition("refused\n")[2]
    assert "fs_table: `fs_table` needs 'function'" in refused
    assert "fs at T=32: `fs`: K must be an integer from 1 to 24, not 32" in refused
    assert "ttas at T=4: `convert-snn`: ttas needs 5 steps, not 4" in refused


def test_codes_that_are_named(folder):
    words = ("--code", "rate signed=true schedule=stepwise", "--code", "fs(K=4)", "--code", "fase")
    outcome = folder(
        "codes", "net.rv", "--data", "data.npz", "--steps", "4,8", *words,
        "--calibrate", "20", "--evaluate", "20", "--options", "threshold=max",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "rate signed=true schedule=stepwise" in outcome.out
    assert "fs(K=4) at T=8: `convert-snn`: fs has 4 steps, not 8" in outcome.out
    assert "fase: no code is called 'fase'" in outcome.out
    assert "burst" not in outcome.out


@pytest.mark.parametrize("steps", ["0", "4,x", ""])
def test_steps_are_whole_numbers(folder, steps):
    outcome = folder("codes", "net.rv", "--data", "data.npz", "--steps", steps)
    assert outcome.code == 2
    assert "--steps takes whole numbers from 1 on" in outcome.err


def test_data_of_another_shape_are_an_error_and_not_a_row(folder):
    np.savez(folder.folder / "other.npz", x=X[:, :3], y=np.zeros(len(X), np.int64))
    outcome = folder("codes", "net.rv", "--data", "other.npz", "--calibrate", "20", "--evaluate", "20")
    assert outcome.code == 2
    assert "error[bad-data]" in outcome.err


def test_codes_get_parameters_that_suit_the_window():
    assert code_options("fs", 5) == "code=fs(K=5) steps=5"
    assert code_options("phase", 12) == "code=phase(period=12) steps=12"
    assert code_options("ttfs", 16) == "code=ttfs(tau=4.0) steps=16"
    assert code_options("ttfs(tau=3)", 16) == "code=ttfs(tau=3.0) steps=16"
    assert code_options("rate signed=true", 4) == "code=rate steps=4 signed=true"
    with pytest.raises(RanvierError, match="K must be an integer from 1 to 24"):
        code_options("fs", 32)


def test_a_table_in_python():
    found = code_table(network(), X, data=X, codes=["rate", "burst", "ttfs"], steps=[4, 64])
    assert [row.text for row in found.rows] == ["rate", "burst", "ttfs"]
    for row in found.rows:
        assert row.figure("accuracy") == [None, None]  # without labels there is agreement alone
        few, many = row.figure("agreement")
        assert few <= many
        assert many > 0.9
        assert all(c.refusal == "" for c in row.cells)
    assert "agreement with the source, percent of 40 samples" in str(found)
    assert {t.partition(" ")[0] for t in all_codes()} >= {"rate", "burst", "ttfs", "ttas", "fs", "fs_table", "diff"}
