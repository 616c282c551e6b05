"""ResNet-20 on CIFAR-10-JPEG: imported from PyTorch and ONNX, converted, and as accurate as conversion should be."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Module
from ranvier.ir.text.parser import parse_module
from tests.zoo import resnet20

Array = np.ndarray[Any, Any]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(resnet20.missing()), reason=resnet20.missing())]
RUNTIME = TorchRuntime()
FORMS = ("modules", "functions")
IMPORTS = ("torch", "onnx_dynamo", "onnx_script")


@cache
def exported(form: str, how: str) -> Any:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    return resnet20.to_onnx(resnet20.network(form == "functions"), dynamo=how == "onnx_dynamo")


@cache
def imported(form: str, how: str) -> Module:
    """The network as a module, as imported."""
    import torch

    from ranvier.frontends import find_frontend

    model = resnet20.network(form == "functions") if how == "torch" else exported(form, how)
    return find_frontend(model).load(model, (torch.zeros(2, 3, 32, 32),)).freeze()


@cache
def simplified(form: str = "modules", how: str = "torch") -> Module:
    return rv.opt(imported(form, how), "fold-batchnorm, canonicalize")


def logits(module: Module, images: Array) -> Array:
    return np.asarray(RUNTIME.run(module, [images], batch=50).outputs[0])


@cache
def source_logits() -> Array:
    import torch

    with torch.no_grad():
        parts = [resnet20.network()(torch.from_numpy(x)) for x in np.split(resnet20.evaluation_images()[0], 10)]
    return np.concatenate([p.numpy() for p in parts])


@pytest.mark.parametrize("how", IMPORTS)
@pytest.mark.parametrize("form", FORMS)
def test_imports_compute_what_the_source_computes(form: str, how: str) -> None:
    images, _ = resnet20.evaluation_images()
    found = logits(imported(form, how), images)
    if how == "torch":
        want = source_logits()
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(exported(form, how).SerializeToString())
        want = np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
    assert len(images) == 500
    assert np.abs(found - want).max() <= 1e-4
    assert np.abs(logits(simplified(form, how), images) - want).max() <= 1e-4


def test_all_imports_hold_the_same_ops() -> None:
    def listed(module: Module) -> list[Any]:
        return [(op.name, op.attributes) for op in module.main.ops if op.name != "core.return"]

    want = listed(simplified())
    assert sum(name == "nn.relu" for name, _ in want) == 19
    assert not any(name == "nn.batch_norm" for name, _ in want)
    for form in FORMS:
        for how in IMPORTS:
            assert listed(simplified(form, how)) == want


@cache
def accuracies(options: str, steps: int) -> tuple[float, float]:
    """Accuracy and agreement of a conversion on the 500 images."""
    text = f"convert-snn{{schedule=stepwise steps={steps} {options}}}"
    snn = rv.opt(simplified(), text, data=resnet20.calibration_images())
    images, labels = resnet20.evaluation_images()
    found = logits(snn, images).argmax(1)
    return float((found == labels).mean()), float((found == source_logits().argmax(1)).mean())


def ann_accuracy() -> float:
    return float((source_logits().argmax(1) == resnet20.evaluation_images()[1]).mean())


def test_the_source_is_as_accurate_as_published_beside_it() -> None:
    assert ann_accuracy() == pytest.approx(0.868, abs=0.002)


def test_signed_channel_mse_loses_little() -> None:
    accuracy, agreement = accuracies("signed=true", 32)
    assert ann_accuracy() - accuracy <= 0.03
    assert agreement >= 0.94


def test_v0_of_zero_costs_much() -> None:
    half, _ = accuracies("threshold=p99.9 per=layer v0=0.5", 16)
    zero, _ = accuracies("threshold=p99.9 per=layer v0=0", 16)
    assert half - zero >= 0.10


@pytest.mark.parametrize("how", IMPORTS)
def test_every_stage_of_a_pipeline_reads_back(how: str) -> None:
    module = imported("modules", how)
    passes: Sequence[str] = (
        "fold-batchnorm", "canonicalize", "calibrate{statistics=[max, p99.9] per=channel bins=16}",
        "convert-snn{steps=8 signed=true schedule=stepwise}", "cse", "canonicalize", "to-step",
    )  # fmt: skip
    data = resnet20.calibration_images(16)
    for text in ("", *passes):
        module = rv.opt(module, text, data=data) if text else module
        read = parse_module(str(module), resources=module.resources)
        assert read == module, text
        assert str(read) == str(module), text
        for a, b in zip(read.main.ops, module.main.ops, strict=True):
            assert (a.name, a.attributes) == (b.name, b.attributes)
            assert [r.type for r in a.results] == [r.type for r in b.results]
            assert [v and v.name for v in a.operands] == [v and v.name for v in b.operands]
