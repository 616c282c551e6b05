"""One small CNN for MNIST with three activations: leaky ReLU, SiLU, GELU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from torch import nn

from tests.zoo.data import mnist
from tests.zoo.metrics import CLASSES
from tests.zoo.zoo import Zoo, with_weights


def network(activation: Callable[[], nn.Module]) -> nn.Module:
    """MNIST images to ten classes; two strided convolutions and one of stride 1."""
    layers: list[nn.Module] = []
    for inputs, outputs, kernel, stride in ((1, 16, 5, 2), (16, 32, 3, 2), (32, 48, 3, 1)):
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        layers += [conv, nn.BatchNorm2d(outputs), activation()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10))


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_cnn": partial(nn.LeakyReLU, 0.1),
    "silu_cnn": nn.SiLU,
    "gelu_cnn": nn.GELU,
}


def build(name: str, seed: int = 0) -> Zoo:
    """Trained on MNIST; seeded weights where seed is not 0. Raises Missing without the data."""
    train, _, test, labels = mnist()
    model = with_weights(partial(network, ACTIVATIONS[name]), name, seed, train[::20])
    # the training images are sorted by class
    chosen = np.random.default_rng(0).permutation(len(train))[:1024]
    return Zoo(name, model, train[chosen], test, labels, CLASSES)
