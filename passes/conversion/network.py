"""Build the spiking network op by op from the source network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.ir.codes import Code
from ranvier.ir.core import Builder, Module, Op, Value
from ranvier.ir.diagnostics import error
from ranvier.ir.elements import Affine, Elem, as_exact
from ranvier.ir.facts import Converted, Trial
from ranvier.ir.locations import derive, describe
from ranvier.ir.ops.arith import Add, Mul, Sub
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.nn import Linear
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.ops.pool import MaxPool
from ranvier.ir.ops.snn import BiasCurrent, Encode, Psp
from ranvier.ir.ops.time import Accumulate, Repeat
from ranvier.passes.conversion.activations import Shape
from ranvier.passes.conversion.linear import WEIGHTED, hidden, is_linear, why
from ranvier.passes.conversion.readout import MembraneReadout, mean_over_time
from ranvier.passes.conversion.two_stage import Suffixed, TwoStage, check_neuron, residual

if TYPE_CHECKING:
    from ranvier.passes.conversion.convert_snn import ConvertSnn


@dataclass(frozen=True)
class Layer:
    """What a neuron is built from: its shape, code, thresholds (one number or one a channel of `axis`)."""

    shape: Shape
    code: Code
    theta: np.ndarray[Any, Any]
    axis: int | None
    definition: str
    dead: int
    provenance: str = "given"


@dataclass(frozen=True)
class Row:
    """A line of the coverage report."""

    activation: str
    op: str
    became: str
    threshold: str = ""
    where: str = ""
    reason: str = ""
    dead: int = 0
    code: str = ""
    provenance: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For tables."""
        return {
            "activation": f"%{self.activation}",
            "op": self.op,
            "became": self.became,
            "code": self.code,
            "threshold": self.threshold,
            "provenance": self.provenance,
            "where": self.where,
            "reason": self.reason,
        }


