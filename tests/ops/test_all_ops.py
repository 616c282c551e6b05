"""What holds for every op: documented, with a meaning, and its inferred types are those of what it computes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import ranvier.ir.ops  # noqa: F401
from ranvier.ir.core import OPS, Op
from ranvier.ir.fields import REQUIRED
from ranvier.ir.interpret import evaluate
from ranvier.ir.text.parser import parse_module
from tests.ops.helpers import close
from tests.strategies import OpCase, cases

CASES = cases(hardware=True)


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
def test_printed_text_parses_back_to_an_equal_module(case: OpCase) -> None:
    module = case.module()
    parsed = parse_module(str(module), resources=module.resources)
    assert parsed == module
    assert str(parsed) == str(module)


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


def rows(kind: Any, array: np.ndarray[Any, Any], at: list[int]) -> np.ndarray[Any, Any]:
    """Some samples of an array, if its type has the batch on its first axis."""
    if not kind.shape or kind.shape[0] != "N":
        return array
    return array[:, at] if kind.time is not None else array[at]


def per_sample(case: OpCase) -> bool:
    kinds = [v.type for v in case.module().main.outputs]
    return all(k.shape and k.shape[0] == "N" for k in kinds) and not case.name.startswith("core.loop")


@pytest.mark.parametrize("case", [c for c in CASES if per_sample(c)], ids=lambda c: c.name)
@pytest.mark.parametrize("at", [[1], [2, 0, 1], [0, 0, 1, 2, 1, 0, 2]], ids=["one", "permuted", "seven"])
def test_a_sample_does_not_depend_on_its_batch(case: OpCase, at: list[int]) -> None:
    module = case.module()
    want, _ = evaluate(module, case.arrays)
    part = [rows(a.type, x, at) for a, x in zip(module.main.args, case.arrays, strict=True)]
    found, _ = evaluate(case.module(), part, sample_ids=at)
    for value, a, b in zip(module.main.outputs, found, want, strict=True):
        # a matrix product may sum in another order for another batch
        close(a, rows(value.type, b, at), 0 if case.exact else 1e-6)
