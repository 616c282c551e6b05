"""Constants and what is known of shapes."""

from __future__ import annotations

import math

import numpy as np

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.layout import broadcast
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.symbols import product
from ranvier.frontends.onnx.tensors import Constant, Tensor, element_type, read_tensor, settle
from ranvier.ir.elements import elem
from ranvier.ir.types import TensorType

LONGEST = 1 << 24


@onnx_op("Constant", since=1)
def constant(n: Node) -> Tensor:
    """A tensor, a number or a list of numbers."""
    name = n.proto.output[0] if n.proto.output else "c"
    found = n.raw("value")
    if found is not None:
        file = n.scope.run.file
        return read_tensor(found.t, file.name, file.folder, hint=name)
    for key, field, dtype in (
        ("value_float", "f", np.float32),
        ("value_floats", "floats", np.float32),
        ("value_int", "i", np.int64),
        ("value_ints", "ints", np.int64),
    ):
        found = n.raw(key)
        if found is not None:
            return Constant.of(np.asarray(getattr(found, field), dtype), hint=name)
    raise Unsupported("holds strings or a sparse tensor, which is not imported")


@onnx_op("ConstantOfShape", since=9)
def constant_of_shape(n: Node) -> Tensor:
    """One number everywhere; the shape is computed now."""
    shape = n.sizes(0, "a shape")
    found = n.raw("value")
    file = n.scope.run.file
    fill = read_tensor(found.t, file.name, file.folder) if found is not None else Constant.of(np.float32(0))
    number = fill.array.reshape(-1)[0].item()
    known = [d for d in shape if isinstance(d, int)]
    if len(known) == len(shape):
        if min(known, default=0) < 0 or math.prod(known) >= 2**62:
            raise ValueError(f"a shape of {shape}")
        return Constant(TensorType(tuple(known), fill.type.elem), splat=number, hint=n.proto.output[0])
    return broadcast(n, Constant.of(np.asarray(number), fill.type.elem), shape)


@onnx_op("Shape", since=1)
def shape(n: Node) -> Tensor:
    """The sizes themselves, which later nodes compute with before the network runs."""
    sizes = n.shape(n.input(0))
    if n.opset >= 15:
        sizes = sizes[slice(n.integer("start", 0), n.integer("end", len(sizes)))]
    array = np.empty(len(sizes), object)
    array[:] = sizes
    return settle(array, elem("i64"))


@onnx_op("Size", since=1)
def size(n: Node) -> Tensor:
    """The number of elements."""
    array = np.empty((), object)
    array[()] = product(n.shape(n.input(0)))
    return settle(array, elem("i64"))


@onnx_op("Range", since=11)
def arange(n: Node) -> Tensor:
    """Numbers at equal distances."""
    n.ignore("stash_type")
    start, limit, delta = (n.constant(i, "bounds").reshape(-1)[0] for i in range(3))
    if delta == 0:
        raise ValueError("a step of 0")
    count = max(math.ceil((limit - start) / delta), 0)
    if count > LONGEST:
        raise Unsupported(f"makes {count} numbers, which is more than {LONGEST}")
    kind = n.elem(n.input(0))
    return Constant.of(start + np.arange(count).astype(kind.dtype) * delta, kind, hint=n.proto.output[0])


@onnx_op("EyeLike", since=9)
def eye_like(n: Node) -> Tensor:
    """Ones on a diagonal."""
    x = n.input(0)
    rows, columns = n.shape(x)
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Unsupported("makes a matrix whose size is not known")
    kind = element_type(n.integer("dtype")) if n.has("dtype") else n.elem(x)
    return Constant.of(np.eye(rows, columns, n.integer("k", 0)), kind, hint=n.proto.output[0])
