"""Estimates of what is not mapped yet are the costs of what the target makes of it, and say what stays digital."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import ranvier as rv
from ranvier.estimate import estimate
from ranvier.ir.core import Module
from tests.zoo.digits import TRAIN, digits, digits_network

TARGET = "crossbar{adc_bits=8}"


@cache
def converted(code: str) -> Module:
    passes = f"fold-batchnorm, canonicalize, convert-snn{{{code}}}"
    return rv.opt(digits_network(), passes, data=digits()[0][:32])


def compiled(code: str) -> Any:
    return rv.compile(converted(code), target=TARGET, data=digits()[0][:32])


@pytest.mark.parametrize(
    "code",
    [
        "steps=4",
        "signed=true steps=4",
        "code=multi_threshold steps=4",
        "code=multi_threshold(rule=nearest) steps=4",
        "code=burst(beta=2) steps=4",
        "code=phase(period=4)",
        "code=ttfs steps=4",
    ],
)
def test_an_estimate_of_spikes_is_what_the_mapped_network_costs(code: str) -> None:
    estimated, mapped = estimate(converted(code), TARGET), compiled(code).cost()
    assert estimated.energy == mapped.energy
    assert estimated.latency == mapped.latency
    assert estimated.area == mapped.area


def test_layers_that_read_spikes_of_no_grain_are_said_to_be_digital() -> None:
    code = "code=burst(beta=1.5) steps=4"
    exe = compiled(code)
    why = "what spikes of burst(beta=1.5) are worth is no multiple of one grain"
    for cost in (estimate(converted(code), TARGET), exe.evaluate(digits()[0][TRAIN : TRAIN + 4]).cost):
        said = [note for note in cost.notes if "digital, at no cost in this model" in note]
        assert len(said) == 1
        assert why in said[0]
        assert said[0].count("%") == 6
    assert estimate(converted(code), TARGET).energy == exe.cost().energy


PRODUCT = """ranvier v1 "product"

graph @main(%q: tensor<Nx2x5x6xf32>, %k: tensor<Nx2x6x5xf32>) -> (out: tensor<Nx2x5x5xf32>) {
  %out = nn.matmul(%q, %k) : tensor<Nx2x5x5xf32>
  return %out
}
"""


def test_a_product_that_a_memory_does_not_endure_has_no_cost_on_it() -> None:
    module = rv.parse(PRODUCT)
    assert estimate(module, TARGET).energy is not None
    with pytest.raises(rv.RanvierError, match="which pcm does not endure") as why:
        estimate(module, "crossbar{device=pcm}")
    assert why.value.diagnostics[0].code == "write-limited"
    assert why.value.diagnostics[0].where
