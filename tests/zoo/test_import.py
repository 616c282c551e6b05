"""Every network of the zoo is imported through torch.export and through ONNX, and both give what torch gives."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.interpret import evaluate
from ranvier.ir.text.parser import parse_module
from tests.zoo.data import Missing
from tests.zoo.networks import ZOO
from tests.zoo.zoo import Zoo, weights_file

SIMPLIFY = "fold-batchnorm, canonicalize"
# Where the exporter of ONNX writes a network in other ops of the same meaning.
ANOTHER_FORM: dict[str, str] = {}


def get(name: str, seed: int = 0) -> Zoo:
    """The network, or a skipped test."""
    try:
        return ZOO[name](seed)
    except Missing as why:
        pytest.skip(str(why))


def agree(zoo: Zoo, module: Module) -> None:
    """The PyTorch runtime gives what torch gives, within 1e-4 of the largest output; so does the meaning."""
    inputs = zoo.evaluation[:32]
    want = zoo.reference(inputs)
    bound = 1e-4 * max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(rv.compile(module)(inputs), want, rtol=0, atol=bound)
    np.testing.assert_allclose(evaluate(module, [inputs[:1]])[0][0], want[:1], rtol=0, atol=bound)


def both_sides(zoo: Zoo, module: Module) -> Module:
    """Agree before and after simplification, and as text; gives the simple module."""
    agree(zoo, module)
    simple = rv.opt(module, SIMPLIFY)
    agree(zoo, simple)
    for made in (module, simple):
        assert parse_module(str(made), resources=made.resources) == made
    assert rv.opt(simple, SIMPLIFY) == simple
    return simple


def ops(module: Module) -> Counter[str]:
    return Counter(op.name for op in module.main.ops)


@pytest.mark.parametrize("name", ZOO)
def test_through_torch_export(name: str) -> None:
    zoo = get(name)
    module = zoo.module()
    assert module.main.args[0].type.shape == ("N", *zoo.evaluation.shape[1:])
    simple = both_sides(zoo, module)
    assert "nn.batch_norm" not in ops(simple) or name == "densenet"


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ZOO if n != "elman_delayed"])
def test_through_onnx(name: str) -> None:
    zoo = get(name)
    simple = both_sides(zoo, zoo.through_onnx())
    direct = rv.opt(zoo.module(), SIMPLIFY)
    if name in ANOTHER_FORM:
        assert ops(simple) != ops(direct), f"{name} no longer differs: take it off the list"
    else:
        assert ops(simple) == ops(direct)


@pytest.mark.parametrize("name", ["mobilenet", "detector", "vit", "elman_unrolled"])
def test_seeded_weights_are_alive(name: str) -> None:
    """Outputs differ from sample to sample, are finite, and are those of the seed."""
    first, same, other = (get(name, seed).reference()[:64] for seed in (1, 1, 2))
    assert np.isfinite(first).all()
    assert (first.std(0) > 1e-3).all()
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-2


def test_the_recurrent_network_is_one_over_time_and_unrolled() -> None:
    unrolled, delayed = get("elman_unrolled"), get("elman_delayed")
    assert ops(delayed.module())["core.delay"] == 1
    assert ops(unrolled.module())["nn.relu"] == 8
    outputs = [rv.compile(z.module())(z.evaluation) for z in (unrolled, delayed)]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)


LEAST = {"vit": 0.94, "elman_unrolled": 0.9, "elman_delayed": 0.9, "autoencoder": 0.75, "unet": 0.95, "detector": 0.9}


@pytest.mark.parametrize("name", ZOO)
def test_trained_weights(name: str) -> None:
    zoo = get(name)
    assert zoo.labels is not None
    assert zoo.metric.score(zoo.reference(), zoo.labels) >= LEAST.get(name, 0.97)
    assert not any(m.training for m in zoo.model.modules())
    assert weights_file("elman" if name.startswith("elman") else name).stat().st_size < 150_000


def test_weights_of_another_network_are_refused() -> None:
    from tests.zoo.zoo import with_weights

    with pytest.raises(ValueError, match="train it again"):
        with_weights(lambda: torch.nn.Linear(2, 2), "mlp", 0, np.zeros((1, 2), np.float32))
