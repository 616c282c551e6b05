"""Statistics of values over calibration data, with their exact definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Module, Value
from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.interfaces import PassContext, Runtime
from ranvier.ir.types import element_count

Array = np.ndarray[Any, Any]
MEMORY = 1 << 30
PERCENTILE = re.compile(r"p([0-9]+(?:\.[0-9]+)?)")

_SIMPLE: dict[str, tuple[Callable[[Array], Array], str]] = {
    "max": (lambda rows: rows.max(1), "largest element"),
    "min": (lambda rows: rows.min(1), "smallest element"),
    "absmax": (lambda rows: np.abs(rows).max(1), "largest magnitude"),
    "mean": (lambda rows: rows.mean(1, dtype=np.float64), "mean of all elements, zeros included"),
    "std": (lambda rows: rows.std(1, dtype=np.float64), "population standard deviation of all elements"),
    "density": (lambda rows: (rows != 0).mean(1), "share of elements that are not zero"),
}


def check_kind(kind: str) -> str:
    """A statistic's name, or a ValueError sentence: max, min, absmax, mean, std, density, or pX such as p99.9."""
    found = PERCENTILE.fullmatch(kind)
    if found is not None and 0 <= float(found.group(1)) <= 100:
        return kind
    if kind in _SIMPLE:
        return kind
    hint = suggest(kind, [*_SIMPLE, "p99.9"])
    raise ValueError(
        f"must be {' | '.join(_SIMPLE)} | p99.9 (any percentile), not {kind}" + (f"; {hint}" if "did" in hint else "")
    )


def definition(kind: str, axis: int | None) -> str:
    """What exactly a statistic is, over everything or each channel of an axis."""
    channel = f"over all samples and positions of a channel (axis {axis})"
    over = "over all samples and elements" if axis is None else channel
    found = PERCENTILE.fullmatch(kind)
    if found is not None:
        return f"{found.group(1)}th percentile of all elements, zeros included, linear between order statistics, {over}"
    return f"{_SIMPLE[kind][1]}, {over}"


def compute(kind: str, rows: Array) -> Array:
    """The statistic of each row of [channels, elements]."""
    found = PERCENTILE.fullmatch(kind)
    if found is not None:
        return np.asarray(np.quantile(rows, float(found.group(1)) / 100, axis=1))
    return _SIMPLE[kind][0](rows)


def rows_of(array: Array, axis: int | None) -> Array:
    """[channels, elements]: one row a channel of `axis`, or one row in all."""
    if axis is None:
        return array.reshape(1, -1)
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


@dataclass(frozen=True)
class Bins:
    """Equal bins between low and high for each row, and how many elements fell into each."""

    counts: Array
    low: Array
    high: Array

    @property
    def centers(self) -> Array:
        """Middle of each bin, [rows, bins]."""
        bins = self.counts.shape[1]
        steps = (np.arange(bins) + 0.5) / bins
        return np.asarray(self.low[:, None] + (self.high - self.low)[:, None] * steps)


def histogram(rows: Array, bins: int) -> Bins:
    """Histogram of each row between its smallest and largest element."""
    low, high = rows.min(1).astype(np.float64), rows.max(1).astype(np.float64)
    span = np.where(high > low, high - low, 1.0)
    counts = np.empty((len(rows), bins), np.int64)
    for i, row in enumerate(rows):  # row by row: one row and its indices fit in the cache
        index = row - row.dtype.type(low[i])
        index *= row.dtype.type(bins / span[i])
        found = np.bincount(index.astype(np.int32), minlength=bins)
        counts[i] = found[:bins]
        counts[i, -1] += found[bins:].sum()  # the largest element lies on the edge
    return Bins(counts, low, np.where(high > low, high, low + span))


def tapped(
    module: Module, names: Sequence[str], data: Sequence[Array], runtime: Runtime, batch: int = 128
) -> Iterator[tuple[str, Array]]:
    """The arrays of named values over all the data, in groups that fit in memory; values come in the order of names."""
    samples = len(data[0])
    group: list[str] = []
    size = 0
    by_name = {v.name: v for v in module.main.values}
    for name in names:
        bytes_ = element_count(by_name[name].type.shape) * samples * 4
        if group and size + bytes_ > MEMORY:
            yield from _run(module, group, data, runtime, batch)
            group, size = [], 0
        group.append(name)
        size += bytes_
    if group:
        yield from _run(module, group, data, runtime, batch)


def _run(
    module: Module, names: list[str], data: Sequence[Array], runtime: Runtime, batch: int
) -> Iterator[tuple[str, Array]]:
    found = runtime.run(module, data, tuple(names), batch=batch).taps
    for name in names:
        array = np.asarray(found[name])
        if not np.isfinite(array).all():
            raise error(
                "bad-data",
                f"%{name} becomes infinite or NaN on the calibration data",
                help="check the data's normalization",
            )
        yield name, array


def channel_axis(value: Value) -> int | None:
    """The axis that the weights behind a value count as channels, None for a value without channels.

    It is the last one behind a linear or matmul op of more than two axes, else axis 1.
    """
    rank = value.type.rank
    if rank < 2:
        return None
    op = value.op
    while op is not None and rank > 2:
        if op.name in ("nn.linear", "nn.matmul", "nn.layer_norm"):
            return rank - 1
        if (
            op.name in ("nn.conv", "nn.conv_transpose", "nn.batch_norm", "core.reshape", "core.transpose")
            or not op.arguments
        ):
            break
        op = op.arguments[0].op
    return 1


def describe_data(context: PassContext, data: Sequence[Array]) -> str:
    """What the data is, for facts."""
    return context.data_description or f"{len(data[0])} samples given as data"
