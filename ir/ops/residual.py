"""`snn.residual_membrane`: what a window leaves in a neuron, which two-stage methods begin anew from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.core import require_tensor
from ranvier.ir.ops.snn import check_parameter, spread_bias
from ranvier.ir.schema import operand, optional
from ranvier.ir.timing import WindowedOp
from ranvier.ir.types import Type

FAR = 1000.0
"""In thresholds, the membrane of a step that was not; as in the code of Hao et al."""


class ResidualMembrane(WindowedOp, name="snn.residual_membrane", results=("left", "least", "most")):
    """The membrane of an integrate-and-fire neuron (soft reset, v >= theta) that has seen a current over its window.

    `left` is the membrane after the last step, `least` the least one at which it fired (1000 theta: it never did),
    before it fell, `most` the largest one of the steps at which it did not fire (-1000 theta: it always did). It is the
    neuron's own knowledge: nothing is sent, so no spike is counted or lost. Sources: Hao et al. (AAAI 2023, ICLR 2023).
    """

    current = operand("input current (timed)")
    theta = operand("threshold: one number, one a channel (axis 1), or a tensor that broadcasts")
    v0 = optional("membrane before the first step; 0 by default")

    def infer(self, current: Any, theta: Any, v0: Any) -> tuple[Type, ...]:
        """See Op."""
        kind = require_tensor(self, "current", current)
        if kind.time is None or not kind.elem.is_float:
            raise self.fail(
                "type-mismatch", f"integrates a real current over time, not {kind}", "core.repeat gives it steps"
            )
        for what, parameter in (("theta", theta), ("v0", v0)):
            if parameter is not None:
                check_parameter(self, what, parameter, kind)
        plain = kind.with_time(None)
        return plain, plain, plain

    def meaning(self, current: Any, theta: Any, v0: Any) -> tuple[Any, Any, Any]:
        """See Op."""
        rank = current.ndim - 1
        return integrated(
            np,
            current,
            spread_bias(np.asarray(theta), rank),
            None if v0 is None else spread_bias(np.asarray(v0), rank),
        )


def integrated(xp: Any, current: Any, theta: Any, v0: Any) -> tuple[Any, Any, Any]:
    """The three results for a current [T, ...], over an array namespace."""
    v = current[0] * 0 if v0 is None else current[0] * 0 + v0
    least, most = v * 0 + theta * FAR, v * 0 - theta * FAR
    for t in range(len(current)):
        v = v + current[t]
        fired = v >= theta
        least = xp.where(fired, xp.minimum(least, v), least)
        most = xp.where(fired, most, xp.maximum(most, v))
        v = xp.where(fired, v - theta, v)
    return v, least, most
