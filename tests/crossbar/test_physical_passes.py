"""The passes that make arrays real: program, solve-parasitics, read-noise, calibrate-adc."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.backends.crossbar.devices import Generic, Ideal, Pcm, Rram
from ranvier.backends.crossbar.passes.calibrate_adc import CalibrateAdc, count_partials, largest_partials
from ranvier.backends.crossbar.passes.physical import cells_of, mapped
from ranvier.backends.crossbar.passes.program import ProgramCells
from ranvier.backends.crossbar.passes.read_noise import ReadNoise
from ranvier.backends.crossbar.passes.solve_parasitics import SolveParasitics
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.hardware.adc import Flash, Sar
from ranvier.ir.hardware.arrays import Array, KernelSplit, WholeKernel
from ranvier.ir.hardware.chip import CalibratedRange, Chip, Parasitics
from ranvier.ir.hardware.curves import Sinh
from ranvier.ir.hardware.inputs import Thermometer
from ranvier.ir.hardware.places import places
from ranvier.ir.hardware.weights import Differential, Dummy, Offset, Shift2p, TwoSided
from ranvier.ir.interpret import evaluate
from ranvier.ir.text.parser import parse_module
from ranvier.ir.text.printer import print_module
from ranvier.registry import find_pass
from tests.crossbar import circuits
from tests.crossbar.physical_modules import floats, levels, module_of
from tests.passes.helpers import apply

WIRED = Ideal(r_on_ohm=10e3, r_off_ohm=1e6)
GATED: dict[str, Any] = {"method": "iterative", "r_wire": 20.0, "gated": True, "tolerance": 1e-8}
ENCODINGS = [Differential(), TwoSided(), Offset(), Dummy(), Shift2p()]


def linear(**options: Any) -> Module:
    return module_of([levels((7, 40))], (40,), **options)


def conv(**options: Any) -> Module:
    return module_of([levels((6, 5, 3, 3))], (5, 6, 6), **options)


def run(module: Module, x: Any, **rest: Any) -> Any:
    return evaluate(module, [x], **rest)[0][0]


def the_op(module: Module) -> Any:
    return mapped(module)[0][1]


def chain(module: Module, *passes: Any, data: Any = None) -> Module:
    for p in passes:
        module = apply(p, module, data)[0]
    return module


def relative(a: Any, b: Any) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


# -- program ---------------------------------------------------------------------------------------------------------
def test_passes_are_found_by_name_and_print_as_they_parse() -> None:
    for p in (ProgramCells(device=Pcm(), time=60.0), SolveParasitics(r_wire=2.0), ReadNoise(sigma=0.1), CalibrateAdc()):
        assert find_pass(p.word) is type(p)
        assert type(p).read(_call(str(p))) == p


def _call(text: str) -> Any:
    from ranvier.ir.text.values import parse_value

    return parse_value(text.replace("{", "(").replace("}", ")").replace(" ", ", ") if "{" in text else f"{text}()")


def test_the_ideal_device_leaves_integers() -> None:
    before = linear()
    after, _ = apply(ProgramCells(), before)
    assert the_op(after).cells is None
    assert the_op(after).elem == the_op(before).elem
    assert any(isinstance(f, Chip) for f in the_op(after).facts)
    assert np.array_equal(run(after, floats(3, 40)), run(before, floats(3, 40)))


@pytest.mark.parametrize("weights", ENCODINGS, ids=str)
def test_an_off_conductance_is_removed_digitally(weights: Any) -> None:
    before = linear(weights=weights)
    after, _ = apply(ProgramCells(device=WIRED), before)
    assert the_op(after).pedestal == pytest.approx(0.01 / (0.99 / 3))
    assert the_op(after).elem.is_float
    x = floats(5, 40)
    assert relative(run(after, x), run(before, x)) < 1e-4


@pytest.mark.parametrize("make", [linear, conv])
def test_same_seed_same_chip_in_the_module(make: Any) -> None:
    cells = [cells_of(m, the_op(m)) for m in (chain(make(), ProgramCells(device=Pcm(), seed=s)) for s in (1, 1, 2))]
    assert np.array_equal(cells[0], cells[1])
    assert not np.array_equal(cells[0], cells[2])
    noisy, x = chain(make(), ProgramCells(device=Pcm())), floats(2, *((40,) if make is linear else (5, 6, 6)))
    assert np.array_equal(run(noisy, x), run(noisy, x, trial=3))


def test_each_op_is_its_own_chip_and_notes_say_how_far_it_is_off() -> None:
    module = module_of([levels((16, 16)), levels((16, 16))], (16,))
    after, context = apply(ProgramCells(device=Pcm(), time=86400.0, compensation="global"), module)
    (_, a), (_, b) = mapped(after)
    assert not np.array_equal(cells_of(after, a), cells_of(after, b))
    assert len(context.notes) == 2
    assert "read-out times" in context.notes[0]
    assert [op.name for op in after.main.ops][:5].count("q.quantize") == 2  # q.requantize reads real numbers now


def test_all_cells_stuck_make_the_output_constant() -> None:
    stuck = chain(linear(weights=Differential()), ProgramCells(stuck_off=1.0))
    assert np.ptp(run(stuck, floats(6, 40))) == 0
    on = chain(linear(weights=Differential()), ProgramCells(stuck_on=1.0))
    assert np.ptp(run(on, floats(6, 40))) == 0


def test_drift_of_a_year_shrinks_and_compensation_restores() -> None:
    x, plain = floats(20, 40), linear()
    want = run(plain, x)
    year = {"device": Generic(nu=0.06), "time": 3.15e7}
    drifted = run(chain(plain, ProgramCells(**year)), x)
    assert relative(drifted, want) > 0.5
    for how in ("global", "column"):
        assert relative(run(chain(plain, ProgramCells(**year, compensation=how)), x), want) < 1e-4


def test_facts_of_chips_are_text() -> None:
    module = chain(linear(), ProgramCells(device=WIRED), SolveParasitics(r_wire=2.0))
    again = parse_module(print_module(module), resources=dict(module.resources))
    assert again == module


# -- solve-parasitics --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("weights", ENCODINGS, ids=str)
@pytest.mark.parametrize("mapping", [None, KernelSplit(), WholeKernel()], ids=str)
def test_every_cell_lies_in_one_array_of_the_right_size(weights: Any, mapping: Any) -> None:
    grid = the_op(conv(weights=weights, **({} if mapping is None else {"mapping": mapping}))).grid
    count, arrays = np.zeros(grid.shape, int), 0
    for place in places(grid):
        np.add.at(count, place.of(count), 1)
        assert place.shape[0] <= grid.array.rows
        assert place.shape[1] <= grid.array.cols
        arrays += 1
    assert (count == 1).all()
    assert arrays == grid.arrays


@pytest.mark.parametrize("weights", ENCODINGS, ids=str)
def test_currents_are_those_of_every_array_alone(weights: Any) -> None:
    programmed = chain(conv(weights=weights), ProgramCells(device=WIRED))
    solve = SolveParasitics(r_row=3.0, r_col=5.0)
    solved, context = apply(solve, programmed)
    op, chip = the_op(solved), next(f for f in the_op(solved).facts if isinstance(f, Chip))
    before, after = cells_of(programmed, the_op(programmed)), cells_of(solved, op)
    for place in places(op.grid):
        expected = circuits.nodal(before[place.of(before)] * chip.siemens, solve.wires(8)) / chip.siemens
        np.testing.assert_allclose(after[place.of(after)], expected, rtol=1e-5, atol=1e-7)
    fact = next(f for f in op.facts if isinstance(f, Parasitics))
    assert 0 < fact.lost < 1
    assert f"{op.grid.arrays} arrays" in context.notes[0]


def test_the_iterative_solver_gives_the_same_cells() -> None:
    programmed = chain(linear(), ProgramCells(device=WIRED))
    cells = []
    for method in ("exact", "iterative"):
        module = chain(programmed, SolveParasitics(method=method, r_wire=4.0, tolerance=1e-9))
        cells.append(cells_of(module, the_op(module)))
    np.testing.assert_allclose(cells[0], cells[1], rtol=1e-5)


def test_floating_columns_and_warm_wires_change_what_is_read() -> None:
    programmed = chain(linear(), ProgramCells(device=WIRED))

    def read(**options: Any) -> Any:
        module = chain(programmed, SolveParasitics(r_wire=20.0, **options))
        return cells_of(module, the_op(module))

    base = read()
    assert relative(read(idle="floating"), base) > 1e-4
    assert read(kelvin=373.15).sum() < base.sum() < read(kelvin=233.15).sum()


def test_ideal_wires_change_nothing() -> None:
    programmed = chain(linear(), ProgramCells(device=WIRED))
    for p in (SolveParasitics(), SolveParasitics(method="off", r_wire=5.0)):
        after, context = apply(p, programmed)
        assert after == programmed
        assert context.notes == ["wires are ideal"]


def test_what_no_matrix_describes_is_refused() -> None:
    for make in (
        lambda: SolveParasitics(r_wire=1.0, gated=True),
        lambda: SolveParasitics(r_wire=1.0, iv=Sinh(a=2.0)),
        lambda: SolveParasitics(method="iterative", r_wire=1.0, gated=True, idle="floating"),
        lambda: chain(linear(), ProgramCells(), SolveParasitics(**GATED), ReadNoise(sigma=0.1)),
        lambda: chain(linear(), ProgramCells(), ReadNoise(sigma=0.1), SolveParasitics(**GATED)),
        lambda: SolveParasitics(r_wire=-1.0),
        lambda: SolveParasitics(r_row=-1.0),
        lambda: SolveParasitics(r_wire=1.0, kelvin=20.0),
        lambda: chain(linear(), SolveParasitics(r_wire=1.0)),
        lambda: ProgramCells(time=-1.0),
        lambda: ProgramCells(stuck_on=0.6, stuck_off=0.6),
        lambda: CalibrateAdc(percentile=0.0),
        lambda: CalibrateAdc(percentile=120.0),
        lambda: ReadNoise(sigma=-0.1),
    ):
        with pytest.raises(RanvierError, match="bad-value"):
            make()
    with pytest.raises(RanvierError, match="unsupported-time"):
        ProgramCells(device=Rram(), time=7.0)
    with pytest.raises(RanvierError, match="unsupported-device"):
        ProgramCells(device="fefet")


def test_gated_cells_are_solved_for_every_vector() -> None:
    programmed = chain(linear(array=Array(rows=16, cols=16, parallel_rows=6)), ProgramCells(device=WIRED))
    gated = chain(programmed, SolveParasitics(**GATED))
    op = the_op(gated)
    assert op.name == "xbar.circuit_mvm"
    assert parse_module(print_module(gated), resources=dict(gated.resources)) == gated
    cells, x = cells_of(gated, op), floats(3, 40)
    expected = np.zeros((3, 7))
    for place in places(op.grid):
        for read in op.array.reads(place.rows):
            driven = np.isin(place.rows, read)
            for bit in range(4):
                for n, v in enumerate((x[:, place.rows].astype(int) >> bit) & 1):
                    on = v * driven
                    g = np.where(on[:, None] > 0, cells[place.of(cells)].astype(float) * op.circuit.siemens, 1e-18)
                    partial = on @ circuits.nodal(g, op.circuit.wires) / op.circuit.siemens
                    signs = op.grid.significance[place.slices, place.arms] << bit
                    np.add.at(expected[n], place.columns, signs * partial)
    # no column of a differential pair needs the pedestal removed
    assert relative(run(gated, x), expected * 0.25) < 1e-4
    assert relative(run(chain(programmed, SolveParasitics(r_wire=20.0)), x), expected * 0.25) > 1e-3


def test_nonlinear_cells_and_linear_ones() -> None:
    x, programmed = floats(3, 40), chain(conv(), ProgramCells(device=WIRED))
    images = floats(2, 5, 6, 6)
    folded = run(chain(programmed, SolveParasitics(r_wire=3.0)), images)
    nearly = SolveParasitics(method="iterative", r_wire=3.0, iv=Sinh(a=1e-3), tolerance=1e-9)
    assert relative(run(chain(programmed, nearly), images), folded) < 1e-5
    curved = chain(linear(), ProgramCells(device=WIRED), SolveParasitics(method="iterative", iv=Sinh(a=2.0)))
    # planes of one bit are all or nothing, so that without wires the curve does not show
    assert relative(run(curved, x), run(linear(), x)) < 1e-3
    adc = chain(
        linear(adc=Flash(bits=5)),
        ProgramCells(device=WIRED),
        SolveParasitics(**GATED),
        CalibrateAdc(range="percentile"),
        data=(x,),
    )
    assert the_op(adc).adc.lsb != (1.0,)


# -- read-noise --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("noise", ["constant", "proportional"])
def test_noise_of_the_output_has_the_variance_of_cells_that_are_drawn(noise: str) -> None:
    sigma, module = 0.02, linear(input=Thermometer(pulses=15))
    noisy = chain(module, ReadNoise(sigma=sigma, noise=noise))
    assert the_op(noisy).name == "xbar.noisy_mvm"
    x = np.repeat(floats(1, 40), 4000, 0)
    found = run(noisy, x)
    op = the_op(module)
    cells = op.grid.cells(module.array(op.weight)).astype(float)
    each = np.full_like(cells, 3 * sigma) if noise == "constant" else sigma * cells
    # pulse p drives the rows whose level is above p: squares of bits, summed over pulses, are the levels
    squares = np.einsum("sdko,k,sd->o", each**2, x[0], op.grid.significance.astype(float) ** 2)
    scale = 0.25
    np.testing.assert_allclose(found.var(0), squares * scale**2, rtol=0.1)
    np.testing.assert_allclose(found.var(0).sum(), squares.sum() * scale**2, rtol=0.02)
    assert relative(found.mean(0), run(module, x)[0]) < 0.02


def test_reads_differ_from_trial_to_trial_and_not_from_batch_to_batch() -> None:
    noisy = chain(linear(), ProgramCells(device=Pcm()), ReadNoise(sigma=0.05))
    x = floats(6, 40)
    whole = run(noisy, x, sample_ids=np.arange(6))
    parts = [run(noisy, x[i : i + 2], sample_ids=np.arange(i, i + 2)) for i in (0, 2, 4)]
    assert relative(np.concatenate(parts), whole) < 1e-6
    assert not np.array_equal(whole, run(noisy, x, sample_ids=np.arange(6), trial=1))
    assert chain(linear(), ReadNoise(sigma=0.0)) == linear()


# -- calibrate-adc -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("device", [Ideal(), Pcm()], ids=str)
@pytest.mark.parametrize("weights", ENCODINGS, ids=str)
def test_max_clips_nothing_whatever_comes(device: Any, weights: Any) -> None:
    module = chain(linear(weights=weights, adc=Flash(bits=5)), ProgramCells(device=device), CalibrateAdc(range="max"))
    op = the_op(module)
    for s, largest in enumerate(largest_partials(module, op)):
        assert op.adc.limits(s)[1] >= largest * (1 - 1e-6)
    steps = np.log2(np.asarray(op.adc.lsb) / op.adc.lsb[0])
    assert np.array_equal(steps, steps.round())


def test_enough_bits_make_max_exact() -> None:
    lossless = chain(linear(adc=Sar(bits=12)), CalibrateAdc(range="max"))
    assert set(the_op(lossless).adc.lsb) == {1.0}
    assert np.array_equal(run(lossless, floats(4, 40)), run(linear(), floats(4, 40)))


@pytest.mark.parametrize("range", ["percentile", "mse"])
@pytest.mark.parametrize("device", [Ideal(), Pcm()], ids=str)
def test_ranges_from_data_lose_less_than_max(range: str, device: Any) -> None:
    data = floats(32, 40, most=6)
    module = chain(linear(adc=Flash(bits=4)), ProgramCells(device=device))
    want = run(chain(linear(), ProgramCells(device=device)), data)
    found = chain(module, CalibrateAdc(range=range, percentile=99.5), data=(data,))
    worst = chain(module, CalibrateAdc(range="max"))
    loss, most = (float(np.square(run(m, data) - want).mean()) for m in (found, worst))
    assert loss < most
    fact = next(f for f in the_op(found).facts if isinstance(f, CalibratedRange))
    assert fact.range == range
    assert fact.clipped <= 0.2


def test_calibration_looks_at_the_crossbar_as_it_is() -> None:
    data = (floats(16, 40),)
    tallies = []
    for passes in ([], [ProgramCells(device=WIRED), SolveParasitics(r_wire=50.0)]):
        module = chain(linear(adc=Flash(bits=6)), *passes)
        tallies.append(count_partials(module, the_op(module), data[0].astype(int)))
    assert max(t.largest for t in tallies[1]) < max(t.largest for t in tallies[0])
    assert tallies[0][0].counts.sum() == 16 * 4 * 3 * 2 * 7  # samples, planes, reads, arms, outputs


def test_a_part_of_the_vectors_is_spread_over_samples_and_positions() -> None:
    module, x = conv(adc=Flash(bits=4)), floats(8, 5, 6, 6)
    op = the_op(module)
    every, some, one = (count_partials(module, op, x, n) for n in (None, 64, 1))
    positions = 4 * 4
    assert some[0].counts.sum() * positions == every[0].counts.sum() * 8
    assert one[0].counts.sum() * positions == every[0].counts.sum()
    assert 0.5 * every[0].percentile(50) < some[0].percentile(50) < 2 * every[0].percentile(50)


def test_a_converter_never_depends_on_the_batch() -> None:
    data = (floats(16, 5, 6, 6),)
    module = chain(conv(adc=Flash(bits=4)), ProgramCells(device=Pcm()), CalibrateAdc(range="mse"), data=data)
    x = floats(6, 5, 6, 6, seed=9)
    assert relative(np.concatenate([run(module, x[:1]), run(module, x[1:])]), run(module, x)) < 1e-6
    mixed = [chain(conv(adc=Flash(bits=4)), CalibrateAdc(range="mse"), data=(d,)) for d in (data[0], data[0][::-1])]
    assert the_op(mixed[0]).adc == the_op(mixed[1]).adc


def test_calibration_without_data_or_converters() -> None:
    with pytest.raises(RanvierError, match="missing-data"):
        chain(linear(adc=Flash(bits=4)), CalibrateAdc(range="mse"))
    after, context = apply(CalibrateAdc(range="mse"), linear())
    assert after == linear()
    assert "no op has a converter" in context.notes[0]
