"""ResNet-20 for CIFAR-10 with option-A shortcuts, its fine-tuned weights, and images, from the shared data folder."""

from __future__ import annotations

import importlib.util
import io
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SHARED = Path(__file__).resolve().parents[2] / "../shared"
NEEDED = (
    "data/load.py",
    "data/cifar10_jpg/train10000.jpgpack.npz",
    "data/cifar10_jpg/test5000.jpgpack.npz",
    "data/pretrained/resnet20_cifar10jpg_finetuned.pth",
    "peers/resnet_cifar.py",
)


def missing() -> str:
    """What is not there, as a reason to skip; empty when everything is."""
    absent = [name for name in NEEDED if not (SHARED / name).exists()]
    if importlib.util.find_spec("PIL") is None:
        absent.append("pillow")
    return f"not at hand: {', '.join(absent)}" if absent else ""


def _module(name: str) -> Any:
    path = SHARED / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@cache
def network(functional: bool = False) -> Any:
    """The trained torch module in evaluation mode; `functional` calls F.relu where it has ReLU modules."""
    definition = _module("peers/resnet_cifar.py")
    model = definition.load_finetuned()
    if functional:
        from torch.nn import functional as F

        for child in [model, *(m for m in model.modules() if type(m).__name__ == "Block")]:
            for name in [n for n, m in child.named_children() if type(m).__name__ == "ReLU"]:
                delattr(child, name)
                setattr(child, name, F.relu)
    return model


def to_onnx(model: Any, *, dynamo: bool = True) -> Any:
    """The model as ONNX with a symbolic batch; the exporter folds batch normalization itself."""
    import onnx
    import torch

    example = (torch.zeros(2, 3, 32, 32),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            dims = {"x": {0: torch.export.Dim("batch")}}
            program = torch.onnx.export(model, example, dynamo=True, dynamic_shapes=dims, verbose=False)
            assert program is not None
            return program.model_proto
        file = io.BytesIO()
        torch.onnx.export(
            model, example, file, dynamo=False, opset_version=17, dynamic_axes={"x": {0: "N"}}, input_names=["x"]
        )
    return onnx.load_from_string(file.getvalue())


@cache
def evaluation_images(start: int = 0, stop: int = 50) -> tuple[Array, Array]:
    """Test images start..stop of each class (the pack is sorted by class), normalized, and their labels."""
    load = _module("data/load.py")
    images, labels = load.cifar("test")
    chosen = np.concatenate([np.flatnonzero(labels == c)[start:stop] for c in range(10)])
    return load.normalize(images[chosen]), labels[chosen].astype(np.int64)


@cache
def calibration_images(count: int = 512) -> Array:
    """Images drawn at random from the training pack."""
    load = _module("data/load.py")
    images, _ = load.cifar("train")
    return load.normalize(images[np.random.default_rng(0).permutation(len(images))[:count]])
