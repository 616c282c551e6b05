"""ResNet-20 on 500 CIFAR-10-JPEG test images in every spike code: how far each agrees with its source."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import ranvier as rv
from tests.conversion.test_resnet20 import logits, simplified, source_logits
from tests.zoo import resnet20

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(resnet20.missing()), reason=resnet20.missing())]
HMT = "code=multi_threshold(levels={} signed=true) schedule=stepwise steps={}"


@cache
def agreement(options: str, every: int = 1) -> float:
    """Percent of the images, or of every so many of them, whose class is the source's."""
    snn = rv.opt(simplified(), f"convert-snn{{{options}}}", data=resnet20.calibration_images())
    found = logits(snn, resnet20.evaluation_images()[0][::every])
    return float(100 * (found.argmax(1) == source_logits()[::every].argmax(1)).mean())


@pytest.mark.parametrize(
    ("options", "least"),
    [
        (HMT.format(6, 1), 96),
        (HMT.format(6, 2), 97),
        (HMT.format(4, 2), 93),
        (HMT.format(4, 4), 95),
        ("code=fs(K=6 round=mid)", 94),
        ("code=ttfs(tau=8 round=mid) steps=32", 90),
        ("code=phase(period=8) schedule=layer_sync", 96),
    ],
)
def test_agreement_with_the_source(options: str, least: float) -> None:
    assert agreement(options) >= least


def test_a_first_spike_code_fires_one_spike_at_most() -> None:
    images, labels = resnet20.evaluation_images()
    chosen = slice(None, None, 10)  # the images are sorted by class
    assert np.bincount(labels[chosen]).tolist() == [5] * 10
    text = "convert-snn{code=ttfs(tau=8 round=mid) steps=32}"
    exe = rv.compile(simplified(), text, data=resnet20.calibration_images())
    names = [op.result.name for op in exe.module.ops if op.name == "snn.neuron"]
    assert len(names) == 19
    taps = exe.run(images[chosen], names).taps
    counts = [taps[n].sum(0, dtype=np.int32) for n in names]
    assert all(c.max() == 1 and c.min() == 0 for c in counts)


def test_rounding_down_is_worse_than_to_nearest() -> None:
    """A bias to one side adds up from layer to layer."""
    assert agreement("code=fs(K=4 round=floor)") <= agreement("code=fs(K=4 round=mid)") - 10


def test_a_shared_phase_is_heard_too_late() -> None:
    """Stepwise, the large first spikes of a phase are fired before the input of the period is there."""
    shared = agreement("code=phase(period=8) schedule=stepwise steps=32", every=5)
    assert shared <= agreement("code=phase(period=8) schedule=layer_sync", every=5) - 20


def test_a_burst_after_the_window_is_lost() -> None:
    """What a membrane still holds at the end of a window is not said: eight steps say much less than 32."""
    short, long = (agreement(f"code=burst(v_th=0.5) schedule=stepwise steps={steps}", every=10) for steps in (8, 32))
    assert short <= long - 20
