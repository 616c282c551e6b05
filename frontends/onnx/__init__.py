"""ONNX files become modules: every shape computed, every constant a resource, a small core of ops."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ranvier.ir.core import Module


class OnnxFrontend:
    """Reads ONNX models of operator sets 7 to the newest of the installed onnx."""

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)

    def accepts(self, model: Any) -> bool:
        """Whether this is a path that ends in .onnx, or an onnx.ModelProto."""
        if isinstance(model, str | os.PathLike):
            return Path(model).suffix.lower() in self.suffixes
        return type(model).__name__ == "ModelProto" and hasattr(model, "opset_import")

    def load(self, model: Any, example: Any = None) -> Module:
        """The verified module of a path or ModelProto; `example` is not needed.

        Raises RanvierError: missing-file, not-onnx, onnx-version, onnx-external-data, onnx-graph, onnx-node, and
        unsupported-op with every operator that is not imported.
        """
        from ranvier.frontends.onnx.importer import import_model
        from ranvier.frontends.onnx.reader import read

        return import_model(read(model))


def coverage() -> list[tuple[str, tuple[int, ...]]]:
    """Every ONNX operator that is imported, with the operator sets from which each of its handlers holds."""
    from ranvier.frontends.onnx import registry

    return registry.coverage()
