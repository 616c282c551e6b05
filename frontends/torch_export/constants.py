"""Tensors of torch as resources."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.diagnostics import error
from ranvier.ir.elements import Elem, elem
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType

Array = np.ndarray[Any, Any]

ELEMENTS = {
    "float16": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
    "float64": "f64",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint8": "u8",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "bool": "i1",
}


def element_of(dtype: Any, what: str) -> Elem:
    """The element type of a torch dtype; raises RanvierError naming `what` for complex and quantized ones."""
    name = str(dtype).removeprefix("torch.")
    if name not in ELEMENTS:
        raise error(
            "unsupported-op", f"{what} holds {name}, which has no element type here", help="convert it to float32"
        )
    return elem(ELEMENTS[name])


def array_of(tensor: Any, what: str, *, private: bool) -> Array:
    """A tensor as a read-only array.

    The memory is shared when nobody else can write to it (`private`), and copied when the tensor is the user's own: the
    imported module stays what it is while the user trains on.
    """
    import torch

    kind = element_of(tensor.dtype, what)
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    # numpy knows bfloat16 through ml_dtypes only
    bf16 = kind.storage == "bf16"
    shared: Array = tensor.view(torch.int16).numpy().view(kind.dtype) if bf16 else tensor.numpy()
    array = shared.view() if private else shared.copy()
    array.flags.writeable = False
    return array


def resource_of(tensor: Any, what: str, *, private: bool) -> Resource:
    """A tensor as a resource of its shape and element type."""
    array = array_of(tensor, what, private=private)
    return Resource(TensorType(array.shape, element_of(tensor.dtype, what)), array)


def identity(tensor: Any) -> tuple[Any, ...]:
    """Equal for tensors that are the same memory seen the same way: shared parameters."""
    return (
        (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)
        if tensor.numel()
        else (id(tensor),)
    )
