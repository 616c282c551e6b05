"""Readout rules: outputs in units of the source, and refusals where a code cannot say a value so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from tests.conversion.helpers import RUNTIMES, closeness, convert, converted, each_runtime, ops_named, outputs, tapped
from tests.zoo.net import Net, images

X = images(24, 5)


def regression() -> Module:
    """Two outputs of either sign and of different sizes, far from 1."""
    net = Net((5,), seed=4)
    x = net.relu(net.linear(net.inputs[0], 16))
    return net.done(net.linear(x, 3), net.linear(net.relu(net.linear(x, 8)), 2))


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"readout": "membrane"}, 0.02),
        ({"readout": "count"}, 0.02),
        ({"readout": "mean(start=64)", "schedule": "stepwise"}, 0.03),
        ({"readout": "mean(start=0)"}, 0.02),
        ({"readout": "mean(start=128)", "schedule": "layer_sync(period=64)"}, 0.03),
        ({"code": "ttfs(tau=40)", "readout": "first_spike"}, 0.06),
        ({"code": "phase(period=8)", "readout": "mean(start=128)", "schedule": "stepwise"}, 0.06),
        ({"code": "diff", "readout": "mean(start=128)", "schedule": "stepwise"}, 0.06),
        ({"code": "multi_threshold(levels=4)", "readout": "count", "steps": 16}, 0.02),
        ({"code": "fs(K=8)", "readout": "count", "steps": 8}, 0.02),
    ],
    ids=str,
)
def test_outputs_are_in_units_of_the_source(options: dict[str, Any], tolerance: float) -> None:
    ann = regression()
    snn = converted(ann, X, **{"steps": 256, "threshold": "max", **options})
    assert closeness(ann, snn, X) < tolerance
    want = outputs(ann, X)
    assert np.abs(outputs(snn, X, runtime="meaning") - want).max() < tolerance * np.abs(want).max()


@pytest.mark.parametrize("runtime", list(each_runtime()))
def test_a_late_mean_is_the_mean_of_the_late_steps(runtime: str) -> None:
    snn = converted(regression(), X, steps=8, schedule="stepwise", threshold="max", readout="mean(start=4)")
    current = ops_named(snn, "nn.mul")[0].arguments[0].name
    every = tapped(snn, [current], X, runtime=runtime)[current]
    np.testing.assert_allclose(outputs(snn, X, runtime=runtime), every[4:].mean(0), rtol=1e-5, atol=1e-6)


def test_a_first_spike_readout_fires_once_for_either_sign() -> None:
    snn = converted(regression(), X, code="ttfs", steps=32, readout="first_spike")
    names = [op.result.name for op in ops_named(snn, "snn.neuron")][-4:]
    trains = tapped(snn, names, X)
    assert [n.rpartition(".")[0].rpartition(".")[2] for n in names] == ["positive", "negative"] * 2
    for up, down in zip(names[::2], names[1::2], strict=True):
        fired = trains[up].astype(int).sum(0), trains[down].astype(int).sum(0)
        assert max(f.max() for f in fired) == 1
        assert not (fired[0] & fired[1]).any()


@pytest.mark.parametrize(
    ("options", "message", "help"),
    [
        ({"readout": "first_spike"}, "the first spike of rate is not the value", "code=ttfs"),
        ({"code": "ttas", "readout": "first_spike"}, "the first spike of ttas is not the value", "membrane"),
        ({"code": "ttfs", "readout": "count"}, "ttfs has no negative spikes", "readout=first_spike"),
        ({"code": "burst", "readout": "count"}, "burst has no negative spikes", "readout=membrane"),
        ({"readout": "mean(start=8)", "steps": 8}, "there are only 8 steps", "start at 7"),
        ({"readout": "mean(start=4)", "steps": 8}, "a value takes the whole window of 8 steps", "schedule=stepwise"),
        (
            {"code": "phase(period=4)", "readout": "mean(start=2)", "steps": 8, "schedule": "stepwise"},
            "a value takes 4 steps",
            "multiples of 4",
        ),
    ],
    ids=str,
)
def test_what_a_code_cannot_give_is_named(options: dict[str, Any], message: str, help: str) -> None:
    with pytest.raises(RanvierError) as info:
        convert(regression(), X, **options)
    (found,) = info.value.diagnostics
    assert found.code == "bad-value"
    assert message in found.message
    assert help in found.help


def test_outputs_without_time_are_left_alone() -> None:
    net = Net((5,))
    ann = net.done(net.linear(net.inputs[0], 3))
    snn = converted(ann, X, readout="count")
    np.testing.assert_array_equal(outputs(snn, X), np.asarray(RUNTIMES["torch"].run(ann, [X]).outputs[0]))
