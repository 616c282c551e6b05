"""Modules as files: what they hold decides whether they are equal, not how the files are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.resources import Resource
from ranvier.ir.text.printer import print_module
from ranvier.module_files import write_module

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits.onnx"


@pytest.fixture(scope="module")
def digits() -> Module:
    return rv.load(DIGITS)


def doubled(module: Module) -> Module:
    """The module with one weight doubled."""
    out = module.clone()
    name, weight = next((n, r) for n, r in out.resources.items() if r.size > 100 and r.type.elem.is_float)
    out.resources[name] = Resource(weight.type, weight.array * np.float32(2), name=name)
    return out


def write(module: Module, folder: Path, name: str = "net.rv") -> Path:
    folder.mkdir(exist_ok=True)
    write_module(module, folder / name)
    return folder / name


def test_files_of_one_name_in_two_folders_are_told_apart(digits: Module, tmp_path: Path) -> None:
    one, other = write(digits, tmp_path / "a"), write(doubled(digits), tmp_path / "b")
    assert one.read_text() == other.read_text()
    assert rv.load(one) != rv.load(other)
    assert print_module(rv.load(one), digests=True) != print_module(rv.load(other), digests=True)


def test_files_of_two_names_hold_the_same_module(digits: Module, tmp_path: Path) -> None:
    one, other = write(digits, tmp_path / "a"), write(digits, tmp_path / "a", "twin.rv")
    assert one.read_text() != other.read_text()
    assert rv.load(one) == rv.load(other) == digits
    assert print_module(rv.load(one), digests=True) == print_module(rv.load(other), digests=True)


def test_a_module_of_a_file_prints_and_parses_back(digits: Module, tmp_path: Path) -> None:
    read = rv.load(write(digits, tmp_path))
    assert rv.parse(str(read)) == read


def test_nothing_is_left_when_the_text_cannot_be_written(digits: Module, tmp_path: Path) -> None:
    (tmp_path / "net.rv").mkdir()
    with pytest.raises(rv.RanvierError, match="is a folder"):
        write_module(digits, tmp_path / "net.rv")
    assert [p.name for p in tmp_path.iterdir()] == ["net.rv"]
