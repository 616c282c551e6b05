"""How the outputs of a network are judged: against labels where there are some, and against the network itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Metric:
    """`score(outputs, labels)` and `agreement(outputs, outputs of the source network)`, each from 0 to 1, 1 the best.

    `score_name` and `agreement_name` say what they are.
    """

    score_name: str
    score: Callable[[Array, Array], float]
    agreement_name: str
    agreement: Callable[[Array, Array], float]


def _top(outputs: Array, labels: Array) -> float:
    return float(np.mean(outputs.argmax(1) == labels))


def _same_top(outputs: Array, source: Array) -> float:
    return float(np.mean(outputs.argmax(1) == source.argmax(1)))


def closeness(outputs: Array, source: Array) -> float:
    """1 - |outputs - source| / |source|, not below 0: what is left when the relative error is taken away."""
    error = np.linalg.norm(outputs - source) / max(float(np.linalg.norm(source)), 1e-30)
    return float(max(0.0, 1.0 - error))


CLASSES = Metric("accuracy", _top, "same class", _same_top)
PIXELS = Metric("pixel accuracy", _top, "same pixels", _same_top)
VALUES = Metric("1 - relative error", closeness, "1 - relative error", closeness)
