"""`bn-adapt`: batch norms are adapted to what non-ideal hardware gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import error, register_code
from ranvier.ir.elements import elem
from ranvier.ir.fields import Enum, Integer, Optional, option
from ranvier.ir.hardware.adc import Ideal
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.fake_quant import OutputNoise
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.ops.xbar import Mvm, Stored
from ranvier.passes.simplify.dce import eliminate

Array = np.ndarray[Any, Any]

register_code(
    "no-batchnorm",
    "A pass that adapts batch norms found none: they were folded into weights, or the network has none.",
)


@dataclass(frozen=True)
class BatchNormAdapt(Pass):
    """Estimate mean and variance of every nn.batch_norm anew on the network as it is, on its own runtime.

    Layer after layer in the order of the graph, one run of what comes before for each: a layer sees its predecessors
    adapted. A statistic is the mean over `batches` batches of the batch's own (its variance unbiased), over samples,
    positions and, unless the batch norm has statistics of each step, steps.

    `affine` sets scale and bias too: those with which the channel comes nearest, in squared error, to what it gives
    where the arrays are ideal and nothing is noisy. Weights stay.
    With y' = a y + b in each channel, the outputs are those of the clean network whatever a > 0 and b are; zero-mean
    noise of variance s^2 stays, with the signal-to-noise ratio it had.
    Re-estimation of batch norms against non-idealities of crossbars is from the literature; no code of it is known.
    """

    word = "bn-adapt"
    needs = ("data",)
    mode: str = option(Enum("stats", "affine"), "stats", "mean and variance | scale and bias too")
    samples: int | None = option(Optional(Integer(2)), 256, "calibration samples, the first ones; none means all")
    batches: int = option(Integer(1), 4, "how many batches they are cut into")
    batch: int = option(Integer(1), 128, "samples run at once")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass. Raises RanvierError (no-batchnorm) where there is nothing to adapt."""
        data = [x[: self.samples] for x in context.need_data(self.word)]
        names = [op.result.name for op in module.main.ops if isinstance(op, BatchNorm)]
        if not names:
            raise error(
                "no-batchnorm",
                f"`{self.word}`: @main has no nn.batch_norm",
                help="leave fold-batchnorm out: quantize and map-crossbar keep a batch norm behind its linear op",
            )
        if len(data[0]) < 2 * self.batches:
            help = "give more data, or ask for fewer batches"
            raise error("bad-data", f"`{self.word}`: {len(data[0])} samples in {self.batches} batches", help=help)
        clean = ideal(module) if self.mode == "affine" else None
        rows = []
        for name in names:
            op: Any = module.main.value(name).op
            wanted = None if clean is None else self._tap(clean, clean.main.value(name), data, context)
            rows.append(self._adapt(module, op, self._tap(module, op.x, data, context), wanted))
        eliminate(module)
        context.tables["bn-adapt"] = rows
        context.note(f"{len(names)} batch norms adapted, layer after layer, on {len(data[0])} samples")

    def _tap(self, module: Module, value: Value, data: Sequence[Array], context: PassContext) -> Array:
        """The array of a value over the data, from a run of what comes before it."""
        found = context.runtime.run(up_to(module, value.name), data, batch=self.batch).outputs[0]
        array = np.asarray(found, np.float64)
        if not np.isfinite(array).all():
            raise error("bad-data", f"{value!r} becomes infinite or NaN on the data", help="check its normalization")
        return array

    def _adapt(self, module: Module, op: Any, x: Array, wanted: Array | None) -> dict[str, Any]:
        timed = op.x.type.time is not None
        per_step = any(v.type.time is not None for v in op.operands[1:])
        mean, var = self.statistics(x, timed, per_step)
        before = [np.asarray(module.array(v), np.float64) for v in (op.mean, op.var)]
        b = Builder(module.main, op, op.location)
        new = {3: mean, 4: var}
        if wanted is not None:
            new |= _nearest(x, wanted, mean, var, op.epsilon, timed, per_step)
        for index, array in new.items():
            old = op.operands[index]
            hint = old.resource or f"{op.result.name}.{op.operand_fields[index].name}"
            kind = old.type if np.shape(array) == np.shape(module.array(old)) else None
            made = b.constant(array.astype(np.float32), hint, type=kind)
            op.set_operand(index, made)
        shift = np.abs(mean - before[0]) / np.sqrt(before[1] + op.epsilon)
        gain = np.sqrt((var + op.epsilon) / (before[1] + op.epsilon))
        return {
            "batch norm": op.result.name,
            "channels": int(mean.shape[-1]),
            "largest shift of a mean": float(shift.max()),
            "smallest gain": float(gain.min()),
            "largest gain": float(gain.max()),
        }

    def statistics(self, x: Array, timed: bool = False, per_step: bool = False) -> tuple[Array, Array]:
        """Mean and variance [channels] of x [N, C, ...], or with time [T, N, C, ...]; [T, channels] where per step."""
        if timed and per_step:
            found = [self.statistics(step) for step in x]
            return np.stack([m for m, _ in found]), np.stack([v for _, v in found])
        parts = np.array_split(x, self.batches, axis=1 if timed else 0)
        axis = 2 if timed else 1
        rows = [np.moveaxis(p, axis, 0).reshape(p.shape[axis], -1) for p in parts]
        return np.mean([r.mean(1) for r in rows], axis=0), np.mean([r.var(1, ddof=1) for r in rows], axis=0)


