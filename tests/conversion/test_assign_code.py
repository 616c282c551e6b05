"""Hybrid coding layer by layer: `assign-code` says which code some activations fire, and `convert-snn` follows."""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.codes import Burst, Phase
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import NeuronCode
from ranvier.ir.ops.activations import LeakyRelu
from ranvier.passes.conversion.value_domain import value_domain
from ranvier.pipeline import parse_pipeline
from tests.conversion.helpers import closeness, each_runtime, neurons, ops_named, outputs
from tests.zoo.net import Net, images, residual

both = pytest.mark.parametrize("runtime", list(each_runtime()))
X = images(24, 2, 8, 8)
RELUS = ["relu", "relu_2", "relu_3", "relu_4", "relu_5"]


def fired(module: Module) -> list[str]:
    """The code word of every neuron in order."""
    return [n.code.word for n in neurons(module)]


def test_the_names_of_the_network() -> None:
    assert [op.result.name for op in ops_named(residual(), "nn.relu")] == RELUS


@both
@pytest.mark.parametrize(
    ("passes", "words", "tolerance"),
    [
        ("assign-code{layers=[relu_2] code=burst}, convert-snn{steps=32}", ["rate", "burst", "rate"], 0.1),
        (
            "assign-code{layers=[relu] code=phase(period=8)}, assign-code{layers=[relu_2, relu_3] code=burst}, "
            "convert-snn{code=rate steps=8 threshold=max}",
            ["phase", "burst", "burst", "rate"],
            0.2,
        ),
        ("assign-code{layers=[relu_5] code=ttfs(tau=8)}, convert-snn{steps=32}", ["rate"] * 4 + ["ttfs"], 0.15),
        ("assign-code{layers=[\"*\"] code=fs(K=6)}, convert-snn{steps=6}", ["fs"] * 5, 0.1),
    ],
)  # fmt: skip
def test_layers_fire_the_codes_they_were_given(passes: str, words: list[str], tolerance: float, runtime: str) -> None:
    ann = residual()
    snn = rv.opt(ann, passes, data=X)
    assert fired(snn)[: len(words)] == words
    for neuron in neurons(snn):  # the door of the code that comes in
        assert {user.name for user in neuron.results[0].users} == {"snn.psp"}
    want = outputs(ann, X)
    assert np.abs(outputs(snn, X, runtime=runtime) - want).max() <= tolerance * np.abs(want).max()
    assert closeness(ann, snn, X) <= tolerance


def test_the_quantized_twin_has_each_layers_levels() -> None:
    snn = rv.opt(
        residual(dyadic=True), "assign-code{layers=[relu_2] code=phase(period=4)}, convert-snn{steps=4}", data=X
    )
    np.testing.assert_allclose(outputs(value_domain(snn), X), outputs(snn, X), rtol=1e-5, atol=1e-5)


def test_the_last_assignment_counts_and_others_stay() -> None:
    made = rv.opt(
        residual(), 'assign-code{layers=["relu*"] code=burst}, assign-code{layers=[relu_3] code=phase steps=8}'
    )
    facts = {op.result.name: op.result.fact(NeuronCode) for op in ops_named(made, "nn.relu")}
    assert facts["relu_3"] == NeuronCode(Phase(), 8, definition="assigned")
    assert {f.code for n, f in facts.items() if n != "relu_3" and f is not None} == {Burst()}
    assert rv.parse(str(made), resources=made.resources) == made


def test_a_fact_goes_with_its_activation_behind_a_pool() -> None:
    net = Net((2, 8, 8))
    x = net.relu(net.conv(net.inputs[0], 4))
    module = net.done(net.head(net.relu(net.conv(net.max_pool(x), 4))))
    snn = rv.opt(module, f"assign-code{{layers=[{x.name}] code=burst}}, convert-snn{{steps=16}}", data=X)
    assert fired(snn) == ["burst", "rate"]


