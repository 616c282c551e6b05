"""Files that are either whole or not there: written beside their place, then moved into it in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ranvier.ir.diagnostics import error, register_code

register_code(
    "cannot-write", "A file could not be written: no such folder, or the system refused. Nothing is left behind."
)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; on leaving, the file takes the place of `path` in one step.

    When the block raises, nothing of it is left and an older file at `path` stays as it was. The temporary path keeps
    the suffix of `path`. Raises RanvierError where the system refuses to write.
    """
    target = Path(path)
    if target.is_dir():
        raise error("cannot-write", f"{target} is a folder", help="name a file")
    if not target.parent.is_dir():
        help = f"make the folder first: mkdir -p {target.parent}"
        raise error("cannot-write", f"there is no folder {target.parent} to write {target.name} into", help=help)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
        os.close(handle)
    except OSError as why:
        raise error("cannot-write", f"cannot write {target}: {why.strerror}") from None
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a new file has the rights that the user's umask gives.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as why:
        if why.filename not in (None, name, str(target)):
            raise  # reading something else failed, not this writing
        raise error("cannot-write", f"cannot write {target}: {why.strerror or why}") from None
    finally:
        temporary.unlink(missing_ok=True)
