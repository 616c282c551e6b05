"""`nn`: elementwise arithmetic, functions and comparisons. Activations are in `activations` and named here too."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.elements import elem
from ranvier.ir.ops.activations import (
    Celu,
    Clip,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Mish,
    Prelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
)
from ranvier.ir.ops.checks import brief, broadcast, equal_elems, wide, widest
from ranvier.ir.ops.elementwise import Binary, Unary, erf
from ranvier.ir.schema import enum, operand, optional
from ranvier.ir.timing import PureOp
from ranvier.ir.types import TensorType, Type

__all__ = [
    "Abs",
    "Add",
    "Ceil",
    "Celu",
    "Clip",
    "Compare",
    "Cos",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Logical",
    "Maximum",
    "Minimum",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Pow",
    "Prelu",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Silu",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Tanh",
]


class Add(Binary, name="nn.add"):
    """a + b."""

    def function(self, a: Any, b: Any) -> Any:
        """See Binary."""
        return a + b


class Sub(Binary, name="nn.sub"):
    """a - b."""

    def function(self, a: Any, b: Any) -> Any:
        """See Binary."""
        return a - b


class Mul(Binary, name="nn.mul"):
    """a * b."""

    def function(self, a: Any, b: Any) -> Any:
        """See Binary."""
        return a * b


class Div(Binary, name="nn.div"):
    """a / b; integers are truncated towards zero, and divided by zero give zero."""

    def function(self, a: Any, b: Any) -> Any:
        """See Binary."""
        if a.dtype.kind == "f":
            return a / b
        safe = np.where(b == 0, 1, b)
        quotient = np.floor_divide(a, safe)
        towards_zero = quotient + ((quotient < 0) & (quotient * safe != a))
        return np.where(b == 0, 0, towards_zero)


class Pow(Binary, name="nn.pow"):
    """a ** b; an integer to a negative power is truncated to 0 (or 1, -1 for those bases)."""

    def function(self, a: Any, b: Any) -> Any:
        """See Binary."""
        if a.dtype.kind == "f":
            return np.power(widest(a), widest(b))
        negative = b < 0
        whole = np.power(a, np.where(negative, 0, b))
        inverse = np.where(np.abs(a) == 1, np.where(b % 2 == 0, 1, a), 0)
        return np.where(negative, inverse, whole)


class Maximum(Binary, name="nn.maximum"):
    """The larger of a and b; nan where either is."""

    def function(self, a: Any, b: Any) -> Any:
        """See Binary."""
        return np.maximum(a, b)


class Minimum(Binary, name="nn.minimum"):
    """The smaller of a and b; nan where either is."""

    def function(self, a: Any, b: Any) -> Any:
        """See Binary."""
        return np.minimum(a, b)


class Mod(Binary, name="nn.mod"):
    """The remainder of a / b with the sign of b (as Python's %), or of a (as C's fmod). Integers mod 0 give 0."""

    sign = enum("divisor", "dividend", default="divisor", help="whose sign the remainder has")

    def function(self, a: Any, b: Any) -> Any:
        """See Binary."""
        remainder = np.mod if self.sign == "divisor" else np.fmod
        if a.dtype.kind == "f":
            return remainder(a, b)
        return np.where(b == 0, 0, remainder(a, np.where(b == 0, 1, b)))


class Neg(Unary, name="nn.neg"):
    """-x."""

    integers = exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return -x


class Abs(Unary, name="nn.abs"):
    """|x|."""

    integers = exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.abs(x)


class Sqrt(Unary, name="nn.sqrt"):
    """The square root; nan below zero."""

    exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.sqrt(x)


class Exp(Unary, name="nn.exp"):
    """e to the x."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.exp(x)


class Log(Unary, name="nn.log"):
    """The natural logarithm."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.log(x)


class Reciprocal(Unary, name="nn.reciprocal"):
    """1 / x."""

    exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.reciprocal(x)


class Floor(Unary, name="nn.floor"):
    """The largest whole number that is not above x."""

    exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.floor(x)


class Ceil(Unary, name="nn.ceil"):
    """The smallest whole number that is not below x."""

    exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.ceil(x)


class Round(Unary, name="nn.round"):
    """The nearest whole number, halves to the even one."""

    exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.rint(x)


class Sign(Unary, name="nn.sign"):
    """-1, 0 or 1."""

    integers = exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.sign(x)


class Erf(Unary, name="nn.erf"):
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return erf(x)


class Sin(Unary, name="nn.sin"):
    """The sine."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.sin(x)


class Cos(Unary, name="nn.cos"):
    """The cosine."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.cos(x)


class Tanh(Unary, name="nn.tanh"):
    """The hyperbolic tangent."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.tanh(x)


class Compare(PureOp, name="nn.compare"):
    """a compared with b, element by element: a bit."""

    a = operand("left operand")
    b = operand("right operand")
    how = enum("eq", "ne", "lt", "le", "gt", "ge", help="the relation: =, !=, <, <=, > or >=")

    def infer(self, a: Any, b: Any) -> Type:
        """See Op."""
        equal_elems(self, a, b)
        if a.elem.quant is not None:
            raise self.fail(
                "type-mismatch", f"compares numbers, not levels of {brief(a.elem)}", "put q.dequantize before"
            )
        return TensorType(broadcast(self, a, b), elem("i1"))

    def meaning(self, a: Any, b: Any) -> Any:
        """See Op."""
        functions: dict[str, Any] = {
            "eq": np.equal,
            "ne": np.not_equal,
            "lt": np.less,
            "le": np.less_equal,
            "gt": np.greater,
            "ge": np.greater_equal,
        }
        return functions[self.how](wide(a), wide(b))


class Logical(PureOp, name="nn.logical"):
    """Bits combined, element by element; `not` takes one operand."""

    a = operand("bits")
    b = optional("bits; left out for not")
    how = enum("and", "or", "xor", "not", help="the connective")

    def infer(self, a: Any, b: Any) -> Type:
        """See Op."""
        if (b is None) != (self.how == "not"):
            raise self.fail(
                "wrong-operands", f"how={self.how} takes {'one operand' if self.how == 'not' else 'two operands'}"
            )
        for kind in (a, b):
            if kind is not None and (kind.elem.storage != "i1" or kind.elem.quant is not None):
                raise self.fail(
                    "type-mismatch", f"needs bits, not {kind.elem}", "nn.compare or core.cast to i1 makes bits"
                )
        return TensorType(broadcast(self, a, b), elem("i1"))

    def meaning(self, a: Any, b: Any) -> Any:
        """See Op."""
        if self.how == "not":
            return np.logical_not(a)
        functions: dict[str, Any] = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}
        return functions[self.how](a, b)
