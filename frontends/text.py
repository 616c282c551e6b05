"""Ranvier text: `.rv` files, with their arrays in safetensors files that the text names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from ranvier.frontends import existing_file
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import error
from ranvier.ir.text.parser import parse_module


class TextFrontend:
    """Reads `.rv` files; the arrays that they name are loaded from the same folder when they are needed."""

    suffixes: ClassVar[tuple[str, ...]] = (".rv",)

    def accepts(self, model: Any) -> bool:
        """Whether this is the path of a `.rv` file."""
        return isinstance(model, str | os.PathLike) and Path(model).suffix.lower() in self.suffixes

    def load(self, model: Any, example: Any = None) -> Module:
        """The module of a `.rv` file, verified. Raises RanvierError when it is missing or does not parse."""
        path = existing_file(model)
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, PermissionError) as why:
            help = "a .rv file is UTF-8 text; `ranvier export` writes one"
            raise error("damaged-file", f"this cannot be read as text: {why}", where=str(path), help=help) from None
        return parse_module(text, str(path), folder=path.parent)
