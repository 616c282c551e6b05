"""What a fault inside a pass leaves behind: a folder that repeats it, and the command that does so."""

from __future__ import annotations

import datetime
import os
import shlex
import tempfile
import traceback
from pathlib import Path

import numpy as np

from ranvier.ir.core import Module
from ranvier.ir.diagnostics import Diagnostic, RanvierError
from ranvier.ir.interfaces import Array, Pass
from ranvier.module_files import write_module

LARGEST_DATA = 16 << 20
"""Bytes of calibration data that still go into the folder."""

BUGS_OF_PASSES = frozenset({"broken-use-list", "use-before-definition", "stale-type", "frozen-module", "no-return"})
"""Diagnostics that only a fault in a pass can cause, whatever the user's model looks like."""


class InternalError(RanvierError):
    """A fault of Ranvier (or of a third party's pass), not of its input; `folder` repeats it."""

    def __init__(self, diagnostic: Diagnostic, folder: Path | None):
        super().__init__([diagnostic])
        self.folder = folder


def pass_failed(
    done: Pass, before: Module, why: BaseException, data: tuple[Array, ...] | None, labels: Array | None
) -> InternalError:
    """The error that names the fault and the command that repeats it, after writing the folder.

    The folder goes where RANVIER_REPRO_DIR says, else into the working directory.
    """
    folder, notes = None, []
    try:
        folder = _write(done, before, why, data, labels)
        notes.append(f"what repeats it lies in {folder}")
    except (OSError, RanvierError) as refused:
        notes.append(f"no folder could be written to repeat it from: {refused}")
    if isinstance(why, RanvierError):
        message = f"`{done}` made a module that breaks a rule"
        notes = [*(f"{d.code}: {d.message}" for d in why.diagnostics[:5]), *notes]
        where = ""
    else:
        message = f"`{done}` failed: {type(why).__name__}: {why}"
        where = _innermost(why)
    help = f"repeat it: {command(folder)}" if folder is not None else ""
    return InternalError(Diagnostic("internal", message, where, help, notes=tuple(notes)), folder)


def command(folder: Path) -> str:
    """The command that repeats what a folder holds."""
    parts = ["ranvier", "opt", str(folder / "before.rv"), "--passes", str(folder / "pipeline.rvp")]
    if (folder / "data.npz").exists():
        parts += ["--data", str(folder / "data.npz")]
    return shlex.join(parts)


def _write(
    done: Pass, before: Module, why: BaseException, data: tuple[Array, ...] | None, labels: Array | None
) -> Path:
    parent = Path(os.environ.get("RANVIER_REPRO_DIR", "."))
    temporary = Path(tempfile.mkdtemp(prefix=".ranvier-repro-", dir=parent))
    write_module(before, temporary / "before.rv")
    (temporary / "pipeline.rvp").write_text(f"{done}\n", encoding="utf-8")
    (temporary / "error.txt").write_text("".join(traceback.format_exception(why)), encoding="utf-8")
    if data is not None and sum(x.nbytes for x in data) <= LARGEST_DATA:
        names = ["x"] if len(data) == 1 else [f"x{i}" for i in range(len(data))]
        arrays = dict(zip(names, data, strict=True)) | ({} if labels is None else {"y": labels})
        np.savez(temporary / "data.npz", **arrays)  # type: ignore[arg-type]
    temporary.chmod(0o755)
    return _into_place(temporary, parent)


def _into_place(temporary: Path, parent: Path) -> Path:
    """Rename to `ranvier-repro-<time>`; a folder of that name that is already there is never touched."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for n in range(1, 1000):
        final = parent / (f"ranvier-repro-{stamp}" + (f"-{n}" if n > 1 else ""))
        if not final.exists():
            return temporary.rename(final)
    return temporary


def _innermost(why: BaseException) -> str:
    frames = traceback.extract_tb(why.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""
