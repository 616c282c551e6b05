"""An ANN on key frames and spikes on residual frames, in one module (examples/respike.py)."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Module
from ranvier.ir.interpret import evaluate
from ranvier.ir.text.parser import parse_module
from ranvier.ir.types import SpikesType
from tests.zoo.digits import EXAMPLES, TRAIN, digits

Array = np.ndarray[Any, Any]
# MACs a sample of what sees real values: two convolutions and the gate's; two votes.
KEY_BRANCH, VOTES = 8 * 9 * 64 + 16 * 72 * 16 + 16 * 16 * 16, 2 * 8 * 256


@cache
def example() -> Any:
    spec = importlib.util.spec_from_file_location("respike_example", EXAMPLES / "respike.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def built(**options: Any) -> tuple[Module, Array]:
    """The network, and a few clips for it."""
    r = example().ReSpike(**options)
    x, y = digits()
    return example().network(r), example().clips(x[:12], y[:12], r.frames)[0]


VARIANTS = [
    {},
    {"gate_code": None},
    {"gate_code": "ttfs(tau=4.0)"},
    {"gate_code": "rate", "gate_steps": 16},
    {"late": False},
    {"keys": 2, "group": 4},
    {"keys": 3, "group": 2, "hold": 4},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_it_verifies_prints_and_runs_alike_by_meaning_and_on_torch(options: dict[str, Any]) -> None:
    module, x = built(**options)
    assert parse_module(str(module), resources=module.resources) == module
    spiking = tuple(v.name for v in module.main.values if isinstance(v.type, SpikesType))
    want, taps = evaluate(module, [x], taps=spiking)
    found = TorchRuntime().run(module, [x], taps=spiking)
    np.testing.assert_allclose(found.outputs[0], want[0], atol=1e-5 * np.abs(want[0]).max())
    for name in spiking:
        assert np.mean(found.taps[name] != taps[name]) <= 1e-4
        assert taps[name].any()


def costs(**options: Any) -> float:
    module, x = built(**options)
    macs: float = rv.compile(module).evaluate(x).multiply_accumulates
    return macs


def test_what_does_not_change_over_time_is_done_once() -> None:
    """Its features gate ten steps; the key frame's convolutions are done once, wherever time begins."""
    assert costs() == KEY_BRANCH + VOTES
    assert costs(late=False) == KEY_BRANCH + VOTES
    assert costs(hold=4) == KEY_BRANCH + VOTES


def test_key_frames_have_a_rate_of_their_own() -> None:
    assert costs(keys=2, group=4) == 2 * KEY_BRANCH + VOTES
    module, _ = built(keys=2, group=4, hold=3)
    assert {v.type.time for v in module.main.values} == {None, 2, 18}


def test_the_runtime_hoists_it() -> None:
    early, x = built(late=False)
    late, _ = built(gate_code=None)
    plan = rv.compile(early).program.plan()
    depth = {
        line.strip().split(" = ")[0]: len(line) - len(line.lstrip()) for line in plan.splitlines() if " = " in line
    }
    assert depth["key1"] == depth["key2"] == depth["gate"] < depth["move1_conv" if "move1_conv" in depth else "gated"]
    found, want = (TorchRuntime().run(m, [x]).outputs[0] for m in (early, late))
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_every_boundary_says_its_code() -> None:
    module, _ = built()
    made = [(op.name, str(r.type.code), r.type.time) for op in module.main.ops for r in op.results
            if isinstance(r.type, SpikesType)]  # fmt: skip
    assert made == [
        ("snn.encode", "phase", 8),
        ("snn.neuron", "rate(signed=true)", 10),
        ("snn.neuron", "rate", 10),
        ("snn.neuron", "rate", 10),
    ]
    doors = [op.name for op in module.main.ops if op.name in ("snn.psp", "snn.decode")]
    assert sorted(doors) == ["snn.decode", "snn.decode", "snn.psp", "snn.psp"]


def test_passes_for_spikes_act_on_the_spiking_parts() -> None:
    module, x = built()
    noisy = rv.opt(module, "noise{deletion=0.2}, compensate-deletion{p=0.2}")
    edges = [op for op in noisy.main.ops if op.name == "snn.noise"]
    assert len(edges) == 4
    plain, lossy = (TorchRuntime().run(m, [x]).outputs[0] for m in (module, noisy))
    assert not np.array_equal(plain, lossy)


@pytest.mark.slow
def test_moving_digits_take_both_branches() -> None:
    """Where a digit moves is not seen on the key frame; whether it is below five is seen worse on residuals."""
    e = example()
    r = e.ReSpike(hold=1)
    x, y = digits()
    parts = [e.clips(x[:TRAIN], y[:TRAIN], r.frames, seed) for seed in (0, 1, 2)]
    weights = e.trained(r, *(np.concatenate(p) for p in zip(*parts, strict=True)))
    clips, labels = e.clips(x[TRAIN:], y[TRAIN:], r.frames, seed=3)

    def right(r: Any, **changed: Array) -> float:
        logits = TorchRuntime().run(e.network(r, {**weights, **changed}), [clips]).outputs[0]
        return float((logits.argmax(1) == labels).mean())

    whole = right(r)
    assert whole >= 0.85
    assert right(r, **{"move_vote.weight": np.zeros((8, 256), np.float32)}) <= 0.45
    assert right(r, **{"key_vote.weight": np.zeros((8, 256), np.float32)}) <= whole - 0.05
    assert abs(right(replace(r, gate_code=None)) - whole) <= 0.02
