"""One way to write strides, padding and dilations: those that do nothing are left out."""

from __future__ import annotations

from typing import Any

from ranvier.ir.core import Value
from ranvier.ir.ops.nn import Conv, ConvTranspose
from ranvier.ir.ops.pool import AvgPool, Pool
from ranvier.ir.rewriting import Match, Rule, op, rewrite, var

# What each list means where it is empty.
_NEUTRAL = {"strides": 1, "padding": 0, "output_padding": 0, "dilations": 1}


@rewrite(
    "conv(x, w, strides=[1, ...], padding=[0, ...], dilations=[1, ...]) => conv(x, w); likewise pools",
    op((Conv, ConvTranspose, Pool), var("x")),
)
def trivial_window(r: Match) -> Value:
    """Lists of ones or zeros are the defaults, which are empty."""
    attributes: dict[str, Any] = dict(r.root.attributes)
    trivial = [n for n, neutral in _NEUTRAL.items() if attributes.get(n) and set(attributes[n]) == {neutral}]
    r.require(bool(trivial), "every list says something")
    out: Value = r.new(type(r.root), *r.root.operands, **attributes | dict.fromkeys(trivial, ()))
    return out


@rewrite(
    "avg_pool(x, count_include_pad) without padding => avg_pool(x)",
    op(AvgPool, var("x"), bind="pool", count_include_pad=True, ceil_mode=False),
)
def no_padding_to_count(r: Match) -> Value:
    """Windows that lie inside count the same either way."""
    pool = r.op("pool")
    r.require(not any(pool.padding), "the pool pads")
    out: Value = r.new(AvgPool, r["x"], **{**pool.attributes, "count_include_pad": False})
    return out


RULES: tuple[Rule, ...] = (trivial_window, no_padding_to_count)
