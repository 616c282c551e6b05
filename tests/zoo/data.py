"""Data of the zoo: digits that ship with the examples, tasks made of them, and what the shared data folder holds."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.digits import TRAIN, digits

Array = np.ndarray[Any, Any]
Split = tuple[Array, Array, Array, Array]
"""Training inputs and labels, test inputs and labels."""
SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


class Missing(Exception):
    """Data that lie beside the repository are not there; the text says which."""


def shared(path: str) -> Path:
    """A file of the shared data folder. Raises Missing."""
    found = SHARED / path
    if not found.exists():
        raise Missing(f"not at hand: shared/data/{path}")
    return found


@cache
def digit_split() -> Split:
    """Images [n, 1, 8, 8] of digits and their classes."""
    x, y = digits()
    return x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]


@cache
def mnist() -> Split:
    """MNIST images [n, 1, 28, 28] in 0..1 and their classes, 10,000 each. Raises Missing."""
    with np.load(shared("mnist/train10000.npz")) as archive:
        train = {name: archive[name] for name in ("x", "y")}
    raw = [gzip.decompress(shared(f"mnist/t10k-{n}-ubyte.gz").read_bytes()) for n in ("images-idx3", "labels-idx1")]
    images = np.frombuffer(raw[0], np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.frombuffer(raw[1], np.uint8, offset=8).astype(np.int64)

    def scaled(x: Array) -> Array:
        return (x[:, None] / np.float32(255)).astype(np.float32)

    return scaled(train["x"]), train["y"].astype(np.int64), scaled(images), labels


def read_ts(path: Path) -> tuple[Array, list[str]]:
    """A .ts file of series of equal length: series float32 [n, dimensions, length] and the names of their classes.

    Raises ValueError for what this reader does not read: time stamps, missing values, series of several lengths.
    """
    header: dict[str, str] = {}
    rows, names, started = [], [], False
    for line in filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())):
        if line.startswith("#"):
            continue
        if line.startswith("@"):
            key, _, value = line[1:].partition(" ")
            header[key.lower()] = value
            started = key.lower() == "data"
        elif started:
            *series, name = line.split(":")
            rows.append([[float(v) for v in part.split(",")] for part in series])
            names.append(name)
    if header.get("timestamps", "false") != "false" or header.get("missing", "false") != "false":
        raise ValueError(f"{path.name} has time stamps or missing values")
    return np.asarray(rows, np.float32), names


@cache
def motions() -> Split:
    """BasicMotions [40, 6, 100] and the activity, each channel scaled by its spread in training. Raises Missing."""
    parts = [read_ts(shared(f"timeseries/BasicMotions_{part}.ts")) for part in ("TRAIN", "TEST")]
    classes = sorted(set(parts[0][1]))
    spread = parts[0][0].std((0, 2), keepdims=True)
    (train, y), (test, z) = ((x / spread, np.array([classes.index(n) for n in names])) for x, names in parts)
    return train, y, test, z


@cache
def masks() -> Split:
    """Digits twice as large in clutter and noise [n, 1, 16, 16]; the mask [n, 16, 16] is 1 where the digit is.

    Clutter is short strokes as bright as a digit, so that a pixel's brightness alone does not decide.
    """
    x, _ = digits()
    rng = np.random.default_rng(0)
    images = np.kron(x[:, 0], np.ones((2, 2), np.float32))
    found = (images > 0.4).astype(np.int64)
    for image, mask in zip(images, found, strict=True):
        for _ in range(6):
            i, j = rng.integers(0, 15, 2)
            stroke = image[i : i + 1 + int(rng.integers(2)), j : j + 2]
            stroke[mask[i : i + stroke.shape[0], j : j + 2] == 0] = rng.uniform(0.4, 1)
    images = np.clip(images + rng.normal(0, 0.15, images.shape), 0, 1).astype(np.float32)[:, None]
    return images[:TRAIN], found[:TRAIN], images[TRAIN:], found[TRAIN:]


@cache
def noisy_digits() -> Split:
    """Digits with noise [n, 1, 8, 8], and without."""
    x, _ = digits()
    noisy = np.clip(x + np.random.default_rng(0).normal(0, 0.2, x.shape), 0, 1).astype(np.float32)
    return noisy[:TRAIN], x[:TRAIN], noisy[TRAIN:], x[TRAIN:]
