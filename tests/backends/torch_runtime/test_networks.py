"""Spiking networks run as by meaning whatever the order of execution: tiles, folds, batches, permutations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ranvier.backends.torch_runtime import TorchRuntime, TorchTarget
from ranvier.backends.torch_runtime.writer import Mode
from ranvier.ir.codes.base import Code
from ranvier.ir.core import Builder, Module
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import neurons, snn
from ranvier.ir.types import tensor
from tests.backends.torch_runtime.networks import PER_CHANNEL, backward, dyadic, images, residual
from tests.backends.torch_runtime.test_against_meaning import forced

NETWORKS = {
    "plain": {},
    "scaled": {"scale": 0.5},
    "per channel": {"scale": PER_CHANNEL},
    "v0": {"scale": 2.0, "v0": 0.5},
    "signed": {"signed": True, "scale": 0.5},
    "signed per channel": {"signed": True, "scale": PER_CHANNEL},
    "gated": {"signed": True, "negative": "gated"},
    "gated at zero": {"signed": True, "negative": "gated", "lower": "zero", "scale": PER_CHANNEL},
    "bias current": {"split_bias": "every", "scale": PER_CHANNEL},
    "bias at times": {"split_bias": "every(period=2)"},
    "bias at the start": {"split_bias": "start", "scale": 0.5},
    "hard": {"reset": "hard"},
    "gt": {"compare": "gt"},
    "refractory": {"refractory": 1},
    "layer by layer": {"schedule": "layer_sync"},
    "in windows": {"schedule": "layer_sync(period=2)", "scale": 0.5},
    "early": {"schedule": "early_fire(start=2)"},
    "random": {"encoder": "bernoulli"},
    "regular": {"encoder": "regular", "scale": 0.5},
}


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("name", NETWORKS)
def test_network_is_exact_in_every_order(name: str, n: int) -> None:
    module, x = residual(**NETWORKS[name]), images(n)
    want, _ = evaluate(module, [x])
    assert 0.02 < np.mean(want[1] != 0) < 0.98
    for tile in (None, 1, 3, 16):
        for found, array in zip(TorchRuntime(tile=tile).run(module, [x]).outputs, want, strict=True):
            np.testing.assert_array_equal(found, array)
    for fold in (2, 4, 6):
        for found, array in zip(forced(module, [x], Mode(fold=True), fold), want, strict=True):
            np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("name", NETWORKS)
def test_samples_do_not_see_each_other(name: str) -> None:
    module, x = residual(**NETWORKS[name]), images(7)
    runtime = TorchRuntime()
    want = runtime.run(module, [x]).outputs[0]
    order = np.random.default_rng(1).permutation(7)
    ids = np.arange(7)[order]
    np.testing.assert_array_equal(runtime.run(module, [x[order]], sample_ids=ids).outputs[0], want[order])
    np.testing.assert_array_equal(runtime.run(module, [x[order]], sample_ids=ids, batch=2).outputs[0], want[order])
    np.testing.assert_array_equal(runtime.run(module, [x[3:4]], sample_ids=[3]).outputs[0], want[3:4])


def test_trials_draw_anew() -> None:
    module, x = residual(encoder="bernoulli"), np.abs(images(5))
    outputs = [TorchRuntime().run(module, [x], trial=t).outputs[1] for t in (0, 0, 1)]
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_taps_inside_a_loop() -> None:
    module, x = residual(scale=0.5), images(7)
    names = [v.name for v in module.main.values if v.type.time is not None]
    _, want = evaluate(module, [x], taps=names)
    for tile in (1, 4, 64):
        found = TorchRuntime(tile=tile).run(module, [x], taps=names)
        for name in names:
            np.testing.assert_array_equal(found.taps[name], want[name], err_msg=name)


@pytest.mark.parametrize("n", [1, 7])
def test_delay_cycles_run_step_by_step(n: int) -> None:
    module = backward()
    x = dyadic(np.random.default_rng(2), 7, n, 4, parts=4)
    want, _ = evaluate(module, [x])
    for tile in (None, 1, 2):
        for found, array in zip(TorchRuntime(tile=tile).run(module, [x]).outputs, want, strict=True):
            np.testing.assert_array_equal(found, array)


def test_first_layer_of_direct_input_runs_once() -> None:
    plan = TorchTarget().lower(residual()).plan()
    before, _, loop = plan.partition("for t in range(6)")
    assert before.count("F.conv2d") == 1
    assert loop.count("F.conv2d") > 1


def test_state_never_leaks_between_calls() -> None:
    program = TorchTarget().lower(residual())
    first = program.run([images(3)]).outputs[1]
    program.run([images(5, seed=9)])
    np.testing.assert_array_equal(program.run([images(3)]).outputs[1], first)


def test_names_of_values_hide_nothing() -> None:
    module = residual().clone()
    words = ("range", "n", "t", "k", "zip", "torch", "K", "lambda", "w_conv", "1x", "R")
    for word, value in zip(words, [v for v in module.main.values if v.op is not None], strict=False):
        module.main.rename(value, word)
    x = images(3)
    want, _ = evaluate(module, [x])
    for mode in (Mode(), Mode(fold=True), Mode(grad=True)):
        np.testing.assert_array_equal(forced(module, [x], mode, 2)[1], want[1])


@dataclass(frozen=True)
class Halving(Code):
    """A code that no kernel knows: the spike of step t is worth 2^-t, with memory of the spikes before."""

    word = "halving_test"

    def alphabet(self) -> tuple[int, int]:
        return 0, 1

    def encode_init(self, xp: Any, x: Any) -> Any:
        return x

    def encode_step(self, xp: Any, state: Any, x: Any, t: int, steps: int, draw: Any) -> tuple[Any, Any]:
        fired = xp.where(state >= 2.0 ** -(t + 1), xp.ones_like(state), xp.zeros_like(state))
        return state - fired * 2.0 ** -(t + 1), fired

    def psp_init(self, xp: Any, like: Any) -> Any:
        return xp.zeros_like(like)

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        return xp.maximum(state, spikes), spikes * 2.0 ** -(t + 1) + state * 0.0

    def decode(self, xp: Any, values: Any, steps: int) -> Any:
        return values.sum(0)


def test_a_code_that_no_kernel_knows() -> None:
    module = Module("halving")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 4))
    spikes = b(snn.Encode, x, code=Halving(), steps=5)
    fired, _, _ = b(neurons.Neuron, b(snn.Psp, spikes), code="rate")
    b.returns(b(snn.Decode, spikes), b(snn.Psp, spikes), fired)
    x_values = np.abs(dyadic(np.random.default_rng(1), 7, 4, parts=32))
    want, _ = evaluate(module.verify(), [x_values])
    for tile in (None, 2):
        for found, array in zip(TorchRuntime(tile=tile).run(module, [x_values]).outputs, want, strict=True):
            np.testing.assert_array_equal(found, array)
