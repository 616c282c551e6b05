"""Networks under fake quantization are trained: weights and scales of 2-bit weights on the digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.core import Builder, Module
from ranvier.ir.interfaces import Optimizer
from ranvier.ir.ops.loss import CrossEntropy
from ranvier.ir.types import tensor
from tests.quantization.helpers import RUNTIME
from tests.zoo.digits import TRAIN, digits, digits_network


def with_loss(module: Module) -> Module:
    made = module.clone()
    graph = made.main
    logits = graph.outputs[0]
    labels = graph.argument("labels", tensor(logits.type.shape[0], dtype="i64"))
    loss: Any = Builder(graph, before=graph.terminator)(CrossEntropy, logits, labels)
    graph.erase(graph.terminator)
    Builder(graph).returns(logits, loss, names=["logits", "loss"], roles=["output", "loss"])
    return made.verify().freeze()


@pytest.mark.slow
def test_training_recovers_most_of_what_two_bits_cost() -> None:
    x, y = digits()
    module = rv.opt(digits_network(), "fold-batchnorm, canonicalize")
    start = with_loss(rv.opt(module, "quantize{bits=2 act_bits=4 method=mse}", data=x[:256]))
    names = [n for n in start.resources if n.endswith(("weight", "bias", "scale"))]

    def accuracy(m: Module) -> float:
        logits = np.asarray(RUNTIME.run(m, [x[TRAIN:], y[TRAIN:].astype(np.int64)]).outputs[0])
        return 100 * float((logits.argmax(1) == y[TRAIN:]).mean())

    data = [x[:TRAIN], y[:TRAIN].astype(np.int64)]
    trained = RUNTIME.train(start, names, Optimizer("adam", lr=1e-3), data, 0, epochs=4, batch=64)
    assert accuracy(trained) >= accuracy(start) + 10
    assert accuracy(trained) >= 93
    frozen = rv.opt(trained, "freeze-quant")
    assert np.array_equal(
        RUNTIME.run(frozen, [x[:20], y[:20].astype(np.int64)]).outputs[0],
        RUNTIME.run(trained, [x[:20], y[:20].astype(np.int64)]).outputs[0],
    )
