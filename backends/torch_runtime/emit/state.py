"""How an op with state is written: a call of its kernel, with the state in a local."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.stages import is_timed
from ranvier.ir.core import Op


def kernel_lines(op: Op, w: Any, kernel: Any) -> None:
    """Write one step (or folded steps) of a kernel, and its final states after the loop."""
    k = w.bind(kernel, op.name.split(".")[-1])
    state = w.fresh(op.result.name + "_state")
    steps = w.steps(w.stage.time)
    names = [w.read(v) for v in op.operands]
    args = ", ".join("None" if n is None else n for n in names)
    ended = [r for r in op.results if r.type.time is None]
    out = ", ".join(w.result(r) for r in op.results if r.type.time is not None)
    if len(op.results) - len(ended) > 1:
        out = f"({out})"
    if w.folding:
        timed = tuple(v is not None and is_timed(v, w.order.still) for v in op.operands)
        comma = "," if len(names) == 1 else ""
        call = f"K.fold({k}, R, {state} if t else None, t, n, {steps}, ({args}{comma}), {timed})"
    else:
        call = f"{k}.step(R, t, {steps}, {state} if t else {k}.start(R, {steps}, {args}), {args})"
    w.line(f"{state}, {out} = {call}")
    for i, r in enumerate(ended):
        if r.uses or r in w.taps:
            name = w.names[r] = w.fresh(r.name)
            w.after.append(f"{name} = {k}.ends({state})[{i}]")
