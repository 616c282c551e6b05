"""A small detector in the manner of Tiny YOLO, the case of Spiking-YOLO (Kim et al. 2020, arXiv:1903.06530).

Leaky ReLU, max pooling, a coarse branch that is upsampled and concatenated to a finer one, a head of boxes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.zoo.boxes import BOXES, CHANNELS, scenes
from tests.zoo.zoo import Zoo, with_weights


def _layer(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1))


class Detector(nn.Module):
    """Images of 24x24 to a grid of 6x6 cells."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.second = _layer(1, 12), _layer(12, 24)
        self.third, self.fourth = _layer(24, 32), _layer(32, 32)
        self.route = _layer(32, 16, 1)
        self.joined = _layer(48, 32)
        self.head = nn.Conv2d(32, CHANNELS, 1)
        self.pool = nn.MaxPool2d(2)

    def raw(self, x: Tensor) -> Tensor:
        """Logits of all channels."""
        x = self.pool(self.second(self.pool(self.stem(x))))
        fine = self.third(x)
        coarse = self.route(self.fourth(self.pool(fine)))
        up = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        out: Tensor = self.head(self.joined(torch.cat([up, fine], 1)))
        return out

    def forward(self, x: Tensor) -> Tensor:
        raw = self.raw(x)
        return torch.cat([torch.sigmoid(raw[:, :5]), raw[:, 5:]], 1)


def build(seed: int = 0) -> Zoo:
    """Trained on scenes of digits; seeded weights where seed is not 0."""
    train, _ = scenes(512, True)
    test, grids = scenes(300, False)
    return Zoo("detector", with_weights(Detector, "detector", seed, train), train, test, grids, BOXES)
