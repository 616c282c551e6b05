"""`prove-adc`: which partial sums the converters provably leave as they are."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.backends.crossbar.passes.physical import mapped
from ranvier.ir.core import Module
from ranvier.ir.hardware.facts import TransparentPartials
from ranvier.ir.hardware.transparency import transparent_partials
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.xbar import Mvm
from ranvier.ir.resources import Resource
from ranvier.ir.types import tensor


@dataclass(frozen=True)
class ProveAdc(Pass):
    """Mark partials that a converter cannot change: colsum * (2^d - 1) lies in its range, in steps of one level.

    Only ideal cells are integers, so only they are proven. The fact holds for the converter that it names.
    """

    word = "prove-adc"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        for _, op in mapped(module):
            op.facts = tuple(f for f in op.facts if not isinstance(f, TransparentPartials))
            weight = op.weight
            assert weight is not None
            label = f"%{op.result.name}"
            if not isinstance(op, Mvm) or op.cells is not None:
                context.note(f"{label}: nothing is proven, its cells are no integers or its reads are noisy")
                continue
            if op.adc.transparent or not weight.is_constant:
                continue
            mask = transparent_partials(op, op.grid.cells(module.array(weight)))
            held = Resource(tensor(*mask.shape, dtype="i1"), splat=True) if mask.all() else Resource.of(mask)
            name = module.add(held, f"{op.result.name}.transparent")
            op.facts += (TransparentPartials(name, op.adc),)
            context.note(f"{label}: {mask.mean():.1%} of the partials are transparent to adc={op.adc}")
