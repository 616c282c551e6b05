"""What holds for every op: documented, with a meaning, and its inferred types are those of what it computes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import ranvier.ir.ops  # noqa: F401
from ranvier.ir.core import OPS, Op
from ranvier.ir.fields import REQUIRED
from ranvier.ir.interpret import evaluate
from tests.strategies import OpCase, cases

CASES = cases()


def test_every_op_has_three_cases() -> None:
    count = Counter(c.op for c in CASES)
    assert {op.name for op in OPS.values() if op.__module__.startswith("ranvier.ir") and count[op] < 3} == set()
    names = Counter(c.name for c in CASES)
    assert [n for n, k in names.items() if k > 1] == []


@pytest.mark.parametrize(
    "op", [op for op in OPS.values() if op.__module__.startswith("ranvier.ir")], ids=lambda op: op.name
)
def test_op_is_documented_and_has_a_meaning(op: type[Op]) -> None:
    assert (op.__doc__ or "").strip().split("\n")[0]
    assert op.__doc__ is not Op.__doc__
    for field in op.operand_fields:
        assert field.help
    for name, attribute in op.attribute_fields.items():
        assert attribute.help or attribute.default is not REQUIRED, name
    means = [getattr(op, n, None) for n in ("meaning", "step", "evaluate", "function")]
    assert op.name == "core.return" or any(m is not None and "ranvier.ir.ops" in m.__module__ for m in means)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_inferred_types_are_those_of_the_results(case: OpCase) -> None:
    module = case.module().verify()
    found, _ = evaluate(module, case.arrays)
    sizes: dict[str, int] = {}
    for arg, array in zip(module.main.args, case.arrays, strict=True):
        want = ((arg.type.time,) if arg.type.time is not None else ()) + arg.type.shape
        sizes.update((d, n) for d, n in zip(want, array.shape, strict=True) if isinstance(d, str))
    for value, array in zip(module.main.outputs, found, strict=True):
        kind = value.type
        want = ((kind.time,) if kind.time is not None else ()) + kind.shape
        assert len(want) == array.ndim
        assert all(d == "?" or sizes.get(d, d) == n for d, n in zip(want, array.shape, strict=True)), (
            kind,
            array.shape,
        )
        assert array.dtype == kind.elem.dtype
        assert np.isfinite(array.astype(np.float64)).all()
