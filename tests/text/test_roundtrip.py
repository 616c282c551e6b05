"""Printed modules parse back to equal ones: every case of every op, and random modules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from ranvier.ir.core import Builder, Module
from ranvier.ir.text.parser import parse_module
from ranvier.ir.text.printer import print_module
from tests.compare import assert_same
from tests.random_modules import modules
from tests.strategies import OpCase, cases

few = settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check(module: Module) -> None:
    text = str(module)
    parsed = parse_module(text, resources=module.resources)
    assert_same(module, parsed)
    assert str(parsed) == text
    # without the arrays: names and digests are enough
    bare = parse_module(text)
    assert str(bare) == text
    assert bare == module
    located = print_module(module, locations=True)
    again = parse_module(located, resources=module.resources)
    assert_same(module, again, locations=True)
    assert print_module(again) == text


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_every_case(case: OpCase) -> None:
    check(case.module().verify())


@given(modules())
@few
def test_random_modules(module: Module) -> None:
    check(module)


@pytest.mark.slow
@given(modules())
@settings(few, max_examples=150)
def test_many_random_modules(module: Module) -> None:
    check(module)


@given(modules())
@settings(few, max_examples=20)
def test_clones(module: Module) -> None:
    text = str(module)
    copy = module.clone()
    assert_same(module, copy, locations=True)
    assert copy.verify() == module
    assert not {id(op) for op in copy.ops} & {id(op) for op in module.ops}
    # what is done to the copy leaves the module alone
    module.freeze()
    for graph in copy.graphs.values():
        for value in list(graph.values):
            value.facts = ()
            graph.rename(value, "renamed")
        for op in graph.ops:
            op.place, op.facts, op.location = "elsewhere", (), None
        graph.terminator.set(roles=("loss",) * len(graph.outputs))
    copy.add(module.resource(next(iter(module.resources))), "more")
    assert str(module.verify()) == text


def test_a_nan_with_a_sign_or_a_payload_is_kept() -> None:
    usual, odd = np.asarray([1, np.nan], np.float32), np.asarray([0x3F800000, 0xFFC00001], np.uint32).view(np.float32)
    module = Module("nans")
    build = Builder(module.new_graph("main"))
    first, second = build.constant(usual, "usual"), build.constant(odd, "odd")
    build.returns(first, second)
    module.verify()
    assert [resource.inline for resource in module.resources.values()] == [True, False]
    check(module)
