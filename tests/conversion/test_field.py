"""ResNet-20 on CIFAR-10-JPEG test images against SpikingJelly's best on them (31 % at T=4 to 84 % at T=32).

The same options at every T, chosen on other images; `benchmarks/results/conversion_field.md` has the figures.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from tests.conversion.test_resnet20 import ann_accuracy, logits, simplified
from tests.zoo import resnet20

needed = pytest.mark.skipif(bool(resnet20.missing()), reason=resnet20.missing())
pytestmark = [needed]
PLAIN = "schedule=stepwise signed=true"
OPTIONS = f"{PLAIN} correct=advanced"
SIZES = "schedule=stepwise code=multi_threshold(levels=6 signed=true)"
# The most accurate recipe of SpikingJelly 2.0.0 at T = 4, 16 (local threshold balancing) and 32 (channel p99.9 with
# half thresholds; balancing has as much, with more spikes) on the same 500 images: percent, and spikes an image
# (../shared/peers/sj_convert.py jpg ltb240 64 500, and ch99.9%_half).
PEER = {4: (31.4, 123135), 16: (75.0, 467254), 32: (84.2, 796531)}


@cache
def converted(options: str) -> Any:
    data = None if "calibration=" in options else resnet20.calibration_images()
    return rv.compile(simplified(), f"convert-snn{{{options}}}", data=data)


@cache
def accuracy(options: str, per_class: int = 50) -> float:
    """Percent of the first images of each class: 500 images, or 5000 with `per_class=500`."""
    images, labels = resnet20.evaluation_images(0, per_class)
    return float(100 * (logits(converted(options).module, images).argmax(1) == labels).mean())


@cache
def source_accuracy() -> float:
    """Percent of all 5000 images before conversion."""
    images, labels = resnet20.evaluation_images(0, 500)
    return float(100 * (logits(simplified(), images).argmax(1) == labels).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "least"), [(4, 76), (8, 83), (16, 85.5)])
def test_accuracy_at_few_steps(steps: int, least: float) -> None:
    assert accuracy(f"{OPTIONS} steps={steps}") >= least


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "theirs"), [(2, 4), (4, 16), (8, 32)])
def test_fewer_spikes_than_the_peer_at_equal_accuracy(steps: int, theirs: int) -> None:
    options = f"{OPTIONS} steps={steps}"
    percent, spikes = PEER[theirs]
    assert accuracy(options) >= percent
    some = resnet20.evaluation_images()[0][::10]  # sorted by class: five of each
    assert (converted(options).evaluate(some).spikes_per_sample or np.inf) < spikes


@pytest.mark.slow
def test_multi_threshold_spikes_at_four_steps() -> None:
    options = f"{SIZES} steps=4"
    assert accuracy(options) >= 100 * ann_accuracy() - 0.5
    found = converted(options).evaluate(resnet20.evaluation_images()[0][::50])
    assert found.bits_per_spike == pytest.approx(7), "six sizes and a sign"


@pytest.mark.accuracy
@pytest.mark.parametrize("options", [f"{OPTIONS} steps=32", f"{SIZES} steps=4"])
def test_half_a_point_below_the_source_on_all_images(options: str) -> None:
    assert accuracy(options, 500) >= source_accuracy() - 0.5


@pytest.mark.accuracy
def test_thresholds_from_class_impressions_are_as_good_as_from_data() -> None:
    options = f"{PLAIN} steps=32"
    made = accuracy(f"{options} calibration=class_impression", 500)
    assert made >= accuracy(options, 500) - 0.5
    assert made >= accuracy(f"{options} calibration=noise", 500)
