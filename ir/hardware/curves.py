"""What current a cell lets through at a voltage: the family `iv`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.fields import Real, option
from ranvier.ir.records import Record

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CurrentVoltage(Record):
    """Base: the current of a cell of conductance 1 at voltages in units of the read voltage; `at(1) == 1`."""

    family = "iv"

    @property
    def linear(self) -> bool:
        """Whether current is proportional to voltage, so that one matrix describes the array."""
        return False

    def at(self, voltage: Array) -> Array:
        """Currents at voltages."""
        raise NotImplementedError

    def slope(self, voltage: Array) -> Array:
        """Their derivative, which grows with the voltage's size."""
        raise NotImplementedError


@dataclass(frozen=True)
class Linear(CurrentVoltage):
    """An ohmic cell."""

    word = "linear"

    @property
    def linear(self) -> bool:
        """See CurrentVoltage."""
        return True

    def at(self, voltage: Array) -> Array:
        """See CurrentVoltage."""
        return voltage

    def slope(self, voltage: Array) -> Array:
        """See CurrentVoltage."""
        return np.ones_like(voltage)


@dataclass(frozen=True)
class Sinh(CurrentVoltage):
    """i = sinh(a v) / sinh(a): the conductance is that at the read voltage. `a` is the user's fit of a device."""

    word = "sinh"
    a: float = option(Real(1e-6, 100), help="read voltage over the cell's characteristic voltage")

    def at(self, voltage: Array) -> Array:
        """See CurrentVoltage."""
        return np.asarray(np.sinh(self.a * voltage) / np.sinh(self.a))

    def slope(self, voltage: Array) -> Array:
        """See CurrentVoltage."""
        return np.asarray(self.a * np.cosh(self.a * voltage) / np.sinh(self.a))
