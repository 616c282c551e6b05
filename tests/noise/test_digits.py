"""What noise costs on the digits network that ships with the examples (three seeds of the noise, 450 test images)."""

from __future__ import annotations

import pytest

from benchmarks.noise_digits import accuracy, lost, shifted

pytestmark = pytest.mark.accuracy


def test_lost_spikes_cost_much_and_compensation_gives_it_back() -> None:
    rate = accuracy("rate")
    assert rate - lost("rate", 0.2, False) >= 20
    assert rate - lost("rate", 0.2, True) <= 2


def test_more_spikes_for_a_value_stand_more_losses() -> None:
    one, five, ten = (lost(code, 0.4, True) for code in ("1 spike", "TTAS-5", "TTAS-10"))
    assert one < five < ten
    assert ten >= 90


def test_an_average_time_stands_more_jitter() -> None:
    assert shifted("TTAS-5", 4) - shifted("1 spike", 4) >= 5
