"""Data that hold NaN or infinite numbers: one finding for running, calibration, evaluation and training."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.diagnostics import Diagnostic

Array = np.ndarray[Any, Any]


def not_finite(array: Array, what: str, place: str = "", axis: int | None = None) -> Diagnostic | None:
    """What is wrong with an array (bad-data), or None; `axis` counts its samples."""
    if array.dtype.kind in "biu":
        return None
    good = np.isfinite(array)
    if good.all():
        return None
    bad = ~good
    wrong = int(bad.sum())
    first = np.unravel_index(int(bad.argmax()), array.shape)
    kind = "NaN" if np.isnan(array[first]) else "infinite numbers"
    message = f"{what} holds {kind}: {wrong} of {array.size} numbers are not finite"
    at = f"first in sample {first[axis]}, " if axis is not None and len(first) > axis else "first "
    note = f"{at}at [{', '.join(map(str, first))}]"
    help = "leave such samples out, or mend how they are prepared"
    return Diagnostic("bad-data", message, place, help, notes=(note,))
