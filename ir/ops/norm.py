"""`nn`: normalisations, computed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.ops.checks import along, axis_of, equal_elems, numbers, vector, widest
from ranvier.ir.schema import integer, operand, optional, real
from ranvier.ir.timing import PureOp
from ranvier.ir.types import TensorType, Type, same_dim, show_shape


class BatchNorm(PureOp, name="nn.batch_norm"):
    """(x - mean) / sqrt(var + epsilon) * scale + bias on channels (axis 1), with given statistics (inference)."""

    x = operand("input [N, C, ...]")
    scale = operand("one number a channel")
    bias = operand("one number a channel")
    mean = operand("one number a channel")
    var = operand("one number a channel")
    epsilon = real(1e-5, "added to the variance", min=0)

    def infer(self, x: Any, *params: Any) -> Type:
        """See Op."""
        numbers(self, x, *params, integers=False)
        equal_elems(self, x, *params)
        if x.rank < 2:
            raise self.fail("shape-mismatch", f"needs an input [N, C, ...], not {show_shape(x.shape)}")
        for field, kind in zip(self.operand_fields[1:], params, strict=True):
            vector(self, field.name, kind, x.shape[1])
        return TensorType(x.shape, x.elem)

    def meaning(self, x: Any, *params: Any) -> Any:
        """See Op."""
        scale, bias, mean, var = (along(widest(p), 1, np.ndim(x)) for p in params)
        with np.errstate(all="ignore"):
            return (widest(x) - mean) / np.sqrt(var + self.epsilon) * scale + bias


class LayerNorm(PureOp, name="nn.layer_norm"):
    """(x - mean) / sqrt(var + epsilon) * scale + bias over the axes from `axis` on (Ba et al., 2016).

    The variance is the mean square deviation. Scale and bias broadcast against these axes.
    """

    x = operand("input")
    scale = optional("factor")
    bias = optional("summand")
    axis = integer(-1, "the first axis that is normalised")
    epsilon = real(1e-5, "added to the variance", min=0)

    def infer(self, x: Any, scale: Any, bias: Any) -> Type:
        """See Op."""
        numbers(self, x, scale, bias, integers=False)
        equal_elems(self, x, scale, bias)
        inner = x.shape[axis_of(self, self.axis, x.rank) :]
        for what, kind in (("scale", scale), ("bias", bias)):
            if kind is None:
                continue
            ends = inner[len(inner) - kind.rank :]
            if kind.rank > len(inner) or not all(
                d == 1 or same_dim(d, e) for d, e in zip(kind.shape, ends, strict=True)
            ):
                raise self.fail(
                    "shape-mismatch", f"needs a {what} of shape {show_shape(inner)}, not {show_shape(kind.shape)}"
                )
        return TensorType(x.shape, x.elem)

    def meaning(self, x: Any, scale: Any, bias: Any) -> Any:
        """See Op."""
        x = widest(x)
        y = standardised(x, tuple(range(axis_of(self, self.axis, x.ndim), x.ndim)), self.epsilon)
        y = y if scale is None else y * widest(scale)
        return y if bias is None else y + widest(bias)


class GroupNorm(PureOp, name="nn.group_norm"):
    """(x - mean) / sqrt(var + epsilon) over each sample's group of channels with all its spatial axes, then scale and
    bias by channel (Wu and He, ECCV 2018). With as many groups as channels this is instance normalisation."""

    x = operand("input [N, C, ...]")
    scale = optional("one number a channel")
    bias = optional("one number a channel")
    groups = integer(help="groups of channels", min=1)
    epsilon = real(1e-5, "added to the variance", min=0)

    def infer(self, x: Any, scale: Any, bias: Any) -> Type:
        """See Op."""
        numbers(self, x, scale, bias, integers=False)
        equal_elems(self, x, scale, bias)
        if x.rank < 2:
            raise self.fail("shape-mismatch", f"needs an input [N, C, ...], not {show_shape(x.shape)}")
        if isinstance(x.shape[1], int) and x.shape[1] % self.groups:
            raise self.fail("shape-mismatch", f"has {x.shape[1]} channels in {self.groups} groups")
        vector(self, "scale", scale, x.shape[1])
        vector(self, "bias", bias, x.shape[1])
        return TensorType(x.shape, x.elem)

    def meaning(self, x: Any, scale: Any, bias: Any) -> Any:
        """See Op."""
        x = widest(x)
        grouped = x.reshape(len(x), self.groups, x.shape[1] // self.groups, *x.shape[2:])
        y = standardised(grouped, tuple(range(2, grouped.ndim)), self.epsilon).reshape(x.shape)
        y = y if scale is None else y * along(widest(scale), 1, x.ndim)
        return y if bias is None else y + along(widest(bias), 1, x.ndim)


def standardised(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    """x less its mean over axes, by its standard deviation."""
    centred = x - x.mean(axis=axes, keepdims=True)
    with np.errstate(all="ignore"):
        return centred / np.sqrt((centred * centred).mean(axis=axes, keepdims=True) + epsilon)
