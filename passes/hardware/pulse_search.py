"""How many pulses each layer gets: by gradient (GBO), and in closed form from sensitivities.

Every pulse is a read of the arrays with additive noise of standard deviation s_l, so that p pulses leave s_l / sqrt(p)
(in-memory computing card A6; GBO: gradient-based bit encoding, DATE 2022, formula after its abstract and that card).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module, Value, replace_uses
from ranvier.ir.elements import elem
from ranvier.ir.interfaces import Optimizer, Runtime
from ranvier.ir.ops.arith import Add, Mul, Sqrt
from ranvier.ir.ops.fake_quant import FakeQuant, OutputNoise
from ranvier.ir.ops.loss import CrossEntropy
from ranvier.ir.ops.reduce import Softmax, Sum, log_softmax
from ranvier.ir.types import TensorType
from ranvier.passes.hardware.raising import Layer, Raised, raised

Array = np.ndarray[Any, Any]
MOST_RAISED = 255
"""Pulses that 8 bits of unsigned levels can count."""


@dataclass(frozen=True)
class Found:
    """An allocation, its pulses a sample, and the loss and accuracy that were measured with it."""

    name: str
    pulses: tuple[int, ...]
    total: int
    loss: float
    accuracy: float


@dataclass
class Search:
    """Allocations of pulses to the layers of an integer network, on data with labels.

    `sigma` is the standard deviation of the noise of one pulse as a part of the root mean square of a layer's result.
    """

    module: Module
    runtime: Runtime
    data: Sequence[Array]
    labels: Array
    sigma: float
    seed: int = 0
    batch: int = 64
    trials: int = 4
    by: str = "bit-encode"

    def __post_init__(self) -> None:
        plain = raised(self.module, self.by)
        self.layers = plain.layers
        names = [layer.y.name for layer in self.layers]
        module = plain.module.verify().freeze()
        taps = self.runtime.run(
            module, self.data, [*names, *(layer.x.name for layer in self.layers)], batch=self.batch
        ).taps
        self.rounding = [_rounding(module, layer, taps[layer.x.name]) for layer in self.layers]
        self.rms = [float(np.sqrt(np.mean(np.square(np.asarray(taps[n], np.float64))))) for n in names]
        self.noise = [self.sigma * r for r in self.rms]
        self.costs = np.asarray([layer.vectors for layer in self.layers], np.int64)

    # -- networks with noise ---------------------------------------------------------------------------------------
    def noisy(self, deviation: Any, pulses: Sequence[int] | None = None) -> Raised:
        """The real network with noise behind each layer: `deviation(builder, index)` gives its standard deviation."""
        net = raised(self.module, self.by)
        for i, layer in enumerate(net.layers):
            assert layer.y.op is not None
            if pulses is not None:
                self._rounded(net.module, layer, pulses[i])
            b = Builder(net.module.main, layer.y.op.next, layer.y.op.location)
            sigma = deviation(b, i)
            made = b(OutputNoise, layer.y, sigma, seed=self.seed, key=layer.name)
            replace_uses(layer.y, made, keep=lambda op, new=made: op is new.op)  # type: ignore[misc]
        return net

    def _rounded(self, module: Module, layer: Layer, pulses: int) -> None:
        """The layer's input on as many levels as there are pulses."""
        if pulses == layer.most:
            return
        op = layer.y.op
        assert op is not None
        b = Builder(module.main, op, op.location)
        scale = b.constant(np.float32(layer.scale * layer.most / pulses), f"{layer.name}.pulse")
        bits = max(2, storage_bits(pulses, layer.signed))
        made = b(FakeQuant, layer.x, scale, bits=bits, signed=layer.signed, rounding="half_up")
        op.set_operand(0, made)

    def _ended(self, net: Raised, extra: Value | None, b: Builder) -> Module:
        """With cross-entropy of the first output, and a further term, as role=loss."""
        graph = net.module.main
        last = graph.terminator
        logits: Any = last.operands[0]
        kind = logits.type
        target = graph.argument("labels", TensorType((kind.shape[0], *kind.shape[2:]), elem("i64")))
        values, names, roles = list(last.arguments), list(last.attributes["names"]), list(last.attributes["roles"])
        loss = b(CrossEntropy, logits, target, name="loss")
        if extra is not None:
            loss = b(Add, loss, extra)
        graph.erase(last)
        Builder(graph, None, last.location).returns(*values, loss, names=[*names, "loss"], roles=[*roles, "loss"])
        return net.module.verify().freeze()

    # -- what an allocation is worth -------------------------------------------------------------------------------
    def measure(self, name: str, pulses: Sequence[int]) -> Found:
        """Loss and accuracy with these pulses: inputs rounded to them, noise of several trials."""
        net = self.noisy(
            lambda b, i: b.constant(np.float32(self.noise[i] / math.sqrt(pulses[i])), f"sigma{i}"), pulses
        ).module
        net.verify().freeze()
        losses, right = [], []
        for trial in range(self.trials):
            out = np.asarray(self.runtime.run(net, self.data, batch=self.batch, trial=1000 + trial).outputs[0])
            losses.append(float(-np.mean(np.take_along_axis(log_softmax(out, 1), self.labels[:, None], axis=1))))
            right.append(float((out.argmax(1) == self.labels).mean()))
        total = int(np.dot(self.costs, pulses))
        return Found(name, tuple(int(p) for p in pulses), total, float(np.mean(losses)), float(np.mean(right)))

    def sensitivities(self, pulses: float, repeats: int = 8) -> Array:
        """d loss / d (1/p) of each layer where all have `pulses`: k_l s_l^2 of the card, at least a little above 0."""
        names: list[str] = []

        def deviation(b: Builder, i: int) -> Value:
            part = b.constant(np.float32(1 / pulses), f"part{i}")
            names.append(str(part.resource))
            square = b.constant(np.float32(self.noise[i] ** 2), f"square{i}")
            made: Value = b(Sqrt, b(Mul, part, square))
            return made

        net = self.noisy(deviation)
        end = Builder(net.module.main, net.module.main.terminator)
        base = self._ended(net, None, end)
        total = np.zeros(len(names))
        for repeat in range(repeats):
            stage = base.clone()
            for op in stage.main.ops:
                if isinstance(op, OutputNoise):
                    op.set(seed=self.seed + 1 + repeat)
            found = self.runtime.grad(stage.verify().freeze(), names, [*self.data, self.labels])
            total += [float(found[n]) for n in names]
        mean = total / repeats
        return np.maximum(mean, max(1e-3 * float(np.abs(mean).max()), 1e-12))

    # -- allocations -----------------------------------------------------------------------------------------------
    def gradient(self, candidates: Sequence[int], gamma: float, epochs: int, lr: float) -> tuple[int, ...]:
        """Pulses of the largest logit of each layer, trained with cross-entropy + gamma * mean expected pulses.

        The variance of a layer is sum_k a_k (s^2 / p_k + r^2 / p_k^2) with a = softmax of its logits, r the noise of
        rounding its inputs to one pulse, 0 where every level is a whole number of pulses; weights stay as they are.
        """
        p = np.asarray(candidates, np.float64)
        logits: list[str] = []
        mixtures: list[Value] = []

        def deviation(b: Builder, i: int) -> Value:
            held = b.constant(np.zeros(len(candidates), np.float32), f"logits{i}")
            logits.append(str(held.resource))
            mixture = b(Softmax, held)
            mixtures.append(mixture)
            rounded = np.where(p % self.layers[i].most == 0, 0.0, (self.rounding[i] / p) ** 2)
            parts = b.constant((self.noise[i] ** 2 / p + rounded).astype(np.float32), f"variances{i}")
            made: Value = b(Sqrt, b(Sum, b(Mul, mixture, parts)))
            return made

        net = self.noisy(deviation)
        b = Builder(net.module.main, net.module.main.terminator)
        expected: Value | None = None
        share = gamma * self.costs / self.costs.sum()
        for i, mixture in enumerate(mixtures):
            weighted = b.constant((share[i] * np.asarray(candidates)).astype(np.float32), f"pulses{i}")
            term = b(Sum, b(Mul, mixture, weighted))
            expected = term if expected is None else b(Add, expected, term)
        stage = self._ended(net, expected, b)
        for part in range(epochs):
            rate = lr * 0.5 * (1 + math.cos(math.pi * part / epochs))
            seed = self.seed * epochs + part
            stage = self.runtime.train(
                _seeded(stage, seed), logits, Optimizer("adam", lr=rate), [*self.data, self.labels], seed,
                batch=self.batch,
            )  # fmt: skip
        return tuple(candidates[int(np.argmax(stage.resource(n).array))] for n in logits)

    def closed_form(self, total: int, least: int, most: int) -> tuple[int, ...]:
        """p_l proportional to sqrt(k_l s_l^2 / c_l), in integers, of at most `total` pulses a sample in all."""
        uniform = max(1.0, total / float(self.costs.sum()))
        return allocate(self.sensitivities(uniform), self.costs, total, least, most)


