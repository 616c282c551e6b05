"""Softmax written out, so that its exponential is an activation that few-spikes neurons stand for (coding card 8)."""

from __future__ import annotations

from ranvier.ir.core import Builder, Module, Op, Value
from ranvier.ir.graph import replace_uses
from ranvier.ir.locations import derive
from ranvier.ir.ops.arith import Div, Exp, Sub
from ranvier.ir.ops.nn import Conv, ConvTranspose, Linear, Matmul
from ranvier.ir.ops.reduce import Max, Softmax, Sum

WEIGHTED = (Conv, ConvTranspose, Linear, Matmul)


def write_out_softmax(module: Module, word: str) -> list[Op]:
    """Replace every softmax without time that weights lie behind by exp(x - max x) / sum exp; gives the exp ops.

    Exact up to rounding. What only outputs see stays: it is applied to values that are read out anyhow.
    """
    made = []
    for op in [op for op in module.main.ops if isinstance(op, Softmax)]:
        if op.result.type.time is not None or not _leads_to_weights(op.result):
            continue
        name, axes = op.result.name, (op.axis,)
        b = Builder(module.main, op, derive(word, [op.location]))
        largest = b(Max, op.x, axes=axes, keep=True, name=f"{name}.max")
        below = b(Sub, op.x, largest, name=f"{name}.below")
        exp: Value = b(Exp, below, name=f"{name}.exp")
        total = b(Sum, exp, axes=axes, keep=True, name=f"{name}.sum")
        replace_uses(op.result, b(Div, exp, total, name=f"{name}.parts"))
        module.main.erase(op)
        assert exp.op is not None
        made.append(exp.op)
    return made


def _leads_to_weights(value: Value) -> bool:
    """Whether a weighted op is reached from a value."""
    seen, open_ = {value}, [value]
    while open_:
        for user in open_.pop().users:
            if isinstance(user, WEIGHTED):
                return True
            open_ += [r for r in user.results if r not in seen]
            seen.update(user.results)
    return False
