"""The handlers of ATen ops, one file a family. Importing this package registers them all."""

from ranvier.frontends.torch_export.ops import (
    activation,
    arithmetic,
    attention,
    convolution,
    creation,
    indexing,
    linear,
    normalization,
    padding,
    pooling,
    reduction,
    resize,
    shape,
    slicing,
)

__all__ = [
    "activation",
    "arithmetic",
    "attention",
    "convolution",
    "creation",
    "indexing",
    "linear",
    "normalization",
    "padding",
    "pooling",
    "reduction",
    "resize",
    "shape",
    "slicing",
]
