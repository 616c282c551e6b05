"""Batch norms re-estimated on crossbars: the gates of the digits table, three seeds."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks.crossbar_bn import ADAPTED, CASES, SEEDS, accuracy


@cache
def average(name: str, adapted: bool) -> float:
    return sum(accuracy(CASES[name], ADAPTED[adapted], seed) for seed in SEEDS) / len(SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ir10", "year"])
def test_what_is_lost_to_gains_comes_back(name: str) -> None:
    """IR drop of 10 Ohm and a year of drift cost tens of points, and end within one of the clean network."""
    assert average(name, False) < average("clean", False) - 10
    assert average(name, True) >= average("clean", False) - 1


@pytest.mark.slow
def test_what_is_lost_to_reads_does_not() -> None:
    before, after = average("read.2", False), average("read.2", True)
    assert before < average("clean", False) - 10
    assert after - before < 15
    assert after < average("clean", False) - 5
