"""Currents of a crossbar vector by vector, where no effective conductance matrix exists.

Gated cells leave the network of a row that is not driven, so the network depends on the vector; nonlinear cells depend
on their voltage. The fixed point is that of CrossSim: cell voltages give currents, currents summed along the wires give
the drops, and cell voltages move towards source minus drops (imc card B1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.diagnostics import error, register_code
from ranvier.ir.hardware.curves import CurrentVoltage, Linear
from ranvier.ir.hardware.wires import Wires

Array = np.ndarray[Any, Any]
register_code(
    "no-convergence",
    "An iterative solver did not reach its tolerance. The message says how far it came; more iterations, a larger "
    "tolerance, or smaller wire resistances help.",
)
# Doubles of cell voltages that are solved at once: 32 MiB.
_CHUNK = 1 << 22


def iterate(
    conductance: Array,
    voltage: Array,
    wires: Wires,
    *,
    gated: bool = False,
    iv: CurrentVoltage | None = None,
    tolerance: float = 1e-6,
    iterations: int = 1000,
) -> Array:
    """Column currents [B, N] of cells [M, N] in siemens for vectors of voltages [B, M] in units of the read voltage.

    `gated` disconnects the rows at 0 V; `iv` is the cells' current-voltage curve. `tolerance` bounds the error of
    Kirchhoff's voltage law at every cell, in units of the read voltage; the currents' error follows it.
    Raises RanvierError: no-convergence; bad-value for a tolerance of 0 or less, or columns that float.
    """
    if not tolerance > 0:
        raise error("bad-value", f"tolerance must be greater than 0, not {tolerance:g}")
    if wires.phases > 1:
        raise error(
            "bad-value",
            "the iterative solver keeps every column at ground, and columns that wait for a converter float",
            help="set cols_per_adc=1, or method=exact for linear cells whose rows are all driven",
        )
    g, v = np.asarray(conductance, np.float64), np.asarray(voltage, np.float64)
    curve = iv or Linear()
    size = max(1, _CHUNK // max(1, g.size))
    parts = [
        _fixed_point(g * (part != 0)[:, :, None] if gated else g, part, wires, curve, tolerance, iterations)
        for part in (v[i : i + size] for i in range(0, len(v), size))
    ]
    return np.concatenate(parts) if parts else np.zeros((0, g.shape[1]))


def _fixed_point(g: Array, v: Array, wires: Wires, iv: CurrentVoltage, tolerance: float, most: int) -> Array:
    across = np.broadcast_to(v[:, :, None], (*v.shape, g.shape[-1])).copy()
    steepest = float(iv.slope(np.array(np.abs(v).max(initial=0.0))))
    gain = 2 / (2 + _largest_loss(g if g.ndim == 2 else g.max(0), wires) * steepest)
    before, worst = np.inf, np.inf
    for _ in range(most):
        current = g * iv.at(across)
        miss = v[:, :, None] - _drops(current, wires) - across
        worst = float(np.abs(miss).max(initial=0.0))
        if worst < tolerance:
            return np.asarray(current.sum(1))
        if worst > before:
            gain *= 0.9
        before = worst
        across += gain * miss
    raise error(
        "no-convergence",
        f"cell voltages still miss Kirchhoff's law by {worst:.2g} of the read voltage after {most} iterations, and "
        f"tolerance is {tolerance:g}",
    )


def _drops(current: Array, wires: Wires) -> Array:
    """What cell currents [..., M, N] take from each cell's voltage along its row and column wire."""
    out = np.zeros_like(current)
    if wires.row or wires.first:
        onwards = current[..., ::-1].cumsum(-1)[..., ::-1]
        segments = onwards * wires.row
        segments[..., 0] = onwards[..., 0] * wires.first
        out += segments.cumsum(-1)
    if wires.col or wires.last:
        downwards = current.cumsum(-2)
        segments = downwards * wires.col
        segments[..., -1, :] = downwards[..., -1, :] * wires.last
        out += segments[..., ::-1, :].cumsum(-2)[..., ::-1, :]
    return out


def _largest_loss(g: Array, wires: Wires, rounds: int = 12) -> float:
    """The largest eigenvalue of voltage drops over cell voltages, by power iteration: positive, as all entries are."""
    x = np.ones_like(g)
    largest = 0.0
    for _ in range(rounds):
        x = _drops(g * x, wires)
        largest = float(x.max(initial=0.0))
        if largest == 0:
            return 0.0
        x /= largest
    return largest
