"""How far two arrays, or two modules' outputs, lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ranvier.ir.interfaces import Array


@dataclass(frozen=True)
class Drift:
    """How far outputs lie from the source model's on the same samples.

    `max_abs` is the largest difference, `relative` the same as a part of the source's largest magnitude, `cosine` the
    cosine between the two as vectors, `top1` the part of samples with the same largest class (outputs [N, C]).
    """

    max_abs: float
    relative: float
    cosine: float
    top1: float | None
    samples: int

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        top = "" if self.top1 is None else f", top-1 agreement {self.top1:.1%}"
        return f"max {self.max_abs:.3g} ({self.relative:.2%} of the largest), cosine {self.cosine:.6f}{top}"


def drift(reference: Sequence[Array], outputs: Sequence[Array], samples: int) -> Drift | None:
    """The drift of outputs against a reference; None when they are not of the same shapes."""
    if len(reference) != len(outputs) or any(a.shape != b.shape for a, b in zip(reference, outputs, strict=True)):
        return None
    a = np.concatenate([np.asarray(x, np.float64).ravel() for x in reference])
    b = np.concatenate([np.asarray(x, np.float64).ravel() for x in outputs])
    worst, largest = largest_difference(a, b), float(np.abs(a).max(initial=0.0))
    relative = worst / largest if largest else (0.0 if worst == 0 else float("inf"))
    return Drift(worst, relative, cosine(a, b), top1(reference, outputs), samples)


def largest_difference(a: Array, b: Array) -> float:
    """max |a - b|; equal infinities do not differ, and a NaN on one side is an infinite difference."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(a - b)
    difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, difference)
    return float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max(initial=0.0))


def cosine(a: Array, b: Array) -> float:
    """The cosine between two arrays as vectors; 1 for two zeros, 0 for one, and 0 where numbers are not finite."""
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if not all(lengths) or not np.isfinite(lengths).all():
        return 1.0 if lengths == (0.0, 0.0) else 0.0
    return float(np.clip(np.dot(a / lengths[0], b / lengths[1]), -1, 1))


def top1(reference: Sequence[Array], outputs: Sequence[Array]) -> float | None:
    """The part of samples whose largest class is the same, for a single output [N, C] with C > 1; else None."""
    if len(outputs) != 1 or outputs[0].ndim != 2 or outputs[0].shape[1] < 2 or outputs[0].shape != reference[0].shape:
        return None
    return float(np.mean(reference[0].argmax(1) == outputs[0].argmax(1)))
