"""Who may know whom: the arrows between the folders, kept by reading every import in them."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

import ranvier

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
ROOMS = {folder: name for name, folder in FOLDERS.items()}

# Folder -> the folders of ours that it may import, beside itself.
OURS = {
    "ir": set(),
    "frontends": {"ir"},
    "passes": {"ir"},
    "backends": {"ir"},
    "compiler": {"ir", "frontends", "passes", "backends"},
}
# Folder -> what it may import of others, beside the standard library.
# The compiler is bound only by what the project declares.
OTHERS = {
    "ir": {"numpy", "ml_dtypes", "safetensors"},
    "frontends": {"numpy", "onnx", "torch", "h5py"},
    "passes": {"numpy", "networkx"},
    "backends": {"numpy", "onnx", "onnxruntime", "torch", "h5py"},
}
DISTRIBUTION_OF = {"PIL": "pillow", "sklearn": "scikit-learn"}


@dataclass(frozen=True)
class Import:
    """One imported module, under its absolute name, and the place that imports it."""

    module: str
    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def room(self) -> str | None:
        """The folder of ours that the module lies in."""
        if self.top != "ranvier":
            return None
        second = self.module.split(".")[1:2]
        return second[0] if second and second[0] in ROOMS else "compiler"


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def package_of(path: Path) -> str:
    """The package that a relative import in this file starts from."""
    folder, *inner = path.relative_to(ROOT).parent.parts
    return ".".join([ROOMS.get(folder, folder), *inner])


def imports(path: Path, text: str | None = None) -> Iterator[Import]:
    """Every import in a file, also inside functions, under TYPE_CHECKING and by `import_module("...")`."""
    for node in ast.walk(ast.parse(path.read_text() if text is None else text)):
        for module in imported_by(node, path):
            yield Import(module, path, getattr(node, "lineno", 0))


def imported_by(node: ast.AST, path: Path) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = module or ""
            if level:
                package = package_of(path).split(".")
                base = ".".join([*package[: len(package) - level + 1], *([module] if module else [])])
            # `from ranvier import ir` names a folder, `from ranvier import load` the compiler.
            return [f"{base}.{alias.name}" for alias in names] if base == "ranvier" else [base]
        case ast.Call(func=function, args=[ast.Constant(value=str(module)), *_]):
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            return [module] if called in ("import_module", "__import__") else []
    return []


def strangers(found: Import, folder: str) -> bool:
    """Whether this import follows no arrow."""
    if found.room is not None:
        return found.room != folder and found.room not in OURS[folder]
    if found.top in sys.stdlib_module_names or folder not in OTHERS:
        return False
    return found.top not in OTHERS[folder]


def test_every_folder_has_its_arrows():
    assert set(ROOMS) == set(OURS)


@pytest.mark.parametrize("folder", OURS)
def test_arrows(folder):
    wrong = [str(found) for path in sources(folder) for found in imports(path) if strangers(found, folder)]
    assert sources(folder)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("passes", "import torch"),
        ("passes", "def f():\n    from torch.nn import functional"),
        ("passes", "from ranvier import backends"),
        ("passes", "import importlib\nimportlib.import_module('torch')"),
        ("frontends", "from ranvier.passes.simplify import x"),
        ("backends", "from ranvier import compile"),
        ("ir", "import ranvier"),
        ("ir", "from .. import api"),
        ("ir", "import networkx"),
    ],
)
def test_a_wrong_arrow_is_seen(folder, text):
    found = list(imports(ROOT / folder / "scratch.py", text))
    assert any(strangers(each, folder) for each in found)


@pytest.mark.parametrize("folder", [*OURS, "tests", "examples", "benchmarks"])
def test_no_bare_import(folder):
    # From the root of the repository `import ir` would work, and give classes that are not those of ranvier.ir.
    wrong = [str(found) for path in sources(folder) for found in imports(path) if found.top in ROOMS]
    assert not wrong, "\n".join(wrong)


def test_what_is_imported_is_declared():
    project = PROJECT["project"]
    requirements = chain(project["dependencies"], *project["optional-dependencies"].values())
    declared = {re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-") for requirement in requirements}
    wrong = [
        str(found)
        for folder in OURS
        for path in sources(folder)
        for found in imports(path)
        if found.top not in sys.stdlib_module_names
        and DISTRIBUTION_OF.get(found.top, found.top).lower().replace("_", "-") not in {*declared, "ranvier"}
    ]
    assert not wrong, "\n".join(wrong)


def loaded_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("module", ["ranvier", "ranvier.ir"])
def test_importing_is_cheap(module):
    loaded = loaded_after(f"import {module}")
    assert module in loaded
    assert not loaded & {"torch", "onnx", "onnxruntime", "networkx", "rich", "typer", "jinja2"}


@pytest.mark.parametrize("module", ["ranvier.frontends", "ranvier.passes", "ranvier.backends"])
def test_importing_a_folder_loads_no_framework(module):
    assert not loaded_after(f"import {module}") & {"torch", "onnx", "onnxruntime"}


def test_the_ir_stands_alone():
    loaded = {name for name in loaded_after("import ranvier.ir") if name.startswith("ranvier.")}
    assert {name for name in loaded if name.split(".")[1] != "ir"} == set()


def test_no_module_hides_a_public_function():
    # Importing `ranvier.x` sets the attribute `x` of the package: a function of that name would be gone.
    modules = {path.stem for path in (ROOT / "compiler").iterdir()}
    hidden = [name for name in ranvier.__all__ if name in modules and ranvier._PUBLIC[name] != f"ranvier.{name}"]
    assert not hidden


@pytest.mark.parametrize("name", ranvier.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ranvier, name) is not None
    assert name in dir(ranvier)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        ranvier.no_such_name  # noqa: B018
