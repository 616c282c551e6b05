"""Cells that are real numbers: the executor folds what is linear, and converts every partial where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Elem
from ranvier.ir.hardware.adc import Adc, Flash, Ideal
from ranvier.ir.hardware.arrays import Array
from ranvier.ir.hardware.inputs import Binary, Spike
from ranvier.ir.hardware.weights import Weights
from ranvier.ir.ops.xbar import Mvm
from ranvier.ir.types import TensorType
from tests.crossbar.builders import ENCODINGS, by_meaning, level_types, levels, matrix_module, on_crossbar, weights

PEDESTAL = 0.25


def disturbed(encoding: Weights, adc: Adc, noise: float) -> tuple[Module, Module, np.ndarray[Any, Any]]:
    """A convolution on real cells, the same on ideal ones, and inputs."""
    rng = np.random.default_rng(3)
    w, x = weights(rng, (6, 5, 3, 3), 6), levels(rng, (3, 5, 6, 6), 5, True)
    shape = {"padding": (1, 1, 1, 1), "array": Array(rows=20, cols=16), "weights": encoding}
    ideal = matrix_module((5, 6, 6), w, bits=6, act_bits=5, signed=True, **shape)
    op = ideal.main.value("mvm").op
    assert isinstance(op, Mvm)
    cells = op.grid.cells(w) + PEDESTAL + noise * rng.standard_normal(op.grid.shape)
    act, held = level_types(w, 6, 5, True)
    module = Module("real")
    build = Builder(module.new_graph("main"))
    given = build.graph.argument("x", TensorType(("N", 5, 6, 6), act))
    operands = (build.constant(w, "w", type=TensorType(w.shape, held)), build.constant(cells, "cells"))
    attributes = {"input": Binary(bits=5, signed=True), "adc": adc, "pedestal": PEDESTAL, "elem": Elem("f32")}
    build.returns(build(Mvm, given, *operands, weight_bits=6, **attributes, **shape))
    return module.verify().freeze(), ideal, x


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_a_pedestal_is_removed(encoding: Weights) -> None:
    module, ideal, x = disturbed(encoding, Ideal(), 0.0)
    scale = np.asarray(ideal.main.outputs[0].type.elem.quant.scales(4, np.float64))  # type: ignore[union-attr]
    np.testing.assert_allclose(by_meaning(module, x), by_meaning(ideal, x) * scale, atol=1e-6)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_linear_cells_are_folded(encoding: Weights) -> None:
    module, _, x = disturbed(encoding, Ideal(), 0.1)
    want = by_meaning(module, x)
    assert np.abs(on_crossbar(module, x) - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_converted_cells_are_those_of_the_meaning(encoding: Weights) -> None:
    """But where a partial lies within float32 of a tie."""
    module, _, x = disturbed(encoding, Flash(bits=7, lsb=(0.5,), low=-3), 0.1)
    want = by_meaning(module, x)
    differs = np.abs(on_crossbar(module, x) - want) > 1e-5 * np.abs(want).max()
    assert differs.mean() <= 1e-3


def test_spikes_of_either_sign_are_two_planes() -> None:
    input = Spike(signed=True)
    np.testing.assert_array_equal(input.planes(np.array([-1, 0, 1])), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(input.significance(), [1, -1])