class Converter:
    """Walks the source graph in order; a value is static (the same at every step) or timed."""

    def __init__(
        self,
        options: ConvertSnn,
        module: Module,
        layers: dict[Op, Layer],
        inputs: list[tuple[float, bool]],
        outputs: list[float],
    ):
        self.options, self.module, self.layers, self.inputs, self.outputs = options, module, layers, inputs, outputs
        self.source = module.main
        self.map: dict[Value, Value] = {}
        self.read: dict[Value, Value] = {}
        self.rows: list[Row] = []
        self.steps = options.window
        self.two_stage = options.correct if isinstance(options.correct, TwoStage) else None
        self.trying = False
        self.arguments: list[Value] = []
        self.fixed: dict[Value, Value] = {}
        self.left: dict[Op, Value] = {}
        self.hidden = hidden(list(self.source.ops), layers)

    def build(self) -> list[Row]:
        """Replace `@main` by the spiking network; returns the coverage report."""
        source, module = self.source, self.module
        del module.graphs["main"]
        self.target = module.new_graph("main")
        self.b = self.plain = Builder(self.target)
        for arg in source.args:
            made = self.target.argument(arg.name, arg.type)
            made.facts = arg.facts
            self.arguments.append(made)
        if self.two_stage is not None and self.two_stage.whole:
            self._try(self.two_stage.steps)
        self._walk()
        last = source.terminator
        self.b.location = last.location
        outputs = [self._output(self._get(v), i) for i, v in enumerate(last.arguments)]
        self.b.returns(*outputs, names=last.attributes["names"], roles=last.attributes["roles"])
        return self.rows

    def _walk(self) -> None:
        """Convert every op; what does not depend on a timed value is made once, whoever comes first."""
        self.map, self.read, self.rows = dict(self.fixed), {}, []
        for index, (arg, made) in enumerate(zip(self.source.args, self.arguments, strict=True)):
            self.map[arg] = self._encode(made, index)
            if self.map[arg] is made:
                self.fixed[arg] = made
        for op in self.source.ops:
            if op.name == "core.return":
                continue
            self.b.location = derive(self.options.word, [op.location])
            if all(v is None or v.resource is not None or v in self.fixed for v in op.operands):
                self._fixed(op)
            else:
                self._convert(op)

    def _fixed(self, op: Op) -> None:
        """An op on values that are known before the first step."""
        if op in self.layers or any(r not in self.fixed for r in op.results):
            trying, self.b = self.b, self.b if op in self.layers else self.plain
            self.plain.location = trying.location
            self._convert(op)
            self.b = trying
        elif op in self.hidden:
            self._left(op)
        if op not in self.layers:
            self.fixed.update((r, self.map[r]) for r in op.results)

    def _try(self, steps: int) -> None:
        """The network of a few steps that is tried before; keeps the membranes that it leaves."""
        self.b, self.steps, self.trying = Suffixed(self.target), steps, True
        self._walk()
        self.b, self.steps, self.trying = self.plain, self.options.window, False

    # -- values ----------------------------------------------------------------------------------------------------
    def _get(self, value: Value) -> Value:
        return self.target.constant(value.resource) if value.resource is not None else self.map[value]

    def _encode(self, arg: Value, index: int) -> Value:
        code = self.options.input
        if code == "direct" or not arg.type.elem.is_float:
            return arg
        size, signed = self.inputs[min(index, len(self.inputs) - 1)]
        try:
            code = code.with_sign(signed or code.signed)
        except ValueError:
            raise error(
                "bad-value",
                f"`convert-snn`: input %{arg.name} has negative values, and {code.word} has no negative spikes",
                help="use input=direct, or a code with a signed form, such as rate, phase or fs",
            ) from None
        element = Elem(code.element().storage, Affine(float(np.float32(size))))
        spikes = self.b(
            Encode, arg, code=code, steps=self.steps, elem=element, key=arg.name, seed=self.options.seed,
            name=f"{arg.name}.spikes",
        )  # fmt: skip
        out: Value = self.b(Psp, spikes, name=f"{arg.name}.psp")
        return out

    def _timed(self, value: Value) -> Value:
        out: Value = value
        if value.type.time is None:
            out = self.b(Repeat, value, steps=self.steps, name=f"{value.name}.repeat")
        return out

    def _readout(self, value: Value) -> Value:
        """The real value that a timed value stands for: its mean over the window."""
        if value.type.time is None:
            return value
        if value not in self.read:
            self.read[value] = mean_over_time(self.b, value)
        return self.read[value]

    def _output(self, value: Value, index: int) -> Value:
        """An output, read as the option says."""
        readout = self.options.readout
        if value.type.time is None or isinstance(readout, MembraneReadout):
            return self._readout(value)
        largest = self.outputs[index] if readout.needs_ranges else 1.0
        out: Value = readout.apply(self.b, value, self.options, largest)
        return out

    # -- ops -------------------------------------------------------------------------------------------------------
    def _convert(self, op: Op) -> None:
        operands = [None if v is None else self._get(v) for v in op.operands]
        timed = [v is not None and v.type.time is not None for v in operands]
        layer = self.layers.get(op)
        if layer is not None:
            self.map[op.result] = self._neuron(op, layer, operands[0])
        elif not any(timed):
            self._copy(op, operands)
            if op in self.hidden:
                self._left(op)
        elif isinstance(op, WEIGHTED) and timed == [True] + [False] * (len(timed) - 1):
            self.map[op.result] = self._weighted(op, operands)
        elif isinstance(op, BatchNorm) and not any(timed[1:]):
            self.map[op.result] = self._affine(op, operands)
        elif is_linear(op, timed):
            self._copy(op, operands)
        elif isinstance(op, MaxPool):
            self.map[op.result] = self._max_pool(op, operands[0])
        else:
            self._after_readout(op, operands)

    def _copy(self, op: Op, operands: list[Value | None]) -> None:
        if isinstance(op, Add) and self._is_bias(op, operands):
            x, bias = (operands[0], operands[1]) if operands[0].type.time is not None else (operands[1], operands[0])  # type: ignore[union-attr]
            self.map[op.result] = self.b(BiasCurrent, x, bias, name=op.result.name)
            return
        made = self.b(type(op), *operands, name=[r.name for r in op.results], **op.attributes)
        for old, new in zip(op.results, made if isinstance(made, tuple) else (made,), strict=True):
            new.facts = old.facts
            self.map[old] = new

    def _is_bias(self, op: Op, operands: list[Value | None]) -> bool:
        """x + c with x timed and c a constant that has x's rank, or one number: a current, not a sum of two streams."""
        kinds = [(v.type, v.is_constant) for v in operands if v is not None]
        timed = [k for k, _ in kinds if k.time is not None]
        constants = [k for k, c in kinds if c]
        return (
            len(timed) == 1
            and len(constants) == 1
            and timed[0].with_time(None) == op.result.type
            and constants[0].rank in (0, timed[0].rank)
        )

    def _weighted(self, op: Op, operands: list[Value | None]) -> Value:
        x, weight, *rest = operands
        bias = rest[0] if rest else None
        name = op.result.name
        out: Value = self.b(type(op), x, weight, name=name if bias is None else f"{name}.current", **op.attributes)
        return out if bias is None else self._bias(out, bias, -1 if isinstance(op, Linear) else 1, name)

    def _bias(self, current: Value, bias: Value, axis: int, name: str) -> Value:
        rank = current.type.rank
        if axis % rank != 1 and rank > 2:
            shape = [1] * rank
            shape[axis] = -1
            bias = self.b.constant(self.module.array(bias).reshape(shape), f"{name}.bias")
        out: Value = self.b(BiasCurrent, current, bias, name=name)
        return out

    def _affine(self, op: BatchNorm, operands: list[Value | None]) -> Value:
        scale, bias, mean, var = (self.module.array(v).astype(np.float64) for v in op.arguments[1:])
        k = scale / np.sqrt(var + op.epsilon)
        shape = (-1, *[1] * (op.result.type.rank - 2))
        factor = self.b.constant(k.astype(np.float32).reshape(shape), f"{op.result.name}.scale")
        shift = self.b.constant((bias - mean * k).astype(np.float32), f"{op.result.name}.bias")
        scaled = self.b(Mul, operands[0], factor, name=f"{op.result.name}.current")
        return self._bias(scaled, shift, 1, op.result.name)

    def _max_pool(self, op: MaxPool, x: Value | None) -> Value:
        """Sum over time of the result = pool of the sums: each step gives what the pool of the sums has grown by."""
        assert x is not None
        name = op.result.name
        total = self.b(Accumulate, x, mode="sum", name=f"{name}.sum")[0]
        pooled = self.b(MaxPool, total, name=f"{name}.of_sum", **op.attributes)
        zero = self.b.constant(np.float32(0), "zero")
        before = self.b(Delay, pooled, zero, name=f"{name}.before")
        out: Value = self.b(Sub, pooled, before, name=name)
        return out

    def _neuron(self, op: Op, layer: Layer, current: Value | None) -> Value:
        assert current is not None
        o, name = self.options, op.result.name
        current = self._timed(current)
        theta, axis = layer.theta, layer.axis
        scale = as_exact(theta) if axis is not None and theta.size > 1 else float(theta.reshape(-1)[0])
        element = Elem(layer.code.element().storage, Affine(scale, axis=axis if isinstance(scale, tuple) else None))
        shape = [1] * current.type.rank
        if isinstance(scale, tuple):
            assert axis is not None
            shape[axis] = theta.size
        spread = theta.reshape(shape) if isinstance(scale, tuple) else theta.reshape(())
        offset = np.float32(layer.code.round_offset(o.v0, self.steps))
        v0 = self.b.constant(spread * offset, f"{name}.v0") if offset else None
        theta_neg, negative, lower = None, "none", "threshold"
        if layer.shape.below is not None:
            below = layer.shape.below
            slope = (
                below.reshape([-1 if i == 1 else 1 for i in range(current.type.rank)]) if below.size > 1 else below[0]
            )
            negative = "free"
            if np.all(below == 1):
                lower = "zero"  # rounds to the nearest level on either side of zero
            else:
                theta_neg = self.b.constant((spread / slope).astype(np.float32), f"{name}.theta_neg")
        elif layer.code.signed:
            negative, lower = "gated", o.lower
        if self.two_stage is not None:
            v0 = self._begin(self.two_stage, op, layer, current, spread, v0)
        spikes, state, count = self.b(
            Neuron, current, None, v0, None, theta_neg, code=layer.code, elem=element, reset=o.reset,
            negative=negative, lower=lower, schedule=o.schedule,
            name=[f"{name}.spikes", f"{name}.membrane", f"{name}.count"],
        )  # fmt: skip
        del state, count
        spikes.op.facts += (Trial(),) if self.trying else ()
        spikes.op.facts += (Converted(f"{op.name} %{name}", layer.definition, provenance=layer.provenance),)
        self.rows.append(
            Row(
                name, op.name, "neuron", _summary(theta), describe(op.location),
                dead=layer.dead, code=layer.code.word, provenance=layer.provenance,
            )
        )  # fmt: skip
        out: Value = self.b(Psp, spikes, name=name)
        return out

    def _begin(
        self, method: TwoStage, op: Op, layer: Layer, current: Value, theta: np.ndarray[Any, Any], v0: Value | None
    ) -> Value:
        """The membrane that a neuron begins with: that of the options in a trial of the network, else by the method."""
        check_neuron(method, op, layer.code)
        name = op.result.name
        threshold = self.b.constant(theta, f"{name}.theta")
        if v0 is None:
            v0 = self.b.constant(np.zeros_like(theta), f"{name}.v0")
        if not self.trying:
            return method.begin(self.b, current, threshold, v0, self.left.get(op))
        self.plain.location = self.b.location
        self.left[op] = residual(self.plain, current, threshold, v0, name)[0]
        return v0

    def _after_readout(self, op: Op, operands: list[Value | None]) -> None:
        """Apply an op without a spiking form to decoded values."""
        self._copy(op, [None if v is None else self._readout(v) for v in operands])
        self._left(op)

    def _left(self, op: Op) -> None:
        hidden = op in self.hidden
        reason = why(op) if hidden else ""
        became = "real-valued" if hidden else "after readout"
        self.rows.append(Row(op.result.name, op.name, became, "", describe(op.location), reason))


def _summary(theta: np.ndarray[Any, Any]) -> str:
    low, high = float(theta.min()), float(theta.max())
    return f"{high:.4g}" if low == high else f"{low:.4g} .. {high:.4g}"
