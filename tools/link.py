"""Make `.dev/ranvier/`: links that show the folders under the names that they are imported by.

Static tools do not see through the import hook of an editable install; they follow these links.
Running it again adds what is new at the top of `compiler/` and drops what is gone.
"""

import os
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "ranvier"


def wanted() -> dict[str, Path]:
    """Name in the link tree -> what it shows."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders: dict[str, str] = settings["tool"]["setuptools"]["package-dir"]
    links = {
        path.name: path
        for path in (ROOT / folders[PACKAGE]).iterdir()
        if path.name != "__pycache__" and not path.name.startswith(".")
    }
    for name, folder in folders.items():
        if name != PACKAGE:
            links[name.removeprefix(f"{PACKAGE}.")] = ROOT / folder
    return links


def link(tree: Path, links: dict[str, Path]) -> None:
    """Make the links in `tree` exactly those of `links`, touching none that is right."""
    tree.mkdir(parents=True, exist_ok=True)
    targets = {name: os.path.relpath(path, tree) for name, path in links.items()}
    for present in tree.iterdir():
        if present.is_symlink() and os.readlink(present) != targets.get(present.name):
            present.unlink()
    for name, target in targets.items():
        if not (tree / name).is_symlink():
            (tree / name).symlink_to(target)


if __name__ == "__main__":
    link(ROOT / ".dev" / PACKAGE, wanted())
