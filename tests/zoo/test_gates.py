"""What a conversion may cost, on trained networks of the zoo and all their test data: gates on accuracy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from tests.zoo.boxes import box_errors
from tests.zoo.data import Missing
from tests.zoo.networks import ZOO
from tests.zoo.table import BEFORE
from tests.zoo.zoo import Zoo

Array = np.ndarray[Any, Any]
CALIBRATION = 512


def network(name: str, every: int = 1) -> Zoo:
    """A network with its test data, or with every so many of them; or a skip with what is not at hand."""
    try:
        zoo = ZOO[name]()
    except Missing as why:
        pytest.skip(str(why))
    labels = None if zoo.labels is None else zoo.labels[::every]
    return replace(zoo.few(CALIBRATION, len(zoo.evaluation)), evaluation=zoo.evaluation[::every], labels=labels)


@cache
def converted(name: str, passes: str, every: int = 1) -> tuple[Zoo, Array, Array, Any]:
    """The network, its outputs on its test data, those of the spiking network, and its coverage report."""
    zoo = network(name, every)
    exe = rv.compile(zoo.module(), f"{BEFORE}, {passes}", data=zoo.calibration)
    stage = next(s for s in exe.trace if "coverage" in s.tables)
    return zoo, zoo.reference(), np.asarray(exe(zoo.evaluation)), stage.tables["coverage"]


def loss_in_points(name: str, passes: str, every: int = 1) -> float:
    """Points of accuracy on test images that go with the conversion; every activation has become a neuron."""
    zoo, source, found, coverage = converted(name, passes, every)
    assert {row["became"] for row in coverage} == {"neuron"}
    assert zoo.labels is not None
    return 100 * (zoo.metric.score(source, zoo.labels) - zoo.metric.score(found, zoo.labels))


@pytest.mark.slow
@pytest.mark.parametrize("function", ["silu", "gelu"])
def test_smooth_activations_lose_half_a_point_at_most(function: str) -> None:
    """MNIST, all 10,000 test images, tables of 16 steps."""
    passes = f"fs-fit{{function={function} K=16}}, convert-snn{{steps=16}}"
    assert loss_in_points(f"{function}_cnn", passes) <= 0.5
    assert len(network(f"{function}_cnn").evaluation) == 10_000


@pytest.mark.parametrize(
    "every", [pytest.param(4, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.accuracy)]
)
def test_leaky_relu_loses_a_point_at_most(every: int) -> None:
    """MNIST, a quarter of the test images and all 10,000; negative spikes with a threshold of their own."""
    assert loss_in_points("leaky_cnn", "convert-snn{code=rate steps=64}", every) <= 1.0


@pytest.mark.parametrize(
    ("options", "share"), [("code=rate steps=32", None), ("code=multi_threshold(levels=6) steps=8", 99)]
)
def test_boxes_stay_within_a_hundredth_of_the_canvas(options: str, share: int | None) -> None:
    """Errors of centre, width and height where the source network sees an object, as parts of the canvas's side.

    Their mean is within 1 % with spikes of one size at T=32 (the 99th percentile is 2.5 % there); with spikes of six
    sizes at T=8 99 of 100 coordinates are.
    """
    zoo, source, found, _ = converted("detector", f"convert-snn{{{options}}}")
    errors = box_errors(found, source)
    assert errors.mean() <= 0.01
    if share is not None:
        assert np.percentile(errors, share) <= 0.01
    assert (source[:, 4] > 0.5).sum() >= len(zoo.evaluation), "hardly any box was looked at"


def test_ninety_nine_of_a_hundred_pixels_keep_their_class() -> None:
    zoo, source, found, _ = converted("unet", "convert-snn{code=rate steps=32}")
    assert zoo.metric.agreement(found, source) >= 0.99
    assert set(np.unique(source.argmax(1))) == {0, 1}


@pytest.mark.parametrize(
    ("fit", "neurons", "left"),
    [
        ("", [], ["nn.layer_norm", "nn.matmul", "nn.softmax", "nn.gelu"]),
        ("fs-fit{function=gelu K=16}, ", ["nn.gelu"], ["nn.layer_norm", "nn.matmul", "nn.softmax"]),
        pytest.param(
            "fs-fit{K=16 softmax=true}, ",
            ["nn.exp", "nn.gelu"],
            ["nn.div", "nn.layer_norm", "nn.matmul", "nn.max"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_transformer_says_what_stays_real_valued(fit: str, neurons: list[str], left: list[str]) -> None:
    """Attention multiplies two values that vary, and LayerNorm divides by one: both are computed on values read out."""
    zoo, source, found, coverage = converted("vit", f"{fit}convert-snn{{steps=16 allow_unconverted=true}}")
    became = {(row["op"], row["became"]) for row in coverage}
    assert {op for op, kind in became if kind == "neuron"} == set(neurons)
    assert {op for op, kind in became if kind == "real-valued"} == set(left)
    assert all(row["reason"] for row in coverage if row["became"] == "real-valued")
    assert zoo.metric.agreement(found, source) >= 0.98
