"""Ranvier text: `.rv` files, with their arrays in safetensors files that the text names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from ranvier.ir.core import Module
from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.text.parser import parse_module


class TextFrontend:
    """Reads `.rv` files; the arrays that they name are loaded from the same folder when they are needed."""

    suffixes: ClassVar[tuple[str, ...]] = (".rv",)

    def accepts(self, model: Any) -> bool:
        """Whether this is the path of a `.rv` file."""
        return isinstance(model, str | os.PathLike) and Path(model).suffix.lower() in self.suffixes

    def load(self, model: Any, example: Any = None) -> Module:
        """The module of a `.rv` file, verified. Raises RanvierError when it is missing or does not parse."""
        path = Path(model)
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError):
            beside = [p.name for p in path.parent.glob("*.rv")] if path.parent.is_dir() else []
            raise error("missing-file", "there is no such file", where=str(path), help=suggest(path.name, beside)) from None
        except (UnicodeDecodeError, PermissionError) as why:
            raise error("missing-file", f"cannot be read as text: {why}", where=str(path)) from None
        return parse_module(text, str(path), folder=path.parent)
