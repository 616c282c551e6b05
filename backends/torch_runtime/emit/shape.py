"""`core` ops that move elements about."""

from __future__ import annotations

from math import prod
from typing import Any

from ranvier.backends.torch_runtime.dtypes import POOR, literal
from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.ir.core import Op
from ranvier.ir.types import SpikesType


@pure("core.reshape")
def reshape(op: Op, w: Any, x: str) -> str:
    """The result's shape; the first dim follows the operand's where both count samples."""
    source, target = op.arguments[0].type.shape, op.result.type.shape
    asked = op.attributes["shape"]
    sized = all(isinstance(d, int) for d in (*source[1:], *target[1:]))
    if source and target and source[0] == target[0] and sized and prod(source[1:]) == prod(target[1:]):
        dims = [f"{x}.shape[0]", *map(str, target[1:])]
        return f"{x}.reshape({', '.join(dims)})"
    known = {d: f"{x}.shape[{i}]" for i, d in enumerate(source) if isinstance(d, str) and d != "?"}
    dims = [str(d) if isinstance(d, int) else known.get(d, "-1") for d in asked]
    return f"{x}.reshape(({', '.join(dims)}{',' if len(dims) == 1 else ''}))"


@pure("core.transpose")
def transpose(op: Op, w: Any, x: str) -> str:
    """Axes in another order (a view)."""
    return f"{x}.permute({op.attributes['perm']})"


@pure("core.concat")
def concat(op: Op, w: Any, *xs: str) -> str:
    """Operands joined along an axis."""
    return f"torch.cat(({', '.join(xs)},), {op.attributes['axis']})"


@pure("core.slice")
def cut(op: Op, w: Any, x: str) -> str:
    """A view where all steps are positive; backward steps index."""
    rank = op.arguments[0].type.rank
    cuts = op.cuts(rank)  # type: ignore[attr-defined]
    if any(c.step < 0 for c in cuts.values()):
        return f"K.cut({x}, {w.bind(cuts, 'cuts')})"
    parts = []
    for axis in range(max(cuts, default=-1) + 1):
        c = cuts.get(axis, slice(None))
        start, stop = (str(c.start) if c.start else ""), ("" if c.stop is None or c.stop >= 2**31 - 1 else str(c.stop))
        parts.append(f"{start}:{stop}" + (f":{c.step}" if c.step not in (None, 1) else ""))
    return f"{x}[{', '.join(parts)}]" if parts else x


@pure("core.pad")
def pad(op: Op, w: Any, x: str) -> str:
    """Constant padding and cropping by F.pad; the other modes by index."""
    before, after, mode = (op.attributes[n] for n in ("before", "after", "mode"))
    kind = op.arguments[0].type
    if mode == "constant":
        pairs = [n for b, a in zip(reversed(before), reversed(after), strict=True) for n in (b, a)]
        while pairs[-2:] == [0, 0]:
            pairs = pairs[:-2]
        level = op.attributes["value"] if isinstance(kind, SpikesType) else op._level(kind)  # type: ignore[attr-defined]
        return f"K.pad({x}, {tuple(pairs)}, {level!r})" if pairs else x
    return f"K.pad_by_index({x}, {before}, {after}, {mode!r})"


@pure("core.broadcast")
def broadcast(op: Op, w: Any, x: str) -> str:
    """A view of the result's shape."""
    return f"{x}.expand({w.shape(op.result, x, op.arguments[0])})"


@pure("core.gather")
def gather(op: Op, w: Any, x: str, indices: str) -> str:
    """numpy.take."""
    return f"K.take({x}, {indices}, {op.attributes['axis'] % op.arguments[0].type.rank})"


@pure("core.select")
def select(op: Op, w: Any, condition: str, a: str, b: str) -> str:
    """torch.where."""
    return f"torch.where({condition}, {a}, {b})"


@pure("core.cast")
def cast(op: Op, w: Any, x: str) -> str | None:
    """Between reals, from integers, and to bits by torch; reals to integers by meaning's rule."""
    source, target = op.arguments[0].type.elem, op.attributes["elem"]
    if {source.storage, target.storage} & POOR or (not target.is_float and target.bits < 8 and target.storage != "i1"):
        return None
    if target.storage == "i1":
        return f"{x} != 0"
    if source.is_float and not target.is_float:
        return f"K.to_integers({x}, {literal(target)})"
    return f"{x}.to({literal(target)})"
