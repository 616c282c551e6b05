"""`core` ops that call graphs."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.emit.registry import special
from ranvier.ir.core import Op


def _args(op: Op, w: Any) -> list[str]:
    return [w.whole(v) for v in op.arguments]


def _assign(op: Op, w: Any, text: str) -> None:
    names = [w.result(r) for r in op.results]
    w.line(f"{', '.join(names)}{',' if len(names) == 1 else ''} = {text}" if names else text)


@special("core.call")
def call(op: Op, w: Any) -> None:
    """Run a graph; its state is its own."""
    _assign(op, w, f"{w.callee(op.attributes['graph_name'])}({', '.join(['R', 'W', *_args(op, w)])})")


@special("core.if")
def branch(op: Op, w: Any) -> None:
    """One graph, or both and pick for each sample."""
    condition, *captures = _args(op, w)
    then, otherwise = (w.callee(op.attributes[n]) for n in ("then", "otherwise"))
    args = ", ".join(["R", "W", *captures])
    if not op.attributes["per_sample"]:
        _assign(op, w, f"{then}({args}) if bool({condition}) else {otherwise}({args})")
        return
    lead = tuple(1 if r.type.time is not None else 0 for r in op.results)
    _assign(op, w, f"K.pick({condition}, {then}({args}), {otherwise}({args}), {lead})")


@special("core.loop")
def loop(op: Op, w: Any) -> None:
    """Rounds of a body."""
    trip, *values = _args(op, w)
    count = len(op.attributes["types"])
    comma = "," if len(values) == 1 else ""
    _assign(
        op, w, f"K.loop({w.callee(op.attributes['body'])}, R, W, int({trip}), ({', '.join(values)}{comma}), {count})"
    )
