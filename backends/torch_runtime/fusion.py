"""Which ops of a stage are computed where their result is used up: the terms that a neuron adds to its membrane.

The current of a neuron that runs in place is a tree of additions whose inner results nothing else sees. Its leaves are
added to the membrane one by one, convolutions straight by their own accumulation where oneDNN offers it. Sums are then
taken in another order than written, which is exact where the sums are (semantics, Exactness).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from ranvier.backends.torch_runtime.stages import Stage
from ranvier.ir.core import Op, Value

Term = tuple[str, Any]


def terms_of(stage: Stage, writer: Any) -> tuple[dict[Op, list[Term]], set[Op]]:
    """For each neuron the terms of its current, and the ops that are computed there."""
    from ranvier.backends.torch_runtime.emit.neurons import runs_in_place

    found: dict[Op, list[Term]] = {}
    deferred: set[Op] = set()
    if writer.folding or writer.mode.grad:
        return found, deferred
    inside = set(stage.ops)
    for op in stage.ops:
        if op.name == "snn.neuron" and runs_in_place(op, writer):
            current = op.operands[0]
            assert current is not None
            terms = _leaves(current, inside, writer, deferred)
            # what makes a new tensor comes first: at the first step the membrane is made of it
            found[op] = sorted(terms, key=lambda t: t[0] != "conv")
    return found, deferred


def _leaves(value: Value, inside: set[Op], writer: Any, deferred: set[Op]) -> list[Term]:
    op = value.op
    if (
        op is None
        or op not in inside
        or len(value.uses) != 1
        or value in writer.taps
        or value.type.elem.storage != "f32"
    ):
        return [("value", value)]
    if op.name == "nn.add" and all(v.type.shape == value.type.shape for v in op.arguments):
        deferred.add(op)
        return [leaf for v in op.arguments for leaf in _leaves(v, inside, writer, deferred)]
    if op.name == "snn.bias_current" and op.arguments[0].op in writer.biases:
        deferred.add(op)
        return _leaves(op.arguments[0], inside, writer, deferred)
    if op.name == "nn.conv":
        deferred.add(op)
        return [("conv", op)]
    return [("value", value)]


def add_in_place(
    x: Any, y: Any, weight: Any, bias: Any, strides: Any, padding: Any, dilations: Any, groups: int
) -> None:
    """x += conv2d(y), by oneDNN's accumulation."""
    torch.ops.mkldnn._convolution_pointwise_.binary(
        x, y, weight, bias, padding, strides, dilations, groups, "add", 1.0, None, [], None
    )


@lru_cache(maxsize=1)
def can_accumulate() -> bool:
    """Whether this torch's convolutions accumulate in place, tried on a small one."""
    try:
        with torch.inference_mode():
            x = torch.arange(32, dtype=torch.float32).reshape(1, 2, 4, 4).contiguous(memory_format=torch.channels_last)
            weight = torch.ones(2, 2, 3, 3).contiguous(memory_format=torch.channels_last)
            out = torch.ones_like(x)
            add_in_place(out, x, weight, None, (1, 1), (1, 1), (1, 1), 1)
            return bool(torch.equal(out, 1 + torch.nn.functional.conv2d(x, weight, None, 1, 1)))
    except (RuntimeError, AttributeError, TypeError):
        return False
