"""Transposed convolutions: an autoencoder that takes the noise off digits."""

from __future__ import annotations

from torch import nn

from tests.zoo.data import noisy_digits
from tests.zoo.metrics import VALUES
from tests.zoo.zoo import Zoo, with_weights


def network() -> nn.Module:
    """Images of 8x8 to images of 8x8, through 24 channels of 2x2; one transposed convolution overlaps."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(24, 16, 3, 2, 1, output_padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 2, 2), nn.ReLU(),
        nn.Conv2d(8, 1, 3, padding=1),
    )  # fmt: skip


def build(seed: int = 0) -> Zoo:
    """Trained on noisy digits; seeded weights where seed is not 0."""
    train, _, test, clean = noisy_digits()
    return Zoo("autoencoder", with_weights(network, "autoencoder", seed, train), train, test, clean, VALUES)
