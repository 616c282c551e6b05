"""Corrections after conversion, thresholds by iteration, and calibration data made from the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.codes import MultiThreshold, Rate, Stepwise
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import Converted
from ranvier.ir.ops.activations import LeakyRelu
from ranvier.ir.ops.arith import Add
from ranvier.passes.conversion.balanced import gaussian_fixed_point, local_balance
from ranvier.passes.conversion.thresholds import choose
from tests.conversion.helpers import convert, converted, neurons, outputs, tapped
from tests.zoo.net import Net, around, images

X = images(48, 3, 6, 6)
OPTIONS: dict[str, Any] = {"steps": 4, "signed": True, "schedule": Stepwise()}


def plain() -> Module:
    return around(lambda net, x: net.relu(net.conv(net.relu(net.conv(x, 4)), 4)))


def branched() -> Module:
    def build(net: Net, x: Any) -> Any:
        first = net.relu(net.conv(x, 4))
        return net.relu(net(Add, net.conv(net.relu(net.conv(first, 4)), 4), first))

    return around(build)


def error(module: Module, snn: Module) -> float:
    return float(((outputs(snn, X) - outputs(module, X)) ** 2).mean())


# -- corrections -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("build", [plain, branched])
def test_corrections_bring_the_outputs_closer(build: Any) -> None:
    module = build()
    none, light, advanced = (
        error(module, converted(module, X, correct=c, **OPTIONS)) for c in ("none", "light", "advanced")
    )
    assert light < none
    assert advanced < none


def test_a_light_correction_removes_the_mean_error_of_a_channel() -> None:
    module = plain()
    names = [op.result.name for op in module.main.ops if op.name == "nn.relu"]

    def offsets(snn: Module) -> float:
        want, found = tapped(module, names, X), tapped(snn, names, X)
        return sum(float(np.abs((found[n].mean(0) - want[n]).mean((0, 2, 3))).mean()) for n in names)

    assert offsets(converted(module, X, correct="light", **OPTIONS)) < 0.5 * offsets(converted(module, X, **OPTIONS))


def test_corrections_are_reported() -> None:
    _, context = convert(plain(), X, correct="advanced", samples=16, **OPTIONS)
    assert any("corrected layer by layer on 16 samples" in note for note in context.notes)
    rows = context.tables["corrections"]
    assert len(rows) == len(context.tables["coverage"])
    assert sum(r["error after"] for r in rows) < sum(r["error before"] for r in rows)


def test_corrections_work_for_other_codes_and_schedules() -> None:
    module = plain()
    for options in (
        {"code": MultiThreshold(levels=3, signed=True), "steps": 2, "schedule": Stepwise()},
        {"steps": 4},
        {"steps": 4, "per": "layer", "threshold": "p99.9"},
    ):
        plainly = error(module, converted(module, X, **options))
        assert error(module, converted(module, X, correct="advanced", **options)) <= 1.05 * plainly, options


# -- thresholds by iteration -------------------------------------------------------------------------------------------
def test_local_balancing_follows_its_equation() -> None:
    rows = np.abs(np.random.default_rng(0).standard_normal((2, 4000))).astype(np.float32)
    theta = np.zeros(2)
    for _ in range(7):
        theta = theta + np.where(rows > theta[:, None], rows - theta[:, None], 0).mean(1)
    found, settled = local_balance(rows, 7)
    np.testing.assert_allclose(found, theta, rtol=1e-3)
    assert not settled.any()
    assert local_balance(rows)[1].all()


def test_balancing_says_when_it_has_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    from ranvier.passes.conversion import balanced

    _, context = convert(plain(), X, threshold="ltb", **OPTIONS)
    assert not any("not converged" in n for n in context.notes)
    monkeypatch.setattr(balanced.local_balance, "__defaults__", (3,))
    _, context = convert(plain(), X, threshold="ltb", **OPTIONS)
    assert any("has not converged for" in n for n in context.notes)


@pytest.mark.parametrize("levels", [4, 16])
def test_the_gaussian_fixed_point_is_that_of_samples(levels: int) -> None:
    """A fixed point of the sample's own sums, and hardly worse than the best theta of a grid."""
    mean, std = np.array([0.3, -0.5]), np.array([1.0, 0.7])
    theta, settled = gaussian_fixed_point(mean, std, levels, 0.5)
    assert settled.all()
    z = mean[:, None] + std[:, None] * np.random.default_rng(0).standard_normal((2, 400_000))

    def loss(t: Any) -> Any:
        m = np.clip(np.floor(z * levels / t[:, None] + 0.5), 0, levels) / levels
        return ((m * t[:, None] - np.maximum(z, 0)) ** 2).mean(1)

    print(theta, loss(theta))
    grid = np.stack([loss(theta * f) for f in np.linspace(0.6, 1.5, 19)])
    assert (loss(theta) <= 1.1 * grid.min(0)).all()


