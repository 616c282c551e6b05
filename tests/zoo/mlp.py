"""A multi-layer perceptron with BatchNorm on features."""

from __future__ import annotations

from torch import nn

from tests.zoo.data import digit_split
from tests.zoo.metrics import CLASSES
from tests.zoo.zoo import Zoo, with_weights


def network() -> nn.Module:
    """Digits of 8x8 to ten classes."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(),
        nn.Linear(48, 32), nn.ReLU(),
        nn.Linear(32, 10),
    )  # fmt: skip


def build(seed: int = 0) -> Zoo:
    """Trained on digits; seeded weights where seed is not 0."""
    train, _, test, labels = digit_split()
    return Zoo("mlp", with_weights(network, "mlp", seed, train), train, test, labels, CLASSES)
