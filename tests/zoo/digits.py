"""The digits network that ships with the examples, and its data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.ir.core import Module

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRAIN = 1347


@cache
def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images [1797, 1, 8, 8] and labels; the last 450 are for evaluation."""
    with np.load(EXAMPLES / "digits.npz") as found:
        return found["x"], found["y"]


@cache
def digits_network() -> Module:
    """The network as imported."""
    return rv.load(EXAMPLES / "digits.onnx")
