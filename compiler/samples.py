"""Data from users: arrays in, checked against the module before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.batching import has_samples, sample_axis, sample_count, sample_symbol
from ranvier.ir.core import Graph, Value
from ranvier.ir.diagnostics import Diagnostic, RanvierError, error
from ranvier.ir.finite import not_finite
from ranvier.ir.interfaces import Array
from ranvier.ir.interpret import check_input


def is_torch(x: Any) -> bool:
    """Whether this is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def to_numpy(x: Any) -> Array:
    """A numpy array of an array, a torch tensor on any device, or nested lists of numbers."""
    if is_torch(x):
        x = x.detach().cpu()
        return np.asarray(x.float().numpy() if str(x.dtype) == "torch.bfloat16" else x.numpy())
    return np.asarray(x)


def as_inputs(data: Any) -> tuple[Any, ...]:
    """One array an input: a tuple or list of arrays stands for several inputs."""
    if isinstance(data, tuple | list) and all(hasattr(x, "shape") for x in data):
        return tuple(data)
    return (data,)


def check_data(graph: Graph, data: Any, what: str = "data", where: str | Sequence[str] = "") -> tuple[Array, ...]:
    """Data as arrays of the types of a graph's arguments; `where` errors place them, one for all or one an input.

    Raises RanvierError (bad-data) with every wrong input: count, shape, kind of numbers, NaN, no samples.
    """
    given = as_inputs(data)
    where = where or f"{what}="
    if len(given) != len(graph.args):
        names = ", ".join(f"%{a.name}: {a.type}" for a in graph.args)
        counts = _count(len(given), "array"), _count(len(graph.args), "input")
        message = f"{what} holds {counts[0]}, the network takes {counts[1]} ({names})"
        place = where if isinstance(where, str) else ", ".join(dict.fromkeys(where))
        raise error("bad-data", message, where=place, help="give one array an input, several as a tuple in that order")
    symbols: dict[str, int] = {}
    found: list[Diagnostic] = []
    arrays: list[Array] = []
    for arg, x, place in zip(graph.args, given, _places(where, len(given)), strict=True):
        try:
            array = _numbers(x)
            found += _findings(graph, arg, array, what, place)
            if not found:
                arrays.append(check_input(arg, array, symbols))
        except RanvierError as why:
            for d in why.diagnostics:
                message = d.message.replace("input", f"{what} for input", 1)
                found.append(Diagnostic("bad-data", message, place, d.help))
    if found:
        raise RanvierError(found)
    return tuple(arrays)


def check_finite(graph: Graph, arrays: Sequence[Array]) -> None:
    """Raise RanvierError (bad-data) naming every input that holds NaN or infinite numbers."""
    symbol = sample_symbol(graph)
    findings = (
        not_finite(x, f"input %{arg.name}", axis=sample_axis(arg.type) if has_samples(arg, symbol) else None)
        for arg, x in zip(graph.args, arrays, strict=True)
    )
    if found := [d for d in findings if d is not None]:
        raise RanvierError(found)


def class_count(graph: Graph) -> int | None:
    """The number of classes that the first output tells apart; None where it is not [samples, classes]."""
    kind = graph.outputs[0].type
    size = kind.shape[-1] if kind.rank == 2 and kind.time is None else None
    return size if isinstance(size, int) else None


def check_labels(
    labels: Any, count: int, what: str = "labels", where: str = "", *, classes: int | None = None
) -> Array:
    """Labels as an int64 array, one a sample; raises RanvierError (bad-data) when they are not.

    With `classes` every label must lie in 0 .. classes - 1.
    """
    array = _numbers(labels)
    where = where or f"{what}="
    if array.ndim != 1 or array.shape[0] != count:
        message = f"{what} have shape {list(array.shape)} for {_count(count, 'sample')}"
        raise error(
            "bad-data", message, where=where, help=f"give one class index a sample: an array of shape [{count}]"
        )
    if array.dtype.kind not in "iu":
        raise error("bad-data", f"{what} hold {array.dtype}", where=where, help="give class indices as integers")
    outside = (array < 0) | (array >= classes) if classes is not None else np.zeros(count, bool)
    if outside.any():
        first = int(outside.argmax())
        message = f"{what} lie outside the network's {_count(int(classes or 0), 'output')}: {outside.sum()} of {count}"
        raise error(
            "bad-data",
            message,
            where=where,
            help="number the classes from 0, in the order of the outputs",
            notes=(f"first in sample {first}: label {array[first]}",),
        )
    return array.astype(np.int64)


def _places(where: str | Sequence[str], count: int) -> Sequence[str]:
    if not isinstance(where, str):
        return where
    return [where] if count == 1 else [f"{where}[{index}]" for index in range(count)]


def _numbers(x: Any) -> Array:
    try:
        array = to_numpy(x)
    except ValueError as why:
        raise error(
            "bad-data", f"no array can be made of this: {why}", help="give a numpy array or a torch tensor"
        ) from None
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        kind = type(x).__name__
        raise error(
            "bad-data", f"this {kind} holds {array.dtype}, not numbers", help="give a numpy array or a torch tensor"
        )
    return array


def _findings(graph: Graph, arg: Value, array: Array, what: str, place: str) -> list[Diagnostic]:
    axis = sample_axis(arg.type)
    if array.size == 0:
        message = f"{what} for input %{arg.name} is empty: its shape is {list(array.shape)}"
        return [Diagnostic("bad-data", message, place, "give at least one sample")]
    counted = axis if has_samples(arg, sample_symbol(graph)) else None
    found = not_finite(array, f"{what} for input %{arg.name}", place, counted)
    return [] if found is None else [found]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def first_samples(graph: Graph, arrays: Sequence[Any], count: int) -> tuple[Any, ...]:
    """At most the first `count` samples of checked data."""
    from ranvier.batching import take_samples

    return take_samples(graph, arrays, slice(0, min(count, sample_count(graph, arrays))))
