"""Biases given back: a bias current at every step, on a linear op that nothing else sees, is that op's bias."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.ops.snn import EveryStep

LINEAR = ("nn.conv", "nn.conv_transpose", "nn.linear")


def given_back(graph: Graph, taps: Container[Value], module: Module) -> dict[Op, Value]:
    """Linear op -> the bias that its `snn.bias_current` adds; that op then passes its operand on."""
    found: dict[Op, Value] = {}
    for op in graph.ops:
        if op.name != "snn.bias_current" or op.attributes["when"] != EveryStep() or op.operands[2] is not None:
            continue
        current, bias = op.arguments[:2]
        linear = current.op
        if linear is None or linear.name not in LINEAR or linear.operands[2] is not None:
            continue
        alone = len(current.uses) == 1 and current not in taps
        if alone and bias.is_constant and bias.type.time is None and _fits(linear, bias, module):
            found[linear] = bias
    return found


def _fits(linear: Op, bias: Value, module: Module) -> bool:
    """Whether the bias is one number for each of the linear op's outputs, on their axis."""
    rank = linear.result.type.rank
    axis = rank - 1 if linear.name == "nn.linear" else 1
    size = linear.result.type.shape[axis]
    if bias.type.elem != linear.result.type.elem or not isinstance(size, int):
        return False
    shape = np.shape(module.array(bias))
    if len(shape) == 1:
        return axis == 1 and shape[0] == size
    return len(shape) == rank and all(n == (size if i == axis else 1) for i, n in enumerate(shape))
