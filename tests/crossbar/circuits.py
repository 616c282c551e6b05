"""Slow references: every node of a crossbar in one sparse system, solved by SuperLU; Newton for nonlinear cells."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def stamps(shape: tuple[int, int], wires: Any, floating: Array | None = None) -> Any:
    """Conductance matrix of the wires alone; nodes: row nodes u_ij, then column nodes d_ij."""
    import scipy.sparse as sp

    m, n = shape
    u, d = np.arange(m * n).reshape(m, n), m * n + np.arange(m * n).reshape(m, n)
    rows, cols, values = [], [], []

    def add(a: Array, b: Array, g: float) -> None:
        for x, y, s in ((a, a, g), (b, b, g), (a, b, -g), (b, a, -g)):
            rows.append(x.ravel()), cols.append(y.ravel()), values.append(np.full(x.size, s))

    add(u[:, :-1], u[:, 1:], 1 / wires.row)
    add(d[:-1], d[1:], 1 / wires.col)
    sensed = d[-1] if floating is None else d[-1][~floating]
    for nodes, ohm in ((u[:, 0], wires.first), (sensed, wires.last)):
        rows.append(nodes), cols.append(nodes), values.append(np.full(len(nodes), 1 / ohm))
    size = 2 * m * n
    return sp.csc_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))), (size, size))


def with_cells(wires_matrix: Any, g: Array) -> Any:
    """The same with a conductance between each pair u_ij, d_ij."""
    import scipy.sparse as sp

    c = sp.diags(g.ravel())
    return (wires_matrix + sp.bmat([[c, -c], [-c, c]])).tocsc()


def nodal(g: Array, wires: Any, phase: int | None = None) -> Array:
    """W [M, N], from one solve for each row's driver at 1 V. With `phase`, columns of other phases float."""
    from scipy.sparse.linalg import splu

    m, n = g.shape
    floating = None if phase is None else np.arange(n) % wires.phases != phase
    lu = splu(with_cells(stamps(g.shape, wires, floating), g))
    drive = np.zeros((2 * m * n, m))
    drive[np.arange(m) * n, np.arange(m)] = 1 / wires.first
    out = lu.solve(drive)[-n:].T / wires.last
    return out if floating is None else np.where(floating, 0.0, out)


def newton(g: Array, v: Array, wires: Any, current: Any, slope: Any) -> Array:
    """Currents [N] of cells with current g * current(dv), by Newton on every node."""
    from scipy.sparse.linalg import spsolve

    m, n = g.shape
    linear = stamps(g.shape, wires)
    drive = np.zeros(2 * m * n)
    drive[np.arange(m) * n] = v / wires.first
    x = np.zeros(2 * m * n)
    for _ in range(60):
        dv = x[: m * n] - x[m * n :]
        i = g.ravel() * current(dv)
        residual = linear @ x + np.concatenate([i, -i]) - drive
        step = spsolve(with_cells(linear, g * slope(dv).reshape(m, n)), residual)
        x = x - step
        if np.abs(step).max() < 1e-14:
            break
    return x[-n:] / wires.last
