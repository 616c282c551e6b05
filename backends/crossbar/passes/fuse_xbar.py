"""`fuse-xbar`: partial sums that need no conversion are computed in one product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranvier.backends.crossbar.passes.physical import changed, mapped, written
from ranvier.ir.core import Module
from ranvier.ir.fields import Flag, option
from ranvier.ir.hardware.adc import Ideal
from ranvier.ir.hardware.facts import FoldedPlan, TransparentPartials
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.xbar import Mvm, Stored


@dataclass(frozen=True)
class FuseXbar(Pass):
    """Let the executor fold what `prove-adc` has proven: the result stays the same, bit for bit.

    Cells that are real numbers are rounded by every converter, so folding them changes results: only `approximate`
    does it, by ideal converters in the module, and says how large the rounding was that is left out.
    """

    word = "fuse-xbar"
    approximate: bool = option(Flag(), False, "also fold what converters round, and say so")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        for graph, op in mapped(module):
            if op.adc.transparent:
                continue
            proof = next((f for f in op.facts if isinstance(f, TransparentPartials)), None)
            if proof is not None and proof.adc == op.adc and isinstance(op, Mvm) and op.cells is None:
                share = float(np.mean(module.resource(proof.mask).array))
                fact = FoldedPlan(f"exact: {share:.4f} of the partials are proven transparent")
                op.facts = (*(f for f in op.facts if not isinstance(f, FoldedPlan)), fact)
            elif self.approximate and isinstance(op, Stored):
                why = (
                    f"approx: rounding of {conversions(op)} conversions a result is left out, variance {spread(op):.4g}"
                )
                changed(graph, op, (FoldedPlan(why),), adc=Ideal())
                context.note(f"%{op.result.name}: {why}")
            else:
                context.note(f"%{op.result.name}: every partial is converted, nothing is proven")
        for other in written(module):
            if not other.adc.transparent:
                context.note(f"%{other.result.name}: every partial is converted, its matrix is written in every sample")


def conversions(op: Stored) -> int:
    """Conversions that one result is made of."""
    grid = op.grid
    return int(op.input.count * len(grid.reads) * grid.slices * grid.arms)


def spread(op: Stored) -> float:
    """Variance of their rounding, step^2/12 each, in squared levels of the result (imc card C2)."""
    grid = op.grid
    steps = np.asarray([op.adc.step(s) for s in range(grid.slices)])
    weights = (grid.significance.astype(np.float64) ** 2).sum(1) @ steps**2
    planes = (op.input.significance().astype(np.float64) ** 2).sum()
    return float(len(grid.reads) * weights * planes / 12)
