"""`calibrate`: statistics are what their definitions say, and are kept as facts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import Histogram, Statistics
from ranvier.ir.ops.activations import LeakyRelu
from ranvier.passes.calibration import statistics
from ranvier.passes.calibration.calibrate import Calibrate
from tests.conversion.helpers import RUNTIMES, tapped
from tests.zoo.net import Net, around, images

X = images(20, 3, 6, 6)
NUMPY: dict[str, Any] = {
    "max": lambda a, axis: a.max(axis),
    "min": lambda a, axis: a.min(axis),
    "absmax": lambda a, axis: np.abs(a).max(axis),
    "mean": lambda a, axis: a.mean(axis, dtype=np.float64),
    "std": lambda a, axis: a.std(axis, dtype=np.float64),
    "density": lambda a, axis: (a != 0).mean(axis),
    "p50": lambda a, axis: np.median(a, axis),
    "p99.5": lambda a, axis: np.quantile(a, 0.995, axis),
}


def leaky() -> Module:
    return around(lambda net, x: net(LeakyRelu, x, slope=0.1))


def facts(module: Module, name: str, kind: type[Any] = Statistics) -> list[Any]:
    return [f for f in module.main.value(name).facts if isinstance(f, kind)]


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_statistics_are_numpys(per: str) -> None:
    text = f"calibrate{{statistics=[{', '.join(NUMPY)}] per={per}}}"
    module = rv.opt(leaky(), text, data=X)
    assert rv.parse(str(module), resources=module.resources) == module
    names = [v.name for v in module.main.values if v.facts]
    assert [module.main.value(n).op.name for n in names] == ["nn.leaky_relu", "nn.relu"]
    for name, array in tapped(module, names, X).items():
        found = facts(module, name)
        assert [f.kind for f in found] == list(NUMPY)
        for fact in found:
            axes = None if per == "layer" else (0, 2, 3)
            want = np.atleast_1d(NUMPY[fact.kind](array, axes))
            np.testing.assert_allclose(fact.values, want, rtol=1e-5, atol=1e-7)
            assert (fact.per, fact.data) == (per, "20 samples given as data")
            assert ("of a channel" in fact.definition) == (per == "channel")


def test_histograms_count_every_element() -> None:
    module = rv.opt(leaky(), "calibrate{bins=32 per=channel}", data=X)
    for value in (v for v in module.main.values if v.facts):
        (fact,) = facts(module, value.name, Histogram)
        counts = module.resource(fact.counts).array
        array = np.moveaxis(tapped(module, [value.name], X)[value.name], 1, 0)
        rows = array.reshape(len(array), -1)
        assert counts.shape == (len(rows), 32)
        for row, low, high, count in zip(rows, fact.low, fact.high, counts, strict=True):
            assert low == row.min()
            want = np.histogram(row, 32, (low, high))[0]
            assert count.sum() == len(row)
            assert np.abs(np.cumsum(count - want)).max() <= 2, "at most an element on an edge lies beside"


def test_a_constant_channel_has_a_histogram_too() -> None:
    rows = np.stack([np.zeros(10), np.full(10, 3.0), np.arange(10)]).astype(np.float32)
    found = statistics.histogram(rows, 5)
    np.testing.assert_array_equal(found.counts, [[10, 0, 0, 0, 0], [10, 0, 0, 0, 0], [2] * 5])
    assert (found.high > found.low).all()


def test_running_again_replaces_what_it_computes_and_keeps_the_rest() -> None:
    first = rv.opt(leaky(), "calibrate{statistics=[max, min] per=layer}", data=X)
    again = rv.opt(first, "calibrate{statistics=[max] per=layer}, calibrate{statistics=[max] per=channel}", data=2 * X)
    name = next(v.name for v in again.main.values if v.facts)
    found = facts(again, name)
    assert sorted((f.kind, f.per) for f in found) == [("max", "channel"), ("max", "layer"), ("min", "layer")]
    old, new = (next(f for f in facts(m, name) if (f.kind, f.per) == ("max", "layer")) for m in (first, again))
    assert new.values[0] > old.values[0]


def test_values_by_name_and_all_values() -> None:
    module = leaky()
    conv = next(op for op in module.main.ops if op.name == "nn.conv").result.name
    named = rv.opt(module, f"calibrate{{of=[{conv}]}}", data=X)
    assert [v.name for v in named.main.values if v.facts] == [conv]
    everything = rv.opt(module, "calibrate{of=all}", data=X)
    assert all(facts(everything, v.name) for v in everything.main.values)
    with pytest.raises(RanvierError, match=f"did you mean `{conv}`"):
        rv.opt(module, f"calibrate{{of=[{conv}x]}}", data=X)


@pytest.mark.parametrize("kind", ["p101", "medium", "maxx"])
def test_unknown_statistics_are_refused(kind: str) -> None:
    with pytest.raises(RanvierError, match=r"p99\.9"):
        Calibrate(statistics=(kind,))


def test_values_are_taken_in_groups_that_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    module = leaky()
    names = [v.name for v in module.main.values if v.op is not None and v.type.rank == 4]
    whole = dict(statistics.tapped(module, names, [X], RUNTIMES["torch"]))
    monkeypatch.setattr(statistics, "MEMORY", 4 * 20 * 6 * 6 * 7)
    runs: list[tuple[str, ...]] = []

    class Counting:
        def run(self, module: Module, inputs: Any, taps: Any = (), **rest: Any) -> Any:
            runs.append(tuple(taps))
            return RUNTIMES["torch"].run(module, inputs, taps, **rest)

    counting: Any = Counting()
    parts = dict(statistics.tapped(module, names, [X], counting, batch=7))
    assert len(runs) > 1
    assert [n for run in runs for n in run] == names
    for name in names:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-6)


def test_channels_lie_where_the_weights_put_them() -> None:
    net = Net((3, 6, 6), (7, 5))
    image = net.relu(net.conv(net.inputs[0], 4))
    tokens = net.relu(net.linear(net.inputs[1], 9))
    row = net.relu(net.linear(net.flatten(image), 8))
    net.done(image, tokens, row)
    assert [statistics.channel_axis(v) for v in (image, tokens, row)] == [1, 2, 1]
