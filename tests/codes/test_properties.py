"""Properties of every code: error bound, alphabet, closed form against simulation, text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.ir.codes import (
    AverageSpike,
    Burst,
    Code,
    Differential,
    FewSpikes,
    FirstSpike,
    MultiThreshold,
    Phase,
    Rate,
    Stepwise,
)
from ranvier.ir.fields import RecordOf
from ranvier.ir.text.values import parse_value
from tests.codes.helpers import CASES, both, constant, dyadic, encoder, every, neuron, run

few = settings(derandomize=True, deadline=None, max_examples=20)
KIND = RecordOf("code")


@every
@given(seed=st.integers(0, 1 << 20))
@few
def test_encoding_and_decoding_keep_to_the_error_bound(code: Code, steps: int, seed: int) -> None:
    top = code.reach
    x = np.random.default_rng(seed).uniform(-top if code.signed else 0, top, (60, 3)).astype(np.float32)
    spikes, value = run(encoder(code, steps), x, "meaning")
    assert np.abs(value - x).max() <= code.error_bound(steps) * (1 + 1e-5) + 1e-6
    low, high = code.alphabet()
    assert low <= spikes.min()
    assert spikes.max() <= high


@every
@both
def test_encoders_are_the_same_everywhere(runtime: str, code: Code, steps: int) -> None:
    x = dyadic(40, -1 if code.signed else 0, 1, 6)
    want, found = run(encoder(code, steps), x, "meaning"), run(encoder(code, steps), x, runtime)
    same = (want[0] == found[0]).mean()
    assert same == 1 if code.word not in ("diff", "ttfs", "ttas") else same > 0.999


@every
@both
def test_quantize_is_what_the_neuron_does(runtime: str, code: Code, steps: int) -> None:
    """A constant current, window by window (step by step for codes that need it so)."""
    top = min(code.reach, 8.0)
    z = dyadic(200, -1.5 * top, 1.5 * top, 7)
    offset = code.round_offset(0.5, steps)
    value = run(neuron(code, steps, 1.0, offset), constant(z, steps), runtime)[3]
    want = np.asarray(code.quantize(z, steps, offset))
    apart = np.abs(value - want) > 1e-5
    assert apart.mean() <= (0 if code.word not in ("diff", "ttfs", "ttas") else 1e-3)
    assert len(np.unique(want)) > 2


@every
@both
def test_quantize_stepwise_is_what_a_stepwise_neuron_does(runtime: str, code: Code, steps: int) -> None:
    if code.needs_window:
        pytest.skip("is never fired stepwise")
    top = min(code.reach, 8.0)
    z = dyadic(200, -1.5 * top, 1.5 * top, 7)
    offset = code.round_offset(0.5, steps)
    value = run(neuron(code, steps, 1.0, offset, Stepwise()), constant(z, steps), runtime)[3]
    apart = np.abs(value - np.asarray(code.quantize_stepwise(z, steps, offset))) > 1e-5
    assert apart.mean() <= (0 if code.word != "diff" else 1e-3)


def test_bursts_and_phases_say_less_when_their_current_comes_step_by_step() -> None:
    x = np.linspace(0, 1, 65, dtype=np.float32)
    for code, steps in ((Burst(), 16), (Phase(period=8), 8)):
        at_once, late = (np.abs(ask(x, steps) - x).mean() for ask in (code.quantize, code.quantize_stepwise))
        assert late > 1.5 * at_once, code


@every
@both
def test_neurons_keep_to_the_alphabet(runtime: str, code: Code, steps: int) -> None:
    low, high = code.alphabet()
    z = np.stack([dyadic(30, -3 * code.reach, 3 * code.reach, 4, seed) for seed in range(steps)])
    spikes = run(neuron(code, steps, 0.5, 0.25), z, runtime)[0]
    assert low <= spikes.min()
    assert spikes.max() == high if code.word != "multi_threshold" else spikes.max() <= high
    assert code.element().range[0] <= low
    assert high <= code.element().range[1]


@pytest.mark.parametrize(
    ("code", "bits", "largest"),
    [
        (Rate(), 1, 1),
        (Rate(signed=True), 2, 1),
        (Rate(levels=8), 4, 8),
        (Phase(period=8), 1, 1),
        (Burst(cap=5), 3, 1),
        (Burst(beta=1.0), 1, 1),
        (FewSpikes(K=6), 1, 1),
        (FirstSpike(), 1, 1),
        (AverageSpike(), 1, 1),
        (MultiThreshold(levels=6), 6, 63),
        (MultiThreshold(levels=6, signed=True), 7, 63),
        (MultiThreshold(levels=4, rule="nearest"), 2, 4),
        (MultiThreshold(levels=4, rule="nearest", signed=True), 3, 4),
        (Differential(), 2, 1),
    ],
    ids=str,
)
def test_bits_of_a_spike(code: Code, bits: int, largest: int) -> None:
    assert (code.bits, code.largest) == (bits, largest)


@pytest.mark.parametrize(
    ("code", "spikes", "units"),
    [
        (Rate(levels=3, signed=True), [0, 1, -3], [0, 1, 3]),
        (MultiThreshold(levels=4, signed=True), [0, 1, 3, -7, 8, 15], [0, 1, 2, 3, 1, 4]),
        (MultiThreshold(levels=4, rule="nearest"), [0, 1, 4], [0, 1, 1]),
        (Burst(), [0, 1], [0, 1]),
    ],
    ids=str,
)
def test_units_are_the_weights_that_a_target_adds(code: Code, spikes: list[int], units: list[int]) -> None:
    np.testing.assert_array_equal(code.units(np.asarray(spikes)), units)


TEXTS = [
    "rate",
    "rate(signed=true, levels=4, encoder=regular)",
    "phase(period=12, base=1.5, signed=true)",
    "burst(beta=1.5, v_th=0.125, cap=3)",
    "fs(K=9, round=floor, signed=true)",
    "ttfs(tau=3, t_d=1.5, round=ceil)",
    "ttas(tau=5, spikes=3)",
    "multi_threshold(levels=4, rule=nearest, signed=true)",
    "diff(signed=false, levels=2)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_codes_are_read_back_from_their_text(text: str) -> None:
    code = KIND.read(parse_value(text))
    assert KIND.read(parse_value(str(code))) == code
    assert str(KIND.read(parse_value(str(code)))) == str(code)
    assert code == KIND.read(code.write())


@pytest.mark.parametrize(("code", "steps"), CASES, ids=[f"{c} T={t}" for c, t in CASES])
def test_modules_with_codes_are_read_back(code: Code, steps: int) -> None:
    from ranvier.ir.text.parser import parse_module

    module = neuron(code, steps, 0.75, 0.375)
    assert parse_module(str(module), resources=module.resources) == module


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_signs_are_asked_for(steps: int) -> None:
    signed: list[Any] = [Rate(), Phase(), FewSpikes(), MultiThreshold(), MultiThreshold(rule="nearest")]
    for code in signed:
        other = code.with_sign(True)
        assert other.signed
        assert other.with_sign(False) == code
    for code in (Burst(), FirstSpike(), AverageSpike()):
        assert code.with_sign(False) == code
        with pytest.raises(ValueError, match="has no signed form"):
            code.with_sign(True)
