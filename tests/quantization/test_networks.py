"""What quantization costs on trained networks, and that integers say what fake quantization says."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.ops.requantize import QAdd, Requantize
from tests.quantization.helpers import RUNTIME
from tests.zoo import resnet20
from tests.zoo.digits import TRAIN, digits, digits_network

Array = np.ndarray[Any, Any]


@cache
def network() -> Module:
    return rv.opt(digits_network(), "fold-batchnorm, canonicalize")


def accuracy(module: Module) -> float:
    x, y = digits()
    found = np.asarray(RUNTIME.run(module, [x[TRAIN:]]).outputs[0]).argmax(1)
    return 100 * float((found == y[TRAIN:]).mean())


@pytest.mark.parametrize("method", ["minmax", "mse"])
@pytest.mark.parametrize(("bits", "points"), [(8, 1.0), (4, 2.0)])
def test_digits(bits: int, points: float, method: str) -> None:
    """8/8 within one point of reals; 4/4 within two (minmax costs 1.3, mse 0.9)."""
    options = f"quantize{{bits={bits} act_bits={bits} method={method}}}"
    made = rv.opt(network(), f"{options}, freeze-quant, lower-integer, verify-integer", data=digits()[0][:256])
    assert accuracy(network()) - accuracy(made) <= points


def test_levels_of_digits_are_those_of_fake_quantization_but_on_ties() -> None:
    """Layer after layer, with all that turned before: neighbours, in a small part of the places."""
    frozen = rv.opt(network(), "quantize, freeze-quant", data=digits()[0][:256])
    made = rv.opt(frozen, "lower-integer")
    names = [op.result.name for op in made.main.ops if isinstance(op, Requantize | QAdd)]
    x = digits()[0][TRAIN : TRAIN + 100]
    a, b = (RUNTIME.run(m, [x], names).taps for m in (frozen, made))
    for i, name in enumerate(names):
        off = np.abs(a[name].astype(int) - b[name].astype(int))
        assert off.max() <= (1 if i == 0 else 4), name
        assert (off > 0).mean() <= (0.005 if i == 0 else 0.1), name


@pytest.mark.slow
@pytest.mark.skipif(bool(resnet20.missing()), reason=resnet20.missing())
def test_resnet20_in_integers() -> None:
    """8/8 within one point of reals on 500 images, and every op but the doors on levels; 4/8 within seven."""
    import torch

    from ranvier.frontends import find_frontend

    model = resnet20.network()
    module = find_frontend(model).load(model, (torch.zeros(2, 3, 32, 32),)).freeze()
    module = rv.opt(module, "fold-batchnorm, canonicalize")
    x, y = (a[:500] for a in resnet20.evaluation_images())
    made = rv.opt(
        module, "quantize, freeze-quant, lower-integer, verify-integer", data=resnet20.calibration_images()[:256]
    )
    assert {op.name for op in made.main.ops} == {
        "q.quantize", "q.conv", "q.requantize", "q.add", "q.sum", "q.linear", "q.dequantize", "core.slice", "core.pad",
        "core.return",
    }  # fmt: skip
    real, integer = (np.asarray(RUNTIME.run(m, [x], batch=50).outputs[0]).argmax(1) for m in (module, made))
    assert 100 * ((real == y).mean() - (integer == y).mean()) <= 1
    assert (real == integer).mean() >= 0.97
    few = rv.opt(module, "quantize{bits=4 method=mse}, freeze-quant", data=resnet20.calibration_images()[:256])
    coarse = np.asarray(RUNTIME.run(few, [x], batch=50).outputs[0]).argmax(1)
    assert 100 * ((real == y).mean() - (coarse == y).mean()) <= 7
