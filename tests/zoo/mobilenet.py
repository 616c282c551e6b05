"""MobileNetV2: inverted residuals with depthwise convolutions and ReLU6 (Sandler et al. 2018, arXiv:1801.04381)."""

from __future__ import annotations

from torch import Tensor, nn

from tests.zoo.data import digit_split
from tests.zoo.metrics import CLASSES
from tests.zoo.zoo import Zoo, with_weights


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to its input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        wide = 3 * inputs
        self.layers = nn.Sequential(
            *_layer(inputs, wide, 1), nn.ReLU6(inplace=True),
            *_layer(wide, wide, 3, stride, wide), nn.ReLU6(inplace=True),
            *_layer(wide, outputs, 1),
        )  # fmt: skip
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def network() -> nn.Module:
    """Digits of 8x8 to ten classes."""
    return nn.Sequential(
        *_layer(1, 12, 3), nn.ReLU6(inplace=True),
        InvertedResidual(12, 12, 1),
        InvertedResidual(12, 20, 2),
        InvertedResidual(20, 20, 1),
        *_layer(20, 40, 1), nn.ReLU6(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 10),
    )  # fmt: skip


def build(seed: int = 0) -> Zoo:
    """Trained on digits; seeded weights where seed is not 0."""
    train, _, test, labels = digit_split()
    return Zoo("mobilenet", with_weights(network, "mobilenet", seed, train), train, test, labels, CLASSES)
