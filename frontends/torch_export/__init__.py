"""PyTorch frontend: a torch.nn.Module, an exported program or a .pt2 file becomes a module.

torch is imported when something is loaded, not before.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

from ranvier.ir.core import Module


class TorchFrontend:
    """Reads torch.nn.Module (with an example input), torch.export.ExportedProgram and .pt2 files."""

    suffixes: ClassVar[tuple[str, ...]] = (".pt2",)

    def accepts(self, model: Any) -> bool:
        """Whether `model` is a .pt2 path, a torch.nn.Module or an ExportedProgram. Does not import torch."""
        if isinstance(model, str | os.PathLike):
            return Path(model).suffix.lower() in self.suffixes
        torch = sys.modules.get("torch")
        if torch is None:  # nobody can hold an object of torch yet
            return False
        return isinstance(model, torch.nn.Module) or _is_program(model)

    def load(self, model: Any, example: Any = None) -> Module:
        """The module of a model. A torch.nn.Module needs `example`: an array or tensor, or a tuple of them.

        The network is read as in eval mode, with axis 0 of the inputs as the batch, `N`. The model is not changed.

        Raises RanvierError: `missing-file`, `damaged-file`, `missing-example`, `bad-example`, `export-failed`, and
        `unsupported-op` or `training-mode` with every op that cannot be imported, each with the user's source line.
        """
        from ranvier.frontends.torch_export.export import export_module, open_program
        from ranvier.frontends.torch_export.importer import import_program

        if isinstance(model, str | os.PathLike):
            program, name = open_program(model), Path(model).stem
            return import_program(program, name, source=str(model), private=True)
        if _is_program(model):
            return import_program(model, "", source="the exported program")
        program, notes = export_module(model, example)
        name = type(model).__name__
        return import_program(program, name, source=name, notes=notes)


def _is_program(model: Any) -> bool:
    export = sys.modules.get("torch.export")
    return export is not None and isinstance(model, export.ExportedProgram)
