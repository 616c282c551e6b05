"""`calibrate-adc`: the range of every converter, from what it can see or from what it does see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.backends.crossbar.dynamic import slices_of, static_largest
from ranvier.backends.crossbar.mapping_options import KEEP_HELP
from ranvier.backends.crossbar.passes.keep import is_calibrated, without
from ranvier.backends.crossbar.passes.physical import cells_of, changed, on_arrays
from ranvier.backends.crossbar.physics.ranges import (
    Tally,
    granular_steps,
    max_steps,
    mse_steps,
    percentile_steps,
)
from ranvier.ir.core import Graph, Module, Value
from ranvier.ir.fields import Enum, Flag, Integer, Real, option
from ranvier.ir.hardware.adc import Ideal, Uniform
from ranvier.ir.hardware.chip import CalibratedRange
from ranvier.ir.hardware.partials import accumulate
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.xbar import DynamicMatmul, NoisyMvm, OnArrays, Stored
from ranvier.ir.ops.xbar_circuit import CircuitMvm

Array = np.ndarray[Any, Any]
# Vectors that are unrolled at once.
_VECTORS = 4096


@dataclass(frozen=True)
class CalibrateAdc(Pass):
    """Set the step of every converter, one for each slice; steps of slices differ by powers of two.

    `max`: the largest partial that the cells can make is not clipped. `granular`: one cell level a step. `percentile`
    and `mse` look at partial sums of the calibration data on the cells as they are, noise included, with ideal
    converters before: they clip a part of them, or what makes the squared error smallest. Ranges are part of the op
    from then on and never depend on a batch. A matrix that is written in every sample has for `max` the largest cells
    that there are.
    """

    word = "calibrate-adc"
    range: str = option(Enum("max", "granular", "percentile", "mse"), "max", "where the largest code lies")
    percentile: float = option(Real(1e-9, 100), 99.99, "part of the partial sums that are not clipped, in percent")
    samples: int = option(Integer(1), 32, "calibration samples that are looked at")
    vectors: int = option(Integer(1), 8192, "input vectors of each op that are looked at, evenly spaced in each sample")
    keep: bool = option(Flag(), False, KEEP_HELP)

    @property
    def _looks(self) -> bool:
        return self.range in ("percentile", "mse")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass. Raises RanvierError when data are needed and there are none."""
        todo = [(graph, op) for graph, op in on_arrays(module) if isinstance(op.adc, Uniform)]
        if not todo:
            context.note("no op has a converter with a range")
            return
        kept = [op for _, op in todo if self.keep and is_calibrated(op)]
        todo = without(kept, todo, f"range={self.range}", context)
        seen = self._look(module, [op for _, op in todo], context) if self._looks else {}
        for graph, op in todo:
            self._set(graph, op, module, seen.get(op.result.name), context)

    def _set(self, graph: Graph, op: OnArrays, module: Module, seen: Sequence[Tally] | None, context: Any) -> None:
        name, bits, slices = op.result.name, op.adc.bits, slices_of(op)
        real = isinstance(op, Stored) and (op.cells is not None or op.disturbed)
        whole = float(op.pedestal).is_integer() and not real
        if self.range == "granular":
            steps = granular_steps(slices)
        elif seen is None:
            steps = max_steps(largest_partials(module, op), bits, whole)
        elif self.range == "percentile":
            steps = percentile_steps(seen, bits, self.percentile, whole)
        else:
            powers = np.abs(op.weights.significance(op.weight_bits, op.cell_bits)[:, 0]).astype(np.float64)
            steps = mse_steps(seen, bits, whole, [float(p * p) for p in powers])
        codes = (1 << bits) - 1
        clipped = _share_beyond(seen, [s * codes for s in steps]) if seen is not None else 0.0
        data = f"{context.data_description}, {self.samples} samples at most" if seen is not None else ""
        adc = replace(op.adc, lsb=steps, low=0, high=None)
        changed(graph, op, (CalibratedRange(self.range, clipped, data),), adc=adc)
        shown = ", ".join(f"{s:g}" for s in steps)
        beyond = f"; {100 * clipped:.2g} % of the partial sums seen are clipped" if seen is not None else ""
        context.note(f"{name}: steps {shown} cell levels for {bits} bits{beyond}")

    def _look(self, module: Module, ops: list[OnArrays], context: PassContext) -> dict[str, list[Tally]]:
        """Partial sums of every op on calibration data, counted by slice."""
        data = tuple(x[: self.samples] for x in context.need_data(self.word))
        probe = module.clone()
        for graph, op in on_arrays(probe):
            changed(graph, op, adc=Ideal())
        probe.tidy()
        taps = tuple(dict.fromkeys(v.name for op in ops for v in _read(op) if v.resource is None))
        found = context.runtime.run(probe.freeze(), data, taps).taps
        tallies = {}
        for op in ops:
            arrays = [found[v.name] if v.resource is None else module.array(v) for v in _read(op)]
            if isinstance(op, DynamicMatmul):
                tallies[op.result.name] = count_products(op, arrays[0], arrays[1], self.vectors)
            elif isinstance(op, Stored):
                tallies[op.result.name] = count_partials(module, op, arrays[0], self.vectors)
        return tallies


