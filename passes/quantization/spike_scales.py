"""`fold-spike-scales`: spikes worth a number for each channel become spikes worth 1; the numbers go into weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module, Op, Value, replace_uses
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.arith import Mul
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.nn import AvgPool, Conv, Linear, MaxPool
from ranvier.ir.ops.reduce import Mean, Sum
from ranvier.ir.ops.shape import Reshape
from ranvier.ir.ops.snn import Decode, Psp
from ranvier.ir.resources import Resource
from ranvier.ir.types import SpikesType
from ranvier.passes.simplify.dce import eliminate

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class FoldSpikeScales(Pass):
    """W psp(s) => (W theta) psp(s'), where a spike of s is worth theta of its channel and one of s' is worth 1.

    Thresholds become operands and stay what they are. Scales move behind means and pools into the weights of linear
    ops; where something else reads the spikes, such as a residual addition, a multiplication stays.
    """

    word = "fold-spike-scales"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        if not fold_spike_scales(module):
            context.note("no spikes have a scale for each channel")


def fold_spike_scales(module: Module) -> int:
    """Fold all scales of channels; returns how many neurons had them."""
    found = [op for op in module.ops if isinstance(op, Neuron) and _per_channel(op.result)]
    for op in found:
        _fold(module, op)
    if found:
        eliminate(module)
    return len(found)


def _per_channel(value: Value) -> bool:
    kind = value.type
    quant = kind.elem.quant
    doors = all(_only_doors(user) for user in value.users)
    return isinstance(kind, SpikesType) and quant is not None and quant.axis is not None and doors


def _only_doors(op: Op) -> bool:
    """Whether spikes go from here to doors alone, through ops that give spikes of the same kind."""
    if isinstance(op, Psp | Decode):
        return True
    return bool(op.results) and isinstance(op.result.type, SpikesType) and all(map(_only_doors, op.result.users))


def _fold(module: Module, op: Neuron) -> None:
    quant = op.elem.quant
    assert quant is not None
    b = Builder(op.graph, before=op, location=op.location)  # type: ignore[arg-type]
    operands = list(op.operands)
    index = type(op).theta.index
    if operands[index] is None:  # the threshold was the scale
        rank = op.result.type.rank
        operands[index] = b.constant(quant.scales(rank), f"{op.result.name}.theta")
    made = Neuron(*operands, location=op.location, **{**op.attributes, "elem": op.elem.with_quant(None)})
    _take_over(op, made)
    _spread(module, op.result, made.result)
    for old, new in list(zip(op.results, made.results, strict=True))[1:]:
        replace_uses(old, new)


def _take_over(op: Op, made: Op) -> None:
    """Put an op where another one is, with its facts and place."""
    assert op.graph is not None
    names = [r.name for r in op.results]
    op.graph.insert(made, op)
    for old, new, name in zip(op.results, made.results, names, strict=True):
        new.facts = old.facts
        op.graph.rename(old, f"{name}.scaled")
        op.graph.rename(new, name)
    made.facts, made.place = op.facts, op.place


def _spread(module: Module, old: Value, new: Value) -> None:
    """Let what reads spikes read the unscaled ones, down to the doors."""
    for user, index in list(old.uses):
        operands = [new if i == index else v for i, v in enumerate(user.operands)]
        made = type(user)(*operands, location=user.location, **user.attributes)
        _take_over(user, made)
        if isinstance(user, Psp | Decode):
            quant = old.type.elem.quant
            assert quant is not None
            assert quant.axis is not None
            scales = quant.scales(old.type.rank, np.float64).reshape(-1)
            _behind(module, user.result, made.result, scales, quant.axis % old.type.rank)
        else:
            _spread(module, user.result, made.result)


def _behind(module: Module, old: Value, new: Value, scales: Array, axis: int) -> None:
    """Let every user of `old` = scales * `new` use `new`, with the scales in its weight, behind it, or between."""
    multiplied: Value | None = None
    for user, index in list(old.uses):
        moved = _moved(user, index, scales, axis)
        if _folds(user, index, axis):
            user.set_operand(index, new)
            user.set_operand(1, _scaled_weight(module, user, scales))
        elif moved is not None:
            made = type(user)(new, *user.operands[1:], location=user.location, **user.attributes)
            _take_over(user, made)
            _behind(module, user.result, made.result, *moved)
        else:
            multiplied = multiplied or _multiplied(old, new, scales, axis)
            user.set_operand(index, multiplied)


def _folds(user: Op, index: int, axis: int) -> bool:
    """Whether the weight of an op can take the scales of its input."""
    if not isinstance(user, Conv | Linear) or index != 0:
        return False
    weight = user.weight
    at = 1 if isinstance(user, Conv) else user.result.type.rank - 1
    return weight.is_constant and weight.type.time is None and weight.type.elem.is_float and axis == at


def _scaled_weight(module: Module, user: Any, scales: Array) -> Value:
    name = str(user.weight.resource)
    source = module.resource(name)
    w = np.asarray(source.array, np.float64)
    groups = int(user.groups) if isinstance(user, Conv) else 1
    # w is [out, in/groups, ...]: outputs of a group see its inputs
    factor = np.repeat(scales.reshape(groups, -1), w.shape[0] // groups, axis=0)
    scaled = (w * factor.reshape(*factor.shape, *[1] * (w.ndim - 2))).astype(source.type.elem.dtype)
    made = Resource(source.type, scaled, facts=source.facts)
    assert user.graph is not None
    return user.graph.constant(module.add(made, name, instead_of=name))  # type: ignore[no-any-return]


def _moved(user: Op, index: int, scales: Array, axis: int) -> tuple[Array, int] | None:
    """The scales behind an op that commutes with a multiplication of channels, and their axis; None if it does not."""
    if index != 0:
        return None
    if isinstance(user, AvgPool | MaxPool) and axis == 1:
        return scales, axis
    kind = user.arguments[0].type
    if isinstance(user, Mean | Sum):
        axes = user.axes_in(kind.rank)
        if axis in axes:
            return None
        return scales, axis if user.keep else axis - sum(a < axis for a in axes)
    if isinstance(user, Reshape) and axis == 1 and user.result.type.rank == 2:
        rest, flat = kind.shape[1:], user.result.type.shape[1]
        if kind.shape[0] == user.result.type.shape[0] and all(isinstance(d, int) for d in (*rest, flat)):
            return np.repeat(scales, int(flat) // len(scales)), 1
    return None


def _multiplied(old: Value, new: Value, scales: Array, axis: int) -> Value:
    op = new.op
    assert op is not None
    assert op.graph is not None
    b = Builder(op.graph, before=op.next, location=op.location)
    shape = [-1 if i == axis else 1 for i in range(new.type.rank)]
    held = b.constant(scales.astype(np.float32).reshape(shape), f"{new.name}.scale")
    made: Value = b(Mul, new, held, name=f"{new.name}.scaled")
    return made
