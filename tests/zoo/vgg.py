"""VGG: convolutions, max pooling, two linear layers with dropout between (Simonyan and Zisserman 2014)."""

from __future__ import annotations

from torch import nn

from tests.zoo.data import digit_split
from tests.zoo.metrics import CLASSES
from tests.zoo.zoo import Zoo, with_weights


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def network() -> nn.Module:
    """Digits of 8x8 to ten classes."""
    return nn.Sequential(
        *_block(1, 12),
        *_block(12, 12),
        nn.MaxPool2d(2),
        *_block(12, 20),
        *_block(20, 20),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(80, 32),
        nn.ReLU(inplace=True),
        nn.Dropout(0.2),
        nn.Linear(32, 10),
    )


def build(seed: int = 0) -> Zoo:
    """Trained on digits; seeded weights where seed is not 0."""
    train, _, test, labels = digit_split()
    return Zoo("vgg", with_weights(network, "vgg", seed, train), train, test, labels, CLASSES)