def _read(op: OnArrays) -> list[Value]:
    """The operands that come with the sample, or may."""
    return op.arguments[:2] if isinstance(op, DynamicMatmul) else op.arguments[:1]


def largest_partials(module: Module, op: OnArrays) -> list[float]:
    """The largest partial of each slice for any input: column sums of each read, times the largest drive."""
    if not isinstance(op, Stored):
        return static_largest(op)
    cells = np.asarray(cells_of(module, op), np.float64)
    reads = op.grid.reads
    sums = [cells[:, :, rows].sum(2).reshape(len(cells), -1).max(1) for rows in reads]
    return [float(x) * op.input.largest for x in np.max(sums, 0)]


def count_partials(module: Module, op: Stored, x: Array, vectors: int | None = None) -> list[Tally]:
    """Partials of one op for its inputs x ([T, ...] where it is timed), counted by slice.

    With `vectors`, about so many positions are looked at, as many in each sample and step, at least one.
    """
    assert op.weight is not None
    grid, tallies = op.grid, [Tally() for _ in range(op.grid.slices)]
    for tally, largest in zip(tallies, largest_partials(module, op), strict=True):
        tally.refine(largest)
    weight = module.array(op.weight)
    cells = None if op.cells is None else module.array(op.cells)
    for t, sample, rows in _pieces(op, x, vectors):

        def look(part: int, plane: Array, partials: Array, t: int = t, sample: int = sample) -> Array:
            if isinstance(op, NoisyMvm):
                moment = _Calibration(t, np.arange(sample, sample + len(plane)))
                squares = op.cell_squares(weight, cells)
                partials = partials + op.noise_of(moment, 0, part, plane, partials.shape, squares)
            if isinstance(op, CircuitMvm) and cells is not None:
                partials = op.currents(part, plane, cells)
            for tally, values in zip(tallies, partials, strict=True):
                tally.add(values)
            return partials

        accumulate(grid, op.input, Ideal(), rows, weight, cells, op.pedestal, look)
    return tallies


def count_products(op: DynamicMatmul, a: Array, b: Array, vectors: int | None = None) -> list[Tally]:
    """Partials of a product of two values ([T, ...] where they are timed), counted by slice; `vectors` as above."""
    assert op.a is not None
    assert op.b is not None
    tallies = [Tally() for _ in range(slices_of(op))]
    for tally, largest in zip(tallies, static_largest(op), strict=True):
        tally.refine(largest)

    def look(part: int, plane: Array, partials: Array) -> Array:
        for tally, values in zip(tallies, partials, strict=True):
            tally.add(values)
        return partials

    timed = [v.type.time is not None for v in (op.a, op.b)]
    steps = max([len(x) for x, t in zip((a, b), timed, strict=True) if t], default=1)
    for t in range(steps):
        left, right = (np.asarray(x[t] if t_ else x).astype(np.int64) for x, t_ in zip((a, b), timed, strict=True))
        lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        n, grid = left.shape[-2], op.grid_of(*right.shape[-2:])
        count = math.prod(lead)
        keep = n if vectors is None else min(n, max(1, vectors // max(1, steps * count)))
        for i, at in enumerate(np.ndindex(*lead)):
            x = np.broadcast_to(left, (*lead, *left.shape[-2:]))[at]
            w = np.broadcast_to(right, (*lead, *right.shape[-2:]))[at]
            chosen = np.sort((np.arange(keep) * n // keep + i) % n)
            accumulate(grid, op.input, Ideal(), x[chosen][None, None], w.T, None, op.pedestal, look)
    return tallies


@dataclass(frozen=True)
class _Calibration:
    """The moment of a calibration draw; its trial is one that no evaluation uses."""

    t: int
    sample_ids: Array
    trial: int = -1


def _pieces(op: Stored, x: Array, most: int | None) -> Iterator[tuple[int, int, Array]]:
    """Step, first sample, and the vectors [N, groups, P, K] of some samples, which are driven at some positions."""
    assert op.x is not None
    steps = np.asarray(x if op.x.type.time is not None else x[None]).astype(np.int64)
    for t, step in enumerate(steps):
        positions = op.unrolled(step[:1]).shape[2] if len(step) else 1
        keep = positions if most is None else min(positions, max(1, most // max(1, len(steps) * len(step))))
        each = max(1, _VECTORS // positions)
        for start in range(0, len(step), each):
            # other positions in every part, so that no place of an image is left out
            chosen = np.sort((np.arange(keep) * positions // keep + start) % positions)
            yield t, start, op.unrolled(step[start : start + each])[:, :, chosen]


def _share_beyond(seen: Sequence[Tally], limits: Sequence[float]) -> float:
    counts = sum(int(t.counts.sum()) for t in seen)
    beyond = sum(int(t.counts[t.values > limit * (1 + 1e-12)].sum()) for t, limit in zip(seen, limits, strict=True))
    return beyond / counts if counts else 0.0
