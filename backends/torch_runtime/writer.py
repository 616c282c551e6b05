"""Writes one graph as straight-line Python: locals, constants bound once, a loop over the steps of each timed stage.

Three modes. `step` runs the steps one by one; `fold` puts k steps side by side in the batch, step-major, so that the
pure ops run once for k steps; `grad` is `step` without writing in place and with surrogate gradients. The text is the
printable plan.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ranvier.backends.torch_runtime.biases import given_back
from ranvier.backends.torch_runtime.dtypes import literal
from ranvier.backends.torch_runtime.emit.registry import PURE, SPECIAL
from ranvier.backends.torch_runtime.fusion import Term, can_accumulate
from ranvier.backends.torch_runtime.scaling import Scaled
from ranvier.backends.torch_runtime.stages import Order, Stage, is_timed, order_of
from ranvier.backends.torch_runtime.stepping import write_steps
from ranvier.ir.core import Graph, Op, Value
from ranvier.ir.samplewise import leads
from ranvier.ir.types import Dim, SpikesType

if TYPE_CHECKING:
    from ranvier.backends.torch_runtime.lowering import Constants


# Ops that always give a new tensor (of floats, where none of them falls back to its meaning).
FRESH = frozenset({"nn.conv", "nn.linear", "nn.matmul", "nn.batch_norm", "nn.add"})


# What the source itself uses; no local may hide it.
RESERVED = frozenset({*dir(builtins), "R", "W", "t", "k", "n", "torch", "F", "K"})


@dataclass(frozen=True)
class Mode:
    """How a graph is run: several steps at once, and whether gradients are wanted."""

    fold: bool = False
    grad: bool = False

    @property
    def name(self) -> str:
        """`step`, `fold` or `grad`."""
        return "grad" if self.grad else "fold" if self.fold else "step"


class Writer:
    """The source of one graph in one mode; `taps` are values handed out beside the outputs."""

    def __init__(self, graph: Graph, mode: Mode, constants: Constants, taps: Sequence[Value] = ()):
        self.graph, self.mode, self.constants = graph, mode, constants
        self.order: Order = order_of(graph)
        self.taps = list(taps)
        self.biases = given_back(graph, self.taps, constants.module)
        self.lines: list[str] = []
        self.depth = 1
        self.stage: Stage | None = None
        self.folding = False
        self.names: dict[Value, str] = {}
        self.wholes: dict[Value, str] = {}
        self.tiled: dict[Value, str] = {}
        self.taken = {*RESERVED}
        self.counts: dict[str, int] = {}
        self.left: dict[Value, int] = {}
        self.local: set[str] = set()
        self.at_end: list[tuple[str, Value]] = []
        self.after: list[str] = []
        self.terms: dict[Op, list[Term]] = {}
        self.deferred: set[Op] = set()
        self.scaled: dict[Value, Scaled] = {}
        self.stage_ops: set[Op] = set()
        self.hoisted: list[str] = []
        self.callees: dict[str, str] = {}

    # -- names -----------------------------------------------------------------------------------------------------
    def fresh(self, hint: str) -> str:
        """A local name not yet taken."""
        hint = re.sub(r"\W", "_", hint) or "v"
        if hint[0].isdigit() or keyword.iskeyword(hint) or hint.startswith(("w_", "g_", "graph_")):
            hint = "v_" + hint
        name = hint
        while name in self.taken:
            self.counts[hint] = self.counts.get(hint, 1) + 1
            name = f"{hint}_{self.counts[hint]}"
        self.taken.add(name)
        return name

    def line(self, text: str) -> None:
        """Append a line at the present depth."""
        self.lines.append("    " * self.depth + text)

    def bind(self, thing: Any, hint: str) -> str:
        """A global name for a Python object that the source uses."""
        return self.constants.bind(thing, hint)

    def callee(self, name: str) -> str:
        """The function of another graph of the module."""
        return self.callees.setdefault(name, "graph_" + re.sub(r"\W", "_", name))

    def dim(self, dim: Dim) -> str:
        """A dimension as source text."""
        return str(dim) if isinstance(dim, int) else f"R.size({dim!r})"

    def weight(self, value: Value) -> str:
        """A constant as source text."""
        assert value.resource is not None
        return self.constants.resource(value.resource)

    # -- reading values --------------------------------------------------------------------------------------------
    def read(self, value: Value | None, op: Op | None = None) -> str | None:
        """A value for an op at this place: within a stage, this step (or these steps) of it."""
        if value is None:
            return None
        if self.stage is None:
            return self.whole(value) if op is not None and not self._is_still_op(op) else self.plain(value)
        if is_timed(value, self.order.still):
            if op is not None and value in self.scaled and value not in self.names:
                return self.scaled[value].name
            return self.names[value] if value.resource is None or value in self.names else self._timed_constant(value)
        name = self.plain(value)
        if self.folding and op is not None and self._repeats(value, op):
            return self._repeated(value, name)
        return name

    def plain(self, value: Value) -> str:
        """A value as it lies there: a still value without time."""
        if value.resource is not None:
            return self.weight(value)
        return self.wholes[value] if value in self.wholes else self.names[value]

    def whole(self, value: Value) -> str:
        """A value with all its steps, [T, ...]; still values are spread."""
        if value.resource is None and value in self.order.still:
            assert value.type.time is not None
            return f"K.spread({self.plain(value)}, {self.steps(value.type.time)})"
        return self.plain(value)

    def steps(self, time: Dim) -> str:
        """A number of steps as source text."""
        return str(time) if isinstance(time, int) else f"R.steps({time!r})"

    def _is_still_op(self, op: Op) -> bool:
        return bool(op.results) and op.results[0] in self.order.still

    def _timed_constant(self, value: Value) -> str:
        return f"{self.weight(value)}[t]"

    def _repeats(self, value: Value, op: Op) -> bool:
        batch = self.order.batch
        if op.name not in PURE:
            return False
        return (
            batch is not None
            and batch != 1
            and leads(value, batch)
            and value.type.rank == max(r.type.rank for r in op.results)
        )

    def _repeated(self, value: Value, name: str) -> str:
        if value not in self.tiled:
            self.tiled[value] = self.fresh(name + "_k")
            self.hoisted.append(f"{self.tiled[value]} = K.tile({name}, k)")
        return f"{self.tiled[value]}[:n * {name}.shape[0]]"

    # -- writing a graph -------------------------------------------------------------------------------------------
    def write(self, function: str) -> str:
        """The source of the function `function(R, W, *inputs)`."""
        self._count_uses()
        args = [self._argument(a) for a in self.graph.args]
        for stage in self.order.stages:
            if stage.time is None:
                self._once(stage)
            else:
                write_steps(self, stage)
        wanted = [*self.graph.outputs, *self.taps]
        results = [self.whole(v) for v in wanted]
        self.line(f"return ({', '.join(results)}{',' if len(results) == 1 else ''})")
        head = f"def {function}({', '.join(['R', 'W', *args])}):"
        unpack = self.constants.unpack(set(re.findall(r"\bw_\w+", "\n".join(self.lines))))
        if self.mode.fold:
            unpack = [*unpack, "k = R.fold"]
        return "\n".join([head, *(f"    {text}" for text in unpack), *self.lines]) + "\n"

    def _argument(self, arg: Value) -> str:
        name = self.fresh(arg.name)
        self.names[arg] = name
        if arg.type.time is not None:
            self.wholes[arg] = name
        if self.graph.name != "main":
            for i, d in enumerate(arg.type.shape, start=arg.type.time is not None):
                if isinstance(d, str) and d != "?":
                    self.line(f"R.bind({d!r}, {name}.shape[{i}])")
        return name

    def _count_uses(self) -> None:
        for op in self.graph.ops:
            for v in op.arguments:
                self.left[v] = self.left.get(v, 0) + 1
        for v in self.taps:
            self.left[v] = self.left.get(v, 0) + 1

    def _once(self, stage: Stage) -> None:
        self.stage = None
        for op in stage.ops:
            self.write_pure(op)
            self.release(op.arguments)

    def write_pure(self, op: Op) -> None:
        """Write a pure or windowed op, or one that calls graphs."""
        if op.name in SPECIAL:
            SPECIAL[op.name](op, self)
            return
        if op.name == "core.repeat":
            self.names[op.result] = self._alias(op)
            return
        emit = PURE.get(op.name)
        text: str | None = None
        if emit is not None:
            text = emit(op, self, *[self.read(v, op) for v in op.operands])
        if text is None:
            text = self.by_meaning(op)
        self.assign(op, text)

    def _alias(self, op: Op) -> str:
        name = self.fresh(op.result.name)
        self.line(f"{name} = {self.plain(op.arguments[0])}")
        return name

    def assign(self, op: Op, text: str) -> None:
        """Bind the results of an op to an expression."""
        targets = [self.result(r) for r in op.results]
        self.line(f"{', '.join(targets)} = {text}")

    def result(self, value: Value) -> str:
        """The name of a value that is computed here."""
        name = self.names[value] = self.fresh(value.name)
        if self.stage is not None:
            self.local.add(name)
        elif value.type.time is not None and value not in self.order.still:
            self.wholes[value] = name
        return name

    def by_meaning(self, op: Op) -> str:
        """An op by its meaning in numpy, without gradient."""
        kernel = self.bind(self.constants.meaning(op), "meaning_" + op.name.replace(".", "_"))
        operands = ", ".join("None" if a is None else a for a in (self.read(v, op) for v in op.operands))
        self.constants.fell_back(op)
        return f"{kernel}(R, {operands})"

    # -- letting go ------------------------------------------------------------------------------------------------
    def release(self, values: Sequence[Value]) -> None:
        """Count a use of values, and let go of those that were used for the last time."""
        gone = []
        for v in values:
            self.left[v] -= 1
            if self.left[v] == 0 and v.resource is None:
                if self.stage is not None and v in self.scaled:
                    gone.append(self.scaled[v].name)
                name = self.names.get(v)
                if self.stage is not None and name not in self.local:
                    continue
                if name is not None and not self.is_shared(v):
                    gone.append(name)
        if gone:
            self.line(f"del {', '.join(dict.fromkeys(gone))}")

    def is_shared(self, value: Value) -> bool:
        """Whether something else still goes by a value: outputs, and what is collected at the end of the step."""
        return value in self.graph.outputs or value in self.taps

    # -- stages over time ------------------------------------------------------------------------------------------
    def begin_stage(self, stage: Stage) -> None:
        """Start a stage over time."""
        self.stage, self.folding = stage, self.mode.fold and stage.foldable
        self.local, self.tiled, self.hoisted = set(), {}, []
        self.stage_ops, self.scaled = set(stage.ops), {}
        self.at_end, self.after = [], []

    def end_stage(self) -> None:
        """Go back to what runs once."""
        self.stage, self.folding = None, False

    # -- for emitters --------------------------------------------------------------------------------------------------
    def owned(self, value: Value, like: Value) -> bool:
        """Whether a value is a new tensor of this place that its only user may write to: shape and type as `like`."""
        op = value.op
        if self.mode.grad or op is None or op.name not in FRESH or len(value.uses) != 1 or self.is_shared(value):
            return False
        here = op in self.stage_ops if self.stage is not None else value.type.time is None or value in self.order.still
        return here and value.type.shape == like.type.shape and value.type.elem == like.type.elem and op.name in PURE

    def let_go(self, op: Op) -> None:
        """The ops computed at a neuron have used up their operands."""
        todo = [op.operands[0]]
        while todo:
            v = todo.pop()
            if v is not None and v.op in self.deferred:
                assert v.op is not None
                todo.extend(v.op.operands)
                self.release(v.op.arguments)

    def add_conv(self, op: Op, text: str) -> str:
        """The line that adds a convolution to the membrane {v}."""
        plain = "{v}.add_(" + text + ")"
        device = self.constants.device.type
        if not text.startswith("F.conv2d(") or device != "cpu" or text.count("F.") != 1 or not can_accumulate():
            return plain
        return "K.add_conv({v}, " + text.removeprefix("F.conv2d(")

    @property
    def first(self) -> str:
        """The condition that this is the first step."""
        return "t == 0"

    def bias(self, op: Op, name: str | None) -> str | None:
        """The bias of a linear op: its own, or the bias current that follows it."""
        given = self.biases.get(op)
        if given is None:
            return name
        text = self.weight(given)
        return text if given.type.rank == 1 else f"{text}.reshape(-1)"

    def cast(self, text: str, value: Value) -> str:
        """An expression brought to the element type of a value."""
        if isinstance(value.type, SpikesType):
            return text
        return f"{text}.to({literal(value.type.elem)})"

    def shape(self, value: Value, like: str | None = None, source: Value | None = None) -> str:
        """A value's shape as source text; the first dim follows `like` where both count samples."""
        dims = [self.dim(d) for d in value.type.shape]
        if (
            like is not None
            and source is not None
            and dims
            and source.type.rank
            and source.type.shape[0] == value.type.shape[0]
        ):
            dims[0] = f"{like}.shape[0]"
        return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"
