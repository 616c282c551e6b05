"""Shapes with symbols: what a reshape gives, and whether it keeps an axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ranvier.ir.core import Op
from ranvier.ir.types import Dim, show_shape


def reshaped(op: Op, shape: Sequence[Dim], wanted: Sequence[Dim]) -> tuple[Dim, ...]:
    """The result shape of a reshape. At most one wanted dim may follow from the others: -1, `?`, or a new symbol.

    Raises RanvierError when more are open, or when the elements cannot be as many.
    """
    if any(isinstance(d, int) and d < -1 for d in wanted):
        raise op.fail("shape-mismatch", f"has a negative dim in {show_shape(wanted)}")
    open_dims = [i for i, d in enumerate(wanted) if d == "?" or d == -1 or (isinstance(d, str) and d not in shape)]
    if len(open_dims) > 1:
        raise op.fail(
            "shape-mismatch",
            f"leaves more than one dim of {show_shape(wanted)} open",
            "at most one can follow from the others",
        )
    count, symbols = measure(shape)
    rest, used = measure([d for i, d in enumerate(wanted) if i not in open_dims])
    left, missing = symbols - used, used - symbols
    if not open_dims:
        if "?" not in left and (left or missing or count != rest):
            raise op.fail(
                "shape-mismatch", f"makes {show_shape(wanted)} of {show_shape(shape)}, which has other elements"
            )
        return tuple(wanted)
    result = list(wanted)
    (at,) = open_dims
    if left or missing:
        follows: Dim = next(iter(left)) if sum(left.values()) == 1 and not missing and count == rest else "?"
    elif rest == 0 or count % rest:
        raise op.fail(
            "shape-mismatch", f"makes {show_shape(wanted)} of {show_shape(shape)}: {rest} does not divide {count}"
        )
    else:
        follows = count // rest
    keep = wanted[at] not in ("?", -1) and follows == "?"
    result[at] = wanted[at] if keep else follows
    return tuple(result)


def measure(shape: Sequence[Dim]) -> tuple[int, Counter[str]]:
    """The product of the numbers of a shape, and its symbols (`?` among them) counted."""
    count = 1
    symbols: Counter[str] = Counter()
    for d in shape:
        if isinstance(d, int):
            count *= d
        else:
            symbols[d] += 1
    return count, symbols


def kept_axis(shape: Sequence[Dim], result: Sequence[Dim], axis: int) -> int | None:
    """Where an axis lies after a reshape that only regroups what is before and what is behind it; else None."""
    before, behind = measure(shape[:axis]), measure(shape[axis + 1 :])
    for at, dim in enumerate(result):
        if dim == shape[axis] and measure(result[:at]) == before and measure(result[at + 1 :]) == behind:
            return at
    return None
