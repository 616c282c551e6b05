"""An MLP with batch norms on the digits of scikit-learn, trained in seconds: 64-128-128-128-10 (card A5)."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np

from ranvier.frontends import find_frontend
from ranvier.ir.core import Module
from tests.zoo.digits import TRAIN, digits

WIDTH, HIDDEN, EPOCHS, BATCH = 128, 3, 25, 64
Array = np.ndarray[Any, Any]


def flat_digits() -> tuple[Array, Array]:
    """All images as vectors [1797, 64], and labels; the first TRAIN are for training."""
    x, y = digits()
    return x.reshape(len(x), -1), y


@cache
def digits_mlp(seed: int = 0, norm: bool = True, width: int = WIDTH, hidden: int = HIDDEN) -> Module:
    """The trained network of a seed, with a batch norm behind each hidden layer, or without."""
    import torch
    from torch import nn

    x, y = (torch.as_tensor(a[:TRAIN]) for a in flat_digits())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        sizes = [x.shape[1], *[width] * hidden]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after)] if norm else []), nn.ReLU()]
        net = nn.Sequential(*layers, nn.Linear(width, 10))
        optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
        for _ in range(EPOCHS):
            for part in torch.split(torch.randperm(len(x)), BATCH):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[part]), y[part].long()).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            schedule.step()
    net.eval()
    return find_frontend(net).load(net, (torch.zeros(2, x.shape[1]),)).freeze()
