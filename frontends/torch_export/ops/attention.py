"""Scaled dot-product attention, taken apart into matmul and softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.ops.linear import scaled
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site
from ranvier.ir.core import Value


@aten("scaled_dot_product_attention.default")
def attention(
    at: Site,
    query: Value,
    key: Value,
    value: Value,
    mask: Value | None,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> Value:
    """softmax(query @ key^T * scale + mask) @ value."""
    if dropout:
        raise Unsupported("drops attention weights", "call model.eval() before torch.export", "training-mode")
    if grouped:
        raise Unsupported("with enable_gqa=True is not imported", "repeat the keys and values over the groups")
    rank = query.type.rank
    perm = (*range(rank - 2), rank - 1, rank - 2)
    scores = at("nn.matmul", query, at("core.transpose", key, perm=perm))
    depth = query.type.shape[-1]
    factor = scale if scale is not None else 1 / math.sqrt(depth) if isinstance(depth, int) else None
    if factor is None:
        raise Unsupported("has heads of a symbolic size", "export with a fixed size of heads")
    scores = masked(at, scaled(at, scores, factor), mask)
    if causal:
        scores = masked(at, scores, _lower_triangle(at, scores))
    out: Value = at("nn.matmul", at("nn.softmax", scores, axis=-1), value)
    return out


def masked(at: Site, scores: Value, mask: Value | None) -> Any:
    """Scores with a mask: bits keep, numbers are added."""
    if mask is None:
        return scores
    if mask.type.elem.storage != "i1":
        return at("nn.add", scores, mask)
    return at("core.select", mask, scores, at.number(-math.inf, scores.type.elem))


def _lower_triangle(at: Site, scores: Value) -> Value:
    rows, columns = scores.type.shape[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Unsupported("is causal over a symbolic length", "export with a fixed length")
    return at.constant(np.tri(rows, columns, dtype=bool), "causal")
