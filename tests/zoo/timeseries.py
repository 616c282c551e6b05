"""A network of 1-D convolutions that tells activities by acceleration and rotation of the wrist."""

from __future__ import annotations

from torch import nn

from tests.zoo.data import motions
from tests.zoo.metrics import CLASSES
from tests.zoo.zoo import Zoo, with_weights


def network() -> nn.Module:
    """Series of 6x100 to four activities."""
    return nn.Sequential(
        nn.Conv1d(6, 12, 7, padding=3), nn.BatchNorm1d(12), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(12, 16, 5, padding=4, dilation=2), nn.BatchNorm1d(16), nn.ReLU(), nn.AvgPool1d(2),
        nn.Conv1d(16, 16, 3, stride=2, padding=1), nn.BatchNorm1d(16), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip


def build(seed: int = 0) -> Zoo:
    """Trained on BasicMotions; seeded weights where seed is not 0. Raises Missing without the data."""
    train, _, test, labels = motions()
    return Zoo("conv1d", with_weights(network, "conv1d", seed, train), train, test, labels, CLASSES)
