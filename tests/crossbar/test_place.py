"""Placement: every array has a place of its own, and tiles are as far apart as their network says."""

from __future__ import annotations

import pytest

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.hardware.facts import Placement
from ranvier.passes.hardware.place import arrays_of, distance, links_of
from tests.crossbar.test_compile import compiled


def mapped() -> Module:
    module = compiled("rows=16 cols=16").module
    assert isinstance(module, Module)
    return module


@pytest.mark.parametrize("network", ["mesh", "tree"])
def test_arrays_are_numbered_without_gaps(network: str) -> None:
    module = rv.opt(mapped(), f"place-arrays{{arrays_per_pe=4 pes_per_tile=2 network={network}}}")
    ops = [op for op in module.main.ops if op.name == "xbar.mvm"]
    places = [next(f for f in op.facts if isinstance(f, Placement)) for op in ops]
    free = 0
    for op, place in zip(ops, places, strict=True):
        assert (place.array, place.arrays) == (free, arrays_of(op))  # type: ignore[arg-type]
        assert place.tile == free // 8
        assert place.pe == free // 4
        free += place.arrays
    assert rv.parse(str(module), resources=module.resources) == module


def test_distances() -> None:
    mesh = links_of("mesh", 9)
    assert [distance(mesh, 0, n) for n in range(9)] == [0, 1, 2, 3, 2, 1, 2, 3, 4]
    tree = links_of("tree", 8)
    assert [distance(tree, 0, n) for n in range(8)] == [0, 2, 4, 4, 6, 6, 6, 6]
    assert distance(links_of("tree", 1), 0, 0) == 0
