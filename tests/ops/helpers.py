"""Run one op by its meaning, and compare with another library."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.interpret import evaluate
from tests.op_cases.base import Given, case, value

Array = np.ndarray[Any, Any]


def apply(op: type[Op], *operands: Any, **attributes: Any) -> Any:
    """The result of an op on arrays (or Given); its inferred shape is checked. A tuple when there are several."""
    given = [None if a is None else a if isinstance(a, Given) else value(a) for a in operands]
    one = case("one", op, *given, **attributes)
    module = one.module().verify()
    found, _ = evaluate(module, one.arrays)
    for output, array in zip(module.main.outputs, found, strict=True):
        time = () if output.type.time is None else (output.type.time,)
        assert (*time, *output.type.shape) == array.shape
    return found[0] if len(found) == 1 else tuple(found)


def close(found: Any, want: Any, tolerance: float = 1e-5) -> None:
    """Equal in shape, and to a tolerance relative to the largest magnitude; integers and bits exactly."""
    found, want = np.asarray(found), np.asarray(want)
    assert found.shape == want.shape
    if want.dtype.kind in "iub":
        np.testing.assert_array_equal(found, want)
        return
    finite = np.isfinite(want)
    np.testing.assert_array_equal(found[~finite], want[~finite])
    largest = np.abs(want[finite]).max(initial=1e-6)
    assert np.abs(found[finite].astype(np.float64) - want[finite]).max(initial=0) <= tolerance * largest
