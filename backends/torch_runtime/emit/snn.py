"""`snn`: the three doors and the bias current."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.backends.torch_runtime.emit.registry import pure, stepped
from ranvier.backends.torch_runtime.emit.state import kernel_lines
from ranvier.backends.torch_runtime.scaling import Scaled, takes_scale
from ranvier.backends.torch_runtime.stateful import BiasCurrent, Encode, Psp, scale_tensor
from ranvier.ir.core import Op
from ranvier.ir.ops.snn import EveryStep


def is_worth_itself(code: Any) -> bool:
    """Whether every spike of a code is worth its own number of scales at every step: asked of the code."""
    if code.psp_class != "constant" or code.needs_window:
        return False
    low, high = code.alphabet()
    probe = np.unique(np.linspace(low, high, 17).round()).astype(np.float32)
    if code.psp_init(np, probe) is not None:
        return False
    return all(np.array_equal(code.psp_step(np, None, probe, t, 4)[1], probe) for t in range(4))


def scale_text(w: Any, kind: Any, rank: int) -> str:
    """A spikes type's scale as source text: a number, or a constant."""
    scale = scale_tensor(kind, rank)
    return repr(scale) if isinstance(scale, float) else w.constants.array(scale, "scale")


def scale_thing(w: Any, kind: Any, rank: int) -> Any:
    """The scale for a kernel: a number or a tensor on the device."""
    scale = scale_tensor(kind, rank)
    return scale if isinstance(scale, float) else w.constants.tensor_of(scale)


@stepped("snn.encode")
def encode(op: Op, w: Any) -> None:
    """Real values to spikes."""
    kernel_lines(op, w, Encode(op, scale_thing(w, op.result.type, op.result.type.rank)))


@stepped("snn.psp")
def psp(op: Op, w: Any) -> None:
    """What spikes are worth: nothing to do but the scale for codes whose spikes are worth themselves."""
    kind: Any = op.arguments[0].type
    if not is_worth_itself(kind.code):
        kernel_lines(op, w, Psp(op, scale_thing(w, kind, kind.rank)))
        return
    x = w.read(op.operands[0])
    scale = scale_text(w, kind, kind.rank)
    if scale == "1.0":
        w.line(f"{w.result(op.result)} = {x}")
        return
    takers = [takes_scale(user, i, op.result, w) for user, i in op.result.uses]
    if any(takers):
        raw = w.fresh(op.result.name + "_raw")
        w.line(f"{raw} = {x}")
        w.scaled[op.result] = Scaled(raw, scale_tensor(kind, kind.rank), scale)
    if not all(takers) or w.is_shared(op.result):
        w.line(f"{w.result(op.result)} = {x} * {scale}")


@pure("snn.decode")
def decode(op: Op, w: Any, x: str) -> str:
    """The value that a window stands for."""
    kind: Any = op.arguments[0].type
    return f"K.decode({w.bind(kind.code, 'code')}, {scale_text(w, kind, kind.rank)}, {x})"


def spread(w: Any, bias: str, value: Any, rank: int) -> str:
    """A bias on axis 1 as source text."""
    return f"{bias}.reshape({(-1,) + (1,) * (rank - 2)})" if value.type.rank == 1 and rank > 1 else bias


@stepped("snn.bias_current")
def bias_current(op: Op, w: Any) -> None:
    """x + bias at every step, or as the op says when."""
    if op.attributes["when"] != EveryStep():
        kernel_lines(op, w, BiasCurrent(op))
        return
    if op.arguments[0].op in w.biases:
        w.line(f"{w.result(op.result)} = {w.read(op.operands[0], op)}")
        return
    x, bias = w.read(op.operands[0], op), w.read(op.operands[1], op)
    w.line(f"{w.result(op.result)} = {x} + {spread(w, bias, op.operands[1], op.result.type.rank)}")


@pure("snn.bias_current")
def still_bias(op: Op, w: Any, x: str, bias: str, restart: str | None, offset: str | None) -> str:
    """A bias at every step on a current that stays the same."""
    if op.arguments[0].op in w.biases:
        return x
    return f"{x} + {spread(w, bias, op.operands[1], op.result.type.rank)}"
