"""Element types, arrays and values as torch sees them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from ranvier.ir.elements import Elem, elem
from ranvier.ir.types import SpikesType, Type

Array = np.ndarray[Any, Any]

DTYPES: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "uint32": torch.uint32,
    "uint64": torch.uint64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
# torch stores these but hardly computes with them: ops on them run by meaning.
POOR = frozenset({"u16", "u32", "u64"})


def torch_dtype(element: Elem) -> torch.dtype:
    """The torch type that holds one element."""
    return DTYPES[element.dtype.name]


def inner_dtype(kind: Type) -> torch.dtype:
    """The torch type that a value has between ops: spikes are float32 numbers until they leave."""
    return torch.float32 if isinstance(kind, SpikesType) else torch_dtype(kind.elem)


def to_torch(array: Any, device: Any = "cpu") -> torch.Tensor:
    """A tensor of a numpy array; shares memory where it can and is only read."""
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        return to_torch(array.view(np.int16), device).view(torch.bfloat16)
    if any(s < 0 for s in array.strides) or not array.dtype.isnative:
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
    with warnings.catch_warnings():  # torch warns of arrays that are read-only; nothing here writes to inputs
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array).to(device)


def to_numpy(tensor: torch.Tensor) -> Array:
    """A numpy array of a tensor."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(elem("bf16").dtype)
    return tensor.numpy()


def literal(element: Elem) -> str:
    """The torch type of an element as source text."""
    return f"torch.{element.dtype.name}"
