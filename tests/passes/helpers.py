"""Passes on a private clone, and the meaning before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.interpret import evaluate
from ranvier.ir.types import tensor
from ranvier.reference import MeaningRuntime

RNG = np.random.default_rng


def apply(pass_: Pass, module: Module, data: Sequence[Any] | None = None) -> tuple[Module, PassContext]:
    """What a pass makes of a module, verified, with the locations and the original untouched."""
    before = str(module.verify())
    context = PassContext(MeaningRuntime(), None if data is None else tuple(data))
    out = module.clone()
    pass_.run(out, context)
    assert str(module) == before
    return out.verify(), context


def names(module: Module) -> list[str]:
    """The ops of @main in order, without the return."""
    return [op.name for op in module.main.ops if op.name != "core.return"]


def meaning(module: Module, *inputs: Any) -> list[Any]:
    """The outputs of @main."""
    return evaluate(module, inputs)[0]


def close(found: Any, wanted: Any, tolerance: float = 1e-5, *, least: float = 1e-30) -> None:
    """Equal within a part of the output's largest magnitude, at least of `least`; integers and bits exactly."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, wanted)
        return
    largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=least)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * largest)


def start(*shape: Any, time: int | None = None, dtype: str = "f32") -> tuple[Module, Builder, Any]:
    """A module with @main, its builder and its first argument."""
    module = Module()
    graph = module.new_graph("main")
    return module, Builder(graph), graph.argument("x", tensor(*shape, time=time, dtype=dtype))


def real(seed: int, *shape: int) -> Any:
    """Normal numbers."""
    return RNG(seed).standard_normal(shape).astype(np.float32)
