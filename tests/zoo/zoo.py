"""What a network of the zoo is: a torch module with weights, data that suit it, and how its outputs are judged."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ranvier.frontends import find_frontend
from ranvier.ir.core import Module
from tests.zoo.metrics import Metric

Array = np.ndarray[Any, Any]
WEIGHTS = Path(__file__).resolve().parent / "weights"


@dataclass(frozen=True, eq=False)
class Zoo:
    """A network and its data. `model` is in eval mode; `labels` belong to `evaluation`.

    `direct` builds the module itself, for networks that no frontend gives; the others are imported.
    """

    name: str
    model: nn.Module
    calibration: Array
    evaluation: Array
    labels: Array | None
    metric: Metric
    direct: Callable[[nn.Module], Module] | None = None

    @property
    def example(self) -> Array:
        """Two samples to trace with."""
        return self.calibration[:2]

    def module(self) -> Module:
        """As imported through torch.export, or as built."""
        if self.direct is not None:
            return self.direct(self.model)
        return find_frontend(self.model).load(self.model, self.example)

    def through_onnx(self) -> Module:
        """As exported to ONNX and imported from there."""
        proto = self.onnx()
        return find_frontend(proto).load(proto)

    def onnx(self, opset: int = 20) -> Any:
        """The model exported to ONNX with a symbolic batch."""
        if self.direct is not None:
            raise ValueError(f"{self.name} is built as a module; the network that it equals is imported")
        return to_onnx(self.model, self.example, opset)

    def reference(self, inputs: Array | None = None) -> Array:
        """What torch computes for the evaluation data, or for `inputs`."""
        given = torch.from_numpy(self.evaluation if inputs is None else inputs)
        with torch.no_grad():
            return np.concatenate([self.model(part).numpy() for part in given.split(256)])

    def few(self, calibration: int, evaluation: int) -> Zoo:
        """The same network with less data."""
        labels = None if self.labels is None else self.labels[:evaluation]
        data = self.calibration[:calibration], self.evaluation[:evaluation]
        return Zoo(self.name, self.model, *data, labels, self.metric, self.direct)


def to_onnx(model: nn.Module, example: Array, opset: int = 20) -> Any:
    """A model as ONNX, traced by torch.export, with a symbolic batch."""
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (torch.from_numpy(np.ascontiguousarray(example)),),
            dynamo=True,
            opset_version=opset,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    file = io.BytesIO()
    program.save(file)
    return onnx.load_from_string(file.getvalue())


def weights_file(name: str) -> Path:
    """Where the trained weights of a network lie."""
    return WEIGHTS / f"{name}.safetensors"


def initialize(model: nn.Module, seed: int, data: Array) -> nn.Module:
    """Seeded weights of which activations are alive: He's initialization, BatchNorm statistics of the data.

    Source: He et al. 2015 (arXiv:1502.01852). Every parameter is drawn, so that the seed alone says what it is.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            for name, p in module.named_parameters(recurse=False):
                norm = isinstance(module, nn.LayerNorm | nn.BatchNorm1d | nn.BatchNorm2d)
                if p.ndim < 2:
                    p.copy_(torch.randn(p.shape, generator=generator) * 0.1 + (1 if norm and name == "weight" else 0))
                else:
                    axes = 2 if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d) else 1
                    fan = p[0].numel() if axes == 1 else p.shape[0]
                    p.copy_(torch.randn(p.shape, generator=generator) * (2 / fan) ** 0.5)
    reestimate(model, data)
    return model.eval()


def reestimate(model: nn.Module, data: Array) -> None:
    """Let the running statistics of every BatchNorm be those of the data."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with torch.no_grad():
        model(torch.from_numpy(data))
    for norm in norms:
        norm.momentum = 0.1
        norm.eval()


@cache
def _trained(name: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(weights_file(name)))


def with_weights(make: Callable[[], nn.Module], name: str, seed: int, data: Array) -> nn.Module:
    """A network in eval mode: with its trained weights where seed is 0, with seeded ones otherwise.

    The trained weights are those of `python -m examples.train_zoo NAME`.
    """
    model = make()
    if seed:
        return initialize(model, seed, data)
    missing = model.load_state_dict(_trained(name), strict=False)
    unknown = [k for k in missing.missing_keys if not k.endswith("num_batches_tracked")]
    if unknown or missing.unexpected_keys:
        raise ValueError(f"the weights of {name} are those of another network; train it again")
    return model.eval()
