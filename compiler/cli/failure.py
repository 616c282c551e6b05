"""What is said when a command fails, and the folder that a fault of Ranvier's own leaves behind."""

from __future__ import annotations

import platform
import shlex
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ranvier.ir.diagnostics import Diagnostic, RanvierError

USER = 2
INTERNAL = 1


def exit_code(why: RanvierError) -> int:
    """2 for what the user can mend, 1 when a pass failed by a fault of its own."""
    return INTERNAL if any(found.code == "internal" for found in why.diagnostics) else USER


def render(why: RanvierError) -> str:
    """All diagnostics of an error, and how many when there are several; none is left without a way to go on."""
    found = [
        d if d.help else replace(d, help=f"`ranvier explain {d.code}` says what this means") for d in why.diagnostics
    ]
    count = len(found)
    return "\n".join(map(str, found)) + (f"\n{count} errors" if count > 1 else "")


def internal_failure(why: BaseException, words: Sequence[str]) -> str:
    """Keep what repeats a fault in a fresh folder, and give the message that names it."""
    command = shlex.join(["ranvier", *words])
    notes = ["this is a fault of Ranvier, not of its input", *getattr(why, "__notes__", ())]
    try:
        folder = Path(tempfile.mkdtemp(prefix="ranvier-repro-", dir="."))
        (folder / "traceback.txt").write_text("".join(traceback.format_exception(why)))
        (folder / "command.txt").write_text(f"{command}\n")
        (folder / "versions.txt").write_text(_versions())
        notes.append(f"what repeats it lies in {folder}")
    except OSError as refused:
        notes.append(f"no folder could be written here to repeat it from: {refused.strerror}")
    message = f"{type(why).__name__}: {why}"
    return str(Diagnostic("internal", message, help=f"repeat: {command} --traceback", notes=tuple(notes)))


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    import ranvier

    lines = [f"ranvier {ranvier.__version__}", f"python {platform.python_version()} on {platform.platform()}"]
    for name in ("numpy", "ml_dtypes", "onnx", "onnxruntime", "torch", "safetensors", "typer", "rich", "jinja2"):
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines) + "\n"
