"""Arithmetic, element by element."""

from __future__ import annotations

import numpy as np

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.registry import onnx_op
from ranvier.frontends.onnx.tensors import Constant, Tensor, element_type

_BINARY = {"Add": "nn.add", "Sub": "nn.sub", "Mul": "nn.mul", "Div": "nn.div"}
_UNARY = {
    "Neg": "nn.neg",
    "Abs": "nn.abs",
    "Sqrt": "nn.sqrt",
    "Exp": "nn.exp",
    "Log": "nn.log",
    "Reciprocal": "nn.reciprocal",
    "Floor": "nn.floor",
    "Ceil": "nn.ceil",
    "Tanh": "nn.tanh",
    "Sigmoid": "nn.sigmoid",
}


@onnx_op(*_BINARY, since=7)
def binary(n: Node) -> Tensor:
    """Two tensors that broadcast as in numpy."""
    return n.emit(_BINARY[n.proto.op_type], n.input(0), n.input(1))


def unary(n: Node, op: str) -> Tensor:
    """One tensor."""
    return n.emit(op, n.input(0))


@onnx_op(*_UNARY, since=6)
def unary_6(n: Node) -> Tensor:
    """One tensor."""
    return unary(n, _UNARY[n.proto.op_type])


@onnx_op("Sign", "Erf", since=9)
def unary_9(n: Node) -> Tensor:
    """One tensor."""
    return unary(n, f"nn.{n.proto.op_type.lower()}")


@onnx_op("Sin", "Cos", since=7)
def unary_7(n: Node) -> Tensor:
    """One tensor."""
    return unary(n, f"nn.{n.proto.op_type.lower()}")


@onnx_op("Round", since=11)
def round_11(n: Node) -> Tensor:
    """Halves go to the even number."""
    return unary(n, "nn.round")


@onnx_op("Identity", since=1)
def identity(n: Node) -> Tensor:
    """Nothing."""
    return n.input(0)


@onnx_op("Pow", since=7)
def power(n: Node) -> Tensor:
    """A power in the base's type; a square is a product."""
    base, exponent = n.input(0), n.input(1)
    if (
        isinstance(exponent, Constant)
        and exponent.size == 1
        and float(exponent.array.reshape(-1)[0]) == 2
        and not exponent.shape
    ):
        return n.emit("nn.mul", base, base)
    kind = n.elem(base)
    if n.elem(exponent).is_float and not kind.is_float:
        real = n.emit("nn.pow", n.cast(base, n.elem(exponent)), exponent)
        return n.cast(real, kind)
    return n.emit("nn.pow", base, n.cast(exponent, kind))


@onnx_op("Mod", since=10)
def mod(n: Node) -> Tensor:
    """The remainder with the divisor's sign, or with fmod the dividend's."""
    fmod = n.integer("fmod", 0)
    a, b = n.input(0), n.input(1)
    if n.elem(a).is_float and not fmod and n.opset < 28:
        raise ValueError("fmod=0 is for integers")
    return n.emit("nn.mod", a, b, **({"sign": "dividend"} if fmod else {}))


def chain(n: Node, op: str, xs: list[Tensor]) -> Tensor:
    """A binary op from left to right."""
    out = xs[0]
    for x in xs[1:]:
        out = n.emit(op, out, x)
    return out


@onnx_op("Max", "Min", "Sum", since=6)
def variadic(n: Node) -> Tensor:
    """Any number of tensors, two at a time."""
    op = {"Max": "nn.maximum", "Min": "nn.minimum", "Sum": "nn.add"}[n.proto.op_type]
    return chain(n, op, n.all_inputs())


@onnx_op("Mean", since=6)
def mean(n: Node) -> Tensor:
    """The sum by the number of tensors."""
    xs = n.all_inputs()
    total = chain(n, "nn.add", xs)
    return total if len(xs) == 1 else n.emit("nn.div", total, n.scalar(len(xs), total))