def _nearest(
    x: Array, wanted: Array, mean: Array, var: Array, epsilon: float, timed: bool, per_step: bool
) -> dict[int, Array]:
    """Scale and bias with which (x - mean) / sqrt(var + epsilon) comes nearest to what is wanted, by channel."""
    if timed and per_step:
        each = [_nearest(*z, epsilon, False, False) for z in zip(x, wanted, mean, var, strict=True)]
        return {i: np.stack([e[i] for e in each]) for i in (1, 2)}
    axis = 2 if timed else 1
    a, y = (np.moveaxis(z, axis, 0).reshape(z.shape[axis], -1) for z in (x, wanted))
    a = (a - mean[:, None]) / np.sqrt(var + epsilon)[:, None]
    centred = a - a.mean(1, keepdims=True)
    scale = (centred * y).sum(1) / np.maximum((centred * centred).sum(1), np.finfo(np.float64).tiny)
    return {1: scale, 2: y.mean(1) - scale * a.mean(1)}


def up_to(module: Module, name: str) -> Module:
    """What is needed to compute a value of @main, which is the only output."""
    out = module.clone()
    graph = out.main
    last = graph.terminator
    location = last.location
    value = graph.value(name)
    graph.erase(last)
    Builder(graph, None, location).returns(value)
    eliminate(out)
    return out.verify().freeze()


def ideal(module: Module) -> Module:
    """The network on arrays that hold and read their levels exactly, without noise."""
    out = module.clone()
    for graph in out.graphs.values():
        for op in list(graph.ops):
            made = _without_physics(op, Builder(graph, op, op.location))
            if made is not None:
                name = op.result.name
                replace_uses(op.result, made)
                graph.erase(op)
                if isinstance(made.op, Mvm):
                    graph.rename(made, name)
    eliminate(out)
    return out.verify().freeze()


def _without_physics(op: Op, b: Builder) -> Value | None:
    if isinstance(op, OutputNoise):
        return op.operands[0]
    if not isinstance(op, Stored) or (isinstance(op, Mvm) and op.cells is None and op.adc.transparent):
        return None
    kept = {k: v for k, v in op.attributes.items() if k in Mvm.attribute_fields}
    kept.update(adc=Ideal(), pedestal=0.0, elem=op.elem if not op.elem.is_float else elem("f32"))
    made: Value = b(Mvm, op.x, op.weight, None, op.bias, **kept)
    return made
