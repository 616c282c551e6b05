"""The digits network that ships with the examples: what conversion costs there."""

from __future__ import annotations

from functools import cache

import pytest

import ranvier as rv
from ranvier.ir.core import Module
from tests.conversion.helpers import outputs
from tests.zoo.digits import TRAIN, digits, digits_network


@cache
def network() -> Module:
    return rv.opt(digits_network(), "fold-batchnorm, canonicalize")


@cache
def measured(options: str) -> tuple[float, float]:
    """Accuracy, and agreement with the source, in points on the test images."""
    x, y = digits()
    snn = rv.opt(network(), f"convert-snn{{{options}}}", data=x[:256]) if options else network()
    found, want = (outputs(m, x[TRAIN:]).argmax(1) for m in (snn, network()))
    return 100 * float((found == y[TRAIN:]).mean()), 100 * float((found == want).mean())


@pytest.mark.parametrize(
    "options", ["", "signed=true", "readout=count", "schedule=stepwise", "schedule=stepwise signed=true"]
)
def test_within_half_a_point_at_32_steps(options: str) -> None:
    assert abs(measured("")[0] - measured(f"steps=32 {options}")[0]) <= 0.5


@pytest.mark.parametrize("options", ["", "signed=true"])
def test_every_class_is_the_sources_at_64_steps(options: str) -> None:
    """E20: what the bound of E4 promises for many steps."""
    assert measured(f"schedule=stepwise steps=64 {options}")[1] >= 99.7


def test_a_hard_reset_costs_much() -> None:
    soft, hard = (measured(f"schedule=stepwise steps=64 threshold=max reset={r}")[0] for r in ("soft", "hard"))
    assert soft - hard >= 20


def test_half_a_threshold_to_begin_with_gains_much() -> None:
    half, none = (measured(f"schedule=stepwise steps=8 threshold=max per=layer v0={v}")[0] for v in (0.5, 0))
    assert half - none >= 40


def test_signed_neurons_are_done_early() -> None:
    accuracy, agreement = measured("schedule=stepwise steps=8 signed=true")
    assert accuracy >= measured("")[0] - 0.5
    assert agreement >= 99
