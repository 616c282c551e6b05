"""What spikes are worth, multiplied where it costs nothing: into the weights of the linear op behind, or into a sum.

Where spikes are worth their scale, `snn.psp` is a product. Convolutions and linear ops with constant weights take it
into the weights at lowering; additions to a membrane take it as a factor. Every other user sees the product itself.
Powers of two stay exact; other scales round elsewhere than written, within the allowance for ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ranvier.backends.torch_runtime.stateful import scale_tensor
from ranvier.ir.core import Op, Value


@dataclass(frozen=True)
class Scaled:
    """A value as a raw local times a scale: a number, or a numpy array on axis 1; `text` is the scale as source."""

    name: str
    scale: Any
    text: str


def takes_scale(user: Op, index: int, value: Value, w: Any) -> bool:
    """Whether an op multiplies by the scale of its operand itself."""
    if w.mode.grad or user.graph is not w.graph or w.stage is None or user not in w.stage_ops:
        return False
    if user.name == "nn.add":
        return user in w.deferred and all(v.type.shape == value.type.shape for v in user.arguments)
    if index != 0 or user.name not in ("nn.conv", "nn.linear") or value.type.elem.storage != "f32":
        return False
    weight = user.operands[1]
    if weight is None or weight.resource is None or weight.type.time is not None:
        return False
    scale = scale_of_psp(value)
    if isinstance(scale, float):
        return True
    if not _on_channels(scale, value):
        return False
    return user.attributes["groups"] == 1 if user.name == "nn.conv" else value.type.rank == 2


def scale_of_psp(value: Value) -> Any:
    """The scale of the spikes behind a psp's result: a number or an array."""
    assert value.op is not None
    spikes = value.op.arguments[0]
    return scale_tensor(spikes.type, spikes.type.rank)


def _on_channels(scale: Any, value: Value) -> bool:
    return value.type.rank > 1 and all(n == 1 for i, n in enumerate(scale.shape) if i != 1)


def scaled_weight(op: Op, scaled: Scaled, w: Any, form: str) -> str:
    """A constant weight times its operand's scale, as a local of the source; `form` is how it lies in memory."""
    weight = op.operands[1]
    assert weight is not None
    assert weight.resource is not None
    scale = scaled.scale if isinstance(scaled.scale, float) else np.asarray(scaled.scale).reshape(-1)

    def make(tensor: torch.Tensor) -> torch.Tensor:
        factor: Any = scale
        if not isinstance(scale, float):
            factor = torch.from_numpy(np.array(scale)).to(tensor.device).reshape((1, -1) + (1,) * (tensor.ndim - 2))
        out: torch.Tensor = tensor * factor
        return out.contiguous(memory_format=torch.channels_last) if form == "channels_last" else out

    return str(w.constants.derived(weight.resource, f"times_scale_of_{scaled.name}", make))
