"""DenseNet: every layer sees all before it, BatchNorm and ReLU stand before the convolution (Huang et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.zoo.data import digit_split
from tests.zoo.metrics import CLASSES
from tests.zoo.zoo import Zoo, with_weights

GROWTH = 8


def _layer(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv)


class Block(nn.Module):
    """Layers of GROWTH channels each; the result holds the input too."""

    def __init__(self, inputs: int, count: int):
        super().__init__()
        self.layers = nn.ModuleList(_layer(inputs + GROWTH * i, GROWTH, 3) for i in range(count))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def network() -> nn.Module:
    """Digits of 8x8 to ten classes."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        Block(8, 3),
        _layer(32, 16, 1), nn.AvgPool2d(2),
        Block(16, 3),
        nn.BatchNorm2d(40), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 10),
    )  # fmt: skip


def build(seed: int = 0) -> Zoo:
    """Trained on digits; seeded weights where seed is not 0."""
    train, _, test, labels = digit_split()
    return Zoo("densenet", with_weights(network, "densenet", seed, train), train, test, labels, CLASSES)
