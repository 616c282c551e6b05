"""The exact effective conductance matrix of a linear resistive crossbar, by elimination row after row.

The network of cells, row wires and column wires is linear in the drivers' voltages V, so there is a matrix W with
I = W^T V (imc card C1). Rows are eliminated one after the other: what hangs above a row is a Norton equivalent
(admittance matrix Y, source currents J) at the column nodes. Resistances, not conductances, enter, so ideal wires are
ordinary numbers and nothing is inverted that could be singular.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import numpy as np

from ranvier.ir.diagnostics import error
from ranvier.ir.hardware.wires import Wires

Array = np.ndarray[Any, Any]
# Doubles that the row networks of a chunk may hold: 64 MiB.
_CHUNK = 1 << 23
_CACHE: OrderedDict[bytes, Array] = OrderedDict()
_CACHE_BYTES = 256 << 20


def effective(conductance: Array, wires: Wires, *, cache: bool = True) -> Array:
    """W [..., M, N] with I = W^T V for cells `conductance` [..., M, N], in siemens, exactly (row-Schur elimination).

    Valid for linear cells whose rows are all driven (0 V is driven). Results are kept by the hash of conductances and
    wires; they are read-only. Raises RanvierError (bad-value) for conductances that are negative or not finite.
    """
    g = np.ascontiguousarray(conductance, np.float64)
    if not np.isfinite(g).all() or (g.size and g.min() < 0):
        raise error("bad-value", "conductances must be finite and at least 0 S")
    if wires.lossless or not g.size:
        return g
    key = hashlib.sha256(repr((wires, g.shape)).encode() + g.tobytes()).digest() if cache else b""
    if key in _CACHE:
        _CACHE.move_to_end(key)
        return _CACHE[key]
    m, n = g.shape[-2:]
    flat = g.reshape(-1, m, n)
    size = max(1, _CHUNK // max(1, m * n * n))
    parts = [_solve(flat[i : i + size], wires) for i in range(0, len(flat), size)]
    out = np.concatenate(parts).reshape(g.shape)
    out.flags.writeable = False
    if cache:
        _keep(key, out)
    return out


def _keep(key: bytes, out: Array) -> None:
    _CACHE[key] = out
    while len(_CACHE) > 1 and sum(a.nbytes for a in _CACHE.values()) > _CACHE_BYTES:
        _CACHE.popitem(last=False)


def _solve(g: Array, wires: Wires) -> Array:
    """W of arrays [B, M, N]."""
    batch, m, n = g.shape
    schur, source = row_networks(g, wires)
    eye = np.eye(n)
    # [Y | J]: admittance at the column nodes, and a column of source currents for each row above and with this one.
    state = np.zeros((batch, n, n + m))
    state[:, :, :n] = schur[:, 0]
    state[:, :, n] = source[:, 0]
    for i in range(1, m):
        above = state[:, :, : n + i]
        if wires.col:
            above[:] = np.linalg.solve(eye + wires.col * state[:, :, :n], above)
        state[:, :, :n] += schur[:, i]
        state[:, :, n + i] = source[:, i]
    return _sense(state[:, :, :n], state[:, :, n:], wires).swapaxes(1, 2)


def _sense(y: Array, j: Array, wires: Wires) -> Array:
    """Currents [B, N, M] into virtual ground of a Norton equivalent at the column nodes, phase by phase."""
    n = y.shape[-1]
    if wires.phases == 1:
        return j if not wires.last else np.linalg.solve(np.eye(n) + wires.last * y, j)
    out = np.zeros_like(j)
    for phase in range(min(wires.phases, n)):
        sensed = np.arange(n) % wires.phases == phase
        a, c = _without(y, j, sensed)
        out[:, sensed] = c if not wires.last else np.linalg.solve(np.eye(a.shape[-1]) + wires.last * a, c)
    return out


def _without(y: Array, j: Array, sensed: Array) -> tuple[Array, Array]:
    """The equivalent at the sensed columns alone, the others floating (no current leaves them)."""
    rest = ~sensed
    if not rest.any():
        return y, j
    inner = y[:, rest][:, :, rest].copy()
    # A floating column without a single conducting cell has no voltage of its own and carries nothing.
    diagonal = np.einsum("bii->bi", inner)
    diagonal[diagonal == 0] = 1
    cross = y[:, sensed][:, :, rest]
    right = np.concatenate([y[:, rest][:, :, sensed], j[:, rest]], 2)
    solved = cross @ np.linalg.solve(inner, right)
    k = int(sensed.sum())
    return y[:, sensed][:, :, sensed] - solved[:, :, :k], j[:, sensed] - solved[:, :, k:]


def row_networks(g: Array, wires: Wires) -> tuple[Array, Array]:
    """Each row seen from its column nodes: admittances S [B, M, N, N] and source currents at 1 V, s [B, M, N].

    Ladders are eliminated from both ends; A^-1_jk = z_j t_j ... t_{k-1} with all factors at most 1, so nothing
    overflows and the diagonal is formed without cancellation.
    """
    n = g.shape[-1]
    right = np.zeros_like(g)  # admittance of what lies behind node j
    left = np.empty_like(g)  # resistance to the source as seen from node j, its own cell left out
    step = np.ones_like(g)  # u_{j+1} / u_j
    for j in range(n - 2, -1, -1):
        behind = right[..., j + 1] + g[..., j + 1]
        step[..., j] = 1 / (1 + wires.row * behind)
        right[..., j] = behind * step[..., j]
    left[..., 0] = wires.first
    for j in range(1, n):
        left[..., j] = wires.row + left[..., j - 1] / (1 + left[..., j - 1] * g[..., j - 1])
    whole = 1 + left * (g + right)
    voltage = np.empty_like(g)
    voltage[..., 0] = 1 / whole[..., 0]
    np.multiply(voltage[..., :1], np.cumprod(step[..., :-1], -1), out=voltage[..., 1:])
    upper = np.broadcast_to(step[..., None, :-1], (*g.shape, n - 1))
    upper = np.where(np.arange(n - 1) >= np.arange(n)[:, None], upper, 1.0)
    ratio = np.ones((*g.shape, n))
    np.cumprod(upper, -1, out=ratio[..., 1:])
    ratio = np.triu(ratio, 1)
    ratio *= (-(left / whole) * g)[..., None] * g[..., None, :]
    schur = ratio + ratio.swapaxes(-1, -2)
    index = np.arange(n)
    schur[..., index, index] = g * (1 + left * right) / whole
    return schur, g * voltage
