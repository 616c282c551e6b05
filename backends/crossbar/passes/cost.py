"""`cost`: what the module costs on crossbars, as tables of the trace. The module stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.backends.crossbar.cost.network import cost_of
from ranvier.ir.core import Module
from ranvier.ir.cost import Activity
from ranvier.ir.fields import Integer, ListOf, Optional, Real, RecordOf, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.types import SpikesType


@dataclass(frozen=True)
class EstimateCost(Pass):
    """Energy, latency and area by layer and component, by a cost table with units and sources. Changes nothing.

    Tables: `spikesim-ela-v1` (as released, `spikesim-ela-v1(device=sram)` too), `spikesim-ela-v2` (corrected),
    `xpert-32nm-64` (no energy), `isaac-128`. Energy is expected energy: each step counts with the part of samples that
    are still alive in it. Every input is taken as active unless `density` says otherwise; an evaluation fills in the
    spikes that it counted.
    """

    word = "cost"
    table: Any = option(RecordOf("cost_table"), "spikesim-ela-v2", "the model with its constants")
    steps: int | None = option(Optional(Integer(1)), None, "steps of layers whose number of steps is not known")
    alive: tuple[float, ...] | None = option(
        Optional(ListOf(Real(0, 1))), None, "part of samples that have not left before each step; none means all"
    )
    density: float = option(Real(0, 1), 1.0, "part of the inputs of spiking layers that are spikes")

    def check(self) -> None:
        """See Record: the steps and the parts of samples that are alive fit each other."""
        self.activity(())

    def activity(self, names: tuple[str, ...]) -> Activity:
        """What the options say of a run; `names` are the spiking values."""
        steps = self.steps if self.steps is not None or self.alive is None else len(self.alive)
        return Activity(steps, self.alive, dict.fromkeys(names, self.density))

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        spiking = tuple(r.name for op in module.main.ops for r in op.results if isinstance(r.type, SpikesType))
        found = cost_of(module, self.table, self.activity(spiking))
        context.tables.update(found.tables())
        for name, figure in found.figures():
            context.note(f"{name}: {figure}")
        for remark in found.remarks():
            context.note(remark)
