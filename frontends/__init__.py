"""Frontends: readers that import a model into a module, found by a path's suffix or by the object handed in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ranvier.ir.diagnostics import error, near, register_code, suggest
from ranvier.ir.interfaces import Frontend
from ranvier.ir.plugins import load_builtin, load_plugin, plugin_names

GROUP = "ranvier.frontends"

# Name -> "module:class". Nothing is imported before it is asked for.
BUILTIN = {
    "onnx": "ranvier.frontends.onnx:OnnxFrontend",
    "torch": "ranvier.frontends.torch_export:TorchFrontend",
    "text": "ranvier.frontends.text:TextFrontend",
}

register_code("missing-file", "The path names no file that can be read. Paths are taken from the working directory.")
register_code("unknown-format", "No frontend reads files of this suffix, or objects of this type.")
register_code(
    "unsupported-op",
    "The model holds operators, or forms of them, that the frontend does not import. All of them are listed at once, "
    "each with the nodes that use it.",
)


def frontend_names() -> list[str]:
    """The frontends that ship with Ranvier, then those of installed packages."""
    return [*BUILTIN, *(n for n in plugin_names(GROUP) if n not in BUILTIN)]


def frontend(name: str) -> Frontend:
    """The frontend of a name; raises RanvierError with the near miss."""
    found = load_builtin(BUILTIN[name]) if name in BUILTIN else load_plugin(GROUP, name)
    if found is None:
        raise error("unknown-name", f"no frontend is called {name!r}", help=suggest(name, frontend_names()))
    made: Frontend = found() if isinstance(found, type) else found
    return made


def known_suffixes() -> list[str]:
    """The suffixes of the files that some frontend reads; raises RanvierError (plugin-failed)."""
    return [suffix for name in frontend_names() for suffix in frontend(name).suffixes]


def find_frontend(model: Any) -> Frontend:
    """The frontend that reads a path (by suffix) or an object; raises RanvierError when none does."""
    for name in frontend_names():
        candidate = frontend(name)
        if candidate.accepts(model):
            return candidate
    suffixes = known_suffixes()
    if isinstance(model, str | os.PathLike):
        suffix = Path(model).suffix
        hit = near(suffix, suffixes)
        known = f"known suffixes: {', '.join(suffixes)}"
        help = f"did you mean `{hit}`? {known}" if hit else known
        raise error(
            "unknown-format", f"no frontend reads {suffix or 'files without a suffix'}", where=str(model), help=help
        )
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise error(
        "unknown-format",
        f"no frontend reads objects of type {kind}",
        help=f"give a path ({', '.join(suffixes)}), a torch.nn.Module, a torch.export program or an onnx.ModelProto",
    )


def existing_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that is there; raises RanvierError with the near miss among its neighbours."""
    found = Path(path)
    if found.is_file():
        return found
    if found.is_dir():
        raise error("missing-file", "this is a folder, not a file", where=str(found))
    neighbours = [p.name for p in found.parent.iterdir()] if found.parent.is_dir() else []
    hit = near(found.name, neighbours)
    here = "did you mean " + f"`{found.parent / hit}`?" if hit else ""
    folder = "" if found.parent.is_dir() else f"there is no folder {found.parent}"
    raise error(
        "missing-file",
        "there is no such file",
        where=str(found),
        help=here or folder or f"looked in {found.parent.resolve()}",
    )
