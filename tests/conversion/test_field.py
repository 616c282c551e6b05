"""ResNet-20 on 500 CIFAR-10-JPEG test images against SpikingJelly's best on them (31 % at T=4 to 84 % at T=32).

The same options at every T.
"""

from __future__ import annotations

import pytest

import ranvier as rv
from tests.conversion.test_resnet20 import ann_accuracy, logits, simplified
from tests.zoo import resnet20

pytestmark = [pytest.mark.accuracy, pytest.mark.skipif(bool(resnet20.missing()), reason=resnet20.missing())]
OPTIONS = "schedule=stepwise signed=true correct=advanced"


def accuracy(options: str, *, data: bool = True) -> float:
    """Percent of the 500 images."""
    calibration = resnet20.calibration_images() if data else None
    snn = rv.opt(simplified(), f"convert-snn{{{options}}}", data=calibration)
    images, labels = resnet20.evaluation_images()
    return float(100 * (logits(snn, images).argmax(1) == labels).mean())


@pytest.mark.parametrize(("steps", "least"), [(4, 76), (8, 83), (16, 85.5)])
def test_accuracy_at_few_steps(steps: int, least: float) -> None:
    assert accuracy(f"{OPTIONS} steps={steps}") >= least


def test_multi_threshold_spikes_at_four_steps() -> None:
    options = "schedule=stepwise code=multi_threshold(levels=6 signed=true) steps=4"
    assert accuracy(options) >= 100 * ann_accuracy() - 0.5


@pytest.mark.parametrize("source", ["class_impression"])
def test_thresholds_without_real_data(source: str) -> None:
    options = "schedule=stepwise signed=true steps=32"
    made = accuracy(f"{options} calibration={source}", data=False)
    assert made >= accuracy(options) - 0.5
    assert made >= accuracy(f"{options} calibration=noise", data=False)
