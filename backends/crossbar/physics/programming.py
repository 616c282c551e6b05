"""What arrays hold after they were written, and some time later: noise of every cell, faults, drift, compensation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.backends.crossbar.devices import Device
from ranvier.ir.diagnostics import error
from ranvier.ir.rng import key_word

Array = np.ndarray[Any, Any]
# One stream of random numbers for each cause, so that one more cause never changes the others' draws.
_STREAMS = ("stuck", "write", "drift", "fluctuate")


@dataclass(frozen=True)
class Programmed:
    """Cells [slices, arms, K, O] in units of one cell level, the level-0 conductance `pedestal` included."""

    cells: Array
    pedestal: float
    gain: Array | None = None
    """What drift compensation multiplies the read-out by, one number or [1, 1, 1, O]; part of `cells` already."""


@dataclass(frozen=True)
class Faults:
    """Shares of cells that are stuck at the highest (on) and at the lowest (off) conductance."""

    on: float = 0.0
    off: float = 0.0

    def __post_init__(self) -> None:
        if not (self.on >= 0 and self.off >= 0 and self.on + self.off <= 1):
            raise error("bad-value", f"stuck_on={self.on:g} and stuck_off={self.off:g} must be shares of all cells")


def program(
    levels: Array,
    highest: int,
    device: Device,
    *,
    seed: int,
    key: str,
    time: float = 0.0,
    faults: Faults | None = None,
    fluctuation: bool = True,
    compensation: str = "none",
) -> Programmed:
    """Write cell levels 0..highest, [S, D, K, O], and read them `time` seconds later.

    Same (seed, key): same chip, whatever the time; every cell draws for itself. `fluctuation` adds the 1/f noise
    accumulated up to the read, drawn once. `compensation` multiplies the read-out by the ratio of its mean size right
    after programming to that now, on an identity input: `global`, or one `column` of the matrix each.
    Raises RanvierError: bad-value for a negative time, unsupported-time.
    """
    if not time >= 0:
        raise error("bad-value", f"time must be at least 0 s, not {time:g}")
    device.check_time(time)
    rngs = {s: np.random.Generator(np.random.SFC64([seed, key_word(key), i])) for i, s in enumerate(_STREAMS)}
    step = (device.g_max - device.g_min) / highest
    level, stuck = np.asarray(levels, np.float32), None
    if faults is not None and (faults.on or faults.off):
        u = rngs["stuck"].random(level.shape, dtype=np.float32)
        stuck = u < faults.on, u >= 1 - faults.off
        level = _stick(level, stuck, highest, 0.0)
    target = level * np.float32(step)
    target += np.float32(device.g_min)
    written = device.programmed(target, rngs["write"])
    now = device.drifted(written, target, time, rngs["drift"])
    relative = device.fluctuation(written, time) if fluctuation else None
    if relative is not None:
        now = _fluctuating(now, relative, rngs["fluctuate"])
    if stuck is not None:
        written, now = (_stick(g, stuck, device.g_max, device.g_min) for g in (written, now))
    gain = _gain(written, now, compensation)
    # Differences from the target, so that cells that nothing disturbed hold their level exactly.
    cells = now - target
    cells *= np.float32(1 / step)
    cells += level
    cells += np.float32(device.g_min / step)
    return Programmed(cells if gain is None else cells * gain, device.g_min / step, gain)


def _fluctuating(g: Array, relative: Array, rng: np.random.Generator) -> Array:
    out: Array = np.empty(g.shape, np.float32)
    rng.standard_normal(dtype=np.float32, out=out)
    out *= relative
    out += 1
    out *= g
    np.maximum(out, 0, out=out)
    return out


def _stick(g: Array, stuck: tuple[Array, Array], high: float, low: float) -> Array:
    on, off = stuck
    return np.where(on, np.float32(high), np.where(off, np.float32(low), g))


def _gain(before: Array, now: Array, compensation: str) -> Array | None:
    if compensation == "none":
        return None
    axes = (0, 1, 2) if compensation == "column" else (0, 1, 2, 3)
    then: Array = before.astype(np.float64).sum(axes, keepdims=True)
    later: Array = now.astype(np.float64).sum(axes, keepdims=True)
    alive = later > 0
    return np.where(alive, then / np.where(alive, later, 1.0), 1.0).astype(np.float32)
