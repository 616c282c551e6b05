"""`snn.neuron`: the common neuron as a few lines in place, every other one by its kernel."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.emit.registry import pure, stepped
from ranvier.backends.torch_runtime.emit.snn import scale_thing
from ranvier.backends.torch_runtime.emit.state import kernel_lines
from ranvier.backends.torch_runtime.stateful import Neuron
from ranvier.ir.core import Op


def kernel_of(op: Op, w: Any) -> Neuron:
    """The general kernel of a neuron."""
    return Neuron(op, scale_thing(w, op.result.type, op.result.type.rank), w.mode.grad)


@stepped("snn.neuron")
def neuron(op: Op, w: Any) -> None:
    """One step of a stepwise neuron."""
    kernel_lines(op, w, kernel_of(op, w))


@pure("snn.neuron")
def window(op: Op, w: Any, *args: str | None) -> str:
    """A windowed schedule: all steps at once."""
    operands = ", ".join("None" if a is None else a for a in args)
    return f"{w.bind(kernel_of(op, w), 'neuron')}.window(R, {operands})"