@onnx_op("Cast", since=6)
def cast(n: Node) -> Tensor:
    """Another element type; what `saturate` and `round_mode` say is of 8-bit floats alone."""
    n.ignore("saturate", "round_mode")
    return n.cast(n.input(0), element_type(n.integer("to")))


@onnx_op("CastLike", since=15)
def cast_like(n: Node) -> Tensor:
    """The element type of another tensor."""
    n.ignore("saturate", "round_mode")
    return n.cast(n.input(0), n.elem(n.input(1)))


@onnx_op("Clip", since=6)
def clip_6(n: Node) -> Tensor:
    """Bounds are attributes."""
    return _clip(n, n.real("min", -np.inf), n.real("max", np.inf))


@onnx_op("Clip", since=11)
def clip_11(n: Node) -> Tensor:
    """Bounds are inputs; those that are computed give maximum and minimum."""
    x, low, high = n.input(0), n.optional(1), n.optional(2)
    if all(b is None or (isinstance(b, Constant) and b.size == 1 and _fits(b)) for b in (low, high)):
        return _clip(n, _bound(low, -np.inf), _bound(high, np.inf))
    x = x if low is None else n.emit("nn.maximum", x, low)
    return x if high is None else n.emit("nn.minimum", x, high)


def _clip(n: Node, low: float, high: float) -> Tensor:
    x = n.input(0)
    if not n.elem(x).is_float:
        least, most = n.elem(x).range
        low, high = (-np.inf if low <= least else low), (np.inf if high >= most else high)
    elif n.elem(x).storage == "f32":
        # exporters write "no bound" as the largest float32
        top = float(np.finfo(np.float32).max)
        low, high = (-np.inf if low == -top else low), (np.inf if high == top else high)
    given = {k: v for k, v in (("low", low), ("high", high)) if np.isfinite(v) or np.isnan(v)}
    return n.emit("nn.clip", x, **given) if given else x


def _bound(t: Tensor | None, default: float) -> float:
    if not isinstance(t, Constant):
        return default
    found = t.array.reshape(-1)[0]
    return float(str(found)) if t.type.elem.storage == "f32" else float(found)


def _fits(t: Constant) -> bool:
    """Whether an integer bound is a float64 exactly, or no bound at all."""
    if t.type.elem.is_float:
        return True
    value = int(t.array.reshape(-1)[0])
    return abs(value) <= 2**53 or value in t.type.elem.range


@onnx_op("CumSum", since=11)
def cumsum(n: Node) -> Tensor:
    """Running sums; backwards between two reversals, exclusive by taking the element itself off."""
    x = n.input(0)
    axis = n.axis(n.ints_at(1, "an axis")[0], n.rank(x))
    reverse, exclusive = n.integer("reverse", 0), n.integer("exclusive", 0)

    def turned(t: Tensor) -> Tensor:
        return n.emit("core.slice", t, axes=(axis,), starts=(-1,), stops=(-(2**31) + 1,), steps=(-1,)) if reverse else t

    start = turned(x)
    total = n.emit("nn.cumsum", start, axis=axis)
    return turned(n.emit("nn.sub", total, start) if exclusive else total)


@onnx_op("Dropout", since=7)
def dropout(n: Node) -> list[Tensor]:
    """Nothing, at inference; the mask, where asked for, is all ones."""
    n.ignore("ratio", "seed")
    x = n.input(0)
    n.optional(1)
    if n.optional(2) is not None and bool(n.constant(2, "a training mode").any()):
        raise Unsupported("is in training mode", "export the model in evaluation mode")
    if len(n.proto.output) < 2 or not n.proto.output[1]:
        return [x]
    shape = n.shape(x)
    if not all(isinstance(d, int) for d in shape):
        raise Unsupported("gives a mask of a shape with symbols")
    return [x, Constant.of(np.ones([int(d) for d in shape], bool))]  # type: ignore[arg-type]
