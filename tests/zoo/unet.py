"""A small U-Net that finds the digit among clutter (Ronneberger et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.zoo.data import masks
from tests.zoo.metrics import PIXELS
from tests.zoo.zoo import Zoo, with_weights


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """Down twice by max pooling, up twice by transposed convolutions, joined with what was there before."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.fine, self.middle = _layer(1, width), _layer(width, 2 * width)
        self.coarse = _layer(2 * width, 2 * width)
        self.pool = nn.MaxPool2d(2)
        self.up1 = nn.ConvTranspose2d(2 * width, 2 * width, 2, 2)
        self.join1 = _layer(4 * width, width)
        self.up2 = nn.ConvTranspose2d(width, width, 2, 2)
        self.join2 = _layer(2 * width, width)
        self.out = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        middle = self.middle(self.pool(fine))
        coarse = self.coarse(self.pool(middle))
        middle = self.join1(torch.cat([self.up1(coarse), middle], 1))
        fine = self.join2(torch.cat([self.up2(middle), fine], 1))
        logits: Tensor = self.out(fine)
        return logits


def build(seed: int = 0) -> Zoo:
    """Trained on digits in clutter; seeded weights where seed is not 0."""
    train, _, test, labels = masks()
    return Zoo("unet", with_weights(UNet, "unet", seed, train), train, test, labels, PIXELS)
