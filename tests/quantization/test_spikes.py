"""On spikes weights alone are quantized; scales of channels fold into them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops.arith import Mul
from ranvier.ir.ops.fake_quant import FakeQuant
from ranvier.ir.ops.integer import QConv, QLinear
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.types import SpikesType
from tests.quantization.helpers import RUNTIME
from tests.zoo.digits import TRAIN, digits, digits_network

CODES = [
    "rate steps=8",
    "rate steps=8 schedule=stepwise",
    "phase",
    "fs",
    "multi_threshold(levels=6) steps=4",
    "burst steps=8",
]


@cache
def spiking(code: str) -> Module:
    network = rv.opt(digits_network(), "fold-batchnorm, canonicalize")
    return rv.opt(network, f"convert-snn{{code={code}}}", data=digits()[0][:128])


def logits(module: Module, count: int = 60) -> Any:
    return np.asarray(RUNTIME.run(module, [digits()[0][TRAIN : TRAIN + count]]).outputs[0])


@pytest.mark.parametrize("code", CODES)
def test_folding_scales_changes_no_result(code: str) -> None:
    """Products of weights with scales are rounded to float32; a spike may turn at a tie."""
    before, after = spiking(code), rv.opt(spiking(code), "fold-spike-scales")
    a, b = logits(before), logits(after)
    assert np.abs(a - b).max() <= 1e-2 * np.abs(a).max()
    for op in after.main.ops:
        for r in op.results:
            if isinstance(r.type, SpikesType):
                quant = r.type.elem.quant
                assert quant is None or quant.axis is None
    for old, new in zip(_neurons(before), _neurons(after), strict=True):
        assert new.result.name == old.result.name
        assert new.facts == old.facts


def _neurons(module: Module) -> list[Neuron]:
    return [op for op in module.main.ops if isinstance(op, Neuron)]


def test_residual_addition_keeps_a_multiplication() -> None:
    after = rv.opt(spiking("rate steps=8"), "fold-spike-scales")
    assert sum(isinstance(op, Mul) for op in after.main.ops) == 1
    assert rv.opt(after, "fold-spike-scales") == after


def test_activations_stay_spikes() -> None:
    """Of activations, the image alone is quantized, which is no spikes."""
    made = rv.opt(spiking("rate steps=8"), "quantize{bits=4}", data=digits()[0][:64])
    found = [op for op in made.main.ops if isinstance(op, FakeQuant) and not op.x.is_constant]
    assert [op.x for op in found] == made.main.args
    weights = [op for op in made.main.ops if isinstance(op, FakeQuant) and op.x.is_constant]
    assert len(weights) == 7
    assert all(op.bits == 4 and op.narrow and op.axis == 0 for op in weights)


@pytest.mark.parametrize("code", CODES)
def test_lowering_keeps_what_the_network_says(code: str) -> None:
    frozen = rv.opt(spiking(code), "quantize, freeze-quant", data=digits()[0][:64])
    lowered = rv.opt(frozen, "lower-integer, verify-integer")
    assert (logits(frozen).argmax(1) == logits(lowered).argmax(1)).mean() >= 0.95


def test_spikes_times_levels_are_integers() -> None:
    """Sums over levels of weights at each step, bit for bit: all linear ops, the one behind the mean too."""
    lowered = rv.opt(spiking("rate steps=8"), "quantize, freeze-quant, lower-integer", data=digits()[0][:64])
    products = [op for op in lowered.main.ops if isinstance(op, QConv | QLinear)]
    assert len(products) == 7
    x = digits()[0][TRAIN : TRAIN + 5]
    names = [op.result.name for op in products] + [op.x.name for op in products]
    by_torch = RUNTIME.run(lowered, [x], names).taps
    by_meaning = evaluate(lowered, [x], taps=names)[1]
    for op in products:
        if op.x.type.time is None:
            continue
        spikes = by_torch[op.x.name]
        assert spikes.min() >= 0
        # equal spikes give equal sums; a spike may turn at a tie before
        same = (spikes == by_meaning[op.x.name]).reshape(*spikes.shape[:2], -1).all(-1)
        assert same.mean() > 0.9
        a, b = by_torch[op.result.name], by_meaning[op.result.name]
        assert np.array_equal(a[same], b[same])


@pytest.mark.parametrize("code", ["phase", "fs", "ttfs(tau=8)", "rate steps=8", "multi_threshold(levels=6) steps=4"])
def test_every_linear_op_sums_integers(code: str) -> None:
    """What a spike is worth at its step comes after the sum."""
    lowered = rv.opt(spiking(code), "quantize, freeze-quant, lower-integer", data=digits()[0][:64])
    names = [op.name for op in lowered.main.ops if op.macs()]
    assert names == ["q.conv"] * 6 + ["q.linear"]


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "points"), [(8, 1.0), (4, 3.0)])
def test_accuracy_of_spikes_with_few_bits(bits: int, points: float) -> None:
    y = digits()[1][TRAIN:]
    made = rv.opt(
        spiking("rate steps=8"),
        f"quantize{{bits={bits} method=mse}}, freeze-quant, lower-integer",
        data=digits()[0][:256],
    )
    a, b = (100 * (logits(m, 450).argmax(1) == y).mean() for m in (spiking("rate steps=8"), made))
    assert a - b <= points


def test_quantized_weights_count_as_weights() -> None:
    """Spikes drive accumulates whether weights are reals, fake quantized, frozen or levels."""
    from ranvier.work import linear_work

    source = spiking("rate steps=8")
    want = [(w.macs, w.sources) for w in linear_work(source)]
    for passes in ("quantize", "quantize, freeze-quant", "quantize, freeze-quant, lower-integer"):
        made = rv.opt(source, passes, data=digits()[0][:64])
        assert [(w.macs, w.sources) for w in linear_work(made)] == want
