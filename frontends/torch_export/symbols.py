"""Symbolic sizes of torch as dims: the batch is `N`, other free sizes are `D1`, `D2`, expressions of them `?`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ranvier.ir.types import Dim

BATCH = "N"


@dataclass
class Symbols:
    """Names given to the symbols of one exported program."""

    names: dict[str, str] = field(default_factory=dict)

    def bind_inputs(self, shapes: Sequence[Sequence[Any]]) -> None:
        """Name the symbols of the inputs: the first one that stands on axis 0 is the batch."""
        firsts = [shape[0] for shape in shapes if len(shape)]
        for size in firsts:
            if (symbol := _symbol(size)) is not None:
                self.names.setdefault(symbol, BATCH)
                break
        for shape in shapes:
            for size in shape:
                if (symbol := _symbol(size)) is not None and symbol not in self.names:
                    self.names[symbol] = f"D{len(self.names) + (BATCH not in self.names.values())}"

    def dim(self, size: Any) -> Dim:
        """A size as a dim: a number, the name of a symbol, or `?` for an expression."""
        if isinstance(size, int):
            return int(size)
        symbol = _symbol(size)
        if symbol is not None:
            return self.names.get(symbol, "?")
        expression = getattr(getattr(size, "node", None), "expr", None)
        return int(expression) if expression is not None and expression.is_Integer else "?"

    def shape(self, sizes: Sequence[Any]) -> tuple[Dim, ...]:
        """A shape as dims."""
        return tuple(self.dim(s) for s in sizes)


def _symbol(size: Any) -> str | None:
    expression = getattr(getattr(size, "node", None), "expr", None)
    return str(expression) if expression is not None and expression.is_Symbol else None
