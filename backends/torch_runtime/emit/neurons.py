"""`snn.neuron`: the common neuron as a few lines in place, every other one by its kernel.

The lines charge the membrane with each term of the current where it is used up here, fire by one comparison that writes
numbers, and let the membrane fall in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ranvier.backends.torch_runtime.emit.registry import PURE, pure, stepped
from ranvier.backends.torch_runtime.emit.snn import scale_thing
from ranvier.backends.torch_runtime.emit.state import kernel_lines
from ranvier.backends.torch_runtime.namespace import xp
from ranvier.backends.torch_runtime.stages import is_timed
from ranvier.backends.torch_runtime.stateful import Neuron, scale_tensor, spread_channels
from ranvier.ir.core import Op, Value
from ranvier.ir.ops.residual import integrated

Tensor = torch.Tensor


@dataclass(frozen=True)
class Common:
    """The parameters of a neuron that runs in place, as source text; None for those left out."""

    theta: str
    theta_neg: str
    v0: str | None
    leak: str | None


def kernel_of(op: Op, w: Any) -> Neuron:
    """The general kernel of a neuron."""
    return Neuron(op, scale_thing(w, op.result.type, op.result.type.rank), w.mode.grad)


def wants(op: Op, index: int, w: Any) -> bool:
    """Whether a result of a neuron is used."""
    return bool(op.results[index].uses) or op.results[index] in w.taps


def runs_in_place(op: Op, w: Any) -> bool:
    """Whether a neuron is the common one: one level, thresholds above zero, no refractory time, no gradient wanted."""
    a = op.attributes
    if w.mode.grad or a["refractory"] or getattr(op, "windowed", False):
        return False
    if a["code"].largest != 1 or not a["code"].plain:
        return False
    if op.result.type.elem.is_float or op.arguments[0].type.elem.storage != "f32":
        return False
    if a["negative"] != "none" and (a["reset"] != "soft" or not _positive(op, w)):
        return False
    if any(v is not None and v.type.time is not None for v in op.operands[1:]):
        return False
    tracked = a["negative"] == "gated" or wants(op, 2, w)
    return not (tracked and op.operands[5] is not None) and not (wants(op, 2, w) and a["negative"] != "gated")


def _positive(op: Op, w: Any) -> bool:
    for index in (1, 4):
        v = op.operands[index]
        if v is not None and (v.resource is None or bool((w.constants.module.array(v) <= 0).any())):
            return False
    return bool(np.all(np.asarray(scale_tensor(op.result.type, op.result.type.rank)) > 0))


def _parameter(w: Any, value: Value | None, rank: int) -> str | None:
    """A parameter as a number where it is one constant, else as a tensor that broadcasts."""
    if value is None:
        return None
    if value.resource is not None:
        array = w.constants.module.array(value)
        if array.size == 1 or bool((array == array.flat[0]).all()):
            return repr(float(array.flat[0]))
    name = w.plain(value)
    return f"{name}.reshape({(-1,) + (1,) * (rank - 2)})" if value.type.rank == 1 and rank > 1 else name


def _common(op: Op, w: Any) -> Common:
    rank = op.result.type.rank
    theta = _parameter(w, op.operands[1], rank)
    if theta is None:
        scale = scale_tensor(op.result.type, rank)
        theta = repr(scale) if isinstance(scale, float) else w.constants.array(scale, "theta")
    below = _parameter(w, op.operands[4], rank) or theta
    v0 = _parameter(w, op.operands[2], rank)
    return Common(theta, below, None if v0 == "0.0" else v0, _parameter(w, op.operands[3], rank))


def is_number(text: str) -> bool:
    """Whether source text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


@stepped("snn.neuron")
def neuron(op: Op, w: Any) -> None:
    """One step, or several folded ones, of a stepwise neuron."""
    if not runs_in_place(op, w):
        kernel_lines(op, w, kernel_of(op, w))
        return
    p = _common(op, w)
    v = w.fresh(op.result.name + "_v")
    count = w.fresh(op.result.name + "_count") if op.attributes["negative"] == "gated" else None
    if w.folding:
        _folded(op, w, p, v, count)
    else:
        _charge(op, w, p, v)
        if count:
            w.line(f"if t == 0: {count} = torch.zeros_like({v})")
        _fire(op, w, p, v, count, w.result(op.result))
    if wants(op, 1, w):
        w.names[op.results[1]] = v
    if count and wants(op, 2, w):
        w.names[op.results[2]] = count


def _charge(op: Op, w: Any, p: Common, v: str) -> None:
    """The membrane takes in this step's current; at the first step it is made of it."""
    terms = w.terms.get(op) or [("value", op.operands[0])]
    first, *rest = [_term(t, w) for t in terms]
    w.line("if t == 0:")
    w.depth += 1
    fresh = first[1] or p.v0 is not None
    start = first[0] if p.v0 is None else f"{first[0]} + {p.v0 if p.leak is None else f'{p.v0} * {p.leak}'}"
    w.line(f"{v} = {start if fresh else f'{start}.clone()'}")
    w.depth -= 1
    w.line("else:")
    w.depth += 1
    if p.leak is not None:
        w.line(f"{v}.mul_({p.leak})")
    w.line(first[2].format(v=v))
    w.depth -= 1
    for _, _, add in rest:
        w.line(add.format(v=v))
    w.let_go(op)


