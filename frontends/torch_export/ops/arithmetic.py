"""Elementwise arithmetic, comparisons and logic, with torch's promotion of element types."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.ops.linear import scaled
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site
from ranvier.ir.core import Value
from ranvier.ir.elements import elem

UNARY = {
    "neg": "nn.neg",
    "abs": "nn.abs",
    "sqrt": "nn.sqrt",
    "exp": "nn.exp",
    "log": "nn.log",
    "reciprocal": "nn.reciprocal",
    "floor": "nn.floor",
    "ceil": "nn.ceil",
    "round": "nn.round",
    "sign": "nn.sign",
    "erf": "nn.erf",
    "sin": "nn.sin",
    "cos": "nn.cos",
}
BINARY = {
    "mul.Tensor": "nn.mul",
    "mul.Scalar": "nn.mul",
    "div.Tensor": "nn.div",
    "div.Scalar": "nn.div",
    "maximum.default": "nn.maximum",
    "minimum.default": "nn.minimum",
    "pow.Tensor_Tensor": "nn.pow",
    "pow.Scalar": "nn.pow",
    "remainder.Tensor": "nn.mod",
    "remainder.Scalar": "nn.mod",
}
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")
LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor", "bitwise_and": "and", "bitwise_or": "or"}


def _unary(op: str) -> Callable[..., Any]:
    def handler(at: Site, x: Value) -> Any:
        return at(op, at.cast(x, at.elem))

    return handler


def _binary(op: str) -> Callable[..., Any]:
    def handler(at: Site, a: Any, b: Any) -> Any:
        return at(op, at.cast(a, at.elem), at.cast(b, at.elem))

    return handler


def _compare(how: str) -> Callable[..., Any]:
    def handler(at: Site, a: Any, b: Any) -> Any:
        kind = at.common_elem(0, 1)
        return at("nn.compare", at.cast(a, kind), at.cast(b, kind), how=how)

    return handler


def _logical(how: str) -> Callable[..., Any]:
    def handler(at: Site, a: Any, b: Any) -> Any:
        if at.elem.storage != "i1":
            raise Unsupported(f"on {at.elem} is not imported", "only bits can be combined")
        return at("nn.logical", bits(at, a), bits(at, b), how=how)

    return handler


for _name, _op in UNARY.items():
    aten(f"{_name}.default")(_unary(_op))
for _name, _op in BINARY.items():
    aten(_name)(_binary(_op))
for _name in COMPARE:
    aten(f"{_name}.Tensor", f"{_name}.Scalar")(_compare(_name))
for _name, _op in LOGICAL.items():
    aten(f"{_name}.{'Tensor' if _name.startswith('bitwise') else 'default'}")(_logical(_op))


def bits(at: Site, x: Any) -> Value:
    """A value or number as bits: whether it is not zero."""
    return at.cast(x, elem("i1"))


@aten("logical_not.default", "bitwise_not.default")
def logical_not(at: Site, x: Value) -> Any:
    """The bit turned round."""
    if at.elem.storage != "i1":
        raise Unsupported(f"on {at.elem} is not imported", "only bits can be turned")
    return at("nn.logical", bits(at, x), how="not")


@aten("add.Tensor", "add.Scalar")
def add(at: Site, a: Any, b: Any, alpha: Any) -> Any:
    """a + alpha * b."""
    return at("nn.add", at.cast(a, at.elem), scaled(at, at.cast(b, at.elem), alpha))


@aten("sub.Tensor", "sub.Scalar")
def sub(at: Site, a: Any, b: Any, alpha: Any) -> Any:
    """a - alpha * b."""
    return at("nn.sub", at.cast(a, at.elem), scaled(at, at.cast(b, at.elem), alpha))


@aten("rsub.Tensor", "rsub.Scalar")
def rsub(at: Site, a: Any, b: Any, alpha: Any) -> Any:
    """b - alpha * a."""
    return at("nn.sub", at.cast(b, at.elem), scaled(at, at.cast(a, at.elem), alpha))


@aten("div.Tensor_mode", "div.Scalar_mode")
def div_mode(at: Site, a: Any, b: Any, mode: str | None) -> Any:
    """a / b, rounded down on request."""
    if mode is not None and (mode != "floor" or not at.elem.is_float):
        raise Unsupported(f"with rounding_mode={mode!r} on {at.elem} is not imported", "only reals rounded down are")
    quotient = at("nn.div", at.cast(a, at.elem), at.cast(b, at.elem))
    return quotient if mode is None else at("nn.floor", quotient)


@aten("fmod.Tensor", "fmod.Scalar")
def fmod(at: Site, a: Any, b: Any) -> Any:
    """The remainder with the sign of a."""
    return at("nn.mod", at.cast(a, at.elem), at.cast(b, at.elem), sign="dividend")


@aten("pow.Tensor_Scalar")
def pow_scalar(at: Site, x: Value, exponent: Any) -> Any:
    """x to a power; small whole powers and roots have ops of their own."""
    x = at.cast(x, at.elem)
    if exponent == 1:
        return x
    if exponent == 2:
        return at("nn.mul", x, x)
    if exponent == 0.5:
        return at("nn.sqrt", x)
    if exponent == -1:
        return at("nn.reciprocal", x)
    return at("nn.pow", x, at.number(exponent, at.elem))


@aten("square.default")
def square(at: Site, x: Value) -> Any:
    """x * x."""
    return at("nn.mul", x, x)


@aten("rsqrt.default")
def rsqrt(at: Site, x: Value) -> Any:
    """1 / sqrt(x)."""
    return at("nn.reciprocal", at("nn.sqrt", at.cast(x, at.elem)))


@aten("log1p.default")
def log1p(at: Site, x: Value) -> Any:
    """log(1 + x)."""
    return at("nn.log", at("nn.add", at.cast(x, at.elem), at.number(1, at.elem)))


@aten("expm1.default")
def expm1(at: Site, x: Value) -> Any:
    """exp(x) - 1."""
    return at("nn.sub", at("nn.exp", at.cast(x, at.elem)), at.number(1, at.elem))


@aten("clamp.default")
def clamp(at: Site, x: Value, low: Any, high: Any) -> Any:
    """min(max(x, low), high); clamping at zero from below alone is a ReLU."""
    x = at.cast(x, at.elem)
    if low == 0 and high is None:
        return at("nn.relu", x)
    bounds = {"low": -math.inf if low is None else float(low), "high": math.inf if high is None else float(high)}
    return at("nn.clip", x, **bounds)


@aten("clamp_min.default")
def clamp_min(at: Site, x: Value, low: Any) -> Any:
    """max(x, low)."""
    return clamp(at, x, low, None)


@aten("clamp_max.default")
def clamp_max(at: Site, x: Value, high: Any) -> Any:
    """min(x, high)."""
    return clamp(at, x, None, high)


@aten("clamp.Tensor")
def clamp_tensor(at: Site, x: Value, low: Value | None, high: Value | None) -> Any:
    """min(max(x, low), high) with tensors as bounds."""
    x = at.cast(x, at.elem)
    if low is not None:
        x = at("nn.maximum", x, at.cast(low, at.elem))
    return x if high is None else at("nn.minimum", x, at.cast(high, at.elem))


@aten("where.self")
def where(at: Site, condition: Value, a: Any, b: Any) -> Any:
    """a where the bit is set, else b."""
    return at("core.select", bits(at, condition), at.cast(a, at.elem), at.cast(b, at.elem))


@aten("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(at: Site, x: Value, mask: Value, value: Any) -> Any:
    """value where the bit is set, else x."""
    return at("core.select", bits(at, mask), at.cast(value, at.elem), x)


@aten("_to_copy.default", "to.dtype")
def to_copy(at: Site, x: Value, *_: Any) -> Any:
    """Another element type; the memory format and device do not matter here."""
    return at.cast(x, at.elem)


@aten(
    "clone.default",
    "contiguous.default",
    "detach.default",
    "alias.default",
    "lift_fresh_copy.default",
    "positive.default",
)
def same(at: Site, x: Value, *_: Any) -> Any:
    """x itself: values are never changed in place here."""
    return x
