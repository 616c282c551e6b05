"""Every code runs on every network of the zoo, or is refused with a named reason."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import ranvier as rv
from benchmarks.zoo_codes import Notes, page, quality
from ranvier.ir.diagnostics import codes as registered_codes
from tests.zoo.data import Missing
from tests.zoo.networks import ZOO
from tests.zoo.table import CODES, Cell, conversion_table
from tests.zoo.zoo import Zoo


def few(names: list[str], calibration: int, evaluation: int) -> Iterator[Zoo]:
    """Networks whose data are at hand, with less of it."""
    for name in names:
        try:
            yield ZOO[name]().few(calibration, evaluation)
        except Missing:
            continue


def check(cell: Cell) -> None:
    """Either everything became spikes, or a registered reason says what did not."""
    assert not cell.crash, f"{cell.code} on {cell.network}: {cell.crash}"
    for reason in cell.refusals:
        code, _, message = reason.partition(": ")
        assert code in registered_codes()
        assert len(message) > 10
    if cell.score is None:
        assert cell.refusals
        return
    assert bool(cell.left) == bool(cell.refusals), "what stays real-valued is refused first"
    assert cell.neurons or cell.left
    if cell.neurons:
        assert cell.spikes
        assert cell.steps
        assert cell.latency is not None
        assert cell.latency >= cell.steps


def test_rate_converts_a_perceptron_and_a_transformer_only_in_part() -> None:
    cells = list(conversion_table({"rate": CODES["rate"]}, few(["mlp", "vit"], 128, 100)))
    for cell in cells:
        check(cell)
    mlp, vit = cells
    assert mlp.converted
    assert mlp.agreement is not None
    assert mlp.agreement >= 0.95
    assert not vit.converted
    assert "nn.softmax" in (vit.left or {})
    assert any("nn.softmax" in reason for reason in vit.refusals)


def test_a_refusal_and_a_crash_are_told_apart() -> None:
    def broken(*arguments: object, **options: object) -> object:
        if "data" in options:
            raise KeyError("x")
        return rv.compile(*arguments, **options)  # type: ignore[arg-type]

    (cell,) = conversion_table({"rate": CODES["rate"]}, few(["mlp"], 16, 16), compile=broken)
    assert cell.crash == "KeyError: 'x'"
    (cell,) = conversion_table({"none": "convert-snn{code=rate steps=0}"}, few(["mlp"], 16, 16))
    assert cell.crash == ""
    assert cell.score is None
    assert cell.refusals[0].startswith("bad-value: ")


def test_the_page_shows_every_cell() -> None:
    zoo = next(few(["mlp"], 16, 16))
    cells = [
        Cell("mlp", "rate", 0.9, 0.8, 0.85, 2, {}, 1.5, 32, 96),
        Cell("mlp", "phase", 0.9, 0.8, 0.85, 1, {"nn.silu": 3}, 1.5, 32, 96, ("not-converted: nn.silu ...",)),
        Cell("mlp", "fs", 0.9, refusals=("bad-value: no", "bad-value: no")),
    ]
    notes = Notes()
    assert [quality(c, notes) for c in cells] == ["80.0 (85.0)", "*80.0 (85.0)* 1/4 [1]", "refused [2]"]
    text = page(cells, [zoo], 1.0)
    assert "| mlp | 90.0 | 80.0 (85.0) | *80.0 (85.0)* 1/4 [1] | refused [2] |" in text
    assert "2. bad-value: no" in text
    assert "1 of 3 conversions leave nothing real-valued" in text


@pytest.mark.accuracy
@pytest.mark.parametrize("code", CODES)
def test_every_code_on_every_network(code: str) -> None:
    cells = list(conversion_table({code: CODES[code]}, few(list(ZOO), 128, 50)))
    assert len(cells) >= 12
    for cell in cells:
        check(cell)
        assert np.isfinite(cell.score or 0.0)
