"""The one number that a constant holds everywhere."""

from __future__ import annotations

import numpy as np

from ranvier.ir.core import Module, Value

LARGEST = 1 << 20
"""Arrays of more elements are not looked at."""


def uniform(module: Module, value: Value) -> float | None:
    """The number that a constant of floats holds everywhere; None for what is no such constant.

    A constant that differs from step to step, has a mask, or whose array is not at hand is none.
    """
    if value.resource is None or value.type.time is not None or not value.type.elem.is_float:
        return None
    resource = module.resource(value.resource)
    if any(f.sticky for f in resource.facts):
        return None
    if resource.splat is not None:
        return float(resource.splat)
    if not 0 < resource.size <= LARGEST or not resource.available:
        return None
    array = resource.array
    return float(array.flat[0]) if bool(np.all(array == array.flat[0])) else None
