"""`core` ops that make, end, delay or sum up time."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.emit.registry import pure, stepped
from ranvier.backends.torch_runtime.emit.state import kernel_lines
from ranvier.backends.torch_runtime.stateful import Accumulate
from ranvier.ir.core import Op


@pure("core.to_time")
def to_time(op: Op, w: Any, x: str) -> str:
    """A view with the axis in front."""
    return f"{x}.movedim({op.attributes['axis'] % op.arguments[0].type.rank}, 0)"


@pure("core.from_time")
def from_time(op: Op, w: Any, x: str) -> str:
    """A view with time at its axis."""
    return f"{x}.movedim(0, {op.attributes['axis'] % op.result.type.rank})"


@pure("core.last")
def last(op: Op, w: Any, x: str) -> str:
    """The last step."""
    return f"{x}[-1]"


@pure("core.first")
def first(op: Op, w: Any, x: str) -> str:
    """A view of the first steps."""
    return f"{x}[:{op.attributes['steps']}]"


@stepped("core.accumulate")
def accumulate(op: Op, w: Any) -> None:
    """A running sum, mean or maximum."""
    kernel_lines(op, w, Accumulate(op))


@stepped("core.delay")
def delay(op: Op, w: Any) -> None:
    """A queue: the oldest step comes out, this step goes in at the end of the step."""
    x, init = op.operands
    assert x is not None
    queue = w.fresh(op.result.name + "_queue")
    shape = w.shape(op.result)
    start = w.read(init)
    if "?" not in op.result.type.shape:
        start = f"{start}.expand({shape})"
    w.line(f"if t == 0: {queue} = [{start}] * {op.attributes['steps']}")
    w.line(f"{w.result(op.result)} = {queue}[0]")
    w.at_end.append((queue, x))