def test_coverage_says_the_code() -> None:
    exe = rv.compile(residual(), "assign-code{layers=[relu_2] code=burst}, convert-snn{steps=8}", data=X)
    rows = {row["activation"]: row["code"] for row in exe.trace["convert-snn"].tables["coverage"]}
    assert rows == {f"%{n}": "burst" if n == "relu_2" else "rate" for n in RELUS}
    assert exe.trace["assign-code"].notes[0].startswith("1 activations are to fire burst")


def test_negative_slopes_and_signs_hold_for_given_codes_too() -> None:
    net = Net((6,))
    leaky = net(LeakyRelu, net.linear(net.inputs[0], 8), slope=0.1)
    module = net.done(net.linear(net.relu(net.linear(leaky, 8)), 3))
    data = images(24, 6)
    snn = rv.opt(module, f"assign-code{{layers=[{leaky.name}] code=phase}}, convert-snn{{steps=8}}", data=data)
    assert neurons(snn)[0].code.signed
    signed = rv.opt(
        module,
        f"assign-code{{layers=[{leaky.name}] code=phase}}, convert-snn{{steps=8 signed=true schedule=stepwise}}",
        data=data,
    )
    assert [n.code.signed for n in neurons(signed)] == [True, True]
    with pytest.raises(RanvierError, match="ttfs has no signed form") as info:
        rv.opt(module, f"assign-code{{layers=[{leaky.name}] code=ttfs}}, convert-snn{{steps=8}}", data=data)
    assert "net.py" in info.value.diagnostics[0].where


@pytest.mark.parametrize(
    ("assigned", "conversion", "message", "help"),
    [
        ("code=ttfs", "steps=8 schedule=stepwise", "ttfs of %relu_2 needs its whole window", "layer_sync"),
        ("code=diff", "steps=8", "diff of %relu_2 needs its input step by step", "stepwise"),
        ("code=fs(K=4)", "steps=8", "fs of %relu_2 has 4 steps, not 8", "steps=4"),
        ("code=ttas(spikes=9)", "steps=8", "ttas of %relu_2 needs 9 steps, not 8", "more steps"),
        ("code=rate steps=4", "steps=8", "was found for 4 steps, not 8", "steps=4"),
        ("code=burst", "steps=8 signed=true", "burst has no signed form", ""),
        ("code=phase(period=8)", "steps=16 schedule=stepwise readout=mean(start=4)", "a value takes 8 steps", "8"),
        ("code=phase(period=8)", "steps=12", "phase of %relu_2 takes 8 steps, of which 12", "multiple of 8 steps"),
        ("code=burst", "steps=8 schedule=stepwise reset=hard", "spikes of burst of %relu_2", "leave reset out"),
        ("code=burst", "steps=16 schedule=stepwise correct=srp", "no rule for %relu_2", "leave correct out"),
    ],
)
def test_what_does_not_suit_the_network_is_refused_by_name(
    assigned: str, conversion: str, message: str, help: str
) -> None:
    with pytest.raises(RanvierError, match=message) as info:
        rv.opt(residual(), f"assign-code{{layers=[relu_2] {assigned}}}, convert-snn{{{conversion}}}", data=X)
    assert help in str(info.value)


@pytest.mark.parametrize(
    ("layers", "message", "help"),
    [
        ("[relu_9]", "no value is called relu_9", "relu"),
        ("[conv]", "nn.conv %conv is no activation", "activations are relu"),
        ("[\"conv*\"]", "no activation is among the values", "activations are relu"),
        ("[]", "no layer is named", "all activations"),
    ],
)  # fmt: skip
def test_names_are_checked(layers: str, message: str, help: str) -> None:
    with pytest.raises(RanvierError, match=message) as info:
        rv.opt(residual(), f"assign-code{{layers={layers} code=burst}}")
    assert help in str(info.value)


def test_the_pass_prints_as_it_is_read() -> None:
    text = 'assign-code{layers=["relu*", head] code=burst(cap=3) steps=8}'
    assert str(parse_pipeline(text)) == str(parse_pipeline(str(parse_pipeline(text))))