def _rounding(module: Module, layer: Layer, x: Array) -> float:
    """Standard deviation of a layer's result from rounding its inputs to one pulse: errors of inputs that are not zero
    taken as even and independent, (scale * most)^2 / 12 each."""
    assert layer.y.op is not None
    weight = layer.y.op.operands[1]
    assert weight is not None
    w = np.asarray(module.array(weight), np.float64)
    share = float((np.asarray(x) != 0).mean())
    square = float((w * w).sum() / len(w)) * share * (layer.scale * layer.most) ** 2 / 12
    return math.sqrt(square)


def allocate(worth: Array, costs: Array, total: int, least: int, most: int) -> tuple[int, ...]:
    """Integers p minimising sum worth / p with sum costs * p <= total: Lagrange's p ~ sqrt(worth / cost), rounded down,
    then the rest one by one where it lowers the sum most for its cost."""
    ideal = np.sqrt(worth / costs)
    ideal *= total / float(np.dot(costs, ideal))
    p = np.clip(np.floor(ideal), least, most).astype(np.int64)
    while int(np.dot(costs, p)) > total and (p > least).any():  # clipping from below took too much
        loss = np.where(p > least, (worth / np.maximum(p - 1, 1) - worth / p) / costs, np.inf)
        p[int(np.argmin(loss))] -= 1
    while True:
        fits = (p < most) & (costs <= total - int(np.dot(costs, p)))
        if not fits.any():
            return tuple(int(n) for n in p)
        gain = np.where(fits, (worth / p - worth / (p + 1)) / costs, -np.inf)
        p[int(np.argmax(gain))] += 1


def storage_bits(pulses: int, signed: bool) -> int:
    """Bits of the smallest storage that holds levels up to `pulses`, of either sign if signed."""
    return pulses.bit_length() + (1 if signed else 0)


def _seeded(stage: Module, seed: int) -> Module:
    out = stage.clone()
    for op in out.main.ops:
        if isinstance(op, OutputNoise):
            op.set(seed=seed)
    return out.verify().freeze()


__all__ = ["Found", "Search", "allocate", "storage_bits"]
