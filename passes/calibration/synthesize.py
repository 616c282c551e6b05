"""Calibration data made from the model alone: noise, batch-norm statistics, class impressions (coding card 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module, Op, Value
from ranvier.ir.diagnostics import error, register_code
from ranvier.ir.interfaces import Optimizer, PassContext
from ranvier.ir.ops.arith import Mul, Neg, Sub
from ranvier.ir.ops.nn import Linear
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.ops.reduce import LogSoftmax, Mean, Sum
from ranvier.ir.ops.shape import Gather
from ranvier.ir.types import tensor

Array = np.ndarray[Any, Any]
TEMPERATURE = 20.0
SOURCES = ("noise", "bn", "class_impression")

register_code(
    "no-synthesis", "No data can be made from this model in that way: it lacks what the data would be made to match."
)


@dataclass(frozen=True)
class Synthesis:
    """How data is made: `noise` draws standard normal numbers; the others start there and follow a gradient.

    `bn`: inputs of batch normalizations get the means and variances that these hold (the module must still have them).
    `class_impression`: outputs come close to soft labels drawn from a Dirichlet distribution whose concentration is the
    similarity of classes, the cosine of the last layer's rows, by cross-entropy at temperature 20 (PrivateSNN, AAAI
    2022). Inputs are taken to be normalized.
    """

    method: str = "class_impression"
    count: int = 128
    steps: int = 100
    lr: float = 0.05
    seed: int = 0

    def make(self, module: Module, context: PassContext) -> tuple[Array, ...]:
        """The inputs, [count, ...]. Raises RanvierError when the module has nothing to be matched."""
        rng = np.random.default_rng(self.seed)
        start = [self._noise(arg, rng) for arg in module.main.args]
        if self.method == "noise":
            return tuple(start)
        self._check(module)
        made, names, extra = self._objective(module, start, rng)
        index = np.arange(self.count)
        trained = context.runtime.train(
            made, names, Optimizer("adam", lr=self.lr), [index, *extra], self.seed, epochs=self.steps, batch=self.count
        )
        return tuple(np.asarray(trained.resource(n).array, np.float32) for n in names)

    @property
    def description(self) -> str:
        """What the data is, for facts and notes."""
        how = {"noise": "normal noise", "bn": "batch-norm matching", "class_impression": "class impressions"}
        steps = "" if self.method == "noise" else f", {self.steps} steps"
        return f"{self.count} synthetic samples ({how[self.method]}{steps}, seed {self.seed})"

    def _noise(self, arg: Value, rng: np.random.Generator) -> Array:
        shape = [d for d in arg.type.shape[1:] if isinstance(d, int)]
        if not arg.type.elem.is_float or len(shape) != arg.type.rank - 1:
            raise error(
                "no-synthesis",
                f"input %{arg.name} is {arg.type}: only real inputs of fixed size are made",
                help="give calibration data",
            )
        return rng.standard_normal((self.count, *shape)).astype(np.float32)

    def _check(self, module: Module) -> None:
        """Raise RanvierError when the module lacks what the data is to match."""
        if self.method == "bn":
            if not any(isinstance(op, BatchNorm) for op in module.main.ops):
                help = "convert before fold-batchnorm, or use calibration=class_impression"
                raise error("no-synthesis", "the module has no batch normalization", help=help)
            return
        logits = module.main.outputs[0]
        if logits.type.rank != 2 or not isinstance(logits.type.shape[1], int):
            what = f"%{logits.name} is {logits.type}: class impressions need logits [N, classes]"
            raise error("no-synthesis", what, help="use calibration=noise, or give data")

    def _objective(
        self, module: Module, start: list[Array], rng: np.random.Generator
    ) -> tuple[Module, list[str], list[Array]]:
        """The module with its inputs as resources, looked up by sample, and the loss as its output."""
        made = Module()
        graph = made.new_graph("main")
        batch = module.main.args[0].type.shape[0]
        index = graph.argument("index", tensor(batch, dtype="i64"))
        b = Builder(graph)
        mapping: dict[Value, Value] = {}
        names = []
        for arg, array in zip(module.main.args, start, strict=True):
            images = b.constant(array, f"{arg.name}.made")
            names.append(str(images.resource))
            mapping[arg] = b(Gather, images, index, axis=0, name=arg.name)
        for op in module.main.ops:
            if op.name != "core.return":
                _copy(b, module, op, mapping)
        losses, extra = self._losses(b, module, mapping, rng)
        b.returns(*losses, names=[f"loss{i}" for i in range(len(losses))], roles=["loss"] * len(losses))
        return made.verify().freeze(), names, extra

    def _losses(
        self, b: Builder, module: Module, mapping: dict[Value, Value], rng: np.random.Generator
    ) -> tuple[list[Value], list[Array]]:
        if self.method == "bn":
            norms = [op for op in module.main.ops if isinstance(op, BatchNorm)]
            return [loss for op in norms for loss in _statistics(b, module, op, mapping)], []
        logits = module.main.outputs[0]
        q = self._targets(module, logits, rng)
        target = b.graph.argument("target", logits.type)
        cooled = b(Mul, mapping[logits], b.constant(np.float32(1 / TEMPERATURE), "cooling"), name="cooled")
        logs = b(LogSoftmax, cooled, axis=-1, name="logs")
        total = b(Sum, b(Mul, logs, target, name="likelihoods"), name="likelihood")
        return [b(Neg, total, name="loss")], [q]

    def _targets(self, module: Module, logits: Value, rng: np.random.Generator) -> Array:
        """Soft labels [count, classes], every class in turn."""
        last = [op for op in module.main.ops if isinstance(op, Linear) and op.weight.is_constant]
        rows = np.asarray(module.array(last[-1].weight), np.float64) if last else np.eye(int(logits.type.shape[1]))
        if len(rows) != logits.type.shape[1]:
            rows = np.eye(int(logits.type.shape[1]))
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        alike = unit @ unit.T
        low, high = alike.min(1, keepdims=True), alike.max(1, keepdims=True)
        concentration = np.maximum((alike - low) / np.maximum(high - low, 1e-12), 0.01)
        classes = np.arange(self.count) % len(rows)
        return np.stack([rng.dirichlet(concentration[c]) for c in classes]).astype(np.float32)


def _copy(b: Builder, module: Module, op: Op, mapping: dict[Value, Value]) -> None:
    operands = [None if v is None else _get(b, module, v, mapping) for v in op.operands]
    made = b(type(op), *operands, name=[r.name for r in op.results], **op.attributes)
    mapping.update(zip(op.results, made if isinstance(made, tuple) else (made,), strict=True))


def _get(b: Builder, module: Module, value: Value, mapping: dict[Value, Value]) -> Value:
    if value.resource is None:
        return mapping[value]
    if value not in mapping:
        mapping[value] = b.constant(module.resources[value.resource], value.resource)
    return mapping[value]


def _statistics(b: Builder, module: Module, op: BatchNorm, mapping: dict[Value, Value]) -> list[Value]:
    """Square distances of the means and variances of a batch normalization's input from those that it holds."""
    x = mapping[op.x]
    axes = tuple(i for i in range(op.x.type.rank) if i != 1)
    mean = b(Mean, x, axes=axes, name="mean")
    square = b(Mean, b(Mul, x, x, name="square"), axes=axes, name="second")
    held, spread = (_get(b, module, v, mapping) for v in (op.mean, op.var))
    var = b(Sub, square, b(Mul, mean, mean, name="square_of_mean"), name="variance")
    # in units of the variance, so that every layer counts alike
    unit = 1 / np.maximum(np.asarray(module.array(op.var)), 1e-6)
    found = []
    for a, want, scale in ((mean, held, np.sqrt(unit)), (var, spread, unit)):
        off = b(Mul, b(Sub, a, want, name="off"), b.constant(scale.astype(np.float32), "unit"), name="relative")
        found.append(b(Mean, b(Mul, off, off, name="off2"), name="distance"))
    return found
