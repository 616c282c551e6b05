"""Devices: what a chip holds after programming and later; seeds, faults, compensation, and times nobody measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.backends.crossbar.devices import CmoHfox, Device, Generic, Ideal, Pcm, PcmJoshi, Rram, RramCubic
from ranvier.backends.crossbar.physics.programming import Faults, Programmed, program
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.fields import RecordOf

DAY = 86400.0
DEVICES = (Ideal(), Generic(sigma=0.1, nu=0.05), Pcm(), PcmJoshi(), Rram(), RramCubic(), CmoHfox())


def levels(shape: tuple[int, ...] = (2, 2, 60, 50), highest: int = 3) -> Any:
    return np.random.default_rng(0).integers(0, highest + 1, shape)


def write(device: Device, **rest: Any) -> Programmed:
    rest = {"seed": 1, "key": "w"} | rest
    return program(rest.pop("levels", levels()), rest.pop("highest", 3), device, **rest)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_same_seed_same_chip(device: Device) -> None:
    one, same = write(device), write(device)
    assert np.array_equal(one.cells, same.cells)
    if device.noisy:
        assert not np.array_equal(one.cells, write(device, seed=2).cells)
        assert not np.array_equal(one.cells, write(device, key="other").cells)
    assert (one.cells >= 0).all()


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_devices_are_records_with_a_source(device: Device) -> None:
    assert RecordOf("device").read(str(device)) == device
    assert device.source
    assert 0 <= device.g_min < device.g_max


def test_ideal_device_holds_the_levels() -> None:
    assert np.array_equal(write(Ideal()).cells, levels())
    off = write(Ideal(r_on_ohm=10e3, r_off_ohm=1e6))
    np.testing.assert_allclose(off.cells - off.pedestal, levels(), atol=1e-5)
    # level 0 conducts a hundredth of level 3, in steps of (1 - 1/100) / 3
    assert off.pedestal == pytest.approx(0.01 / (0.99 / 3))


@pytest.mark.parametrize(
    ("device", "sigma"),
    [
        (Generic(sigma=0.05, r_on_ohm=20e3), lambda g: 0.05 * 50),
        (Generic(sigma=0.05, noise="proportional"), lambda g: 0.05 * g),
        (Pcm(), lambda g: 0.26348 + 1.9650 * g / 25 - 1.1731 * (g / 25) ** 2),
        (PcmJoshi(), lambda g: -0.00178767 * g * g + 0.07585724 * g + 0.28638599),
        (RramCubic(), lambda g: 1.536e-4 * g**3 - 1.167e-2 * g * g + 0.2374 * g + 1.053),
        (Rram(), lambda g: np.polyval([-16.815, 45.393, -43.853, 16.030, 0.348], g / 40)),
        (CmoHfox(), lambda g: 0.0112185391 + 0.01129027418 * g),
    ],
    ids=lambda x: str(x) if isinstance(x, Device) else "",
)
def test_programming_noise_has_the_published_deviation_in_every_cell(device: Device, sigma: Any) -> None:
    rng = np.random.default_rng(3)
    for share in (0.5, 0.8):
        g = device.g_min + share * (device.g_max - device.g_min)
        cells = np.full((400, 400), g, np.float32)
        found = device.programmed(cells, rng) - cells
        assert float(found.std()) == pytest.approx(float(sigma(g)), rel=0.02)
        assert abs(float(found.mean())) < 0.02 * float(sigma(g))
        # each cell for itself: neighbours, rows and columns have nothing in common
        for a, b in ((found[1:], found[:-1]), (found[:, 1:], found[:, :-1])):
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02
        assert found.mean(0).std() == pytest.approx(float(sigma(g)) / 20, rel=0.15)


def test_drift_of_phase_change_memory() -> None:
    device, rng = Pcm(), np.random.default_rng(4)
    g = np.full((300, 300), 12.5, np.float32)
    assert device.drifted(g, g, 0.0, rng) is g
    later = device.drifted(g, g, DAY, rng)
    nu = -np.log(later / g) / np.log((DAY + 20) / 20)
    log = np.log(0.5)
    assert float(nu.mean()) == pytest.approx(np.clip(-0.0155 * log + 0.0244, 0.049, 0.1), rel=0.02)
    assert float(nu.std()) == pytest.approx(np.clip(-0.0125 * log - 0.0059, 0.008, 0.045), rel=0.02)
    spread = device.fluctuation(g, DAY)
    t = DAY + 20
    assert float(spread[0, 0]) == pytest.approx(0.0088 / 0.5**0.65 * np.sqrt(np.log((t + 250e-9) / 500e-9)), rel=1e-4)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_no_time_no_drift(device: Device) -> None:
    g = np.full((4, 4), device.g_max / 2, np.float32)
    assert np.array_equal(device.drifted(g, g, 0.0, np.random.default_rng(0)), g)


def test_without_an_exponent_nothing_drifts() -> None:
    still = Generic(sigma=0.1, nu=0.0)
    assert np.array_equal(write(still, time=DAY).cells, write(still).cells)


def test_time_moves_one_chip_and_does_not_write_another() -> None:
    before, after = write(Pcm(), fluctuation=False), write(Pcm(), fluctuation=False, time=60.0)
    assert (after.cells <= before.cells).all()
    assert np.corrcoef(before.cells.ravel(), after.cells.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("compensation", ["global", "column"])
def test_compensation_restores_the_mean_of_what_is_read(compensation: str) -> None:
    fresh = write(Pcm(), fluctuation=False)
    plain = write(Pcm(), fluctuation=False, time=365 * DAY)
    mended = write(Pcm(), fluctuation=False, time=365 * DAY, compensation=compensation)
    axes = (0, 1, 2) if compensation == "column" else None
    np.testing.assert_allclose(mended.cells.sum(axes), fresh.cells.sum(axes), rtol=1e-4)
    assert plain.cells.sum() < 0.6 * fresh.cells.sum()
    assert mended.gain is not None
    assert mended.gain.size == (50 if compensation == "column" else 1)


def test_stuck_cells() -> None:
    device = Ideal(r_on_ohm=10e3, r_off_ohm=1e5)
    found = write(device, faults=Faults(on=0.1, off=0.3), levels=np.full((1, 2, 300, 300), 1))
    on, off = (np.isclose(found.cells, x) for x in (found.pedestal + 3, found.pedestal))
    assert on.mean() == pytest.approx(0.1, abs=0.005)
    assert off.mean() == pytest.approx(0.3, abs=0.005)
    everything = write(device, faults=Faults(on=1.0)).cells
    assert np.ptp(everything) == 0
    assert np.ptp(write(Pcm(), faults=Faults(off=1.0), time=DAY).cells) == 0


def test_the_same_cells_are_stuck_whatever_else_happens() -> None:
    few, many = (write(Ideal(), faults=Faults(off=x), levels=np.full((1, 1, 50, 50), 3)).cells == 0 for x in (0.1, 0.2))
    assert (few <= many).all()


def test_what_devices_refuse() -> None:
    for make in (
        lambda: write(Pcm(), time=-1.0),
        lambda: write(Pcm(), time=float("nan")),
        lambda: Faults(on=0.7, off=0.7),
        lambda: Faults(on=-0.1),
        lambda: Ideal(r_on_ohm=-5.0),
        lambda: Ideal(r_on_ohm=10.0, r_off_ohm=1.0),
    ):
        with pytest.raises(RanvierError, match="bad-value"):
            make()
    for device in (PcmJoshi(), Rram(), RramCubic()):
        with pytest.raises(RanvierError, match="unsupported-time"):
            write(device, time=100.0)
    with pytest.raises(RanvierError, match="unsupported-time"):
        write(CmoHfox(), time=0.5)
    for word in ("fefet", "sram", "mram", "sonos"):
        with pytest.raises(RanvierError, match="unsupported-device"):
            RecordOf("device").read(word)
    with pytest.raises(RanvierError, match=r"unknown-name.*(?s:.)*did you mean `pcm`"):
        RecordOf("device").read("pcn")
