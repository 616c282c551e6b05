"""Noise-aware tuning: accuracy under read noise, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.ops.fake_quant import OutputNoise
from tests.zoo.digits import TRAIN
from tests.zoo.digits_mlp import digits_mlp, flat_digits

NOISY = (
    "freeze-quant, lower-integer, bit-encode{plane_bits=8}, map-crossbar{rows=64 cols=64 cell_bits=7}, "
    "read-noise{sigma=0.2}"
)


@pytest.mark.slow
def test_tuning_helps_under_read_noise() -> None:
    """Digits on arrays whose reads fluctuate by a fifth of the highest level: at least four points, mean of 2 trials.

    Trained while compiling for the crossbar: the gradients are PyTorch's.
    """
    x, y = flat_digits()
    labels = y[:TRAIN].astype(np.int64)
    found = []
    for tune in ("", "train-noise-aware{sigma=0.5 epochs=12}, "):
        exe = rv.compile(
            digits_mlp(), f"quantize, {tune}{NOISY}", target="crossbar", data=x[:TRAIN], labels=labels
        )  # fmt: skip
        runs = [np.asarray(exe.run([x[TRAIN:]], trial=t).outputs[0]).argmax(1) for t in range(2)]
        found.append(100 * float(np.mean([(r == y[TRAIN:]).mean() for r in runs])))
    assert found[1] >= found[0] + 4


def test_the_noise_is_gone_afterwards_and_only_trained_numbers_differ() -> None:
    x, y = flat_digits()
    before = rv.opt(digits_mlp(), "quantize", data=x[:128])
    for loss in ("cross_entropy", "mse"):
        made = rv.opt(
            before, f"train-noise-aware{{epochs=1 loss={loss}}}", data=x[:128], labels=y[:128].astype(np.int64)
        )
        assert not any(isinstance(op, OutputNoise) for op in made.main.ops)
        assert [op.name for op in made.main.ops] == [op.name for op in before.main.ops]
        changed = {n for n in before.resources if not np.array_equal(before.resource(n).array, made.resource(n).array)}
        assert {n for n in changed if "running" in n or n.endswith("scale")} == set()
        assert {"0.weight", "9.bias"} <= changed


def test_what_it_refuses() -> None:
    x, _ = flat_digits()
    with pytest.raises(RanvierError, match="needs labels"):
        rv.opt(digits_mlp(), "train-noise-aware", data=x[:64])
    with pytest.raises(RanvierError, match="before freeze-quant"):
        rv.opt(digits_mlp(), "quantize, freeze-quant, lower-integer, train-noise-aware{train_norms=false}", data=x[:64])
