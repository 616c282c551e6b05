"""What the words MODEL, ARTIFACT and artifact:STAGE of the command line stand for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ranvier.ir.core import Module
from ranvier.ir.diagnostics import error

if TYPE_CHECKING:
    from ranvier.executable import Executable
    from ranvier.trace import Stage

ARTIFACT = ".rvx"
STDIN = "-"


def is_artifact(given: str | Path) -> bool:
    """Whether a path is that of an artifact, by its suffix."""
    return Path(given).suffix == ARTIFACT


def read_model(given: str) -> Module:
    """The module of a model file, or of Ranvier text on stdin for `-`; raises RanvierError."""
    if given == STDIN:
        from ranvier.ir.text.parser import parse_module

        return parse_module(sys.stdin.read(), "<stdin>", folder=Path.cwd()).freeze()
    if is_artifact(given):
        return read_artifact(given).module
    from ranvier.api import load

    return load(given)


def read_artifact(given: str | Path) -> Executable:
    """The executable of an artifact; raises RanvierError, also when the path is that of a model."""
    if not is_artifact(given):
        help = f"`ranvier build RECIPE --save FOLDER` writes {ARTIFACT} files; `ranvier run` takes models too"
        raise error("unknown-format", f"this is no artifact ({ARTIFACT})", where=str(given), help=help)
    from ranvier.executable import load_executable

    return load_executable(given)


def stage_of(artifact: Executable, key: str) -> Stage:
    """A stage by number, name or checkpoint; raises RanvierError with the near miss."""
    digits = key.removeprefix("-")
    return artifact.trace.stage(int(key) if digits.isdigit() else key)


@dataclass(frozen=True)
class Place:
    """A model, an artifact, or a stage of one, as `diff` takes them."""

    file: str
    stage: str | None = None

    @staticmethod
    def read(text: str, other: Place | None = None) -> Place:
        """`file`, `file:STAGE`, or `:STAGE` of the file that `other` names."""
        if text == STDIN or Path(text).is_file():
            return Place(text)
        file, colon, stage = text.rpartition(":")
        if not colon:
            return Place(text)
        if not file and other is None:
            raise error("missing-file", f"{text} names a stage of no artifact", help=f"write artifact{ARTIFACT}{text}")
        return Place(file or (other.file if other is not None else ""), stage)

    def listing(self, *, locations: bool = False, digests: bool = False) -> str:
        """The text of the module (of an artifact's last module), or of the stage; raises RanvierError."""
        from ranvier.ir.text.printer import print_module

        if self.stage is None:
            return print_module(read_model(self.file), locations=locations, digests=digests)
        found = stage_of(read_artifact(self.file), self.stage)
        if found.module is None:
            return found.listing
        return print_module(found.module, locations=locations, digests=digests)

    def __str__(self) -> str:
        return self.file + ("" if self.stage is None else f":{self.stage}")
