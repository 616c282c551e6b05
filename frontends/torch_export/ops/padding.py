"""Padding: torch counts pairs from the last axis, Ranvier has one entry for every axis."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site, static
from ranvier.ir.core import Value

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@aten("pad.default")
def pad(at: Site, x: Value, amounts: Any, mode: Any, value: float | None) -> Any:
    """Elements put before and after axes, or cropped where negative."""
    if mode not in MODES:
        raise Unsupported(f"with mode {mode!r} is not imported", f"use one of {', '.join(MODES)}")
    numbers = static(amounts)
    rank = x.type.rank
    before, after = [0] * rank, [0] * rank
    for i in range(len(numbers) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = numbers[2 * i], numbers[2 * i + 1]
    if not any((*before, *after)):
        return x
    fill = float(value or 0.0) if mode == "constant" else 0.0
    return at("core.pad", x, before=tuple(before), after=tuple(after), mode=MODES[mode], value=fill)


@aten("constant_pad_nd.default")
def constant_pad(at: Site, x: Value, amounts: Any, value: float) -> Any:
    """A number put before and after axes."""
    return pad(at, x, amounts, "constant", value)


@aten("reflection_pad1d.default", "reflection_pad2d.default", "reflection_pad3d.default")
def reflection_pad(at: Site, x: Value, amounts: Any) -> Any:
    """The elements mirrored at the edges."""
    return pad(at, x, amounts, "reflect", None)


@aten("replication_pad1d.default", "replication_pad2d.default", "replication_pad3d.default")
def replication_pad(at: Site, x: Value, amounts: Any) -> Any:
    """The edge repeated."""
    return pad(at, x, amounts, "replicate", None)
