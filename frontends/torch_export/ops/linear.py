"""Matrix products: what has a constant matrix becomes nn.linear, all else nn.matmul."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site
from ranvier.ir.core import Value


def weight_of(b: Value) -> Value | None:
    """The [out, in] resource that `b` is the transpose of, or None."""
    op = b.op
    if op is None or op.name != "core.transpose" or op.attributes["perm"] != (1, 0):
        return None
    weight = op.operands[0]
    return weight if weight is not None and weight.is_constant else None


@aten("linear.default")
def linear(at: Site, x: Value, weight: Value, bias: Value | None) -> Value:
    """x times weight transposed, plus bias."""
    out: Value = at("nn.linear", x, weight, bias)
    return out


@aten("addmm.default")
def addmm(at: Site, bias: Value, a: Value, b: Value, beta: Any, alpha: Any) -> Value:
    """bias + a @ b: how nn.Linear reads in core ATen, b being the weight transposed."""
    weight = weight_of(b)
    out: Value
    if weight is not None and bias.is_constant and bias.type.shape == b.type.shape[1:] and beta == alpha == 1:
        out = at("nn.linear", a, weight, bias)
        return out
    product = scaled(at, matmul(at, a, b), alpha)
    out = at("nn.add", product, scaled(at, bias, beta))
    return out


@aten("baddbmm.default")
def baddbmm(at: Site, c: Value, a: Value, b: Value, beta: Any, alpha: Any) -> Value:
    """beta * c + alpha * (a @ b)."""
    out: Value = at("nn.add", scaled(at, matmul(at, a, b), alpha), scaled(at, c, beta))
    return out


@aten("matmul.default", "mm.default", "bmm.default", "mv.default", "dot.default")
def matmul(at: Site, a: Value, b: Value, *_: Any) -> Value:
    """a @ b."""
    weight = weight_of(b)
    out: Value = at("nn.linear", a, weight) if weight is not None else at("nn.matmul", a, b)
    return out


def scaled(at: Site, x: Value, factor: Any) -> Value:
    """x times a number; x itself for 1."""
    if factor == 1:
        return x
    out: Value = at("nn.mul", x, at.number(factor, x.type.elem))
    return out
