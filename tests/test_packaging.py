"""The wheel holds what the tree holds: an editable install would not notice a missing package or data file."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

import ranvier

ROOT = Path(__file__).resolve().parent.parent
FOLDERS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]


def expected() -> set[str]:
    """Every file of the folders, under the name that it has in the wheel."""
    return {
        str(PurePosixPath(*package.split("."), *path.relative_to(ROOT / folder).parts))
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # Built from a copy: setuptools leaves `build/` behind, and would ship what an earlier build left there.
    tree = tmp_path_factory.mktemp("tree")
    for folder in FOLDERS.values():
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    out = tree / "dist"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(tree)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_every_folder_of_code_is_a_package():
    # Folders without `__init__.py` are not found when the packages are listed.
    code = {path.parent for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py")}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(code) if not (folder / "__init__.py").exists()] == []


def test_the_wheel_holds_the_tree(wheel):
    with ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert shipped == expected()


def test_the_wheel_says_what_it_is(wheel):
    with ZipFile(wheel) as archive:
        info = {PurePosixPath(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(info["METADATA"]).decode()
        scripts = archive.read(info["entry_points.txt"]).decode()
    assert f"\nVersion: {ranvier.__version__}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "LICENSE" in info
    assert "ranvier = ranvier.cli:main" in scripts


def test_the_wheel_imports_without_the_tree(wheel, tmp_path):
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "\n".join(f"import {name}\nprint({name}.__file__)" for name in FOLDERS)
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    places = [Path(line) for line in run.stdout.split()]
    assert len(places) == len(FOLDERS)
    assert all(place.is_relative_to(tmp_path) for place in places)
