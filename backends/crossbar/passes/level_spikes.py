"""`level-spikes`: spikes whose worth depends on those before, or is not their count, as levels of one grain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.codes import Code
from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Affine, Elem, Exact
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.q import Dequantize, Quantize
from ranvier.ir.ops.snn import Psp
from ranvier.ir.types import SpikesType

LONGEST = 64


@dataclass(frozen=True)
class LevelSpikes(Pass):
    """Put levels behind a psp that is a whole number of grains at every step, so that products read integers.

    For burst and multi-threshold spikes; nothing is rounded. Codes whose psp follows from the count, or from the step,
    are left alone: their spikes are levels themselves. A psp that is no multiple of one grain stays real, with a note.
    """

    word = "level-spikes"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        for graph in module.graphs.values():
            for op in graph.ops:
                kind = op.x.type if isinstance(op, Psp) else None
                if not isinstance(kind, SpikesType) or counts_itself(kind) or not op.result.uses:
                    continue
                element, why = element_of(kind)
                if element is None:
                    context.note(f"{op!r} stays real, and what reads it runs digitally: {why}")
                    continue
                build = Builder(graph, op.next, op.location)
                levels = build(Quantize, op.result, elem=element, name=f"{op.result.name}.levels")
                held = build(Dequantize, levels, name=f"{op.result.name}.levelled")
                for user, index in list(op.result.uses):
                    if user is not levels.op:
                        user.set_operand(index, held)


def counts_itself(kind: SpikesType) -> bool:
    """Whether a spike is worth its count, times a weight of the step at most."""
    code = kind.code
    if code.psp_class == "history":
        return False
    low, high = code.alphabet()
    sent = np.arange(low, high + 1, dtype=np.float64)
    worth = np.asarray(
        code.psp_step(np, code.psp_init(np, sent), sent, 0, kind.time if isinstance(kind.time, int) else 1)[1]
    )
    return bool(np.allclose(worth * sent[-1], sent * worth[-1]))


def values_of_spikes(code: Code, steps: int) -> np.ndarray[Any, Any]:
    """What spikes of a code may be worth, in units of the scale: each sent alone, and again at every step."""
    low, high = code.alphabet()
    sent = np.arange(low, high + 1, dtype=np.float64)
    state, found = code.psp_init(np, sent), []
    for t in range(min(steps, LONGEST)):
        state, worth = code.psp_step(np, state, sent, t, steps)
        found.append(np.asarray(worth, np.float64))
    return np.unique(np.concatenate(found))


def element_of(kind: SpikesType, *, most_bits: int = 8) -> tuple[Elem | None, str]:
    """Levels that hold every psp of a type exactly, or None and why there are none."""
    scale = 1.0 if kind.elem.quant is None else kind.elem.quant.scale
    if not isinstance(kind.time, int) or isinstance(scale, tuple):
        return None, "its steps are not known, or its spikes have no single scale"
    values = values_of_spikes(kind.code, kind.time)
    sizes = np.abs(values[values != 0])
    if not len(sizes):
        return None, "its spikes are worth nothing"
    grain = sizes.min()
    counts = values / grain
    if not np.array_equal(counts, np.rint(counts)):
        return None, f"what spikes of {kind.code} are worth is no multiple of one grain"
    signed = values.min() < 0
    bits = max(2, math.ceil(math.log2(np.abs(counts).max() + 1)) + signed)
    if bits > most_bits:
        return None, f"spikes of {kind.code} take {bits} bits of levels; arrays are driven with {most_bits} at most"
    exact: Exact = float(scale) * float(grain)
    return Elem(f"{'i' if signed else 'u'}{bits}", Affine(exact, rounding="half_up")), ""
