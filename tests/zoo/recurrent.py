"""A recurrent network (Elman 1990) that reads a digit row by row: unrolled by torch, and as a module with a delay."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ranvier.ir.core import Builder, Module
from ranvier.ir.ops.activations import Relu
from ranvier.ir.ops.arith import Add
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.nn import Linear
from ranvier.ir.ops.shape import Reshape
from ranvier.ir.ops.time import Last, ToTime
from ranvier.ir.types import tensor
from tests.zoo.data import digit_split
from tests.zoo.metrics import CLASSES
from tests.zoo.zoo import Zoo, with_weights

SIZE, HIDDEN = 8, 32


class Elman(nn.Module):
    """h[t] = relu(W x[t] + U h[t-1] + b), h[0] from h = 0; the last state gives the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(SIZE, HIDDEN)
        self.state = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.head = nn.Linear(HIDDEN, 10)
        nn.init.eye_(self.state.weight)  # as Le et al. 2015 (arXiv:1504.00941) let ReLUs remember

    def forward(self, x: Tensor) -> Tensor:
        rows = x.squeeze(1).unbind(1)
        h = torch.relu(self.inputs(rows[0]))
        for row in rows[1:]:
            h = torch.relu(self.inputs(row) + self.state(h))
        logits: Tensor = self.head(h)
        return logits


def module_of(model: nn.Module) -> Module:
    """The same network with the rows as time and its state in a delay."""
    assert isinstance(model, Elman)
    arrays = {k: v.numpy() for k, v in model.state_dict().items()}
    module = Module("elman")
    b = Builder(module.new_graph("main"))
    w = {k: b.constant(a, k) for k, a in arrays.items()}
    x = b.graph.argument("x", tensor("N", 1, SIZE, SIZE))
    rows = b(ToTime, b(Reshape, x, shape=("N", SIZE, SIZE)), axis=1, name="rows")
    current = b(Linear, rows, w["inputs.weight"], w["inputs.bias"], name="current")
    zero = b.constant(np.float32(0), "zero")
    # the delay stands before what it delays: it takes `current` until there is a state
    before = b(Delay, current, zero, name="before")
    state = b(Relu, b(Add, current, b(Linear, before, w["state.weight"], name="fed_back")), name="state")
    before.op.set_operand(0, state)
    b.returns(b(Linear, b(Last, state, name="last"), w["head.weight"], w["head.bias"], name="logits"))
    return module.verify().freeze()


def build(seed: int = 0) -> Zoo:
    """Unrolled over the eight rows. Trained on digits; seeded weights where seed is not 0."""
    train, _, test, labels = digit_split()
    return Zoo("elman_unrolled", with_weights(Elman, "elman", seed, train), train, test, labels, CLASSES)


def build_delayed(seed: int = 0) -> Zoo:
    """Over time, with a delay; the same weights."""
    zoo = build(seed)
    return Zoo("elman_delayed", zoo.model, zoo.calibration, zoo.evaluation, zoo.labels, CLASSES, module_of)
