"""Read noise in the executor: the draws of the op's meaning, sample by sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.backends.crossbar.devices import Ideal, Pcm
from ranvier.backends.crossbar.passes.program import ProgramCells
from ranvier.backends.crossbar.passes.read_noise import ReadNoise
from ranvier.backends.crossbar.program import CrossbarProgram
from ranvier.ir.hardware.adc import Flash
from ranvier.ir.hardware.inputs import Binary, Thermometer
from ranvier.ir.hardware.weights import Differential, Dummy, Offset, Shift2p, TwoSided
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops.xbar import NoisyMvm
from tests.crossbar.physical_modules import floats, levels, module_of
from tests.op_cases.xbar import _noisy
from tests.passes.helpers import apply


def noisy(make: Any, noise: str, device: Any = None, sigma: float = 0.03) -> Any:
    module = make
    if device is not None:
        module, _ = apply(ProgramCells(device=device), module)
    return apply(ReadNoise(sigma=sigma, noise=noise), module)[0]


@pytest.mark.parametrize("noise", ["constant", "proportional"])
@pytest.mark.parametrize("weights", [Differential(), TwoSided(), Offset(), Dummy(), Shift2p()], ids=str)
@pytest.mark.parametrize("conv", [False, True], ids=["linear", "conv"])
def test_executor_draws_what_the_meaning_draws(noise: str, weights: Any, conv: bool) -> None:
    shape = (5, 6, 6) if conv else (40,)
    matrix = levels((6, 5, 3, 3)) if conv else levels((7, 40))
    module = noisy(module_of([matrix], shape, weights=weights), noise, Ideal(r_on_ohm=10e3, r_off_ohm=1e6))
    x, ids = floats(5, *shape), np.array([9, 2, 4, 7, 1])
    program = CrossbarProgram(module, samples=2)
    found = program.run([x], sample_ids=ids, trial=3).outputs[0]
    expected = evaluate(module, [x], sample_ids=ids, trial=3)[0][0]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert "read noise" in program.plan()
    assert "by its meaning" not in program.plan()


@pytest.mark.parametrize("input", [Binary(bits=4), Binary(bits=4, plane_bits=4), Thermometer(pulses=15)], ids=str)
def test_converters_of_noisy_partials(input: Any) -> None:
    module = noisy(module_of([levels((7, 40))], (40,), adc=Flash(bits=5), input=input), "constant", Pcm())
    x = floats(40, 40)
    found = CrossbarProgram(module).run([x]).outputs[0]
    expected = evaluate(module, [x])[0][0]
    # a partial in float32 may round to the other side of a tie
    assert (found != expected).mean() < 1e-2
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("one", list(_noisy()), ids=lambda c: c.name)
def test_every_case_of_the_op(one: Any) -> None:
    module, inputs = one.module(), list(one.arrays)
    expected = evaluate(module, inputs)[0][0]
    found = CrossbarProgram(module).run(inputs).outputs[0]
    assert any(isinstance(op, NoisyMvm) for op in module.ops)
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1.0, float(np.abs(expected).max())))
