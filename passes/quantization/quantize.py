"""`quantize`: fake quantization of weights and activations, with ranges from calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Graph, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import Diagnostic, RanvierError
from ranvier.ir.fields import Enum, Integer, option
from ranvier.ir.finite import not_finite
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import describe
from ranvier.ir.ops.fake_quant import FakeQuant
from ranvier.ir.ops.nn import ConvTranspose, Matmul
from ranvier.passes.calibration.statistics import tapped
from ranvier.passes.quantization.places import activations, is_stored, weight_of
from ranvier.passes.quantization.ranges import METHODS, activation_scale, weight_scales
from ranvier.passes.quantization.spike_scales import fold_spike_scales

LEAST, MOST = 2, 8


@dataclass(frozen=True)
class Quantize(Pass):
    """Put q.fake_quant on the weights of linear ops and on the activations that they read.

    Weights are symmetric and narrow, one scale an output channel (rounded half to even); activations have one scale a
    tensor, unsigned where no calibration sample is negative, else signed (rounded half up, as requantization does),
    and narrow where a matrix product reads them as its second operand: encodings of weights then hold them.
    Behind spikes weights alone are quantized, after spike scales of channels were folded into them. What is quantized
    already is left alone, so that the first `quantize` holds.
    """

    word = "quantize"
    bits: int = option(Integer(LEAST, MOST), 8, "bits of weights")
    act_bits: int = option(Integer(LEAST, MOST), 8, "bits of activations")
    method: str = option(Enum(*METHODS), "minmax", "ranges: largest magnitude | least squared error")
    batch: int = option(Integer(1), 128, "calibration samples run at once")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        self._check(module)
        fold_spike_scales(module)
        rows = self._ranges(module, context)
        weights = self._weights(module)
        for value, kernel, row in rows:
            self._activation(module.main, value, kernel)
            weights.append(row)
        for graph in module.graphs.values():
            if graph is not module.main and (left := activations(graph)):
                context.note(f"{len(left)} activations of @{graph.name} stay real: they are not calibrated")
        if weights:
            context.tables["quantization"] = weights
        else:
            context.note("nothing to quantize: every linear op has quantized operands already, or there is none")

    def _check(self, module: Module) -> None:
        """Raise RanvierError for every weight that holds NaN or infinite numbers."""
        found: list[Diagnostic] = []
        for op in module.ops:
            value = weight_of(op)
            if value is not None:
                name = str(value.resource)
                wrong = not_finite(module.array(value), f"weight ${name}", describe(op.location))
                if wrong is not None:
                    found.append(wrong)
        if found:
            raise RanvierError(found)

    # -- weights ---------------------------------------------------------------------------------------------------
    def _weights(self, module: Module) -> list[dict[str, Any]]:
        rows = []
        for graph in module.graphs.values():
            done: dict[tuple[Value, int | None], Value] = {}
            for op in list(graph.ops):
                value = weight_of(op)
                if value is None:
                    continue
                axis = None if isinstance(op, ConvTranspose | Matmul) else 0
                if (value, axis) not in done:
                    done[value, axis], row = self._weight(module, graph, op, value, axis)
                    rows.append(row)
                op.set_operand(op.operands.index(value), done[value, axis])
        return rows

    def _weight(
        self, module: Module, graph: Graph, op: Op, value: Value, axis: int | None
    ) -> tuple[Value, dict[str, Any]]:
        name = str(value.resource)
        high = (1 << (self.bits - 1)) - 1
        scale = weight_scales(module.array(value), axis, self.method, high)
        b = Builder(graph, before=op, location=op.location)
        held = b.constant(scale if axis is not None else scale[0], f"{name}.scale")
        made = b(FakeQuant, value, held, bits=self.bits, narrow=True, axis=axis, name=f"{name}.q")
        return made, self._row(f"${name}", self.bits, "signed, narrow", scale)

    # -- activations -----------------------------------------------------------------------------------------------
    def _ranges(self, module: Module, context: PassContext) -> list[tuple[Value, tuple[bool, np.float32], Any]]:
        """Each activation with whether it is signed and its scale, from runs of the network as it is."""
        values = {v.name: v for v in activations(module.main)}
        if not values:
            return []
        data = context.need_data(self.word)
        found = []
        for name, array in tapped(module, list(values), data, context.runtime, self.batch):
            signed = bool(array.size and array.min() < 0)
            narrow = signed and is_stored(values[name])
            high = (1 << (self.act_bits - signed)) - 1
            low = (-high if narrow else -high - 1) if signed else 0
            scale = activation_scale(array, self.method, low, high)
            levels = "signed, narrow" if narrow else "signed" if signed else "unsigned"
            row = self._row(f"%{name}", self.act_bits, levels, np.asarray([scale]))
            found.append((values[name], (signed, scale), row))
        return found

    def _activation(self, graph: Graph, value: Value, kernel: tuple[bool, np.float32]) -> None:
        signed, scale = kernel
        first = next(graph.ops) if value.op is None else value.op.next
        assert first is not None
        b = Builder(graph, before=first, location=None if value.op is None else value.op.location)
        held = b.constant(scale, f"{value.name}.scale")
        narrow = signed and is_stored(value)
        levels: dict[str, Any] = {"bits": self.act_bits, "signed": signed, "narrow": narrow, "rounding": "half_up"}
        made = b(FakeQuant, value, held, **levels, name=f"{value.name}.q")
        # outputs of the network are not read by anything that computes with levels
        facts, value.facts = value.facts, ()
        replace_uses(value, made, keep=lambda op: op is made.op or op.name == "core.return")
        value.facts = facts

    def _row(self, what: str, bits: int, levels: str, scale: Any) -> dict[str, Any]:
        return {
            "tensor": what,
            "bits": bits,
            "levels": levels,
            "scales": int(scale.size),
            "smallest scale": float(scale.min()),
            "largest scale": float(scale.max()),
            "method": self.method,
        }
