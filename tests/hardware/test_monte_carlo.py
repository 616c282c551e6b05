"""Monte Carlo: trials draw reads anew on one chip; other seeds are other chips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import ranvier as rv
from ranvier.evaluation import Evaluation
from ranvier.recipe import build_recipe, parse_recipe
from tests.zoo.digits import EXAMPLES, TRAIN
from tests.zoo.digits_mlp import digits_mlp, flat_digits

X, Y = (a[TRAIN : TRAIN + 150] for a in flat_digits())


def noisy(seed: int, trials: int) -> Evaluation:
    """The MLP on a PCM chip of this seed, whose reads are noisy."""
    exe = rv.compile(
        digits_mlp(),
        "quantize, freeze-quant, lower-integer, bit-encode{plane_bits=8}",
        target=f"crossbar{{cell_bits=7 device=pcm read_noise=0.2 seed={seed}}}",
        data=flat_digits()[0][:64],
    )
    return exe.evaluate(X, Y, trials=trials)


def test_trials_have_a_mean_a_spread_and_seeds() -> None:
    found = noisy(3, 4)
    assert found.trials == len(found.accuracies) == 4
    assert found.accuracy == np.mean(found.accuracies)
    assert found.accuracy_std == np.std(found.accuracies)
    assert found.accuracy_std > 0
    assert found.seeds == ("xbar.noisy_mvm: seed 3, trials 0 to 3 (4 ops)", "chip: seed 3, one for all trials (4 ops)")
    text = str(found)
    assert "over 4 trials" in text
    assert all(f"{a:.2%}" in text for a in found.accuracies)
    assert "chip: seed 3, one for all trials" in text
    assert noisy(3, 2).accuracies == found.accuracies[:2]  # a trial is what it is, however many there are


def test_chips_are_seeds_of_a_sweep(tmp_path: Path) -> None:
    """A recipe with `sweep seed` builds and evaluates one chip each; the same seed is the same chip."""
    text = """
model     "digits.onnx"
data      "digits.npz" calibrate=64 evaluate=60
sweep     seed=[0, 1, 0]
passes    fold-batchnorm, canonicalize
target    crossbar{device=rram time=1.0 weight_bits=4 act_bits=4 seed=$seed}
"""
    found = build_recipe(parse_recipe(text, folder=EXAMPLES))
    with np.load(EXAMPLES / "digits.npz") as data:
        images = data["x"][TRAIN : TRAIN + 8]
    outputs = [np.asarray(r.executable(images)) for r in found]
    assert not np.array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])
    matrices = sum(op.name == "xbar.mvm" for op in found[0].executable.module.main.ops)
    said = [r.evaluation.seeds[-1] for r in found if r.evaluation is not None]
    assert said == [f"chip: seed {s}, one for all trials ({matrices} ops)" for s in (0, 1, 0)]
