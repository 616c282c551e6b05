"""Softmax in few spikes: written out, its exp fires a table; what no neuron computes is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.facts import NeuronCode
from ranvier.ir.ops.nn import Matmul
from ranvier.ir.ops.reduce import Softmax
from ranvier.passes.few_spikes.fs_fit import FewSpikesFitting
from tests.conversion.helpers import each_runtime, ops_named, outputs
from tests.zoo.net import Net, images

X = images(16, 6, 4)
SHIPPED = "function=exp K=16 range=[-10, 0] softmax=true"


def attention(axis: int = -1) -> Module:
    """Six tokens that look at each other, and a perceptron; a softmax on the classes."""
    net = Net((6, 4))
    x = net.linear(net.inputs[0], 6)
    scores = net(Softmax, x, axis=axis)
    mixed = net(Matmul, scores, net.linear(net.inputs[0], 8))
    return net.done(net(Softmax, net.linear(net.relu(net.linear(mixed, 8)), 3)))


@pytest.mark.parametrize("axis", [-1, 1, 2])
@pytest.mark.parametrize("runtime", list(each_runtime()))
def test_a_softmax_between_layers_is_written_out_and_one_on_outputs_stays(axis: int, runtime: str) -> None:
    ann = attention(axis)
    made = rv.opt(ann, f"fs-fit{{{SHIPPED}}}", data=X)
    assert len(ops_named(made, "nn.softmax")) == 1
    (exp,) = ops_named(made, "nn.exp")
    assert exp.result.fact(NeuronCode) is not None
    np.testing.assert_allclose(
        outputs(made, X, runtime=runtime), outputs(ann, X, runtime=runtime), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("runtime", list(each_runtime()))
def test_its_exp_becomes_a_neuron_and_the_rest_is_named(runtime: str) -> None:
    ann, passes = attention(), f"fs-fit{{{SHIPPED}}}, convert-snn{{code=fs(K=16)}}"
    with pytest.raises(rv.RanvierError) as info:
        rv.opt(ann, passes, data=X)
    said = str(info.value)
    assert "nn.matmul" in said
    assert "a quotient of two spiking values is no sum of currents" in said
    assert "nn.softmax" not in said
    assert "nn.exp" not in said
    exe = rv.compile(ann, passes.replace("(K=16)}", "(K=16) allow_unconverted=true}"), data=X)
    became = {row["op"]: row["became"] for row in exe.trace["convert-snn"].tables["coverage"]}
    assert became["nn.exp"] == became["nn.relu"] == "neuron"
    assert became["nn.softmax"] == "after readout"
    assert {op for op, kind in became.items() if kind == "real-valued"} == {"nn.div", "nn.matmul"}
    assert np.abs(outputs(exe.module, X, runtime=runtime) - outputs(ann, X)).max() <= 0.05


def test_softmax_is_left_alone_unless_it_is_asked_for() -> None:
    made = rv.opt(attention(), "fs-fit{function=exp K=16 range=[-10, 0]}", data=X)
    assert len(ops_named(made, "nn.softmax")) == 2
    assert not ops_named(made, "nn.exp")


def test_another_function_alone_is_refused() -> None:
    with pytest.raises(rv.RanvierError, match="softmax=true fits exp, not gelu alone"):
        FewSpikesFitting(function="gelu", softmax=True)
