"""What the pages show is run, so that they cannot rot: Python, commands, what they print, modules, recipes, links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ranvier as rv
from ranvier.recipe import load_recipe
from tests.docs.blocks import PAGES, ROOT, Block, blocks, name_of

# Marks the end of each block's output.
MARK = "-- end of block {} --"
LEFT_OUT = "..."


def pages_with(language: str) -> list[Path]:
    return [p for p in PAGES if any(b.language == language and not b.file for b in blocks(p))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder in which the paths of the examples can be resolved."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "COLUMNS": "160"}


def install(page: Path, folder: Path) -> None:
    """Write the files of a page; a pyproject.toml among them makes an installed package, as its metadata says."""
    for block in blocks(page):
        if block.file:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
    project = folder / "pyproject.toml"
    if not project.exists():
        return
    settings = tomllib.loads(project.read_text())["project"]
    info = folder / f"{settings['name'].replace('-', '_')}-{settings['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {settings['name']}\nVersion: {settings['version']}\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items())])
        for group, points in settings["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")


def script(page: Path) -> str:
    """All Python blocks of a page, each compiled under the page's name and lines."""
    parts = ["import sys", "space = {'__name__': '__main__'}"]
    for index, block in enumerate(b for b in blocks(page) if b.language == "python" and not b.file):
        source = "\n" * (block.line - 1) + block.text
        parts.append(f"exec(compile({source!r}, {str(page)!r}, 'exec'), space)")
        parts.append(f"print({MARK.format(index)!r})")
    return "\n".join(parts)


def expected(page: Path) -> dict[int, Block]:
    """What a page says that its Python blocks print, by the number of the block."""
    found: dict[int, Block] = {}
    index = -1
    for block in blocks(page):
        if block.language == "python" and not block.file:
            index += 1
        elif block.language == "output":
            found[index] = block
    return found


def check_output(wanted: str, printed: str) -> None:
    """Every line of the page is there, in order, and between two of them nothing that is not marked as left out."""
    pieces = re.split(rf"(?m)^{re.escape(LEFT_OUT)}\n", wanted)
    at = 0
    for piece in pieces:
        where = printed.find(piece, at)
        assert where >= 0, f"this is not printed:\n{piece}\nbut this is:\n{printed[at:]}"
        at = where + len(piece)


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_python_runs_and_prints_what_the_page_shows(page: Path, folder: Path) -> None:
    install(page, folder)
    (folder / "page.py").write_text(script(page), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", "page.py"], cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    printed = re.split(r"(?m)^-- end of block \d+ --\n", run.stdout)
    for index, block in expected(page).items():
        check_output(block.text, printed[index])


# The commands of the read-me build the whole example.
COMMANDS = [
    pytest.param(p, marks=[pytest.mark.slow] * (p.name == "README.md"), id=name_of(p)) for p in pages_with("sh")
]


@pytest.mark.parametrize("page", COMMANDS)
def test_commands_run(page: Path, folder: Path) -> None:
    install(page, folder)
    lines = [line for b in blocks(page) if b.language == "sh" for line in b.text.splitlines()]
    commands = [line for line in lines if line.split("#")[0].strip() and not line.startswith("make ")]
    if not commands:
        pytest.skip("only make")
    run = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(commands)],
        cwd=folder, env=environment(folder), capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


MODULES = [(p, b) for p in PAGES for b in blocks(p) if b.language == "rv"]


@pytest.mark.parametrize(("page", "block"), MODULES, ids=[f"{name_of(p)}:{b.line}" for p, b in MODULES])
def test_modules_print_as_they_stand_on_the_page(page: Path, block: Block) -> None:
    assert str(rv.parse(block.text)) == block.text


RECIPES = [(p, b) for p in PAGES for b in blocks(p) if b.language == "rvp"]


@pytest.mark.parametrize(("page", "block"), RECIPES, ids=[f"{name_of(p)}:{b.line}" for p, b in RECIPES])
def test_recipes_are_those_of_the_examples(page: Path, block: Block) -> None:
    shipped = {path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.rvp")}
    assert block.text in shipped
    assert load_recipe(ROOT / "examples" / "digits.rvp").builds()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
