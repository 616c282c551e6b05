"""The plan of a lowered module as text: products, which are exact, which are not and why, what runs digitally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.backends.crossbar.dynamic import grid_of, matrices_of, static_largest
from ranvier.ir.core import Module, Op
from ranvier.ir.hardware.adc import Adc
from ranvier.ir.hardware.facts import NotModelled
from ranvier.ir.ops.xbar import DynamicMatmul, OnArrays, Stored
from ranvier.ir.ops.xbar_circuit import CircuitMvm

EXACT, CONVERTED, APPROXIMATE = "exact arithmetic", "as converted", "approximate"
SHOWN = 4


@dataclass(frozen=True)
class Planned:
    """How one op on arrays is computed: products without and with conversion, for all planes, slices and arms.

    `how` is one of EXACT, CONVERTED (integers that converters round or clip), APPROXIMATE. `written` counts matrices
    that are written for one sample, 0 where the matrix stays.
    """

    name: str
    op: str
    linear: int
    converted: int
    how: str
    why: str
    arrays: int
    written: int = 0

    @property
    def products(self) -> int:
        """Matrix products of one call."""
        return self.linear + self.converted


def lost(op: OnArrays, cells: Any = None) -> str:
    """What converters take from partials of these cells, or of any that the op may hold; "" for nothing."""
    adc: Adc = op.adc
    if adc.transparent:
        return ""
    slices = op.weights.slices(op.weight_bits, op.cell_bits)
    steps, limits = [adc.step(s) for s in range(slices)], [adc.limits(s) for s in range(slices)]
    largest = static_largest(op)
    if cells is not None:
        reads = op.grid.reads if isinstance(op, Stored) else []
        sums = [np.asarray(cells, np.float64)[:, :, rows].sum(2).reshape(slices, -1).max(1) for rows in reads]
        largest = [float(x) * op.input.largest for x in np.max(sums, 0)]
    noisy = isinstance(op, Stored) and (op.disturbed or op.cells is not None)
    found = []
    if noisy or any(not float(1 / s).is_integer() for s in steps):
        found.append("rounded to steps of " + _several([f"{s:.4g}" for s in steps]) + " cell levels")
    if any(low > 0 or high < most for (low, high), most in zip(limits, largest, strict=True)):
        found.append("clipped to " + _several([f"{low:.4g}..{high:.4g}" for low, high in limits]))
    return "partials are " + " and ".join(found) if found else ""


def _several(words: list[str]) -> str:
    """Different words of slices, or one that all have."""
    words = words[:1] if len(set(words)) == 1 else words
    return ", ".join(words[:SHOWN]) + (", ..." if len(words) > SHOWN else "")


def by_meaning(module: Module, op: OnArrays) -> Planned:
    """The entry of an op that has no kernel: every partial sum is computed."""
    grid = grid_of(op)
    held = None
    if isinstance(op, Stored) and op.weight is not None and op.weight.is_constant:
        held = op.grid.cells(module.array(op.weight)) if op.cells is None else None
    rounding = lost(op, held)
    how = CONVERTED if rounding else EXACT
    if isinstance(op, CircuitMvm):
        how, rounding = APPROXIMATE, "the circuit of every vector is solved"
    elif op.elem.is_float:
        how, rounding = APPROXIMATE, "; ".join(filter(None, ("sums of real numbers", rounding)))
    why = "by its meaning, every partial sum"
    if rounding:
        why += f"; {rounding}"
    unmodelled = [x for f in op.facts if isinstance(f, NotModelled) for x in f.what]
    if unmodelled:
        why += f"; ideal but for its converters, not modelled: {', '.join(unmodelled)}"
    count = matrices_of(op) if isinstance(op, DynamicMatmul) else 0
    if grid is None:
        return Planned(op.result.name, op.name, 0, 0, how, why + "; its size is known when it runs", 0, count)
    each = max(1, count)
    products = each * grid.groups * op.input.count * len(grid.reads)
    return Planned(op.result.name, op.name, 0, products, how, why, each * grid.arrays, count)


def plan_text(planned: Sequence[Planned], digital: Iterable[Op]) -> str:
    """The plan: a line an op on arrays, then what runs beside the arrays."""
    kept, written = [p for p in planned if not p.written], [p for p in planned if p.written]
    head = f"# crossbar: {len(kept)} matrices on {sum(p.arrays for p in kept)} arrays"
    if written:
        matrices, arrays = sum(p.written for p in written), sum(p.arrays for p in written)
        head += f"; {matrices} written in every sample, by {len(written)} ops, on {arrays} arrays"
    counts = {how: sum(p.products for p in planned if p.how == how) for how in (EXACT, CONVERTED, APPROXIMATE)}
    total = sum(p.products for p in planned)
    lines = [head, f"# {total} matrix products: " + ", ".join(f"{n} {how}" for how, n in counts.items())]
    for p in planned:
        lines.append(f"%{p.name} = {p.op}: {p.products} products ({p.converted} converted), {p.how}: {p.why}")
    names = Counter(op.name for op in digital)
    if names:
        lines.append("# digital, beside the arrays: " + ", ".join(f"{n} {name}" for name, n in sorted(names.items())))
    return "\n".join(lines)
