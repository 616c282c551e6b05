"""The column ladder of NICE: resistance in the column wire only, solved for each vector or folded once (card A1).

Source: SpikeSim (arXiv 2210.12899), NICE circuit: mesh currents i_0 ... i_{n-1} of one column of n cells R_j with wire
resistance r per cell; i_{n-1} is the column's current.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def ladder_current(resistance: Array, voltage: Array, r: float) -> Array:
    """Currents [B, N] of columns of cells `resistance` [n, N] in ohm, each vector of `voltage` [B, n] solved anew.

    -(R_j + R_{j+1} + r) i_j + R_j i_{j-1} + R_{j+1} i_{j+1} = -(V_j - V_{j+1}) for j < n - 1, and
    R_{n-1} i_{n-2} - (R_{n-1} + r) i_{n-1} = -V_{n-1}.
    """
    # Cells that are off make the mesh equations stiff (25 MOhm beside 1 Ohm), so they are solved in extended precision.
    cell, v = np.asarray(resistance, np.longdouble), np.asarray(voltage, np.longdouble)
    drive = v - np.concatenate([v[:, 1:], np.zeros_like(v[:, :1])], 1)
    below = np.concatenate([cell[1:], np.zeros_like(cell[:1])])
    pivot = cell[0] + below[0] + r
    right = drive[:, :1] * np.ones_like(cell[0])
    for j in range(1, len(cell)):
        factor = cell[j] / pivot
        pivot = cell[j] + below[j] + r - factor * cell[j]
        right = drive[:, j, None] + factor * right
    return np.asarray(right / pivot, np.float64)


def ladder_fold(conductance: Array, r: float) -> Array:
    """Effective conductances [..., n, N] of cells [..., n, N] in siemens: currents are `voltage @ fold`.

    The sweep of `ladder_current`'s tridiagonal system from the first cell to the last, done once: the share of a
    cell's current that reaches the sense is a product of dividers, one for each segment of wire below it.
    """
    g = np.asarray(conductance, np.float64)
    above = np.zeros_like(g[..., 0, :])
    share = np.empty_like(g)
    for i in range(g.shape[-2]):
        above = above + g[..., i, :]
        share[..., i, :] = 1 / (1 + r * above)
        above = above * share[..., i, :]
    passed = np.cumprod(share[..., ::-1, :], -2)[..., ::-1, :]
    return g * passed
