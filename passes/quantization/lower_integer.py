"""`lower-integer`: arithmetic on levels instead of on the reals that they stand for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ranvier.ir.core import Module, Op
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.q import Dequantize, Quantize
from ranvier.ir.rewriting import apply_rules
from ranvier.ir.types import SpikesType, TensorType
from ranvier.passes.quantization.integer_rules import RULES
from ranvier.passes.simplify.dce import eliminate

SHOWN = 8


@dataclass(frozen=True)
class LowerInteger(Pass):
    """Products and sums of dequantized values become integer ops, and what is quantized again is requantized.

    Biases become integers on the grid of the sums (at most half a level of it off). Sums are i32 where
    K * max|qx| * max|qw| plus the bias fits, else i64. What stays real is named in a note, with the reason where an
    integer form came close.
    """

    word = "lower-integer"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        log = apply_rules(module, RULES, self.word)
        context.rewrites.append(log)
        eliminate(module)
        for sentence in left_real(module, {op: why for op, (_, why) in log.nearest.items()}):
            context.note(sentence)


def left_real(module: Module, reasons: dict[Op, str]) -> list[str]:
    """Sentences about the ops that compute with reals."""
    real = [op for op in module.ops if computes_real(op)]
    if not real:
        return []
    count = Counter(op.name for op in real)
    found = [f"{len(real)} ops compute with reals: " + ", ".join(f"{n} {name}" for name, n in count.items())]
    for op in real[:SHOWN]:
        if op in reasons:
            found.append(f"{op!r} stays real: {reasons[op]}")
    return found


def computes_real(op: Op) -> bool:
    """Whether an op gives reals and is no door between these and levels."""
    if isinstance(op, Quantize | Dequantize) or not op.results:
        return False
    kind = op.result.type
    return (
        isinstance(kind, TensorType)
        and kind.elem.is_float
        and not any(isinstance(v.type, SpikesType) for v in op.results)
    )
