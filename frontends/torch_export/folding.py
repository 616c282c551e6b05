"""Nodes that compute constants of the trace (ranges, masks, filled tensors) are run by torch once."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.registry import overload_name
from ranvier.frontends.torch_export.symbols import Symbols

RANDOM = ("rand", "bernoulli", "dropout", "multinomial", "normal", "uniform")


class Folder:
    """`tensors` holds what is known: lifted constants at first. Parameters and buffers are never folded."""

    def __init__(self, symbols: Symbols):
        self.symbols = symbols
        self.tensors: dict[Any, Any] = {}

    def fold(self, node: Any) -> bool:
        """Whether all of a node's operands are known; its tensor is then in `tensors`."""
        name = overload_name(node.target)
        if "::" in name or any(word in name for word in RANDOM) or not _single(node.meta.get("val")):
            return False
        known = True

        def known_argument(argument: Any) -> Any:
            nonlocal known
            if argument in self.tensors:
                return self.tensors[argument]
            size = argument.meta.get("val")
            if size is not None and not hasattr(size, "dtype"):
                number = self.symbols.dim(size)
                if isinstance(number, int):
                    return number
            known = False
            return argument

        from torch.fx.node import map_arg

        args, kwargs = map_arg(node.args, known_argument), map_arg(node.kwargs, known_argument)
        if not known:
            return False
        # the program may have been traced on another device
        self.tensors[node] = node.target(*args, **{k: v for k, v in kwargs.items() if k != "device"})
        return True


def _single(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")
