"""`nn` objectives."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.ir.core import Op


@pure("nn.cross_entropy")
def cross_entropy(op: Op, w: Any, logits: str, labels: str) -> str:
    """Mean negative log-likelihood; labels outside the classes are an error."""
    return f"K.cross_entropy({logits}, {labels}, {w.bind(op.fail, 'fail')})"


@pure("nn.mse")
def mse(op: Op, w: Any, prediction: str, target: str) -> str:
    """Mean squared error."""
    return w.cast(f"F.mse_loss({prediction}, {target})", op.result)  # type: ignore[no-any-return]
