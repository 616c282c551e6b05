"""`q`: between reals and levels, in float64 as the meaning."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.dtypes import POOR, literal
from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.ir.core import Op


def _maps(w: Any, quant: Any, rank: int) -> tuple[str, str]:
    import numpy as np

    def text(spread: Any, number: Any, hint: str) -> str:
        if not isinstance(number, tuple):
            return repr(float(number))
        return w.constants.array(spread(rank, np.float64), hint)  # type: ignore[no-any-return]

    return text(quant.scales, quant.scale, "scale"), text(quant.zeros, quant.zero, "zero")


@pure("q.quantize")
def quantize(op: Op, w: Any, x: str) -> str | None:
    """Round and clip."""
    element = op.attributes["elem"]
    quant = element.quant
    if element.storage in POOR or element.bits > 32:
        return None
    scale, zero = _maps(w, quant, op.result.type.rank)
    low, high = element.levels
    return (
        f"K.quantize({x}, {scale}, {zero}, {quant.rounding!r}, {quant.order == 'shift_then_round'}, "
        f"{low}, {high}, {literal(element)})"
    )


@pure("q.dequantize")
def dequantize(op: Op, w: Any, x: str) -> str | None:
    """scale * (level - zero)."""
    kind = op.arguments[0].type
    if kind.elem.storage in POOR:
        return None
    scale, zero = _maps(w, kind.elem.quant, kind.rank)
    return f"({scale} * ({x}.to(torch.float64) - {zero})).to(torch.float32)"
