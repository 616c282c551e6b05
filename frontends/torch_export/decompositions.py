"""Which composite ops are taken apart before import: those that have no handler."""

from __future__ import annotations

import warnings
from typing import Any

from ranvier.frontends.torch_export.registry import HANDLERS, overload_name


def decompose(program: Any) -> Any:
    """The program in core ATen, except that an op with a handler is left whole."""
    import torch

    table: Any = torch.export.default_decompositions()
    for op in list(table.keys()):
        if overload_name(op) in HANDLERS:
            table.pop(op)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's notes to itself
        return program.run_decompositions(table)
