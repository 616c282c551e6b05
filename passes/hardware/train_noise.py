"""`train-noise-aware`: weights are tuned with noise on what their layers give, so that reads may be noisy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module, Value, replace_uses
from ranvier.ir.diagnostics import error
from ranvier.ir.elements import elem
from ranvier.ir.fields import Enum, Flag, Integer, Real, option
from ranvier.ir.interfaces import Optimizer, Pass, PassContext
from ranvier.ir.ops.fake_quant import FakeQuant, OutputNoise
from ranvier.ir.ops.loss import CrossEntropy, Mse
from ranvier.ir.ops.nn import Conv, ConvTranspose, Linear
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.types import TensorType

Array = np.ndarray[Any, Any]
WEIGHTED = (Conv, ConvTranspose, Linear)


@dataclass(frozen=True)
class TrainNoiseAware(Pass):
    """Fine-tune weights, biases and batch norms' scales and biases with normal noise behind every linear op.

    Noise has `sigma` times the root mean square of the op's result, new in every epoch; q.fake_quant passes gradients
    straight through, so the pass stands between `quantize` and `freeze-quant`, or before both. The objective is
    cross_entropy with the labels, or mse to what the network gave before, without labels. The optimizer is Adam with a
    learning rate that falls as a cosine. The network that comes out has the trained numbers and no noise.
    Source: noise-aware training as in Joshi et al., Nature Communications 11, 2473 (2020), with noise on results
    instead of weights: a weight's noise of deviation s gives a result's of s |x|.
    """

    word = "train-noise-aware"
    needs = ("data",)
    sigma: float = option(Real(0), 0.1, "standard deviation, as a part of the root mean square of a result")
    epochs: int = option(Integer(1), 10, "how often the data is gone through")
    lr: float = option(Real(0), 1e-3, "learning rate to begin with")
    batch: int = option(Integer(1), 64, "samples of a step")
    loss: str = option(Enum("cross_entropy", "mse"), "cross_entropy", "the first output against labels, or as it was")
    train_norms: bool = option(Flag(), True, "train scale and bias of batch norms too")
    seed: int = option(Integer(0), 0, "seed of the order of samples and of the draws")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass. Raises RanvierError where there are no labels, or nothing to train."""
        data = context.need_data(self.word)
        wrt = trainable(module, self.train_norms)
        if not wrt:
            help = "run it before freeze-quant: levels have no gradient"
            raise error("bad-value", f"`{self.word}`: no linear op has real weights", help=help)
        target = self._target(module, data, context)
        stage = self._noisy(module, data, context)
        before = self._loss(stage, data, target, context)
        for epoch in range(self.epochs):
            rate = self.lr * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
            seed = self.seed * self.epochs + epoch
            optimizer = Optimizer("adam", lr=rate)
            stage = context.runtime.train(_seeded(stage, seed), wrt, optimizer, [*data, target], seed, batch=self.batch)
        for name in wrt:
            module.resources[name] = stage.resource(name)
        after = self._loss(stage, data, target, context)
        context.note(
            f"{len(wrt)} arrays tuned in {self.epochs} epochs; loss under noise {before:.4g}, then {after:.4g}"
        )

    def _target(self, module: Module, data: Sequence[Array], context: PassContext) -> Array:
        """What the first output is compared with."""
        if self.loss == "mse":
            return np.asarray(context.runtime.run(module.clone().freeze(), data, batch=self.batch).outputs[0])
        if context.labels is None:
            help = "give labels= beside data=, or use loss=mse"
            raise error("missing-data", f"`{self.word}`: loss=cross_entropy needs labels", help=help)
        return context.labels

    def _noisy(self, module: Module, data: Sequence[Array], context: PassContext) -> Module:
        """The network with noise and its objective."""
        stage = module.clone()
        layers = [op.result for op in stage.main.ops if isinstance(op, WEIGHTED)]
        taps = context.runtime.run(module.clone().freeze(), data, [v.name for v in layers], batch=self.batch).taps
        for value in layers:
            assert value.op is not None
            rms = float(np.sqrt(np.mean(np.square(np.asarray(taps[value.name], np.float64)))))
            b = Builder(stage.main, value.op.next, value.op.location)
            sigma = b.constant(np.float32(self.sigma * rms), f"{value.name}.sigma")
            made = b(OutputNoise, value, sigma, key=value.name, seed=self.seed)
            replace_uses(value, made, keep=lambda op, new=made: op is new.op)  # type: ignore[misc]
        self._objective(stage)
        return stage.verify().freeze()

    def _objective(self, stage: Module) -> None:
        graph = stage.main
        last = graph.terminator
        first: Value = last.arguments[0]
        kind = first.type
        assert isinstance(kind, TensorType)
        wanted = kind
        if self.loss == "cross_entropy":
            wanted = TensorType((kind.shape[0], *kind.shape[2:]), elem("i64"))
        argument = graph.argument("labels", wanted)
        values, names, roles = list(last.arguments), list(last.attributes["names"]), list(last.attributes["roles"])
        graph.erase(last)
        b = Builder(graph, None, last.location)
        loss = b(CrossEntropy if self.loss == "cross_entropy" else Mse, first, argument, name="loss")
        b.returns(*values, loss, names=[*names, "loss"], roles=[*roles, "loss"])

    def _loss(self, stage: Module, data: Sequence[Array], target: Array, context: PassContext) -> float:
        """The objective under noise of draws that training does not use, on at most 256 samples."""
        part = [np.asarray(x)[:256] for x in (*data, target)]
        found = context.runtime.run(_seeded(stage, self.seed + 10**6), part)
        return float(np.asarray(found.outputs[-1]))


def trainable(module: Module, norms: bool = True) -> list[str]:
    """Weights of linear ops, behind fake quantization or bare, their biases; scale and bias of batch norms."""
    found: dict[str, None] = {}
    for op in module.main.ops:
        taken: list[Value | None] = []
        if isinstance(op, WEIGHTED):
            weight = op.operands[1]
            inside = weight.op.operands[0] if weight is not None and isinstance(weight.op, FakeQuant) else weight
            taken = [inside, *op.operands[2:3]]
        elif isinstance(op, BatchNorm) and norms:
            taken = op.operands[1:3]
        for value in taken:
            if value is not None and value.resource is not None and value.type.elem.is_float:
                found[value.resource] = None
    return list(found)


def _seeded(stage: Module, seed: int) -> Module:
    out = stage.clone()
    for op in out.main.ops:
        if isinstance(op, OutputNoise):
            op.set(seed=seed)
    return out.verify().freeze()
