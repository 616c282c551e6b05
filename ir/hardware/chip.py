"""What a programmed chip was made of, for passes that follow: solving wires needs siemens where cells have levels."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.ir.facts import Fact
from ranvier.ir.fields import Integer, Real, Text, option


@dataclass(frozen=True)
class Chip(Fact):
    """This op's cells are of this device: `siemens` a level, `seconds` after they were programmed with `seed`."""

    word = "chip"
    device: str = option(Text(), help="the device")
    siemens: float = option(Real(0), help="conductance of one cell level")
    pedestal: float = option(Real(0), 0.0, "conductance of level 0, in levels")
    seed: int = option(Integer(0), 0)
    seconds: float = option(Real(0), 0.0, "time since programming")


@dataclass(frozen=True)
class Parasitics(Fact):
    """This op's cells are effective conductances: currents into the converters for voltages at the drivers."""

    word = "parasitics"
    wires: str = option(Text(), help="resistances")
    method: str = option(Text(), help="how the circuit was solved")
    lost: float = option(Real(), help="part of the mean current that the wires take")


@dataclass(frozen=True)
class CalibratedRange(Fact):
    """The range of this op's converter, how it was found, and on what."""

    word = "calibrated_range"
    range: str = option(Text(), help="max, granular, percentile or mse")
    clipped: float = option(Real(0, 1), 0.0, "part of the partial sums seen that lie beyond it")
    data: str = option(Text(), "")
