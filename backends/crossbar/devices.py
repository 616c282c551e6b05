"""Memory devices: how a cell is written, drifts and fluctuates. Conductances are in microsiemens, times in seconds.

A device says what it is by numbers with a source. One without such numbers is refused by name, with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.diagnostics import RanvierError, error, register_code
from ranvier.ir.fields import Enum, Flag, Real, option
from ranvier.ir.records import Record, on_missing

Array = np.ndarray[Any, Any]
register_code(
    "unsupported-device",
    "No citable numbers are known for this memory device, so it is not emulated. Use another one, or "
    "`generic(r_on_ohm= r_off_ohm= sigma= nu=)` with numbers of your own.",
)
register_code(
    "write-limited",
    "An op writes its arrays for every inference, as products of two activations do, on a memory that wears out or is "
    "slow to write. Keep the op digital, or use a device that may be rewritten (`ideal`, `generic(rewritable=true)`).",
)
register_code(
    "unsupported-time",
    "A device was measured at some times only, and its model says nothing of others. The message lists them.",
)


@dataclass(frozen=True)
class Device(Record):
    """Base of all devices. `target` is what a cell should have, `g` what it has; arrays of one shape, microsiemens.

    Random numbers come from the generator that is handed in, each cell its own.
    """

    family = "device"
    source: ClassVar[str] = ""
    """Where the numbers come from."""

    @property
    def writable(self) -> bool:
        """Whether arrays may be rewritten for each inference; nonvolatile memories wear out and are slow to write."""
        return False

    @property
    def g_min(self) -> float:
        """Conductance of level 0."""
        return 0.0

    @property
    def g_max(self) -> float:
        """Conductance of the highest level."""
        raise NotImplementedError

    @property
    def noisy(self) -> bool:
        """Whether a programmed cell differs from its target."""
        return True

    def check_time(self, seconds: float) -> None:
        """Raise RanvierError (unsupported-time) where the model says nothing."""

    def programmed(self, target: Array, rng: np.random.Generator) -> Array:
        """Conductances right after programming."""
        return target

    def drifted(self, g: Array, target: Array, seconds: float, rng: np.random.Generator) -> Array:
        """Conductances `seconds` after programming; those at 0 s are `g` itself."""
        return g

    def fluctuation(self, g: Array, seconds: float) -> Array | None:
        """Relative standard deviation of 1/f noise accumulated up to a read at `seconds`; None without such noise."""
        return None


def write_limited(op: Op, device: Device) -> RanvierError:
    """The error that an op writes its arrays for every inference on a device that cannot."""
    why = f"writes its arrays for every inference, which {device.word} does not endure"
    return op.fail("write-limited", why, "map it digitally, or use a device that may be rewritten")


def polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Sum of coefficients[i] x^i, at least 0, in x's precision."""
    out: Array = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        out *= x
        out += x.dtype.type(c)
    np.maximum(out, 0, out=out)
    return out


def perturbed(g: Array, sigma: Array, rng: np.random.Generator) -> Array:
    """max(0, g + sigma n): no conductance is negative."""
    out: Array = rng.standard_normal(g.shape, dtype=g.dtype.type)
    out *= sigma
    out += g
    np.maximum(out, 0, out=out)
    return out


@dataclass(frozen=True)
class Ideal(Device):
    """`ideal`: every level exactly. On- and off-resistance are round numbers, for wires to have something to load."""

    word = "ideal"
    source = "no device; resistances are the user's"
    r_on_ohm: float = option(Real(1e-3), 10e3, "resistance of the highest level")
    r_off_ohm: float = option(Real(1e-3), math.inf, "resistance of level 0")

    def check(self) -> None:
        """See Record."""
        if not self.r_on_ohm < self.r_off_ohm:
            raise error(
                "bad-value", f"`{self.word}`: r_on_ohm={self.r_on_ohm:g} must be below r_off_ohm={self.r_off_ohm:g}"
            )

    @property
    def writable(self) -> bool:
        """See Device."""
        return True

    @property
    def g_min(self) -> float:
        """See Device."""
        return 1e6 / self.r_off_ohm

    @property
    def g_max(self) -> float:
        """See Device."""
        return 1e6 / self.r_on_ohm

    @property
    def noisy(self) -> bool:
        """See Device."""
        return False


