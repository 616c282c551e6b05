"""Statistics are what their definitions say, computed again here with numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import Histogram, Note, Statistics
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, nn, shape
from ranvier.passes.calibration.calibrate import Calibrate
from tests.passes.helpers import apply, real, start

DATA = real(0, 20, 3, 5, 5)
KINDS = ("max", "min", "absmax", "mean", "std", "density", "p0", "p50", "p99.9", "p100")


def network() -> Module:
    """conv, relu; linear on three axes, tanh; a sum over what is left."""
    module, make, x = start("N", 3, 5, 5)
    h = make(nn.Conv, x, make.constant(real(1, 4, 3, 3, 3), "w"), name="conv")
    h = make(arith.Relu, h, name="relu")
    h = make(shape.Reshape, h, shape=("N", 4, 9), name="rows")
    h = make(nn.Linear, h, make.constant(real(2, 6, 9), "w"), name="linear")
    make.returns(make(arith.Tanh, h, name="tanh"))
    return module


def wanted(kind: str, rows: Any) -> Any:
    rows = rows.astype(np.float64)
    if kind.startswith("p"):
        return np.percentile(rows, float(kind[1:]), axis=1)
    return {
        "max": rows.max(1),
        "min": rows.min(1),
        "absmax": np.abs(rows).max(1),
        "mean": rows.mean(1),
        "std": rows.std(1),
        "density": (rows != 0).mean(1),
    }[kind]


@pytest.mark.parametrize("per", ["layer", "channel"])
@pytest.mark.parametrize("batch", [7, 128])
def test_statistics_are_numpys(per: str, batch: int) -> None:
    module, _ = apply(Calibrate(statistics=KINDS, per=per, of=("conv", "relu", "tanh"), batch=batch), network(), [DATA])
    _, taps = evaluate(network(), [DATA], taps=("conv", "relu", "tanh"))
    # channels lie on axis 1, but on the last one behind a linear op on three axes
    for name, axis in (("conv", 1), ("relu", 1), ("tanh", 2)):
        value = module.main.value(name)
        found = {f.kind: f for f in value.facts}
        assert list(found) == list(KINDS)
        array = taps[name]
        rows = array.reshape(1, -1) if per == "layer" else np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        for kind, fact in found.items():
            np.testing.assert_allclose(fact.values, wanted(kind, rows), rtol=1e-5, atol=1e-7)
            assert fact.per == per
            assert fact.data == "20 samples given as data"
            assert (f"(axis {axis})" in fact.definition) == (per == "channel")
            assert fact.definition


def test_which_values() -> None:
    def chosen(of: Any) -> list[str]:
        module, _ = apply(Calibrate(of=of), network(), [DATA])
        return [v.name for v in module.main.values if v.facts]

    assert chosen("activations") == ["relu", "tanh"]
    assert chosen("all") == ["x", "conv", "relu", "rows", "linear", "tanh"]
    assert chosen(("rows",)) == ["rows"]


def test_a_second_run_replaces_its_own_facts_only() -> None:
    module = network()
    module.main.value("relu").facts = (Note("kept"),)
    once, _ = apply(Calibrate(statistics=("max", "mean")), module, [DATA])
    twice, _ = apply(Calibrate(statistics=("max",)), once, [2 * DATA])
    facts = twice.main.value("relu").facts
    assert [type(f) for f in facts] == [Note, Statistics, Statistics]
    assert [f.kind for f in facts[1:]] == ["mean", "max"]
    assert facts[2].values[0] == pytest.approx(2 * once.main.value("relu").fact(Statistics).values[0])
    again, _ = apply(Calibrate(statistics=("max", "mean")), once, [DATA])
    assert sorted(map(str, again.main.value("relu").facts)) == sorted(map(str, once.main.value("relu").facts))


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_histograms(per: str) -> None:
    module, _ = apply(Calibrate(per=per, of=("relu",), bins=16), network(), [DATA])
    fact = module.main.value("relu").fact(Histogram)
    counts = module.resource(fact.counts).array
    _, taps = evaluate(network(), [DATA], taps=("relu",))
    array = taps["relu"]
    rows = array.reshape(1, -1) if per == "layer" else np.moveaxis(array, 1, 0).reshape(4, -1)
    assert counts.shape == (len(rows), 16)
    np.testing.assert_allclose(fact.low, rows.min(1))
    np.testing.assert_allclose(fact.high, rows.max(1))
    for row, count in zip(rows, counts, strict=True):
        theirs, _ = np.histogram(row, 16)
        assert count.sum() == theirs.sum() == row.size
        # an element on an edge may fall to either side
        assert np.abs(np.cumsum(count) - np.cumsum(theirs)).max() <= 2


def test_constants_have_a_histogram_too() -> None:
    module, _ = apply(Calibrate(of=("relu",), bins=4), network(), [np.zeros_like(DATA)])
    fact = module.main.value("relu").fact(Histogram)
    assert (fact.low, fact.high) == ((0.0,), (1.0,))
    assert module.resource(fact.counts).array.tolist() == [[20 * 4 * 9, 0, 0, 0]]


def message(pass_: Calibrate, data: Any) -> str:
    with pytest.raises(RanvierError) as caught:
        apply(pass_, network(), data)
    return str(caught.value)


def test_errors() -> None:
    found = message(Calibrate(of=("rleu",)), [DATA])
    assert "no real value is called %rleu" in found
    assert "did you mean `relu`?" in found
    assert "error[missing-data]: `calibrate` needs calibration data" in message(Calibrate(), None)
    assert "error[bad-input]" in message(Calibrate(), [DATA[:, :2]])
    for bad in (np.nan, np.inf):
        spoilt = DATA.copy()
        spoilt[3, 0, 0, 0] = bad
        found = message(Calibrate(of="all"), [spoilt])
        assert "error[bad-data]: %x becomes infinite or NaN on the calibration data" in found


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"statistics": ("maximum",)}, "must be max | min | absmax | mean | std | density | p99.9"),
        ({"statistics": ("p101",)}, "not p101"),
        ({"statistics": ("p",)}, "not p"),
        ({"per": "chanel"}, "did you mean `channel`?"),
        ({"of": "activation"}, "did you mean `activations`?"),
        ({"bins": -1}, "bins must be an integer from 0 to 65536, not -1"),
        ({"batch": 0}, "batch must be an integer of at least 1, not 0"),
    ],
)
def test_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(RanvierError) as caught:
        Calibrate(**options)
    assert text in str(caught.value)
