"""The twelve hard cases as texts: they parse, verify, print back as they are, and compute what they should.

| case | text | what is not there yet |
|---|---|---|
| residual network, stepwise | residual_stepwise.rv | |
| residual network, layer by layer | residual_layer_sync.rv | |
| time to first spike with early firing | ttfs_early_fire.rv | |
| hybrid with burst code | hybrid_burst.rv | |
| few-spikes SiLU | few_spikes_silu.rv | a neuron with coefficients of its own for SiLU |
| batch normalization through time with early exit | bntt.rv | core.exit, which would read the running mean |
| recurrent NIR | nir_recurrent.rv | |
| 4-bit integer convolution with a half zero-point | conv_u4_half_zero.rv | a convolution that takes levels itself |
| crossbar mapping | crossbar_mapping.rv | |
| dual-sparse accelerator, first layer on the host | loas_host_first.rv | the dialect sp |
| vision transformer with token pruning | vit_block.rv | the op that picks tokens |
| ONNX LSTM and If | onnx_lstm_if.rv | |
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ranvier.ir.core import Module
from ranvier.ir.interpret import evaluate
from ranvier.ir.latency import latency
from ranvier.ir.text.parser import parse_module
from ranvier.ir.types import SpikesType
from tests.passes.helpers import apply, close

FOLDER = Path(__file__).parents[1] / "golden"
NAMES = sorted(p.stem for p in FOLDER.glob("*.rv"))
RNG = np.random.default_rng(0)
Array = np.ndarray[Any, Any]


def text(name: str) -> str:
    """The text without its comments."""
    lines = (FOLDER / f"{name}.rv").read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("//"))


def load(name: str) -> Module:
    return parse_module((FOLDER / f"{name}.rv").read_text(encoding="utf-8"), f"{name}.rv").freeze()


def dyadic(*shape: int, low: int = -8, high: int = 8) -> Array:
    return (RNG.integers(low, high, shape, endpoint=True) / 8).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_prints_back_as_it_is(name: str) -> None:
    module = load(name)
    assert module.name == name
    assert str(module) == text(name)
    assert parse_module(str(module)) == module
    assert str(module.clone()) == text(name)


def test_every_text_is_in_the_table() -> None:
    assert __doc__ is not None
    assert [n for n in NAMES if f"| {n}.rv |" not in __doc__] == []


# -- what they compute -------------------------------------------------------------------------------------------------
def fire(currents: Array, v: Any, theta: Any, leak: float = 1.0, hard: bool = False) -> Array:
    """Integrate-and-fire by the book, one neuron at a time; theta and v0 broadcast."""
    v = np.zeros(currents.shape[1:], np.float32) + np.float32(v)
    rows = []
    for current in currents:
        v = v * np.float32(leak) + current
        spikes = v >= theta
        v = np.where(spikes, np.float32(0), v) if hard else v - spikes * np.float32(theta)
        rows.append(spikes)
    return np.stack(rows)


def residual(module: Module, image: Array, neuron: Callable[[Array], Array]) -> Array:
    """The residual network, its neurons given as a function of the currents of all steps."""
    w = {n: torch.from_numpy(np.array(r.array)) for n, r in module.resources.items()}
    stem = F.conv2d(torch.from_numpy(image), w["stem.weight"], padding=1).numpy()
    current = np.repeat(stem[None], 8, 0) + w["stem.bias"].numpy()[:, None, None]
    first = neuron(current) * np.float32(0.5)
    flat = torch.from_numpy(first.reshape(-1, 2, 4, 4))
    summed = F.conv2d(flat, w["block.weight"], padding=1).numpy().reshape(first.shape) + first
    second = neuron(summed) * np.float32(0.5)
    return (second.mean((3, 4)) @ w["fc.weight"].numpy().T + w["fc.bias"].numpy()).mean(0)


def layer_sync(currents: Array) -> Array:
    """All of the current first, then the spikes."""
    charged = np.zeros_like(currents)
    charged[0] = currents.sum(0)
    return fire(charged, 0.25, 0.5)


@pytest.mark.parametrize(
    ("name", "neuron"), [("residual_stepwise", lambda c: fire(c, 0.25, 0.5)), ("residual_layer_sync", layer_sync)]
)
def test_residual_networks(name: str, neuron: Callable[[Array], Array]) -> None:
    module, image = load(name), dyadic(3, 1, 4, 4)
    found = evaluate(module, [image])[0][0]
    close(found, residual(module, image, neuron).astype(np.float32), 1e-6)
    assert len(np.unique(found)) > 3
    # stepwise layers follow each other at once, the others wait for a window each
    assert latency(module) == (8 if name == "residual_stepwise" else 24)


def test_schedules_differ() -> None:
    image = dyadic(3, 1, 4, 4)
    assert (
        evaluate(load("residual_stepwise"), [image])[0][0] != evaluate(load("residual_layer_sync"), [image])[0][0]
    ).any()


def test_first_spikes() -> None:
    module = load("ttfs_early_fire")
    x = np.array([[1.0, 0.5, 0.5, 0.2], [0.3, 0.9, 0.3, 0.05], [0.0, 0.0, 0.0, 0.0]], np.float32)
    y, hidden = evaluate(module, [x])[0]
    kernel = np.exp(-np.arange(8) / 4)

    def code(values: Array) -> tuple[Array, Array]:
        """First step whose kernel the value reaches, 8 for none, and what it is worth."""
        first = np.array([[next((t for t in range(8) if v >= kernel[t] - 1e-6), 8) for v in row] for row in values])
        return first, np.where(first < 8, np.append(kernel, 0)[first], 0)

    _, inputs = code(x)
    currents = inputs @ module.resource("w1").array.T
    first, values = code(currents)
    assert (hidden.sum(0) <= 1).all()
    # `start` steps after it began, a neuron has seen every input spike that comes early enough to matter here
    found = np.where(hidden.any(0), hidden.argmax(0), 8)
    np.testing.assert_array_equal(found, first)
    np.testing.assert_allclose(y, values @ module.resource("w2").array.T, atol=1e-6)


def test_hybrid() -> None:
    module = load("hybrid_burst")
    x = dyadic(5, 4, low=0, high=7)
    (y,) = evaluate(module, [x])[0]
    # four phases hold a multiple of 1/16 exactly; a burst leaves less than its largest spike on the membrane
    w1, w2, b2 = (module.resource(n).array for n in ("w1", "w2", "b2"))
    wanted = np.maximum(x @ w1.T, 0) @ w2.T + b2
    bound = 0.25 * 2**3 / 8 * np.abs(w2).sum(1)
    assert (np.abs(y - wanted) <= bound + 1e-6).all()
    codes = [str(v.type.code) for v in module.main.values if isinstance(v.type, SpikesType)]
    assert codes == ["phase(period=4)", "burst(cap=3)"]


def test_few_spikes() -> None:
    module = load("few_spikes_silu")
    x = np.linspace(-3.9, 3.9, 64, dtype=np.float32).reshape(16, 4)
    (y,) = evaluate(module, [x])[0]
    least = 4 * 2.0**-8
    silu = F.silu(torch.from_numpy(x)).numpy()
    # the input is rounded, which SiLU stretches by at most 1.1; the output is rounded again
    assert np.abs(y - silu).max() <= 2.1 * least
    assert (y < 0).any()
    spikes = [v for v in module.main.values if isinstance(v.type, SpikesType)]
    assert [v.type.time for v in spikes] == [8, 8]


def test_batch_norm_through_time() -> None:
    module = load("bntt")
    x = dyadic(5, 4)
    per_step, logits = evaluate(module, [x])[0]
    w = {n: r.array for n, r in module.resources.items()}
    current = x @ w["w1"].T
    normed = np.stack([current / np.sqrt(w["var"]) * w["gamma"][t] + w["beta"][t] for t in range(4)])
    classes = fire(normed, 0, 1, leak=0.5) @ w["w2"].T
    running = np.cumsum(classes, 0) / np.arange(1, 5).reshape(4, 1, 1)
    np.testing.assert_array_equal(per_step, running.astype(np.float32))
    np.testing.assert_array_equal(logits, per_step[-1])


def test_recurrent() -> None:
    module = load("nir_recurrent")
    events = RNG.random((12, 4, 3)) < 0.5
    spikes, v = evaluate(module, [events])[0]
    w = {n: r.array for n, r in module.resources.items()}
    before, membrane = np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32)
    for t in range(12):
        membrane = membrane * w["lif.leak"] + events[t] @ w["input.weight"].T + before @ w["lif.w_rec"].T
        fired = membrane >= w["lif.v_threshold"]
        membrane = np.where(fired, 0, membrane).astype(np.float32)
        before = fired.astype(np.float32)
        np.testing.assert_array_equal(spikes[t], fired)
    np.testing.assert_array_equal(v, membrane)
    assert spikes.any()
    assert not spikes.all()


def test_half_zero_point() -> None:
    module = load("conv_u4_half_zero")
    x = dyadic(3, 1, 4, 4, low=-20, high=20)
    integer, real, levels = evaluate(module, [x])[0]
    np.testing.assert_array_equal(integer, real)
    assert levels.min() >= 0
    assert levels.max() <= 15
    # zero lies between two levels
    rounded = (levels - 7.5) * 0.25
    assert np.abs(rounded - np.clip(x, -1.875, 1.875)).max() <= 0.125
    assert np.abs(rounded).min() == 0.125


def test_first_layer_on_the_host() -> None:
    module = load("loas_host_first")
    assert [op.place for op in module.main.ops] == ["host"] * 3 + ["loas"] * 4 + ["host"] * 2
    image = dyadic(3, 1, 4, 4, low=0)
    (logits,) = evaluate(module, [image])[0]
    stem = F.conv2d(torch.from_numpy(image), torch.full((2, 1, 3, 3), 0.125), padding=1).numpy()
    first = fire(np.repeat(stem[None], 4, 0), 0, 1).reshape(4, 3, 32)
    second = fire((first.sum(2, keepdims=True) * np.float32(0.125)).repeat(2, 2), 0, 2)
    np.testing.assert_array_equal(logits, second.mean(0).astype(np.float32))
    # a mask is kept by what simplifies
    from ranvier.passes.simplify.canonicalize import Canonicalize

    out, _ = apply(Canonicalize(), module)
    assert out.resource("fc.weight").facts == module.resource("fc.weight").facts
    assert {op.place for op in out.main.ops} == {"host", "loas"}


def test_crossbar_mapping() -> None:
    module = load("crossbar_mapping")
    image = RNG.integers(0, 16, (3, 2, 3, 3)).astype(np.uint8)
    (logits,) = evaluate(module, [image])[0]
    # every weight is the same: a window sums its pixels, a row of the matrix all levels
    sums = F.conv2d(torch.from_numpy(image).double(), torch.ones(1, 2, 3, 3).double(), padding=1)
    bias, scale = torch.tensor([100.0, 250.0]), torch.tensor([0.125, 0.0625])
    levels = ((sums * -3 + bias.view(1, 2, 1, 1)) * scale.view(1, 2, 1, 1) / 0.5 + 0.5).floor().clip(0, 15)
    total = 5 * levels.sum((1, 2, 3))
    close(logits, (total[:, None] * torch.tensor([0.125, 0.25])).float().numpy())
    op = module.main.value("conv").op
    assert op is not None
    assert [type(f).word for f in op.facts] == ["transparent_partials", "folded_plan"]
    assert op.attributes["mapping"].word == "kernel_split"


def test_vision_transformer() -> None:
    module = load("vit_block")
    image = RNG.standard_normal((3, 1, 4, 4)).astype(np.float32)
    (tokens,) = evaluate(module, [image])[0]
    w = {n: torch.from_numpy(np.array(r.array)).double() for n, r in module.resources.items()}
    x = F.conv2d(torch.from_numpy(image).double(), w["patch.weight"], stride=2).flatten(2).transpose(1, 2)
    x = x + w["position"]
    norm = F.layer_norm(x, (4,), w["norm1.weight"], w["norm1.bias"])
    query, key, value = (norm @ w[f"{n}.weight"].T for n in ("query", "key", "value"))
    x = x + F.scaled_dot_product_attention(query, key, value)
    hidden = F.gelu((F.layer_norm(x, (4,)) + w["norm2.bias"]) @ w["up.weight"].T)
    close(tokens, (x + hidden @ w["down.weight"].T).float().numpy())


@pytest.mark.parametrize("use_last", [True, False])
def test_lstm_and_if(use_last: bool) -> None:
    module = load("onnx_lstm_if")
    sequence = RNG.standard_normal((3, 5, 2)).astype(np.float32)
    y, hidden = evaluate(module, [sequence, np.array(use_last)])[0]
    lstm = torch.nn.LSTM(2, 2, batch_first=True).double()
    # ONNX orders the gates i, o, f, c; torch i, f, c, o
    rows = [0, 1, 4, 5, 6, 7, 2, 3]
    with torch.no_grad():
        for ours, theirs in (("w", lstm.weight_ih_l0), ("r", lstm.weight_hh_l0), ("b", lstm.bias_ih_l0)):
            theirs.copy_(torch.from_numpy(module.resource(f"lstm.{ours}").array[rows]))
        lstm.bias_hh_l0.zero_()
        wanted = lstm(torch.from_numpy(sequence).double())[0].float().numpy()
    close(hidden, wanted)
    close(y, wanted[:, -1] if use_last else wanted.mean(1, dtype=np.float64).astype(np.float32))
