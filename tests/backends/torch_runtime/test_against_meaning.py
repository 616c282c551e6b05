"""Every op runs on PyTorch as by its meaning: step by step, folded, in tiles, tapped, and differentiably."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.backends.torch_runtime.lowering import Run
from ranvier.backends.torch_runtime.program import TorchProgram, sample_tensor, samples
from ranvier.backends.torch_runtime.writer import Mode
from ranvier.ir.core import Module
from ranvier.ir.interpret import evaluate
from ranvier.ir.types import SpikesType
from tests.strategies import OpCase, cases

CASES = cases()
Array = np.ndarray[Any, Any]


def agree(found: Array, want: Array, exact: bool, kind: Any) -> None:
    """The tolerances of the design: integers exactly, floats to 1e-5 of the largest magnitude."""
    assert found.shape == want.shape
    assert found.dtype == want.dtype
    if want.dtype.kind in "iub":
        if isinstance(kind, SpikesType) and not exact:
            assert np.mean(found != want) <= 1e-4
        else:
            np.testing.assert_array_equal(found, want)
        return
    found, want = found.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(found[~finite], want[~finite])
    largest = np.abs(want[finite]).max(initial=1e-6)
    tolerance = 1e-5 if kind.elem.storage in ("f32", "f64") else 1e-2
    assert np.abs(found[finite] - want[finite]).max(initial=0) <= tolerance * largest


def forced(module: Module, arrays: Sequence[Array], mode: Mode, fold: int) -> list[Array]:
    """Run in one mode with so many steps folded, whatever the shapes suggest."""
    from ranvier.backends.torch_runtime.dtypes import to_numpy
    from ranvier.backends.torch_runtime.lowering import output_tensor

    program = TorchProgram(module)
    sizes: dict[str, int] = {}
    graph = module.main
    tensors = [program.input(a, x, sizes) for a, x in zip(graph.args, arrays, strict=True)]
    ids = sample_tensor(None, samples(graph.args, tensors), "cpu")
    run = Run(sizes, ids, 0, torch.device("cpu"), fold)
    outputs = program.lowered(mode)(run, *tensors)
    return [to_numpy(output_tensor(x.detach(), v.type)) for x, v in zip(outputs, graph.outputs, strict=True)]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_op_in_every_mode(case: OpCase) -> None:
    module = case.module().verify()
    want, _ = evaluate(module, case.arrays)
    runs = {
        "auto": TorchRuntime().run(module, case.arrays).outputs,
        "tile 1": TorchRuntime(tile=1).run(module, case.arrays).outputs,
        "tile 2": TorchRuntime(tile=2).run(module, case.arrays).outputs,
        "fold 3": forced(module, case.arrays, Mode(fold=True), 3),
        "grad": forced(module, case.arrays, Mode(grad=True), 1),
    }
    for name, found in runs.items():
        for value, a, b in zip(module.main.outputs, found, want, strict=True):
            try:
                agree(a, b, case.exact, value.type)
            except AssertionError as why:
                raise AssertionError(f"{name}, {value!r}: {why}") from None


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_value_can_be_tapped(case: OpCase) -> None:
    module = case.module().verify()
    names = tuple(v.name for v in module.main.values)
    _, want = evaluate(module, case.arrays, taps=names)
    for tile in (None, 2):
        found = TorchRuntime(tile=tile).run(module, case.arrays, taps=names).taps
        assert set(found) == set(want)
        for name, array in want.items():
            agree(found[name], array, case.exact, module.main.value(name).type)
