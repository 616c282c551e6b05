"""`xp`: PyTorch under numpy's names, so that codes and firing rules run and differentiate without knowing torch."""

from __future__ import annotations

from typing import Any

import torch

Tensor = torch.Tensor


def _tensor(x: Any, like: Any) -> Tensor:
    return x if isinstance(x, Tensor) else torch.as_tensor(x, dtype=like.dtype, device=like.device)


class Namespace:
    """What numpy calls so, by torch. Names not listed are torch's own."""

    int64, int32, float32, float64, bool_ = torch.int64, torch.int32, torch.float32, torch.float64, torch.bool
    inf, pi, newaxis = float("inf"), 3.141592653589793, None

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def where(condition: Any, a: Any, b: Any) -> Tensor:
        """numpy.where."""
        return torch.where(condition, a, b)

    @staticmethod
    def clip(x: Tensor, low: Any = None, high: Any = None) -> Tensor:
        """numpy.clip."""
        return torch.clamp(x, low, high)

    @staticmethod
    def maximum(a: Any, b: Any) -> Tensor:
        """numpy.maximum; numbers are taken too."""
        like = a if isinstance(a, Tensor) else b
        return torch.maximum(_tensor(a, like), _tensor(b, like))

    @staticmethod
    def minimum(a: Any, b: Any) -> Tensor:
        """numpy.minimum; numbers are taken too."""
        like = a if isinstance(a, Tensor) else b
        return torch.minimum(_tensor(a, like), _tensor(b, like))

    @staticmethod
    def concatenate(xs: Any, axis: int = 0) -> Tensor:
        """numpy.concatenate."""
        return torch.cat(list(xs), axis)

    @staticmethod
    def stack(xs: Any, axis: int = 0) -> Tensor:
        """numpy.stack."""
        return torch.stack(list(xs), axis)

    @staticmethod
    def rint(x: Tensor) -> Tensor:
        """numpy.rint."""
        return torch.round(x)

    @staticmethod
    def asarray(x: Any, dtype: Any = None) -> Tensor:
        """numpy.asarray."""
        return torch.as_tensor(x, dtype=dtype)

    @staticmethod
    def power(a: Any, b: Any) -> Tensor:
        """numpy.power."""
        return torch.pow(a, b)

    @staticmethod
    def broadcast_to(x: Any, shape: Any) -> Tensor:
        """numpy.broadcast_to."""
        return torch.as_tensor(x).expand(tuple(shape))

    @staticmethod
    def take_along_axis(x: Tensor, index: Tensor, axis: int) -> Tensor:
        """numpy.take_along_axis."""
        return torch.take_along_dim(x, index, axis)

    @staticmethod
    def cumsum(x: Tensor, axis: int) -> Tensor:
        """numpy.cumsum."""
        return torch.cumsum(x, axis)


xp = Namespace()
