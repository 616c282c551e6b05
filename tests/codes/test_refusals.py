"""What codes, neurons and conversions refuse, word for word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.codes import AverageSpike, EarlyFire, FewSpikes, FirstSpike, LayerSync, Rate, Stepwise
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.fields import RecordOf
from ranvier.ir.locations import describe
from ranvier.ir.text.values import parse_value
from tests.codes.helpers import encoder, neuron
from tests.conversion.helpers import convert
from tests.zoo.net import Net, images

X = images(8, 4)


def network() -> Any:
    net = Net((4,))
    return net.done(net.linear(net.relu(net.linear(net.inputs[0], 5)), 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("phase(period=0)", "`phase`: period must be an integer from 1 to 24, not 0"),
        ("phase(period=25)", "`phase`: period must be an integer from 1 to 24, not 25"),
        ("phase(base=1)", "`phase`: base must be a number from 1.01 to 16, not 1"),
        ("fs(K=0)", "`fs`: K must be an integer from 1 to 24, not 0"),
        ("fs(K=25)", "`fs`: K must be an integer from 1 to 24, not 25"),
        ("fs(round=up)", "`fs`: round must be mid | floor, not up"),
        ("ttfs(tau=0)", "`ttfs`: tau must be a number from 0.001 to 1e+06, not 0"),
        ("ttfs(tau=-3)", "`ttfs`: tau must be a number from 0.001 to 1e+06, not -3"),
        ("ttas(tau=0)", "`ttas`: tau must be a number from 0.001 to 1e+06, not 0"),
        ("ttas(spikes=0)", "`ttas`: spikes must be an integer from 1 to 64, not 0"),
        ("burst(beta=0)", "`burst`: beta must be a number from 0.1 to 16, not 0"),
        ("burst(v_th=0)", "`burst`: v_th must be a number from 0.001 to 16, not 0"),
        ("burst(cap=17)", "`burst`: cap must be an integer from 0 to 16, not 17"),
        ("multi_threshold(levels=13)", "`multi_threshold`: levels must be an integer from 1 to 12, not 13"),
        ("rate(levels=0)", "`rate`: levels must be an integer from 1 to 32768, not 0"),
        ("phase(K=3)", "`phase` has no option 'K'"),
        ("fase", "no code is called 'fase'"),
    ],
)
def test_options_beyond_their_limits(text: str, message: str) -> None:
    with pytest.raises(RanvierError) as info:
        RecordOf("code").read(parse_value(text))
    (found,) = info.value.diagnostics
    assert found.message == message
    assert found.help


@pytest.mark.parametrize(
    ("options", "message", "help"),
    [
        ("steps=0", "`convert-snn`: steps must be an integer of at least 1, not 0", "steps: "),
        ("code=fs(K=6) steps=8", "`convert-snn`: fs has 6 steps, not 8", "leave steps out"),
        ("code=fs schedule=stepwise", "`convert-snn`: fs needs its whole window before it fires", "layer_sync"),
        (
            "code=ttfs(tau=4) schedule=stepwise",
            "`convert-snn`: ttfs needs its whole window before it fires",
            "early_fire",
        ),
        ("code=ttas schedule=stepwise", "`convert-snn`: ttas needs its whole window before it fires", "layer_sync"),
        ("code=diff", "`convert-snn`: diff needs its input step by step", "use schedule=stepwise"),
        ("code=diff schedule=early_fire(start=2)", "`convert-snn`: diff needs its input step by step", "stepwise"),
        ("code=ttas(spikes=5) steps=4", "`convert-snn`: ttas needs 5 steps, not 4", "fewer spikes"),
        (
            "code=fs(K=6) schedule=layer_sync(period=3)",
            "`convert-snn`: a value of fs takes 6 steps, which layer_sync(period=3) cuts",
            "a period of 6 steps",
        ),
        (
            "code=phase(period=8) steps=16 schedule=layer_sync(period=5)",
            "`convert-snn`: a value of phase takes 8 steps, which layer_sync(period=5) cuts",
            "a period of 8 steps",
        ),
        ("input=ttfs", "`convert-snn`: input %x has negative values, and ttfs has no negative spikes", "input=direct"),
        ("code=burst signed=true", "`convert-snn`: burst has no signed form", "leave signed out"),
        ("code=ttfs signed=true", "`convert-snn`: ttfs has no signed form", ""),
    ],
)
def test_conversions_that_a_code_cannot_have(options: str, message: str, help: str) -> None:
    with pytest.raises(RanvierError) as info:
        rv.opt(network(), f"convert-snn{{{options}}}", data=X)
    (found,) = info.value.diagnostics
    assert found.code == "bad-value"
    assert found.message == message
    assert help in (found.help or "")


@pytest.mark.parametrize("code", ["burst", "ttfs", "ttas"])
def test_a_leaky_activation_needs_a_code_with_signs(code: str) -> None:
    net = Net((4,))
    from ranvier.ir.ops.activations import LeakyRelu

    ann = net.done(net.linear(net(LeakyRelu, net.linear(net.inputs[0], 5), slope=0.1), 3))
    with pytest.raises(RanvierError, match=f"{code} has no signed form") as info:
        convert(ann, X, code=code)
    (found,) = info.value.diagnostics
    (leaky,) = (op for op in ann.main.ops if isinstance(op, LeakyRelu))
    assert found.where == describe(leaky.location)
    assert f"%{leaky.result.name} has negative values" in (found.help or "")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: encoder(FewSpikes(K=4), 5), "has spikes of fs(K=4) over 5 steps"),
        (lambda: neuron(FewSpikes(K=4), 5, 1.0, 0.0), "has spikes of fs(K=4) over 5 steps"),
        (lambda: neuron(FirstSpike(), 4, 1.0, 0.0, Stepwise()), "fires ttfs under schedule stepwise"),
        (lambda: neuron(FewSpikes(K=4), 4, 1.0, 0.0, LayerSync(2)), "of 4 steps under schedule layer_sync(period=2)"),
        (lambda: encoder(AverageSpike(spikes=5), 4), "has spikes of ttas over 4 steps"),
        (lambda: encoder(Rate(), 0), "steps"),
    ],
)
def test_ops_refuse_other_windows(make: Any, message: str) -> None:
    with pytest.raises(RanvierError) as info:
        make()
    assert message in str(info.value)


def test_a_first_spike_may_be_fired_early() -> None:
    """It is exact no more, but it is no error."""
    z = np.ones((4, 2, 3), np.float32) / 2
    from tests.codes.helpers import run

    for start in (0, 2, 4):
        spikes = run(neuron(FirstSpike(tau=2.0), 4, 1.0, 0.0, EarlyFire(start)), z, "torch")[0]
        assert spikes.sum(0).max() == 1
