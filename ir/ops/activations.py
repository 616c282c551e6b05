"""`nn`: activation functions, elementwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.ir.ops.checks import broadcast, equal_elems, numbers, wide
from ranvier.ir.ops.elementwise import Unary, erf, sigmoid, softplus
from ranvier.ir.schema import enum, operand, real
from ranvier.ir.types import TensorType, Type, same_dim


class Relu(Unary, name="nn.relu"):
    """max(x, 0)."""

    integers = exact = True

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.maximum(x, 0)


class Sigmoid(Unary, name="nn.sigmoid"):
    """1 / (1 + exp(-x))."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return sigmoid(x)


class Softplus(Unary, name="nn.softplus"):
    """log(1 + exp(x))."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return softplus(x)


class Silu(Unary, name="nn.silu"):
    """x * sigmoid(x) (Elfwing et al., 2018; also called swish)."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return x * sigmoid(x)


class Mish(Unary, name="nn.mish"):
    """x * tanh(softplus(x)) (Misra, BMVC 2020)."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return x * np.tanh(softplus(x))


class HardSwish(Unary, name="nn.hard_swish"):
    """x * clip(x / 6 + 1/2, 0, 1) (Howard et al., ICCV 2019)."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return x * np.clip(x / 6 + 0.5, 0.0, 1.0)


class Softsign(Unary, name="nn.softsign"):
    """x / (1 + |x|)."""

    def function(self, x: Any) -> Any:
        """See Unary."""
        return x / (1 + np.abs(x))


class LeakyRelu(Unary, name="nn.leaky_relu"):
    """x where x >= 0, slope * x below."""

    exact = True
    slope = real(0.01, "factor below zero")

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.where(x >= 0, x, x * x.dtype.type(self.slope))


class Elu(Unary, name="nn.elu"):
    """x where x >= 0, alpha * (exp(x) - 1) below (Clevert et al., 2016)."""

    alpha = real(1.0, "minus the limit far below zero")

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.where(x >= 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


class Selu(Unary, name="nn.selu"):
    """gamma * elu(x, alpha) (Klambauer et al., 2017)."""

    alpha = real(1.6732632423543772, "of the elu")
    gamma = real(1.0507009873554805, "factor on the elu")

    def function(self, x: Any) -> Any:
        """See Unary."""
        return self.gamma * np.where(x >= 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


class Celu(Unary, name="nn.celu"):
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1)) (Barron, 2017)."""

    alpha = real(1.0, "scale of the exponential")

    def infer(self, x: Any, *rest: Any) -> Type:
        """See Op."""
        if self.alpha == 0:
            raise self.fail("bad-value", "divides by alpha, which is 0", "nn.relu is its limit")
        return super().infer(x)

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.maximum(x, 0) + np.minimum(0, self.alpha * np.expm1(x / self.alpha))


class Gelu(Unary, name="nn.gelu"):
    """x * Phi(x), Phi the normal distribution, by erf or its tanh approximation (Hendrycks and Gimpel, 2016)."""

    approximate = enum("none", "tanh", default="none", help="how Phi is computed")

    def function(self, x: Any) -> Any:
        """See Unary."""
        if self.approximate == "none":
            return 0.5 * x * (1 + erf(x / math.sqrt(2)))
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class HardSigmoid(Unary, name="nn.hard_sigmoid"):
    """clip(alpha * x + beta, 0, 1)."""

    alpha = real(1 / 6, "slope")
    beta = real(0.5, "value at zero")

    def function(self, x: Any) -> Any:
        """See Unary."""
        return np.clip(self.alpha * x + self.beta, 0.0, 1.0)


class Clip(Unary, name="nn.clip"):
    """min(max(x, low), high)."""

    integers = exact = True
    low = real(-math.inf, "smallest result")
    high = real(math.inf, "largest result")

    def function(self, x: Any) -> Any:
        """See Unary."""
        if x.dtype.kind == "f":
            return np.minimum(np.maximum(x, x.dtype.type(self.low)), x.dtype.type(self.high))
        if self.low > -math.inf:
            x = np.maximum(x, math.ceil(self.low))
        return x if self.high == math.inf else np.minimum(x, math.floor(self.high))


class Prelu(Unary, name="nn.prelu"):
    """x where x >= 0, slope * x below (He et al., ICCV 2015)."""

    slope = operand("factor below zero: one number a channel (axis 1), or a tensor that broadcasts")

    def infer(self, x: Any, *rest: Any) -> Type:
        """See Op."""
        (slope,) = rest
        numbers(self, x, slope, integers=False)
        equal_elems(self, x, slope)
        if self._per_channel(slope.rank, x.rank):
            if slope.shape[0] != 1 and not same_dim(slope.shape[0], x.shape[1]):
                raise self.fail("shape-mismatch", f"has {slope.shape[0]} slopes for {x.shape[1]} channels")
        elif broadcast(self, x, slope) != x.shape:
            raise self.fail("shape-mismatch", "has a slope that does not broadcast to x")
        return TensorType(x.shape, x.elem)

    @staticmethod
    def _per_channel(slope_rank: int, rank: int) -> bool:
        return slope_rank == 1 and rank > 1

    def meaning(self, x: Any, *rest: Any) -> Any:
        """See Op."""
        x, slope = wide(x), wide(rest[0])
        if self._per_channel(slope.ndim, x.ndim):
            slope = slope.reshape((-1,) + (1,) * (x.ndim - 2))
        with np.errstate(all="ignore"):
            return np.where(x >= 0, x, x * slope)
