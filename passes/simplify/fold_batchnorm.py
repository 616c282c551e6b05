"""`fold-batchnorm`: batch normalization with fixed statistics is affine; fold it into the linear op beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Module, Value
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.nn import Conv, ConvTranspose, Linear
from ranvier.ir.ops.norm import BatchNorm
from ranvier.ir.rewriting import Match, Rule, apply_rules, const, maybe, op, rewrite, var
from ranvier.passes.simplify.dce import eliminate


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold batch_norm into a conv, transposed conv or linear before or after it.

    k = s / sqrt(v + eps):  bn(W x + b) = (k W) x + (b - m) k + o, and W bn(x) + b = (W k) x + b + W (o - m k), the
    latter for a conv without padding only, since padded zeros are not normalized. Weights with another user are not
    touched: folding would change what that user computes. What stays is named in a note.
    """

    word = "fold-batchnorm"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        eliminate(module)  # a dead user would keep a weight from being folded
        log = apply_rules(module, RULES, self.word)
        context.rewrites.append(log)
        eliminate(module)
        for left in [o for o in module.ops if isinstance(o, BatchNorm)]:
            # the rules for what comes behind begin at the op behind
            roots = [left, *(u for u in left.result.users if isinstance(u, Conv | Linear))]
            tried = [log.nearest[r] for r in roots if r in log.nearest]
            reason = max(tried)[1] if tried else "no conv or linear beside it takes it"
            context.note(f"{left!r} stays: {reason}")


_PARAMETERS = (const("s"), const("o"), const("m"), const("v"))


def _after(kind: Any) -> Any:
    linear = op(kind, var("x"), const("w"), maybe(const("b")), bind="linear", uses=1)
    return op(BatchNorm, linear, *_PARAMETERS, bind="bn")


def _before(kind: Any) -> Any:
    bn = op(BatchNorm, var("x"), *_PARAMETERS, bind="bn", uses=1)
    return op(kind, bn, const("w"), maybe(const("b")), bind="linear")


def _check(r: Match) -> None:
    r.require(r.sole_use("w"), "weight {w} is used elsewhere; folding would change that user too")
    r.require(r.sole_use("b"), "bias {b} is used elsewhere; folding would change that user too")
    r.untimed("w", "b", "s", "o", "m", "v")
    missing = [n for n in "wbsomv" if (v := r.get(n)) is not None and not r.module.resource(str(v.resource)).available]
    r.require(not missing, "the array of {" + "".join(missing[:1]) + "} is not at hand")


def _affine(r: Match) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Factor k and shift o - m k of the batch_norm, in float64."""
    s, o, m, v = (r.array(n).astype(np.float64) for n in "somv")
    k = s / np.sqrt(v + r.op("bn").epsilon)
    return k, o - m * k


def _rebuild(r: Match, kind: Any, x: Value, weight: Any, bias: Any) -> Value:
    b = r.get("b")
    made_bias = r.constant(bias, like="b") if b is not None else _new_bias(r, bias)
    out: Value = r.new(kind, x, r.constant(weight, like="w"), made_bias, **r.op("linear").attributes)
    return out


def _new_bias(r: Match, bias: Any) -> Value:
    weight = r["w"]
    hint = str(weight.resource).removesuffix("weight").rstrip(".") or "bn"
    return r.constant(np.asarray(bias).astype(weight.type.elem.dtype), hint=f"{hint}.bias")


def _bias(r: Match) -> Any:
    return r.array("b").astype(np.float64) if r.get("b") is not None else 0.0


@rewrite("batch_norm(conv(x, w, b), s, o, m, v) => conv(x, w*k, b*k + o - m*k), k = s/sqrt(v + eps)", _after(Conv))
def after_conv(r: Match) -> Value:
    """Output channels lie on axis 0 of the weight."""
    _check(r)
    k, shift = _affine(r)
    w = r.array("w").astype(np.float64)
    return _rebuild(r, Conv, r["x"], w * k.reshape(-1, *[1] * (w.ndim - 1)), _bias(r) * k + shift)


@rewrite(
    "batch_norm(conv_transpose(x, w, b), s, o, m, v) => conv_transpose(x, w*k, b*k + o - m*k), k = s/sqrt(v + eps)",
    _after(ConvTranspose),
)
def after_conv_transpose(r: Match) -> Value:
    """Output channels lie on axis 1 of the weight, group by group."""
    _check(r)
    k, shift = _affine(r)
    w = r.array("w").astype(np.float64)
    groups = int(r.op("linear").groups)
    grouped = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    scaled = grouped * k.reshape(groups, 1, w.shape[1], *[1] * (w.ndim - 2))
    return _rebuild(r, ConvTranspose, r["x"], scaled.reshape(w.shape), _bias(r) * k + shift)


@rewrite(
    "batch_norm(linear(x, w, b), s, o, m, v) => linear(x, w*k, b*k + o - m*k), k = s/sqrt(v + eps)", _after(Linear)
)
def after_linear(r: Match) -> Value:
    """batch_norm's channels are axis 1, which is the features of a linear op on matrices only."""
    _check(r)
    r.require(r["x"].type.rank == 2, "the features of {x} are not on axis 1")
    k, shift = _affine(r)
    return _rebuild(r, Linear, r["x"], r.array("w").astype(np.float64) * k[:, None], _bias(r) * k + shift)


@rewrite(
    "conv(batch_norm(x, s, o, m, v), w, b) => conv(x, w*k, b + sum(w*(o - m*k))), k = s/sqrt(v + eps)", _before(Conv)
)
def before_conv(r: Match) -> Value:
    """Input channels lie on axis 1 of the weight, group by group."""
    _check(r)
    k, shift = _affine(r)
    conv = r.op("linear")
    r.require(not any(conv.padding) or not np.any(shift), "the conv pads with zeros, which the batch_norm would shift")
    w = r.array("w").astype(np.float64)
    groups = int(conv.groups)
    # w is [out, in/groups, ...]; spread the per-input factors over the groups of outputs
    per_out = np.repeat(np.arange(groups), w.shape[0] // groups)
    spread = [k.reshape(groups, -1)[per_out], shift.reshape(groups, -1)[per_out]]
    factor, offset = (a.reshape(*a.shape, *[1] * (w.ndim - 2)) for a in spread)
    return _rebuild(r, Conv, r["x"], w * factor, _bias(r) + (w * offset).reshape(w.shape[0], -1).sum(1))


@rewrite(
    "linear(batch_norm(x, s, o, m, v), w, b) => linear(x, w*k, b + w (o - m*k)), k = s/sqrt(v + eps)", _before(Linear)
)
def before_linear(r: Match) -> Value:
    """For matrices, where the normalized axis is the features."""
    _check(r)
    r.require(r["x"].type.rank == 2, "the features of {x} are not on axis 1")
    k, shift = _affine(r)
    w = r.array("w").astype(np.float64)
    return _rebuild(r, Linear, r["x"], w * k, _bias(r) + w @ shift)


RULES: tuple[Rule, ...] = (after_conv, after_conv_transpose, after_linear, before_conv, before_linear)
