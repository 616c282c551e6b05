"""Latency in steps follows from the schedules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.ir.codes import EarlyFire, LayerSync, Rate, Stepwise
from ranvier.ir.core import Builder, Module
from ranvier.ir.latency import latency
from ranvier.ir.ops.activations import Sigmoid
from ranvier.ir.ops.arith import Add
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.snn import Psp
from ranvier.ir.types import tensor
from tests.conversion.helpers import converted
from tests.zoo.net import Net, images, residual


def chain(layers: int) -> Module:
    net = Net((4,))
    x = net.inputs[0]
    for _ in range(layers):
        x = net.relu(net.linear(x, 4))
    return net.done(net.linear(x, 3))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(
    ("schedule", "wait"),
    [(Stepwise(), 0), (LayerSync(), 8), (LayerSync(period=2), 2), (LayerSync(period=99), 8), (EarlyFire(3), 3)],
    ids=str,
)
def test_a_chain_waits_at_each_layer(schedule: Any, wait: int, layers: int) -> None:
    snn = converted(chain(layers), images(8, 4), steps=8, schedule=schedule)
    assert latency(snn) == layers * wait + 8


@pytest.mark.parametrize(("schedule", "want"), [(Stepwise(), 4), (LayerSync(), 5 * 4 + 4), (EarlyFire(2), 5 * 2 + 4)])
def test_a_residual_block_waits_for_its_longer_branch(schedule: Any, want: int) -> None:
    """Five ReLUs lie one behind the other; the shortcut around the second adds none."""
    snn = converted(residual(), images(8, 2, 8, 8), steps=4, schedule=schedule)
    assert latency(snn) == want


def test_decoding_in_the_middle_waits_for_the_window() -> None:
    net = Net((4,))
    x = net(Sigmoid, net.linear(net.relu(net.linear(net.inputs[0], 4)), 4))
    ann = net.done(net.linear(net.relu(net.linear(x, 4)), 2))
    assert latency(converted(ann, images(8, 4), steps=8, schedule=Stepwise(), allow_unconverted=True)) == 16


def test_a_network_without_time_has_none() -> None:
    assert latency(chain(2)) == 0


def test_a_symbolic_number_of_steps() -> None:
    module = Module("symbolic")
    b = Builder(module.new_graph("main"))
    x = b.graph.argument("x", tensor("N", 3, time="T"))
    for _ in range(2):
        x = b(Psp, b(Neuron, x, code=Rate(), schedule=LayerSync())[0])
    b.returns(x)
    assert latency(module.verify()) is None
    assert latency(module, 8) == 24


def test_what_lies_on_a_cycle_begins_together() -> None:
    """A recurrent stepwise layer behind one that waits for its window; the way back through a delay adds nothing."""
    module = Module("recurrent")
    b = Builder(module.new_graph("main"))
    x = b.graph.argument("x", tensor("N", 3, time=6))
    waited = b(Psp, b(Neuron, x, code=Rate(), schedule=LayerSync())[0])
    zero = b.constant(np.zeros((1, 3), np.float32), "zero")
    before = b(Delay, waited, zero)
    before.op.set_operand(0, b(Psp, b(Neuron, b(Add, waited, before), code=Rate())[0]))
    b.returns(before)
    assert latency(module.verify()) == 12