@pytest.mark.parametrize("threshold", ["ltb", "gaussian"])
def test_iterated_thresholds_convert(threshold: str) -> None:
    module = branched()
    snn = converted(module, X, threshold=threshold, signed=True, steps=64, schedule=Stepwise())
    facts = [f for n in neurons(snn) for f in n.facts if isinstance(f, Converted)]
    assert all("converged" not in f.threshold for f in facts)
    assert np.abs(outputs(snn, X) - outputs(module, X)).max() < 0.25 * np.abs(outputs(module, X)).max()


def test_a_gaussian_fit_is_refused_where_it_has_no_rule() -> None:
    rows = np.ones((2, 3, 4), np.float32)
    with pytest.raises(RanvierError, match="no rule"):
        choose("gaussian", rows, 1, code=Rate(signed=True), steps=4, v0=0.5, low_slope=np.ones(1, np.float32))
    module = around(lambda net, x: net(LeakyRelu, x, slope=0.1))
    with pytest.raises(RanvierError, match="gaussian"):
        convert(module, X, threshold="gaussian", steps=8)


def test_a_layer_without_activity_is_named() -> None:
    net = Net((3, 6, 6))
    silent = net.relu(net.inputs[0])
    module = net.done(net.head(net.relu(net.conv(silent, 4))))
    with pytest.raises(RanvierError, match="zero on all the calibration data") as info:
        convert(module, -np.abs(X))
    (found,) = info.value.diagnostics
    assert found.code == "no-activity"
    assert f"%{silent.name} is zero" in found.message
    assert "net.py" in found.where


# -- data made from the model ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("source", ["noise", "class_impression"])
def test_thresholds_without_data(source: str) -> None:
    module = plain()
    made = rv.opt(module, f"convert-snn{{steps=32 signed=true schedule=stepwise calibration={source} samples=20}}")
    assert len(neurons(made)) == 3
    assert made == rv.opt(
        module, f"convert-snn{{steps=32 signed=true schedule=stepwise calibration={source} samples=20}}"
    ), "a seed says everything"
    _, context = convert(module, calibration=source, samples=20, steps=8)
    assert any("no real data was used" in n for n in context.notes)


def test_thresholds_from_batch_norm_alone() -> None:
    """Their spiking network is close to the source on inputs that no conversion has seen."""
    module = around(lambda net, x: net.relu(net.batch_norm(net.conv(net.relu(net.batch_norm(net.conv(x, 4))), 4))))
    options: dict[str, Any] = {"calibration": "bn", "samples": 20, "steps": 64}
    snn, context = convert(module, **options)
    assert any("no real data was used" in n for n in context.notes)
    (row,) = context.tables["calibration data"]
    assert (row["provenance"], row["samples"]) == ("bn", 20)
    assert {row["provenance"] for row in context.tables["coverage"]} == {"bn"}
    assert len(neurons(snn)) == 3
    assert np.abs(outputs(snn, X) - outputs(module, X)).max() < 0.25 * np.abs(outputs(module, X)).max()


def test_matching_batch_norm_needs_batch_norm() -> None:
    with pytest.raises(RanvierError, match="no batch normalization"):
        convert(plain(), calibration="bn", steps=8)
