"""`nn` arithmetic. Reals run in their own type; integers in int64, which wraps as the meaning does."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.dtypes import POOR
from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.ir.core import Op

OPERATORS = {"nn.add": "+", "nn.sub": "-", "nn.mul": "*"}
FUNCTIONS = {
    "nn.maximum": "torch.maximum",
    "nn.minimum": "torch.minimum",
    "nn.abs": "torch.abs",
    "nn.sqrt": "torch.sqrt",
    "nn.exp": "torch.exp",
    "nn.log": "torch.log",
    "nn.reciprocal": "torch.reciprocal",
    "nn.floor": "torch.floor",
    "nn.ceil": "torch.ceil",
    "nn.round": "torch.round",
    "nn.sign": "K.sign",
    "nn.erf": "torch.erf",
    "nn.sin": "torch.sin",
    "nn.cos": "torch.cos",
    "nn.tanh": "torch.tanh",
}
RELATIONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def poor(op: Op) -> bool:
    """Whether torch lacks arithmetic on an operand or result."""
    return any(v.type.elem.storage in POOR for v in (*op.arguments, *op.results))


def whole_numbers(op: Op) -> bool:
    """Whether the result is of an integer type."""
    return not op.result.type.elem.is_float


@pure(*OPERATORS)
def operator(op: Op, w: Any, a: str, b: str) -> str | None:
    """a + b, a - b, a * b."""
    if poor(op):
        return None
    if op.name == "nn.add" and op.result.type.elem.storage == "f32":
        left, right = op.arguments
        if left is not right and w.owned(left, op.result):
            return f"{a}.add_({b})"
        if left is not right and w.owned(right, op.result):
            return f"{b}.add_({a})"
    return f"{a} {OPERATORS[op.name]} {b}"


@pure(*FUNCTIONS)
def function(op: Op, w: Any, *args: str) -> str | None:
    """Functions that torch has under one name."""
    return None if poor(op) else f"{FUNCTIONS[op.name]}({', '.join(args)})"


@pure("nn.neg")
def neg(op: Op, w: Any, x: str) -> str | None:
    """-x."""
    return None if poor(op) else f"-{x}"


@pure("nn.div")
def div(op: Op, w: Any, a: str, b: str) -> str | None:
    """a / b; integers by meaning."""
    return None if whole_numbers(op) else f"{a} / {b}"


@pure("nn.pow")
def power(op: Op, w: Any, a: str, b: str) -> str | None:
    """a ** b; integers by meaning."""
    return None if whole_numbers(op) else f"torch.pow({a}, {b})"


@pure("nn.mod")
def mod(op: Op, w: Any, a: str, b: str) -> str | None:
    """Remainders; integers by meaning, because of division by zero."""
    if whole_numbers(op):
        return None
    return f"torch.{'remainder' if op.attributes['sign'] == 'divisor' else 'fmod'}({a}, {b})"


@pure("nn.compare")
def compare(op: Op, w: Any, a: str, b: str) -> str | None:
    """Relations."""
    return None if poor(op) else f"{a} {RELATIONS[op.attributes['how']]} {b}"


@pure("nn.logical")
def logical(op: Op, w: Any, a: str, b: str | None) -> str:
    """Connectives."""
    how = op.attributes["how"]
    return f"torch.logical_not({a})" if how == "not" else f"torch.logical_{how}({a}, {b})"
