"""Bases of the elementwise ops, and functions that several of them share.

Sums, products, extrema and other exact ops work in the operands' own precision, so that spikes computed from dyadic
numbers are exact; functions that lose digits are computed in float64. Integers are exact in int64 and wrap.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ranvier.ir.ops.checks import broadcast, equal_elems, numbers, wide, widest
from ranvier.ir.schema import operand
from ranvier.ir.timing import PureOp
from ranvier.ir.types import TensorType, Type


class Binary(PureOp):
    """Base of the ops on two tensors that broadcast as in numpy; both have one element type, which the result keeps."""

    a = operand("left operand")
    b = operand("right operand")

    def infer(self, a: Any, b: Any) -> Type:
        """See Op."""
        numbers(self, a, b)
        equal_elems(self, a, b)
        return TensorType(broadcast(self, a, b), a.elem)

    def meaning(self, a: Any, b: Any) -> Any:
        """See Op."""
        with np.errstate(all="ignore"):
            return self.function(wide(a), wide(b))

    def function(self, a: Any, b: Any) -> Any:
        """The function in numpy."""
        raise NotImplementedError


class Unary(PureOp):
    """Base of the ops on one tensor that keep shape and element type."""

    integers: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    x = operand("operand")

    def infer(self, x: Any, *rest: Any) -> Type:
        """See Op."""
        numbers(self, x, integers=self.integers)
        return TensorType(x.shape, x.elem)

    def meaning(self, x: Any, *rest: Any) -> Any:
        """See Op."""
        with np.errstate(all="ignore"):
            return self.function(wide(x) if self.exact else widest(x))

    def function(self, x: Any) -> Any:
        """The function in numpy: in the operand's precision if `exact`, else in float64."""
        raise NotImplementedError


def erf(x: Any) -> Any:
    """The error function of an array in float64."""
    x = np.asarray(x, np.float64)
    out = np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size)
    return out.reshape(x.shape)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)) without overflow."""
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0.0)
