"""A trained network with everything that arrays do to it, through the target's options."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.ir.core import Module
from tests.zoo.digits import TRAIN, digits, digits_network

ALL = "rows=64 cols=64 device=pcm r_wire=1 read_noise=0.02 adc=sar adc_bits=7 range=percentile"
MAPPED = (
    "quantize{bits=8 act_bits=8}, freeze-quant, lower-integer, "
    "map-crossbar{rows=64 cols=64 mapping=im2col weights=differential cell_bits=2}"
)


@cache
def network() -> Module:
    return rv.opt(digits_network(), "fold-batchnorm, canonicalize")


@cache
def compiled(options: str, passes: str = "") -> Any:
    return rv.compile(network(), passes, target=f"crossbar{{{options}}}", data=digits()[0][:256])


def images(count: int) -> Any:
    return digits()[0][TRAIN : TRAIN + count]


def correct(exe: Any, count: int = 120) -> float:
    answers = digits()[1][TRAIN : TRAIN + count]
    return float((exe(images(count)).argmax(1) == answers).mean())


def test_all_of_it_at_once_keeps_the_digits_and_the_plan_says_what_is_approximate() -> None:
    exe = compiled(ALL)
    assert correct(exe) > 0.9
    plan = exe.trace["plan"].plan
    assert "0 exact" in plan
    assert "read noise" in plan
    words = [stage.name for stage in exe.trace]
    order = [words.index(w) for w in ("map-crossbar", "program", "solve-parasitics", "read-noise", "calibrate-adc")]
    assert order == sorted(order)


def test_trials_draw_anew_and_batches_do_not() -> None:
    exe, x = compiled("read_noise=0.1"), images(12)
    program, ids = exe.module, np.arange(12)
    from ranvier.backends.crossbar.program import CrossbarProgram

    run = CrossbarProgram(program)
    whole = run.run([x], sample_ids=ids).outputs[0]
    parts = [run.run([x[i : i + 3]], sample_ids=ids[i : i + 3]).outputs[0] for i in range(0, 12, 3)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-4)
    assert not np.allclose(run.run([x], sample_ids=ids, trial=1).outputs[0], whole, atol=1e-3)


def test_a_year_of_drift_ruins_and_compensation_helps() -> None:
    def after(compensation: str) -> float:
        year = f"program{{device=pcm time=31536000 compensation={compensation}}}"
        return correct(compiled("", f"{MAPPED}, {year}"))

    assert after("none") < 0.5 < after("global")
    assert after("column") > 0.7


def test_resistance_of_wires_shows_as_it_grows() -> None:
    ideal = compiled("rows=64 cols=64")(images(30))
    wired = [compiled(f"rows=64 cols=64 r_wire={r}")(images(30)) for r in (0.01, 0.1, 1.0)]
    errors = [float(np.abs(y - ideal).mean()) for y in wired]
    assert errors == sorted(errors)
    assert errors[0] < 0.05 * float(np.abs(ideal).mean())
