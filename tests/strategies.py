"""Random valid operands and attributes for every op, seeded: what runtimes are compared with the meaning on."""

from __future__ import annotations

from tests.op_cases.arith import arith_cases, loss_cases, q_cases, reduce_cases
from tests.op_cases.base import OpCase
from tests.op_cases.control import control_cases
from tests.op_cases.nn import nn_cases
from tests.op_cases.quant import quant_cases
from tests.op_cases.shape import shape_cases
from tests.op_cases.snn import snn_cases, time_cases
from tests.op_cases.xbar import xbar_cases


def cases(hardware: bool = False) -> list[OpCase]:
    """At least three cases of every op that ships with Ranvier; those of machines, which only their backends run, with
    `hardware`."""
    found: list[OpCase] = []
    families = (
        shape_cases,
        arith_cases,
        reduce_cases,
        nn_cases,
        loss_cases,
        q_cases,
        quant_cases,
        snn_cases,
        time_cases,
        control_cases,
    )
    for family in families:
        found.extend(family())
    if hardware:
        found.extend(xbar_cases())
    return found


__all__ = ["OpCase", "cases"]
