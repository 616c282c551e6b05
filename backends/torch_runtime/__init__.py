"""Runs modules on PyTorch: one lowered `nn.Module` a module, differentiable, its execution order chosen from shapes.

Importing this package loads no torch; `TorchRuntime` and what runs does, on first use.
"""

from typing import Any

from ranvier.backends.torch_runtime.target import TorchTarget

__all__ = ["TorchRuntime", "TorchTarget"]


def __getattr__(name: str) -> Any:
    if name == "TorchRuntime":
        from ranvier.backends.torch_runtime.runtime import TorchRuntime

        return TorchRuntime
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