@dataclass(frozen=True)
class Generic(Ideal):
    """`generic`: normal programming noise and power-law drift with numbers of the user's own.

    g(t) = g (1 + t/t0)^-nu, with nu of each cell normal and at least 0.
    """

    word = "generic"
    source = "numbers of the user's own"
    sigma: float = option(Real(0), 0.0, "programming noise: of g_max, or of the cell's conductance")
    noise: str = option(Enum("constant", "proportional"), "constant")
    nu: float = option(Real(0), 0.0, "mean drift exponent")
    nu_sigma: float = option(Real(0), 0.0, "its standard deviation over cells")
    t0: float = option(Real(1e-12), 1.0, "time of the first read, seconds")
    rewritable: bool = option(Flag(), True, "whether arrays may be written for each inference")

    @property
    def writable(self) -> bool:
        """See Device."""
        return self.rewritable

    @property
    def noisy(self) -> bool:
        """See Device."""
        return self.sigma > 0 or self.nu > 0 or self.nu_sigma > 0

    def programmed(self, target: Array, rng: np.random.Generator) -> Array:
        """See Device."""
        if not self.sigma:
            return target
        scale = target if self.noise == "proportional" else np.full_like(target, self.g_max)
        return perturbed(target, scale * target.dtype.type(self.sigma), rng)

    def drifted(self, g: Array, target: Array, seconds: float, rng: np.random.Generator) -> Array:
        """See Device."""
        if not seconds or not (self.nu or self.nu_sigma):
            return g
        nu = perturbed(np.full_like(g, self.nu), np.full_like(g, self.nu_sigma), rng)
        return np.asarray(g * np.exp(nu * g.dtype.type(-math.log1p(seconds / self.t0))))


@dataclass(frozen=True)
class Pcm(Device):
    """`pcm`: phase-change memory, programming noise, drift and 1/f noise as fitted on measured devices.

    With r = g/g_max: sigma = 0.26348 + 1.9650 r - 1.1731 r^2 microsiemens at g_max = 25; g(t) = g ((t + t0)/t0)^-nu,
    nu = |mu + sd n|, mu = clip(-0.0155 ln r + 0.0244, 0.049, 0.1), sd = clip(-0.0125 ln r - 0.0059, 0.008, 0.045),
    t0 = 20 s; 1/f: sigma/g = min(0.2, 0.0088 / r^0.65) sqrt(ln((t + t_r)/(2 t_r))), t_r = 250 ns.
    """

    word = "pcm"
    source = "Nandakumar et al., ICECS 2019; coefficients as in aihwkit, inference/noise/pcm.py (PCMLikeNoiseModel)"
    first_read: ClassVar[float] = 20.0
    read_time: ClassVar[float] = 250e-9

    @property
    def g_max(self) -> float:
        """See Device."""
        return 25.0

    def programmed(self, target: Array, rng: np.random.Generator) -> Array:
        """See Device."""
        ratio = target * target.dtype.type(1 / self.g_max)
        return perturbed(target, polynomial((0.26348, 1.9650, -1.1731), ratio), rng)

    def drifted(self, g: Array, target: Array, seconds: float, rng: np.random.Generator) -> Array:
        """See Device."""
        if not seconds:
            return g
        log = np.log(np.maximum(target * target.dtype.type(1 / self.g_max), 1e-7))
        nu = rng.standard_normal(g.shape, dtype=g.dtype.type)
        nu *= np.clip(-0.0125 * log - 0.0059, 0.008, 0.045)
        nu += np.clip(-0.0155 * log + 0.0244, 0.049, 0.1)
        np.abs(nu, out=nu)
        nu *= g.dtype.type(-math.log((seconds + self.first_read) / self.first_read))
        return np.asarray(np.exp(nu, out=nu) * g)

    def fluctuation(self, g: Array, seconds: float) -> Array:
        """See Device; g is the conductance right after programming."""
        t = seconds + self.first_read
        scale = math.sqrt(math.log((t + self.read_time) / (2 * self.read_time)))
        power = np.maximum((g * g.dtype.type(1 / self.g_max)) ** g.dtype.type(0.65), 1e-3)
        return np.asarray(np.minimum(0.0088 / power, 0.2) * g.dtype.type(scale))


@dataclass(frozen=True)
class PcmJoshi(Device):
    """`pcm_joshi`: phase-change memory 27.36 s after programming; no drift is known.

    sigma = -0.00178767 g^2 + 0.07585724 g + 0.28638599 microsiemens, g at most 25, on/off 100.
    """

    word = "pcm_joshi"
    source = (
        "Joshi et al., Nature Communications 11, 2473 (2020), fig. 3b; fit of CrossSim, devices/custom/PCM_Joshi.py"
    )

    @property
    def g_min(self) -> float:
        """See Device."""
        return 0.25

    @property
    def g_max(self) -> float:
        """See Device."""
        return 25.0

    def check_time(self, seconds: float) -> None:
        """See Device."""
        only_at(self, seconds, (0.0,))

    def programmed(self, target: Array, rng: np.random.Generator) -> Array:
        """See Device."""
        return perturbed(target, polynomial((0.28638599, 0.07585724, -0.00178767), target), rng)


