"""Hybrid coding: one code for the input, another one for the hidden spikes (card 3)."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.ir.types import SpikesType
from tests.conversion.helpers import closeness, converted, each_runtime, outputs
from tests.zoo.net import Net, images

X = images(24, 6)
RUNTIMES = list(each_runtime())


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("given", "hidden", "steps", "tolerance"),
    [
        ("direct", "phase(period=8)", 8, 0.03),
        ("direct", "burst", 64, 0.08),
        ("direct", "ttfs(tau=12)", 64, 0.15),
        ("phase(period=8)", "burst", 64, 0.08),
        ("phase(period=8)", "phase(period=8)", 8, 0.03),
        ("rate(encoder=regular)", "burst", 64, 0.08),
        ("rate", "burst", 512, 0.2),
        ("rate(encoder=regular)", "fs(K=8)", 8, 0.25),
        ("burst", "rate", 64, 0.1),
        ("multi_threshold(levels=6)", "rate", 64, 0.08),
        ("phase(period=8)", "multi_threshold(levels=5)", 8, 0.03),
        ("diff", "rate", 64, 0.12),
    ],
)
def test_pairs_of_codes(given: str, hidden: str, steps: int, tolerance: float, runtime: str) -> None:
    net = Net((6,))
    x = net.relu(net.linear(net.inputs[0], 16))
    ann = net.done(net.linear(net.relu(net.linear(x, 12)), 4))
    data = np.abs(X) if given in ("burst", "ttfs") else X
    snn = converted(ann, data, input=given, code=hidden, steps=steps, threshold="max")
    spikes = [v.type for v in snn.main.values if isinstance(v.type, SpikesType)]
    codes = [t.code.word for t in spikes]
    assert codes == ([] if given == "direct" else [given.partition("(")[0]]) + [hidden.partition("(")[0]] * 2
    want, found = outputs(ann, data), outputs(snn, data, runtime=runtime)
    assert np.abs(found - want).max() <= tolerance * np.abs(want).max()
    assert closeness(ann, snn, data) <= tolerance


@pytest.mark.parametrize("code", ["phase", "multi_threshold", "fs", "rate(encoder=regular)"])
def test_negative_inputs_are_encoded_with_signs(code: str) -> None:
    net = Net((6,))
    ann = net.done(net.linear(net.relu(net.linear(net.inputs[0], 16)), 4))
    assert (X < 0).any()
    snn = converted(ann, X, input=code, code="rate", steps=6)
    first = next(v.type for v in snn.main.values if isinstance(v.type, SpikesType))
    assert first.code.signed
