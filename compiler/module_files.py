"""Modules as files: `net.rv`, the text, and `net.safetensors` beside it, the arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ranvier.files import whole_file
from ranvier.ir.core import Module
from ranvier.ir.interfaces import Array
from ranvier.ir.resources import Origin, Resource
from ranvier.ir.text.printer import print_module


def write_module(module: Module, path: str | Path, *, locations: bool = True) -> list[Path]:
    """Write the text of a module and, unless its few numbers fit in the text, a safetensors file beside it.

    Returns the files written; each is written whole or not at all. Raises RanvierError where the system refuses.
    """
    text_path = Path(path)
    weights = text_path.with_suffix(".safetensors")
    beside, arrays = arrays_beside(module, weights)
    with whole_file(text_path) as text:
        text.write_text(print_module(beside, locations=locations), encoding="utf-8")
        if arrays:  # they are in place before the text that names them is
            with whole_file(weights) as temporary:
                save_arrays(arrays, temporary)
    return [text_path, weights] if arrays else [text_path]


def arrays_beside(module: Module, weights: Path) -> tuple[Module, dict[str, Array]]:
    """The same module with its arrays in a file, and these arrays by name; what fits in the text stays there."""
    out = module.clone()
    arrays: dict[str, Array] = {}
    for name, resource in module.resources.items():
        if resource.splat is not None or resource.inline or not resource.available:
            continue
        arrays[name] = np.ascontiguousarray(resource.array)
        origin = Origin(weights.name, name, folder=str(weights.parent.resolve()))
        out.resources[name] = Resource(resource.type, resource.array, origin=origin, name=name, facts=resource.facts)
    return out, arrays


def save_arrays(arrays: Mapping[str, Array], path: Path) -> None:
    """Write arrays to a safetensors file."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(path))
