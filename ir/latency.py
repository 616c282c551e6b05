"""Latency in timesteps, derived from the schedules: when the last output of a module is known."""

from __future__ import annotations

from ranvier.ir.codes.neurons import EarlyFire, LayerSync
from ranvier.ir.core import Module, Op, Value
from ranvier.ir.ops.neurons import Neuron


def latency(module: Module) -> int | None:
    """Steps from the first input to the last output of `@main` when every layer runs as its schedule says.

    Stepwise layers cost nothing beyond the window of T steps; a layer_sync layer waits for its window before it fires.
    None when a number of steps is a symbol.
    """
    ready: dict[Value, int] = {}
    for op in module.main.ops:
        begin = max((ready.get(v, 0) for v in op.arguments), default=0)
        timed = [v.type.time for v in op.arguments if v.type.time is not None]
        if any(not isinstance(t, int) for t in timed):
            return None
        window = max((int(t) for t in timed), default=0)
        for result in op.results:
            # a timed result is "ready" at its first step, an untimed one when it is known
            ends = window if result.type.time is None else 0
            ready[result] = begin + ends + _wait(op, window)
    return max((ready.get(v, 0) + int(v.type.time or 0) for v in module.main.outputs), default=0)


def _wait(op: Op, window: int) -> int:
    if not isinstance(op, Neuron):
        return 0
    if isinstance(op.schedule, LayerSync):
        return min(op.schedule.period or window, window)
    return op.schedule.start if isinstance(op.schedule, EarlyFire) else 0
