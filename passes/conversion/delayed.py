"""When the first spikes have come through a network of stepwise neurons: where a readout may begin (coding card 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.ir.core import Module, Op, Value
from ranvier.ir.interfaces import PassContext
from ranvier.passes.calibration.statistics import channel_axis, rows_of, tapped
from ranvier.passes.conversion.network import Layer

Array = np.ndarray[Any, Any]


def first_spikes(
    module: Module, layers: Mapping[Op, Layer], data: Sequence[Array], context: PassContext, v0: float, steps: int,
    batch: int,
) -> float:  # fmt: skip
    """Steps until the first spikes of the last layer: t0 = sum over layers of (theta - v0) / max_i E[max(z_i, 0)].

    The time that the most active channel of a layer needs to its first spike, its mean current taken from the
    activations on the data; with a threshold for each channel, the least time of all channels. Of branches the longer
    one counts. The threshold is that of the least spike. Source: local threshold balancing with delayed evaluation
    (Bu et al., CVPR 2025).
    """
    waits: dict[Op, float] = {}
    by_name = {op.result.name: op for op in layers}
    for name, array in tapped(module, list(by_name), data, context.runtime, batch):
        op = by_name[name]
        axis = channel_axis(op.result) if layers[op].axis is None else layers[op].axis
        waits[op] = _wait(layers[op], rows_of(array, axis), v0, steps)
    ready: dict[Value, float] = {}
    for op in module.main.ops:
        begin = max((ready.get(v, 0.0) for v in op.operands if v is not None), default=0.0)
        ready.update(dict.fromkeys(op.results, begin + waits.get(op, 0.0)))
    return max((ready.get(v, 0.0) for v in module.main.outputs), default=0.0)


def _wait(layer: Layer, rows: Array, v0: float, steps: int) -> float:
    """The steps of the fastest channel of a layer, a row each; 0 where none is active."""
    code, theta = layer.code, np.asarray(layer.theta, np.float64).reshape(-1)
    mean = np.maximum(rows, 0).mean(1, dtype=np.float64)
    missing = theta * max(0.0, code.grain(steps) - code.round_offset(v0, steps))
    active = mean > 0
    times = np.divide(missing, mean, out=np.full(np.broadcast(missing, mean).shape, np.inf), where=active)
    return float(times.min()) if active.any() else 0.0
