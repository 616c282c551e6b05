"""Latency in timesteps, derived from the schedules: when the last output of a module is known."""

from __future__ import annotations

from ranvier.ir.codes.neurons import EarlyFire, LayerSync
from ranvier.ir.core import Module, Op, Value
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.timing import regions
from ranvier.ir.types import Dim


def latency(module: Module, steps: int | None = None) -> int | None:
    """Steps from the first input to the last output of `@main` when every layer runs as its schedule says.

    Stepwise layers cost nothing beyond the window of T steps; a layer_sync layer waits for its window before it fires.
    `steps` is what a symbolic number of steps stands for; None when there is one and `steps` is not given. A network
    without time has latency 0. What lies on a cycle through `core.delay` begins together.
    """
    ready: dict[Value, int] = {}
    for group in regions(module.main):
        begin = max((ready.get(v, 0) for op in group for v in op.arguments), default=0)
        for op in group:
            window = _length([v.type.time for v in op.arguments], steps)
            if window is None:
                return None
            for result in op.results:
                # a timed result is "ready" at its first step, an untimed one when it is known
                ends = window if result.type.time is None else 0
                ready[result] = begin + ends + _wait(op, window)
    found = 0
    for output in module.main.outputs:
        window = _length([output.type.time], steps)
        if window is None:
            return None
        found = max(found, ready.get(output, 0) + window)
    return found


def _length(times: list[Dim | None], steps: int | None) -> int | None:
    """The longest of some windows, 0 without any; None when one is a symbol that stands for nothing."""
    lengths = [t if isinstance(t, int) else steps for t in times if t is not None]
    known = [n for n in lengths if n is not None]
    return max(known, default=0) if len(known) == len(lengths) else None


def _wait(op: Op, window: int) -> int:
    if not isinstance(op, Neuron):
        return 0
    if isinstance(op.schedule, LayerSync):
        return min(op.schedule.period or window, window)
    return op.schedule.start if isinstance(op.schedule, EarlyFire) else 0
