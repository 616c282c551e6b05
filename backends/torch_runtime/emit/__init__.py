"""How ops are written as PyTorch source: one file a family. Importing this package fills the tables."""

from ranvier.backends.torch_runtime.emit import (
    activations,
    arith,
    control,
    layers,
    loss,
    neurons,
    q,
    reduce,
    shape,
    snn,
    time,
)
from ranvier.backends.torch_runtime.emit.registry import PURE, SPECIAL, STEPPED

__all__ = [
    "PURE",
    "SPECIAL",
    "STEPPED",
    "activations",
    "arith",
    "control",
    "layers",
    "loss",
    "neurons",
    "q",
    "reduce",
    "shape",
    "snn",
    "time",
]