@dataclass(frozen=True)
class Rram(Device):
    """`rram`: resistive memory with deviations from the target at 1 s, 1 day and 2 days (time=1, 86400, 172800).

    With r = g/g_max, g_max = 40 microsiemens, sigma is a quartic in r for each time; time=0 is the first one. What a
    cell has at a later time is drawn around its target: nobody measured how a cell's deviations hang together. Short
    read noise is about 1 % of g_max (`read-noise{sigma=0.01}`).
    """

    word = "rram"
    source = "Wan et al., Nature 608, 504 (2022); quartic fit of aihwkit, inference/noise/reram.py (ReRamWan2022)"
    fits: ClassVar[dict[float, tuple[float, ...]]] = {
        1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
        86400.0: (0.701, 22.086, -50.773, 47.095, -16.458),
        172800.0: (0.782, 20.274, -43.507, 37.062, -11.934),
    }

    @property
    def g_max(self) -> float:
        """See Device."""
        return 40.0

    def check_time(self, seconds: float) -> None:
        """See Device."""
        only_at(self, seconds, (0.0, *self.fits))

    def _around(self, target: Array, seconds: float, rng: np.random.Generator) -> Array:
        ratio = target * target.dtype.type(1 / self.g_max)
        return perturbed(target, polynomial(self.fits[seconds], ratio), rng)

    def programmed(self, target: Array, rng: np.random.Generator) -> Array:
        """See Device."""
        return self._around(target, 1.0, rng)

    def drifted(self, g: Array, target: Array, seconds: float, rng: np.random.Generator) -> Array:
        """See Device."""
        self.check_time(seconds)
        return g if seconds in (0.0, 1.0) else self._around(target, seconds, rng)


@dataclass(frozen=True)
class RramCubic(Device):
    """`rram_cubic`: the same chip 1 s after programming, as CrossSim fitted it; nothing is known of later.

    sigma = 1.536e-4 g^3 - 1.167e-2 g^2 + 0.2374 g + 1.053 microsiemens, g at most 39.26.
    """

    word = "rram_cubic"
    source = "Wan et al., Nature 608, 504 (2022), ext. data fig. 3; cubic fit of CrossSim, devices/custom/RRAM_Wan.py"

    @property
    def g_max(self) -> float:
        """See Device."""
        return 39.26

    def check_time(self, seconds: float) -> None:
        """See Device."""
        only_at(self, seconds, (0.0, 1.0))

    def programmed(self, target: Array, rng: np.random.Generator) -> Array:
        """See Device."""
        return perturbed(target, polynomial((1.053, 0.2374, -1.167e-2, 1.536e-4), target), rng)


@dataclass(frozen=True)
class CmoHfox(Device):
    """`cmo_hfox`: filamentary CMO/HfOx resistive memory, 9 to 88.19 microsiemens.

    sigma = a + b g with (a, b) of a program-and-verify loop that accepts 2 % or 0.2 % of the target; after t seconds
    g - 0.08900206 ln t plus normal numbers of 0.04201137 ln t + 0.41183342 microsiemens, between 9 and 88.19.
    """

    word = "cmo_hfox"
    source = "fit of aihwkit, inference/noise/reram_cmo.py (ReRamCMO), after Falcone et al.; 1/f noise is left out"
    accept: str = option(Enum("within_2", "within_0_2"), "within_2", "percent of the target that programming accepts")
    fits: ClassVar[dict[str, tuple[float, ...]]] = {
        "within_2": (0.0112185391, 0.01129027418),
        "within_0_2": (0.00081107, 0.00106879),
    }

    @property
    def g_min(self) -> float:
        """See Device."""
        return 9.0

    @property
    def g_max(self) -> float:
        """See Device."""
        return 88.19

    def check_time(self, seconds: float) -> None:
        """See Device: the law of ln t begins at 1 s."""
        if 0 < seconds < 1:
            raise error("unsupported-time", f"`{self.word}` is known at 0 s and from 1 s on, not at {seconds:g} s")

    def programmed(self, target: Array, rng: np.random.Generator) -> Array:
        """See Device."""
        return perturbed(target, polynomial(self.fits[self.accept], target), rng)

    def drifted(self, g: Array, target: Array, seconds: float, rng: np.random.Generator) -> Array:
        """See Device."""
        self.check_time(seconds)
        if not seconds:
            return g
        log = math.log(seconds)
        spread = rng.standard_normal(g.shape, dtype=g.dtype.type) * g.dtype.type(0.04201137 * log + 0.41183342)
        return np.asarray(np.clip(g + g.dtype.type(-0.08900206 * log) + spread, self.g_min, self.g_max))


def only_at(device: Device, seconds: float, times: tuple[float, ...]) -> None:
    """Raise RanvierError (unsupported-time) unless `seconds` is one of `times`."""
    if seconds not in times:
        known = ", ".join(f"{t:g}" for t in times)
        raise error(
            "unsupported-time",
            f"`{device.word}` was measured at {known} s, and time={seconds:g}",
            help=f"time= one of {known}",
        )


_REFUSED = {
    "sram": "it computes with voltages and charge, and no citable analog cell model is known here",
    "fefet": "no citable fit of programming and drift is known here",
    "mram": "no citable fit of programming is known here",
    "sonos": "no citable fit of programming and drift is known here",
}


def _refuse(word: str) -> None:
    if word in _REFUSED:
        raise error(
            "unsupported-device",
            f"device {word!r} is not emulated: {_REFUSED[word]}",
            help="pcm, rram, ... or generic(...) with numbers of your own",
        )


on_missing("device", _refuse)
