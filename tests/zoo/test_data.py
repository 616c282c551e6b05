"""Data of the zoo: a reader of series, scenes and their boxes, masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.zoo.boxes import CANVAS, Box, box_errors, decode, f1, overlap, scenes
from tests.zoo.data import Missing, masks, motions, read_ts
from tests.zoo.metrics import closeness

TEXT = """# a comment
@problemName Two
@timeStamps false
@missing false
@classLabel true a b
@data
1,2,3:4,5,6:a
7,8,9:10,11,12.5:b
"""


def test_series(tmp_path: Path) -> None:
    path = tmp_path / "two.ts"
    path.write_text(TEXT)
    x, names = read_ts(path)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12.5]]])
    assert names == ["a", "b"]
    path.write_text(TEXT.replace("@missing false", "@missing true"))
    with pytest.raises(ValueError, match="missing values"):
        read_ts(path)


def test_motions() -> None:
    try:
        x, y, z, labels = motions()
    except Missing as why:
        pytest.skip(str(why))
    assert x.shape == z.shape == (40, 6, 100)
    np.testing.assert_array_equal(np.bincount(y), [10] * 4)
    np.testing.assert_array_equal(np.bincount(labels), [10] * 4)
    np.testing.assert_allclose(x.std((0, 2)), 1, rtol=1e-4)


def test_boxes_of_scenes_hold_the_digits() -> None:
    images, grids = scenes(50, False)
    assert images.shape == (50, 1, CANVAS, CANVAS)
    for image, grid in zip(images, grids, strict=True):
        boxes = decode(grid)
        assert 1 <= len(boxes) <= 2
        outside = np.ones((CANVAS, CANVAS), bool)
        for b in boxes:
            left, top = round((b.x - b.width / 2) * CANVAS), round((b.y - b.height / 2) * CANVAS)
            size = round(b.width * CANVAS)
            assert size in (8, 12)
            outside[top : top + size, left : left + size] = False
            assert image[0, top : top + size, left : left + size].max() > 0.9
        assert image[0][outside].max() <= 0.2


def test_overlap_and_suppression() -> None:
    a = Box(0.5, 0.5, 0.4, 0.4, 1)
    assert overlap(a, a) == pytest.approx(1)
    assert overlap(a, Box(0.7, 0.5, 0.4, 0.4, 1)) == pytest.approx(1 / 3)
    assert overlap(a, Box(0.95, 0.5, 0.4, 0.4, 1)) == 0
    _, grids = scenes(20, False)
    twice = np.maximum(grids, np.roll(grids, 1, axis=3) * (grids[:, 4:5] * 0 + 0.6))
    assert f1(grids, grids) == 1
    assert f1(twice, grids) < 1
    assert box_errors(grids, grids).max() == 0
    moved = grids.copy()
    moved[:, 0] += 0.6
    assert box_errors(moved, grids).mean() == pytest.approx(0.6 / 6 / 4, rel=1e-5)


def test_masks_and_closeness() -> None:
    x, y, z, labels = masks()
    assert x.shape[2:] == y.shape[1:] == (16, 16)
    assert len(x) + len(z) == len(y) + len(labels) == 1797
    assert 0.1 < y.mean() < 0.5
    # clutter as bright as the digit: brightness alone is not enough
    assert np.mean((z[:, 0] > 0.4) == (labels == 1)) < 0.95
    assert closeness(np.ones(4), np.ones(4)) == 1
    assert closeness(np.zeros(4), np.ones(4)) == 0
