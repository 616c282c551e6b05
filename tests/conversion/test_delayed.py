"""A delayed readout begins when the first spikes have come through: t0 from thresholds and mean activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ranvier.ir.codes import Phase, Rate
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import NeuronCode
from ranvier.ir.ops.arith import Add
from ranvier.passes.conversion.convert_snn import ConvertSnn
from ranvier.passes.conversion.readout import MeanReadout
from tests.conversion.helpers import convert, converted, ops_named, outputs, tapped
from tests.zoo.net import Net, images

X = images(24, 5)
OPTIONS: dict[str, Any] = {"schedule": "stepwise", "threshold": "max", "readout": "mean(start=auto)"}


def chain(layers: int) -> Module:
    net = Net((5,), seed=4)
    x = net.inputs[0]
    for _ in range(layers):
        x = net.relu(net.linear(x, 16))
    return net.done(net.linear(x, 3))


def begins(snn: Module, steps: int) -> int:
    """The first step that a module's readout counts."""
    (late,) = ops_named(snn, "nn.mul")
    weights = snn.array(late.operands[1])  # type: ignore[arg-type]
    assert weights.shape == (steps,)
    return int(np.argmax(weights > 0))


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("v0", [0.0, 0.5])
def test_the_start_follows_the_formula(layers: int, v0: float) -> None:
    """t0 = sum over layers of (theta - v0) / max_i E[max(z_i, 0)], one threshold a layer: its largest activation."""
    ann = chain(layers)
    found = tapped(ann, [op.result.name for op in ops_named(ann, "nn.relu")], X)
    want = sum(a.max() * (1 - v0) / a.mean(0).max() for a in found.values())
    snn, context = convert(ann, X, steps=256, per="layer", v0=v0, **OPTIONS)
    assert begins(snn, 256) == math.ceil(want)
    assert any(f"after {want:.1f} steps" in note for note in context.notes)


def test_with_thresholds_for_channels_the_fastest_channel_counts() -> None:
    ann = chain(1)
    (a,) = tapped(ann, [ops_named(ann, "nn.relu")[0].result.name], X).values()
    means = a.mean(0)
    live = means > 0
    want = (0.5 * a.max(0)[live] / means[live]).min()
    assert begins(converted(ann, X, steps=64, per="channel", **OPTIONS), 64) == math.ceil(want)


def test_the_longer_of_two_branches_counts() -> None:
    net = Net((5,), seed=4)
    first = net.relu(net.linear(net.inputs[0], 8))
    module = net.done(net.linear(net(Add, net.relu(net.linear(first, 8)), first), 3))
    made = module.clone()
    for op in ops_named(made, "nn.relu"):
        op.result.facts += (NeuronCode(Rate(), 128, (8.0,)),)
    found = tapped(module, [op.result.name for op in ops_named(module, "nn.relu")], X)
    want = sum(4.0 / a.mean(0).max() for a in found.values())
    assert begins(converted(made.freeze(), X, steps=128, **OPTIONS), 128) == math.ceil(want)


def test_four_steps_are_read_at_least() -> None:
    assert begins(converted(chain(4), X, steps=8, per="layer", **OPTIONS), 8) == 4
    assert not ops_named(converted(chain(4), X, steps=3, per="layer", **OPTIONS), "nn.mul")


def test_whole_periods_are_left_out() -> None:
    readout = MeanReadout("auto")
    assert readout.settled(9.2, 64, 8) == MeanReadout(16)
    assert readout.settled(60.0, 64, 8) == MeanReadout(56)
    assert readout.settled(9.2, 64, 1) == MeanReadout(10)
    assert MeanReadout(3).settled(9.2, 64, 1) == MeanReadout(3)
    snn = converted(chain(2), X, steps=64, code=Phase(period=8), **OPTIONS)
    assert begins(snn, 64) % 8 == 0


def test_leaving_out_the_first_steps_helps_a_deep_network() -> None:
    """Thresholds at the maximum and v0 = 0: every layer is late."""
    ann = chain(6)
    want = outputs(ann, X)

    def error(readout: str) -> float:
        options = {**OPTIONS, "readout": readout}
        return float(np.abs(outputs(converted(ann, X, steps=64, per="layer", v0=0, **options), X) - want).mean())

    assert error("mean(start=auto)") < 0.8 * error("membrane")


@pytest.mark.parametrize(
    ("options", "message", "help"),
    [
        ({"steps": 8}, "no layer is behind another", "schedule=stepwise"),
        ({"steps": 9, "schedule": "stepwise", "code": "phase(period=4)"}, "phase takes 4 steps", "multiple of 4"),
        ({"steps": 8, "schedule": "early_fire(start=2)"}, "no layer is behind another", "give start"),
    ],
    ids=str,
)
def test_refusals(options: dict[str, Any], message: str, help: str) -> None:
    with pytest.raises(RanvierError, match=message) as info:
        ConvertSnn(readout="mean(start=auto)", **options)
    assert help in str(info.value)
