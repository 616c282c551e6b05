"""Scenes of digits, the grid that a detector answers with, and how its boxes are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tests.zoo.digits import TRAIN, digits
from tests.zoo.metrics import Metric

Array = np.ndarray[Any, Any]
CANVAS, GRID, OBJECTS, CLASSES = 24, 6, 2, 10
CHANNELS = 5 + CLASSES
"""Of each cell: x and y of the centre in the cell, width and height as parts of the canvas, whether there is an object
(each between 0 and 1), and a logit for every class."""


@dataclass(frozen=True)
class Box:
    """A box in parts of the canvas."""

    x: float
    y: float
    width: float
    height: float
    label: int
    score: float = 1.0


@cache
def scenes(count: int, train: bool) -> tuple[Array, Array]:
    """Images [n, 1, 24, 24] with one or two digits of 8 or 12 pixels, and the grid [n, 15, 6, 6] that describes them.

    Digits of training scenes and of others are different ones.
    """
    x, y = digits()
    chosen = slice(None, TRAIN) if train else slice(TRAIN, None)
    x, y = x[chosen, 0], y[chosen]
    rng = np.random.default_rng(0 if train else 1)
    images = rng.uniform(0, 0.2, (count, CANVAS, CANVAS)).astype(np.float32)
    grids = np.zeros((count, CHANNELS, GRID, GRID), np.float32)
    for image, grid in zip(images, grids, strict=True):
        taken = np.zeros((CANVAS, CANVAS), bool)
        for _ in range(int(rng.integers(1, OBJECTS + 1))):
            index, size = int(rng.integers(len(x))), int(rng.choice([8, 12]))
            top, left = (int(v) for v in rng.integers(0, CANVAS - size + 1, 2))
            place = slice(top, top + size), slice(left, left + size)
            if taken[place].any():
                continue
            taken[place] = True
            pixels = np.arange(size) * 8 // size
            image[place] = np.maximum(image[place], x[index][np.ix_(pixels, pixels)])
            _describe(grid, left + size / 2, top + size / 2, size, int(y[index]))
    return images[:, None], grids


def _describe(grid: Array, x: float, y: float, size: int, label: int) -> None:
    cell = CANVAS / GRID
    column, row = min(int(x / cell), GRID - 1), min(int(y / cell), GRID - 1)
    grid[:5, row, column] = x / cell - column, y / cell - row, size / CANVAS, size / CANVAS, 1
    grid[5 + label, row, column] = 1


def decode(grid: Array, least: float = 0.5) -> list[Box]:
    """The boxes of one image, the surest first; of boxes that overlap by half the surest stays."""
    rows, columns = np.nonzero(grid[4] > least)
    found = []
    for row, column in zip(rows, columns, strict=True):
        x, y, width, height, score, *classes = grid[:, row, column]
        centre = float((column + x) / GRID), float((row + y) / GRID)
        found.append(Box(*centre, float(width), float(height), int(np.argmax(classes)), float(score)))
    kept: list[Box] = []
    for box in sorted(found, key=lambda b: -b.score):
        if all(overlap(box, other) < 0.5 for other in kept):
            kept.append(box)
    return kept


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""

    def shared(p: float, q: float, p_size: float, q_size: float) -> float:
        return max(0.0, min(p + p_size / 2, q + q_size / 2) - max(p - p_size / 2, q - q_size / 2))

    both = shared(a.x, b.x, a.width, b.width) * shared(a.y, b.y, a.height, b.height)
    return both / max(a.width * a.height + b.width * b.height - both, 1e-12)


def _pairs(found: Array, wanted: Array) -> Iterator[tuple[int, int, int]]:
    """Per image: boxes found, boxes wanted, and how many of them match with the class right."""
    for a, b in zip(found, wanted, strict=True):
        boxes, truth = decode(a), decode(b)
        left, hits = list(truth), 0
        for box in boxes:
            match = next((t for t in left if t.label == box.label and overlap(box, t) >= 0.5), None)
            if match is not None:
                left.remove(match)
                hits += 1
        yield len(boxes), len(truth), hits


def f1(found: Array, wanted: Array) -> float:
    """Twice the matches over boxes found and wanted; a match has the class and overlaps by half."""
    made, true, hits = (sum(column) for column in zip(*_pairs(found, wanted), strict=True))
    return 2 * hits / max(made + true, 1)


def box_errors(outputs: Array, source: Array, least: float = 0.5) -> Array:
    """Differences [objects, 4] of x, y, width, height, in parts of the canvas, where the source has an object."""
    where = source[:, 4] > least
    scale = np.array([1 / GRID, 1 / GRID, 1, 1], np.float32)
    return np.asarray(np.abs(outputs[:, :4] - source[:, :4]).transpose(0, 2, 3, 1)[where] * scale)


BOXES = Metric("F1 of boxes, IoU 0.5", f1, "F1 against its own boxes", f1)
