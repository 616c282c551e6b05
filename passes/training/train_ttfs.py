"""`train-ttfs`: fine-tune a network through the exact function that its time-to-first-spike neurons will compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.codes import FirstSpike
from ranvier.ir.core import Module, Op
from ranvier.ir.diagnostics import error
from ranvier.ir.elements import elem
from ranvier.ir.fields import Enum, Flag, Integer, Optional, Real, option
from ranvier.ir.interfaces import Optimizer, Pass, PassContext
from ranvier.ir.ops.loss import CrossEntropy, Mse
from ranvier.ir.rewriting import apply_rules
from ranvier.ir.types import TensorType
from ranvier.passes.conversion.activations import POOLING
from ranvier.passes.conversion.convert_snn import ConvertSnn, ThresholdKind, check_source
from ranvier.passes.simplify import activation_forms
from ranvier.passes.training.surrogate import Surrogate, losses, relax, surrogate, weights
from ranvier.passes.training.terms import batchnorm_term, kernel_term

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TrainTtfs(Pass):
    """Fine-tune weights and kernels of a real-valued network as a TTFS network, and convert it.

    Every activation becomes `snn.code_value`: what its neuron says in a window, with rounding taken as the identity in
    the logarithm. While it is trained, an element is the real activation instead with a probability that falls over
    `curriculum` epochs from one to `bypass` (stochastically relaxed activation); when it is evaluated, never. tau and
    t_d of every layer are trained with the weights (`train_kernel`) and drawn to where they began by
    `kernel_regularisation` * sum of squares. `bn_loss` adds how much of a batch norm's output a spike can say
    (`encodable`, which costs spikes; by the trapezoid rule: `trapezoid`), or cannot (`outside`). Then tau and t_d
    become those of the code of their layer, a `neuron_code` fact each, and `convert-snn` with layer_sync deploys what
    was trained. Thresholds and the first tau and t_d come from the data; a `neuron_code` fact goes before `tau`, `t_d`.

    The objective is cross_entropy with the labels, or mse to what the network gave before, which needs no labels. The
    optimizer is Adam, with a learning rate that falls as a cosine.
    Source: Park & Yoon, "Training energy-efficient deep SNNs with time-to-first-spike coding" (2021).
    """

    word = "train-ttfs"
    needs = ("data",)
    steps: int = option(Integer(2), 8, "timesteps T of a window")
    tau: float | None = option(Optional(Real(1e-3, 1e6)), None, "time constant to begin with; none means T/3")
    t_d: float = option(Real(-1e6, 1e6), 0.0, "delay to begin with, in steps")
    round: str = option(Enum("ceil", "mid"), "ceil", "spike times to the later step, or to the nearest")
    threshold: str = option(ThresholdKind(), "mse", "how thresholds follow from activations")
    per: str = option(Enum("channel", "layer"), "channel", "one threshold a channel, or one a layer")
    epochs: int = option(Integer(1), 10, "how often the data is gone through")
    lr: float = option(Real(0), 1e-3, "learning rate to begin with")
    batch: int = option(Integer(1), 64, "samples of a step")
    loss: str = option(Enum("cross_entropy", "mse"), "cross_entropy", "the first output against labels, or as it was")
    bypass: float = option(Real(0, 1), 0.0, "probability of the real activation at the end of the curriculum")
    curriculum: int | None = option(Optional(Integer(0)), None, "epochs until then; none means half of them")
    train_kernel: bool = option(Flag(), True, "train tau and t_d of every layer")
    kernel_regularisation: float = option(Real(0), 1e-5, "weight of the kernels' distance from where they began")
    bn_loss: str = option(Enum("none", "encodable", "outside", "trapezoid"), "none", "what batch norms are drawn to")
    bn_weight: float = option(Real(0), 1e-3, "weight of bn_loss")
    convert: bool = option(Flag(), True, "make the spiking network; else leave the trained one with its facts")
    seed: int = option(Integer(0), 0, "seed of the order of samples and of the draws")

    @property
    def conversion(self) -> ConvertSnn:
        """The conversion whose network is trained."""
        code = FirstSpike(tau=self.tau or self.steps / 3, t_d=self.t_d, round=self.round)
        return ConvertSnn(code=code, steps=self.steps, threshold=self.threshold, per=self.per)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        data = context.need_data(self.word)
        check_source(module)
        labels = self._target(module, data, context)
        context.rewrites.append(apply_rules(module, (*activation_forms.RULES, *POOLING), self.word))
        layers = self.conversion.layers(module, data, context)
        if not layers:
            raise error("bad-value", f"`{self.word}`: the network has no activation that a neuron stands for")
        net = surrogate(module, layers, self.steps, trainable=True, by=self.word)
        before = self._quality(net.module, data, labels, context)
        wrt = weights(net.module)
        trained = self._train(net, wrt, data, labels, context)
        self._take_over(module, net, trained, wrt)
        tuned = surrogate(module, self.conversion.layers(module, data, context), self.steps, by=self.word).module
        after = self._quality(tuned, data, labels, context)
        context.note(
            f"{self.epochs} epochs through {len(layers)} neurons' exact function: {before} before, {after} after"
        )
        if self.convert:
            self.conversion.run(module, context)

    def _target(self, module: Module, data: Sequence[Array], context: PassContext) -> Array:
        """What the first output is compared with."""
        if self.loss == "mse":
            return np.asarray(context.runtime.run(module, data, batch=self.conversion.batch).outputs[0])
        if context.labels is None:
            help = "give labels= beside data=, or use loss=mse"
            raise error("missing-data", f"`{self.word}`: loss=cross_entropy needs labels", help=help)
        return context.labels

    def _train(
        self, net: Surrogate, wrt: list[str], data: Sequence[Array], labels: Array, context: PassContext
    ) -> Module:
        """The surrogate with its objective, trained epoch by epoch."""
        self._objective(net)
        if self.train_kernel:
            wrt = [*wrt, *(p.resource for n in net.neurons.values() for p in n.parameters if p.resource is not None)]
        stage = net.module
        for epoch in range(self.epochs):
            rate = self.lr * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
            seed = self.seed * self.epochs + epoch
            stage = relax(stage, self.bypass_at(epoch), seed)
            optimizer = Optimizer("adam", lr=rate)
            stage = context.runtime.train(stage, wrt, optimizer, [*data, labels], seed, batch=self.batch)
        return stage

    def bypass_at(self, epoch: int) -> float:
        """The probability of the real activation in epoch 0, 1, ...: 1 - (1 - bypass)(epoch + 1)/curriculum."""
        over = self.epochs // 2 if self.curriculum is None else self.curriculum
        share = min(1.0, (epoch + 1) / over) if over else 1.0
        return 1.0 - (1.0 - self.bypass) * share

    def _objective(self, net: Surrogate) -> None:
        graph = net.module.main
        kind = graph.outputs[0].type
        assert isinstance(kind, TensorType)
        loss: type[Op] = CrossEntropy if self.loss == "cross_entropy" else Mse
        target = kind
        if loss is CrossEntropy:
            target = TensorType((kind.shape[0], *kind.shape[2:]), elem("i64"))
        terms = []
        if self.train_kernel and self.kernel_regularisation:
            terms.append(("kernel_regularisation", kernel_term(net, self.kernel_regularisation)))
        if self.bn_loss != "none":
            term = batchnorm_term(net, self.bn_loss, self.bn_weight)
            if term is None:
                raise error(
                    "bad-value",
                    f"`{self.word}`: bn_loss={self.bn_loss}, but no activation follows a batch norm directly",
                    help="train before fold-batchnorm, or leave bn_loss out",
                )
            terms.append(("batchnorm_loss", term))
        losses(net, graph.argument("labels", target), terms, loss)

    def _take_over(self, module: Module, net: Surrogate, trained: Module, wrt: Sequence[str]) -> None:
        """Give the module the trained weights, and its activations their codes."""
        for name in wrt:
            module.resources[name] = trained.resource(name)
        at = {v.name: v for v in module.main.values}
        for name, neuron in net.neurons.items():
            fact = neuron.trained(trained, f"{neuron.layer.definition}; tau and t_d trained by {self.word}")
            value = at[name]
            value.facts = (*(f for f in value.facts if f.subject != fact.subject), fact)

    def _quality(self, module: Module, data: Sequence[Array], labels: Array, context: PassContext) -> str:
        """Accuracy or mean squared error on the data, in words."""
        found = np.asarray(context.runtime.run(module, data, batch=self.conversion.batch).outputs[0])
        if self.loss == "mse":
            return f"mean squared error {np.mean((found - labels) ** 2):.4g}"
        return f"{np.mean(found.argmax(1) == labels):.2%} of the data right"
