"""Modules compared part by part, stricter than `==`: classes of attributes, signs of zeros, locations on request."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.equality import difference


def assert_same(a: Module, b: Module, *, locations: bool = False) -> None:
    """Every name, type, attribute, fact, place and constant is the same, and so says `==`."""
    assert a.name == b.name
    assert list(a.graphs) == list(b.graphs)
    assert exact(a.facts, b.facts)
    for one, other in zip(a.graphs.values(), b.graphs.values(), strict=True):
        _graphs(one, other, locations)
    assert list(a.resources) == list(b.resources)
    for name, one in a.resources.items():
        other = b.resources[name]
        assert one.name == other.name == name
        assert exact((one.type, one.facts), (other.type, other.facts)), name
        if one.available and other.available:
            np.testing.assert_array_equal(one.array, other.array)
            assert one.array.dtype == other.array.dtype
            assert one.array.tobytes() == other.array.tobytes()
    assert difference(a, b) is None
    assert a == b
    assert b == a


def _graphs(a: Graph, b: Graph, locations: bool) -> None:
    assert a.name == b.name
    assert len(a.args) == len(b.args)
    for one, other in zip(a.args, b.args, strict=True):
        _values(one, other)
    assert len(a) == len(b)
    for one, other in zip(a.ops, b.ops, strict=True):
        _ops(one, other, locations)


def _ops(a: Op, b: Op, locations: bool) -> None:
    assert type(a) is type(b)
    assert [repr(v) for v in a.operands] == [repr(v) for v in b.operands]
    assert list(a.attributes) == list(b.attributes)
    for name, value in a.attributes.items():
        assert exact(value, b.attributes[name]), (name, value, b.attributes[name])
    assert exact(a.facts, b.facts)
    assert a.place == b.place
    if locations and a.location is not None:
        assert a.location == b.location
    assert len(a.results) == len(b.results)
    for one, other in zip(a.results, b.results, strict=True):
        _values(one, other)


def _values(a: Value, b: Value) -> None:
    assert a.name == b.name
    assert exact(a.type, b.type), (a.type, b.type)
    assert [type(d) for d in a.type.shape] == [type(d) for d in b.type.shape]
    assert exact(a.facts, b.facts)


def exact(a: Any, b: Any) -> bool:
    """Equal and of one class, part by part."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(exact, a, b))
    if dataclasses.is_dataclass(a):
        return all(exact(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return bool(a == b)
