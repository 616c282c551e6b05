import io
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ranvier.cli import main

GOLDEN = Path(__file__).parent / "golden"


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@dataclass
class CommandLine:
    """Runs commands in a folder of their own, so that paths in messages are the same everywhere."""

    folder: Path
    capture: pytest.CaptureFixture
    patch: pytest.MonkeyPatch
    before: set[str] = field(default_factory=set)

    def __call__(self, *words: str, stdin: str = "") -> Outcome:
        self.before = self.files()
        self.patch.setattr(sys, "stdin", io.StringIO(stdin))
        self.capture.readouterr()
        with pytest.raises(SystemExit) as done:
            main([str(word) for word in words])
        shown = self.capture.readouterr()
        code = done.value.code
        return Outcome(0 if code is None else int(code), shown.out, shown.err)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}

    @property
    def written(self) -> set[str]:
        """Files that the last command left."""
        return self.files() - self.before


@pytest.fixture
def ranvier(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RANVIER_REPRO_DIR", raising=False)
    return CommandLine(tmp_path, capsys, monkeypatch)


@pytest.fixture
def digits():
    """The network that ships with the examples."""
    return str(Path(__file__).resolve().parents[2] / "examples" / "digits.onnx")
