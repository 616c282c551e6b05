"""What the user wrote holds when the target `crossbar` adds its own passes; what it could not do is said."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.hardware.chip import CalibratedRange, Chip, Parasitics
from tests.zoo.digits import digits, digits_network


@cache
def integers() -> Module:
    passes = "fold-batchnorm, canonicalize, quantize, freeze-quant, lower-integer"
    return rv.opt(digits_network(), passes, data=digits()[0][:64])


def compiled(passes: str, options: str) -> Any:
    return rv.compile(integers(), passes, target=f"crossbar{{{options}}}", data=digits()[0][:64])


def on_arrays(exe: Any) -> list[Any]:
    found = [op for op in exe.module.ops if op.name.startswith("xbar.")]
    assert len(found) == 7
    return found


def notes(exe: Any, word: str) -> str:
    """The notes of the last stage of a pass: the target's."""
    return "\n".join([s for s in exe.trace if s.name.startswith(word)][-1].notes)


def fact(op: Any, kind: type) -> Any:
    return next((f for f in op.facts if isinstance(f, kind)), None)


def test_a_chip_of_the_user_keeps_its_drift() -> None:
    exe = compiled("map-crossbar, program{device=pcm time=31536000}", "r_wire=0.01")
    for op in on_arrays(exe):
        assert fact(op, Chip).device == "pcm"
        assert fact(op, Chip).seconds == 31536000
        assert fact(op, Parasitics) is not None, "the target's wires are put into the user's chip"
        assert f"%{op.result.name}" in notes(exe, "program")
    assert "device=ideal" in notes(exe, "program")


def test_wires_of_the_user_are_not_solved_again() -> None:
    exe = compiled("map-crossbar, program, solve-parasitics{r_wire=2}", "r_wire=0.5")
    assert all(fact(op, Parasitics).wires.startswith("row 2 ohm") for op in on_arrays(exe))
    assert "r_wire=0.5 of the target does nothing" in notes(exe, "solve-parasitics")


def test_a_range_of_the_user_stays() -> None:
    exe = compiled("map-crossbar{adc_bits=4}, calibrate-adc{range=max}", "adc_bits=4")
    alone = rv.opt(integers(), "map-crossbar{adc_bits=4}, calibrate-adc{range=max}")
    want = {op.result.name: op.attributes["adc"] for op in alone.ops if op.name.startswith("xbar.")}
    for op in on_arrays(exe):
        assert op.attributes["adc"] == want[op.result.name]
        assert fact(op, CalibratedRange).range == "max"
    assert any(max(adc.lsb) > 1 for adc in want.values())
    assert "range=granular of the target does nothing" in notes(exe, "calibrate-adc")


def test_converters_without_a_range_get_one_of_the_target() -> None:
    exe = compiled("map-crossbar{adc_bits=4}", "adc_bits=4 range=max")
    assert all(fact(op, CalibratedRange).range == "max" for op in on_arrays(exe))
    assert "does nothing" not in notes(exe, "calibrate-adc")


@pytest.mark.parametrize(
    ("passes", "options"),
    [
        ("map-crossbar", "adc_bits=4"),
        ("map-crossbar{adc_bits=6}", "adc_bits=4"),
        ("map-crossbar{adc=flash adc_bits=4}", "adc=ramp adc_bits=4"),
        ("map-crossbar{adc_bits=4}", "adc=ideal"),
    ],
)
def test_another_converter_than_the_mapped_one_is_refused(passes: str, options: str) -> None:
    with pytest.raises(rv.RanvierError, match="is mapped with adc=") as why:
        compiled(passes, options)
    assert len(why.value.diagnostics) == 7
    first = why.value.diagnostics[0]
    assert (first.code, bool(first.where)) == ("option-conflict", True)
    assert "leave it out of the target" in first.help


def test_a_kind_of_converter_that_the_target_leaves_open() -> None:
    exe = compiled("map-crossbar{adc=flash adc_bits=4}", "adc_bits=4")
    assert {op.attributes["adc"].word for op in on_arrays(exe)} == {"flash"}


def test_options_of_a_mapping_that_did_nothing_are_said() -> None:
    exe = compiled("map-crossbar{cols=64}", "rows=64 weights=offset cols=64")
    said = notes(exe, "map-crossbar")
    assert {op.attributes["array"].rows for op in on_arrays(exe)} == {128}
    assert "rows=64 of the target does nothing" in said
    assert "weights=offset of the target does nothing" in said
    assert "cols=64" not in said
    assert all(f"%{op.result.name}" in said for op in on_arrays(exe))


def test_read_noise_of_the_user_stays() -> None:
    exe = compiled("map-crossbar, read-noise{sigma=0.3}", "read_noise=0.01")
    assert {op.attributes["sigma"] for op in on_arrays(exe)} == {0.3 * 3}
    assert "sigma=0.01 of the target does nothing" in notes(exe, "read-noise")


def test_the_same_passes_without_keep_do_it_again() -> None:
    twice = rv.opt(integers(), "map-crossbar, read-noise{sigma=0.3}, read-noise{sigma=0.01}")
    assert {op.attributes["sigma"] for op in twice.ops if op.name == "xbar.noisy_mvm"} == {0.01 * 3}