def _term(term: tuple[str, Any], w: Any) -> tuple[str, bool, str]:
    """A summand of the current: its expression, whether that is a new tensor, and the line that adds it to {v}."""
    kind, thing = term
    if kind == "conv":
        emit = PURE[thing.name]
        text = str(emit(thing, w, *[w.read(x, thing) for x in thing.operands]))
        return text, True, w.add_conv(thing, text)
    if thing in w.scaled and thing not in w.names:
        raw, number = w.scaled[thing], w.scaled[thing].text
        add = f"add_({raw.name}, alpha={number})" if is_number(number) else f"addcmul_({raw.name}, {number})"
        return f"{raw.name} * {number}", True, "{v}." + add
    text = w.read(thing)
    return text, False, "{v}.add_(" + text.replace("{", "{{").replace("}", "}}") + ")"


def _fire(op: Op, w: Any, p: Common, v: str, count: str | None, s: str) -> None:
    a = op.attributes
    if a["negative"] != "none":
        w.line(f"{s} = {_signed(op, w, p, v, count)}")
        return
    w.line(f"{s} = torch.{a['compare']}({v}, {_bar(w, p.theta)}, out=torch.empty_like({v}))")
    if a["reset"] == "hard":
        w.line(f"{v}.masked_fill_({s} != 0, {a['v_reset']!r})")
    elif a["reset"] == "soft":
        w.line(_fall(v, s, p.theta))


def _signed(op: Op, w: Any, p: Common, v: str, count: str | None) -> str:
    a = op.attributes
    kind = f"{a['compare'] == 'ge'}, {a['lower'] == 'zero'}"
    return f"K.fire_signed({v}, {p.theta}, {p.theta_neg}, {kind}, {count or 'None'})"


def _bar(w: Any, theta: str) -> str:
    """The threshold for the comparison: numbers as a constant of float32, which spares a conversion at every step."""
    return w.constants.array(np.asarray(float(theta), np.float32), "theta") if is_number(theta) else theta


def _fall(v: str, s: str, theta: str) -> str:
    if theta == "1.0":
        return f"{v}.sub_({s})"
    return f"{v}.sub_({s}, alpha={theta})" if is_number(theta) else f"{v}.addcmul_({s}, {theta}, value=-1)"


def _folded(op: Op, w: Any, p: Common, v: str, count: str | None) -> None:
    """Several steps: the current lies side by side, the neurons go through it step by step."""
    a = op.attributes
    current = op.arguments[0]
    x = w.read(current)
    w.line(f"if t == 0: {v} = K.membrane({x}, {'n' if is_timed(current, w.order.still) else 1}, {p.v0})")
    if count:
        w.line(f"if t == 0: {count} = torch.zeros_like({v})")
    steps = f"{x}.chunk(n)" if is_timed(current, w.order.still) else f"({x},) * n"
    s, c, o = w.fresh(op.result.name), w.fresh("c"), w.fresh("o")
    w.names[op.result] = s
    w.local.add(s)
    if a["negative"] != "none":
        w.line(f"{o} = []")
        w.line(f"for {c} in {steps}:")
        w.depth += 1
        _add(w, p, v, c)
        w.line(f"{o}.append({_signed(op, w, p, v, count)})")
        w.depth -= 1
        w.line(f"{s} = torch.cat({o})")
        return
    w.line(f"{s} = {'torch.empty_like(' + x + ')' if is_timed(current, w.order.still) else f'K.room({x}, n)'}")
    w.line(f"for {c}, {o} in zip({steps}, {s}.chunk(n)):")
    w.depth += 1
    _add(w, p, v, c)
    w.line(f"torch.{a['compare']}({v}, {_bar(w, p.theta)}, out={o})")
    if a["reset"] == "hard":
        w.line(f"{v}.masked_fill_({o} != 0, {a['v_reset']!r})")
    elif a["reset"] == "soft":
        w.line(_fall(v, o, p.theta))
    w.depth -= 1


def _add(w: Any, p: Common, v: str, c: str) -> None:
    if p.leak is not None:
        w.line(f"{v}.mul_({p.leak})")
    w.line(f"{v}.add_({c})")


@pure("snn.neuron")
def window(op: Op, w: Any, *args: str | None) -> str:
    """A windowed schedule: all steps at once."""
    operands = ", ".join("None" if a is None else a for a in args)
    return f"{w.bind(kernel_of(op, w), 'neuron')}.window(R, {operands})"


class Residual:
    """What a window leaves in a neuron."""

    def __init__(self, rank: int):
        self.rank = rank

    def __call__(self, current: Tensor, theta: Tensor, v0: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The membrane left, the least at a spike, the largest without one."""
        theta, v0 = (spread_channels(p, self.rank) for p in (theta, v0))
        found: tuple[Tensor, Tensor, Tensor] = integrated(xp, current, theta, v0)
        return found


@pure("snn.residual_membrane")
def residual_membrane(op: Op, w: Any, current: str, theta: str, v0: str | None) -> str:
    """All steps at once."""
    return f"{w.bind(Residual(op.result.type.rank), 'residual')}({current}, {theta}, {v0})"
