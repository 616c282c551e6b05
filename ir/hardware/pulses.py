"""Pulses for levels whose storage could hold more than there are pulses."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.ir.hardware.inputs import Thermometer


@dataclass(frozen=True)
class Pulses(Thermometer):
    """`pulses`: a thermometer of any number of pulses; no level is larger, though its storage could hold more.

    `bit-encode` writes it behind a requantization whose results end at `pulses`. A larger level would say `pulses`.
    """

    word = "pulses"

    def range(self) -> tuple[int, int]:
        """See Input: what the storage of levels up to `pulses` holds."""
        most = 1 << self.pulses.bit_length()
        return (-most if self.signed else 0), most - 1
