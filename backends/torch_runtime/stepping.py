"""Writes a stage over time: the loop over its steps, what comes in from other stages, and what goes out to them."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.emit.registry import STEPPED
from ranvier.backends.torch_runtime.fusion import terms_of
from ranvier.backends.torch_runtime.stages import Stage, is_timed
from ranvier.ir.core import Op, Value


def write_steps(w: Any, stage: Stage) -> None:
    """Write a timed stage with a writer: one pass over the ops in the body of a loop."""
    assert stage.time is not None
    w.begin_stage(stage)
    inside = {r for op in stage.ops for r in op.results}
    before = len(w.lines)
    steps = w.steps(stage.time)
    w.line(f"for t, n in K.chunks({steps}, k):" if w.folding else f"for t in range({steps}):")
    w.depth += 1
    outside = _take_in(w, stage, inside)
    w.terms, w.deferred = terms_of(stage, w)
    for op in stage.ops:
        if op not in w.deferred:
            _write(w, op)
    keep = _put_down(w, stage, steps)
    for queue, x in w.at_end:
        w.line(f"{queue} = {queue}[1:] + [{w.read(x)}]")
    w.depth -= 1
    for text in w.after:
        w.line(text)
    indent = "    " * w.depth
    w.lines[before:before] = [indent + text for text in w.hoisted]
    w.names.update(outside)
    _after(w, stage, inside, keep)
    w.end_stage()


def _take_in(w: Any, stage: Stage, inside: set[Value]) -> dict[Value, str]:
    """Name this step of the timed values of other stages; gives their names outside the loop."""
    outside: dict[Value, str] = {}
    for v in dict.fromkeys(v for op in stage.ops for v in op.arguments):
        if v in inside or v.resource is not None or not is_timed(v, w.order.still):
            continue
        whole = w.wholes[v]
        outside[v] = w.names.get(v, whole)
        name = w.names[v] = w.fresh(v.name + "_t")
        w.local.add(name)
        w.line(f"{name} = {whole}[t:t + n].flatten(0, 1)" if w.folding else f"{name} = {whole}[t]")
    return outside


def _write(w: Any, op: Op) -> None:
    if op.name in STEPPED:
        STEPPED[op.name](op, w)
    else:
        w.write_pure(op)
    # a delay reads its operand at the end of the step
    w.release(op.arguments[1:] if op.name == "core.delay" else op.arguments)


def _put_down(w: Any, stage: Stage, steps: str) -> dict[Value, str]:
    """Put down the timed values that other stages, outputs or taps want."""
    keep: dict[Value, str] = {}
    for op in stage.ops:
        for r in op.results:
            if r.type.time is None or not (r in w.taps or any(user not in w.stage_ops for user, _ in r.uses)):
                continue
            name = keep[r] = w.fresh(r.name + "_all")
            old = f"{name} if t else None"
            if w.mode.grad:
                w.line(f"{name} = K.push({old}, {w.names[r]})")
            else:
                w.line(f"{name} = K.put({old}, {w.names[r]}, t, {'n' if w.folding else None}, {steps})")
    return keep


def _after(w: Any, stage: Stage, inside: set[Value], keep: dict[Value, str]) -> None:
    """Behind the loop: stack what was collected, let go of what is used up."""
    for value, name in keep.items():
        if w.mode.grad:
            w.line(f"{name} = torch.stack({name})")
        w.names[value] = w.wholes[value] = name
    alive = set(keep.values())
    gone: dict[str, None] = {}
    for v in dict.fromkeys(v for op in stage.ops for v in op.arguments):
        held = w.wholes.get(v) or w.names.get(v)
        if v.resource is None and v not in inside and w.left[v] == 0 and not w.is_shared(v) and held not in alive:
            gone[held] = None
    if gone:
        w.line(f"del {', '.join(gone)}")
