"""Two residual networks: shortcuts padded with zeros, and projected (options A and B of He et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from tests.zoo.data import digit_split
from tests.zoo.metrics import CLASSES
from tests.zoo.zoo import Zoo, with_weights


class Padded(nn.Module):
    """Every second pixel, with channels of zeros before and after."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.pad = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))


def projected(inputs: int, outputs: int) -> nn.Module:
    """A strided 1x1 convolution."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two convolutions and a shortcut, which halves the image where the channels double."""

    def __init__(self, inputs: int, outputs: int, shortcut: Callable[[int, int], nn.Module]):
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if stride == 1 else shortcut(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


def network(shortcut: Callable[[int, int], nn.Module]) -> nn.Module:
    """Digits of 8x8 to ten classes."""
    return nn.Sequential(
        nn.Conv2d(1, 10, 3, padding=1, bias=False), nn.BatchNorm2d(10), nn.ReLU(),
        Block(10, 10, shortcut),
        Block(10, 20, shortcut),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 10),
    )  # fmt: skip


def _build(name: str, shortcut: Callable[[int, int], nn.Module], seed: int) -> Zoo:
    train, _, test, labels = digit_split()
    model = with_weights(partial(network, shortcut), name, seed, train)
    return Zoo(name, model, train, test, labels, CLASSES)


def build_padded(seed: int = 0) -> Zoo:
    """Option A, trained on digits; seeded weights where seed is not 0."""
    return _build("resnet_padded", Padded, seed)


def build_projected(seed: int = 0) -> Zoo:
    """Option B, trained on digits; seeded weights where seed is not 0."""
    return _build("resnet_projected", projected, seed)
