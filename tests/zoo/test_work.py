"""What converted networks of the zoo are counted to do: which layers spikes drive, and how far a spike goes."""

from __future__ import annotations

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.core import OPS, Builder, Module
from ranvier.ir.types import tensor
from ranvier.work import linear_work
from tests.zoo.data import Missing
from tests.zoo.networks import ZOO
from tests.zoo.table import BEFORE
from tests.zoo.zoo import Zoo


def converted(name: str, options: str) -> tuple[Zoo, rv.Executable]:
    """A network and its conversion; or a skip with what is not at hand."""
    try:
        zoo = ZOO[name]().few(16, 8)
    except Missing as why:
        pytest.skip(str(why))
    return zoo, rv.compile(zoo.module(), f"{BEFORE}, convert-snn{{{options}}}", data=zoo.calibration)


def test_spikes_that_are_upsampled_stay_spikes() -> None:
    """Only the first layer of the detector is real-valued: 24 x 24 points of 12 filters of 3 x 3."""
    zoo, exe = converted("detector", "code=rate steps=16")
    work = {w.name: w for w in linear_work(exe.module)}
    assert [w.behind for w in work.values()] == [False] + [True] * 6
    joined = work["joined_1.current"]
    assert dict(zip(joined.sources, joined.copies, strict=True)) == {"route_2.spikes": 4.0, "third_2.spikes": 1.0}
    found = exe.evaluate(zoo.evaluation)
    assert found.multiply_accumulates == found.macs_before_spikes == 24 * 24 * 12 * 9
    assert found.macs_behind_spikes == 0
    spikes = {layer.name: layer.spikes_per_sample for layer in found.layers}
    driven = sum(w.fan_out * spikes[s] * n for w in work.values() for s, n in zip(w.sources, w.copies, strict=True))
    assert found.accumulates == pytest.approx(driven)


def test_real_values_behind_spikes_are_told_from_the_first_layer() -> None:
    """Behind a transposed convolution the U-Net's currents are real-valued at every step."""
    zoo, exe = converted("unet", "code=rate steps=4")
    found = exe.evaluate(zoo.evaluation)
    first, *others = linear_work(exe.module)
    real = [w for w in others if not w.sources]
    assert not first.behind
    assert real
    assert all(w.behind for w in others)
    assert found.macs_before_spikes == first.macs
    assert found.macs_behind_spikes == sum(w.macs * (w.time if isinstance(w.time, int) else 1) for w in real)
    assert found.multiply_accumulates == found.macs_before_spikes + found.macs_behind_spikes
    assert found.as_dict()["macs_behind_spikes"] == found.macs_behind_spikes
    rows = dict(found.rows())
    assert rows["  before any spike (direct-coded)"] == f"{first.macs:,}"
    assert rows["  behind spikes"] == f"{found.macs_behind_spikes:,.0f}"


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("core.broadcast", {"shape": ("N", 5, 6)}),
        ("core.slice", {"axes": (2,), "starts": (1,), "stops": (4,)}),
        ("nn.cumsum", {"axis": 2}),
        *(
            ("nn.resize", {"sizes": ("N", 1, size), "mode": mode, "coordinates": where})
            for size in (3, 9, 12)
            for mode in ("nearest", "linear", "cubic")
            for where in ("half_pixel", "asymmetric")
        ),
    ],
)
def test_an_element_spreads_as_the_meaning_says(name: str, attributes: dict[str, object]) -> None:
    """One element at a time: the results that change."""
    module = Module("spread")
    graph = module.new_graph()
    x = graph.argument("x", tensor("N", 1, 6))
    build = Builder(graph)
    build.returns(build(OPS[name], x, **attributes))
    module.verify()
    op = next(op for op in module.main.ops if op.name == name)
    reached = [np.count_nonzero(op.meaning(unit.reshape(1, 1, 6), *_symbols(op))) for unit in np.eye(6)]
    assert op.spread(x) == pytest.approx(np.mean(reached))


def _symbols(op: object) -> tuple[dict[str, int], ...]:
    return ({"N": 1},) if getattr(op, "needs_symbols", False) else ()
