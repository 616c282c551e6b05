"""Samples in, samples out: which axis they lie on, and how a run is split into batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.ir.core import Graph, Module, Value
from ranvier.ir.interfaces import Array, RunResult, batches
from ranvier.ir.interpret import zip_inputs
from ranvier.ir.types import Type

Run = Callable[[Sequence[Any], Array], RunResult]


def sample_axis(kind: Type) -> int:
    """Where the samples lie in the array of a type: axis 0, or 1 behind the steps."""
    return 1 if kind.time is not None else 0


def sample_symbol(graph: Graph) -> str | None:
    """The symbol that stands for the number of samples: the first dimension of the first argument, if it is open."""
    for arg in graph.args:
        if arg.type.rank:
            dim = arg.type.shape[0]
            return dim if isinstance(dim, str) else None
    return None


def sample_count(graph: Graph, arrays: Sequence[Any]) -> int:
    """How many samples some inputs hold."""
    for arg, array in zip(graph.args, arrays, strict=False):
        axis = sample_axis(arg.type)
        if arg.type.rank and np.ndim(array) > axis:
            return int(np.shape(array)[axis])
    return 1


def has_samples(value: Value, symbol: str | None) -> bool:
    """Whether the first dimension of a value is that of the samples."""
    return symbol is not None and value.type.rank > 0 and value.type.shape[0] in (symbol, "?")


def splittable(module: Module, taps: Sequence[str]) -> bool:
    """Whether a run may be split: every output and tap has the samples as its first dimension."""
    graph = module.main
    symbol = sample_symbol(graph)
    return all(has_samples(v, symbol) for v in (*graph.outputs, *(graph.value(name) for name in taps)))


def take_samples(graph: Graph, inputs: Sequence[Any], part: slice | Array) -> tuple[Any, ...]:
    """The same inputs with some of their samples; inputs without samples go along whole."""
    symbol = sample_symbol(graph)
    out = []
    for arg, x in zip_inputs(graph, inputs):
        lead: tuple[Any, ...] = (slice(None),) * sample_axis(arg.type)
        out.append(x[(*lead, part)] if has_samples(arg, symbol) else x)
    return tuple(out)


def run_in_batches(
    run: Run, module: Module, inputs: Sequence[Any], taps: Sequence[str], sample_ids: Array | None, batch: int | None
) -> RunResult:
    """Run all samples, at most `batch` at a time, and put the pieces together again.

    `run(inputs, sample_ids)` runs one batch. A module whose outputs are not one row a sample is run at once.
    """
    graph = module.main
    count = sample_count(graph, inputs)
    ids = np.arange(count, dtype=np.int64) if sample_ids is None else np.asarray(sample_ids, np.int64)
    if batch is None or count <= batch or not splittable(module, taps):
        return run(inputs, ids)
    pieces = [run(take_samples(graph, inputs, part), ids[part]) for part in batches(count, batch)]
    outputs = tuple(
        np.concatenate([piece.outputs[i] for piece in pieces], sample_axis(v.type)) for i, v in enumerate(graph.outputs)
    )
    tapped = {
        name: np.concatenate([piece.taps[name] for piece in pieces], sample_axis(graph.value(name).type))
        for name in taps
    }
    return RunResult(outputs, tapped)
