"""`program`: levels are written to cells of a device, which never holds them exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.backends.crossbar.devices import Ideal
from ranvier.backends.crossbar.mapping_options import KEEP_HELP
from ranvier.backends.crossbar.passes.keep import is_programmed, without
from ranvier.backends.crossbar.passes.physical import changed, check_writable, mapped, note_ideal, with_cells
from ranvier.backends.crossbar.physics.programming import Faults, program
from ranvier.ir.core import Module
from ranvier.ir.fields import Enum, Flag, Integer, Real, RecordOf, option
from ranvier.ir.hardware.chip import Chip
from ranvier.ir.interfaces import Pass, PassContext


@dataclass(frozen=True)
class ProgramCells(Pass):
    """Write every cell once: programming noise of each cell, stuck cells, drift and 1/f noise until it is read.

    The same seed is the same chip, whatever the time. Cells of the `ideal` device without an off-conductance stay
    integers, and sums stay exact. Compensation multiplies the read-out (the converters' reference) by how much the
    mean current of an identity input has fallen, for a whole matrix or each of its columns. Matrices that are written
    in every sample stay ideal; notes and the plan name them.
    """

    word = "program"
    device: Any = option(RecordOf("device"), Ideal(), "the memory device")
    seed: int = option(Integer(0), 0, "which chip")
    time: float = option(Real(0), 0.0, "seconds between programming and the reads")
    compensation: str = option(Enum("none", "global", "column"), "none", "of drift")
    fluctuation: bool = option(Flag(), True, "1/f noise up to the read, if the device has it; drawn once")
    stuck_on: float = option(Real(0, 1), 0.0, "part of the cells that are stuck at the highest conductance")
    stuck_off: float = option(Real(0, 1), 0.0, "part of the cells that are stuck at the lowest conductance")
    keep: bool = option(Flag(), False, KEEP_HELP)

    def check(self) -> None:
        """See Record: the device has numbers for this time."""
        self.device.check_time(self.time)
        Faults(self.stuck_on, self.stuck_off)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass. Raises RanvierError for an array that is written for each inference on a device that cannot."""
        check_writable(module, self.device)
        faults = Faults(self.stuck_on, self.stuck_off)
        exact = not (self.device.noisy or self.stuck_on or self.stuck_off or self.device.g_min)
        said = f"device={self.device} time={self.time:g} compensation={self.compensation} seed={self.seed}"
        kept = [op for _, op in mapped(module) if self.keep and is_programmed(op)]
        if not exact and not kept:
            note_ideal(module, f"cells of {self.device}", context)
        for graph, op in without(kept, mapped(module), said, context):
            assert op.weight is not None
            levels = op.grid.cells(module.array(op.weight))
            highest = op.grid.largest_cell
            siemens = (self.device.g_max - self.device.g_min) * 1e-6 / highest
            pedestal = self.device.g_min * 1e-6 / siemens
            fact = Chip(str(self.device), siemens, pedestal, self.seed, self.time)
            if exact:
                changed(graph, op, (fact,), cells=None, pedestal=0.0)
                continue
            found = program(
                levels,
                highest,
                self.device,
                seed=self.seed,
                key=op.result.name,
                time=self.time,
                faults=faults,
                fluctuation=self.fluctuation,
                compensation=self.compensation,
            )
            rms = float(np.sqrt(np.mean((found.cells - levels - np.float32(found.pedestal)) ** 2)))
            gain = "" if found.gain is None else f", read-out times {float(found.gain.mean()):.3g}"
            name = op.result.name
            with_cells(graph, op, found.cells, found.pedestal, fact)
            context.note(f"{name}: cells of {self.device} differ by {rms:.3g} levels (rms) from theirs{gain}")
