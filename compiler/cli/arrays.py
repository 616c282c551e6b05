"""Arrays that the command line reads and writes: .npy and .npz."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.files import whole_file
from ranvier.frontends import existing_file
from ranvier.ir.diagnostics import error, suggest

Array = np.ndarray[Any, Any]


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a .npz by name, or of a .npy under the name "".

    Raises RanvierError when the file is missing, damaged, or holds Python objects.
    """
    path = existing_file(path)
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"": found}
        with found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as why:
        help = "write it with numpy.save or numpy.savez, without Python objects"
        raise error(
            "damaged-file", f"this is no whole .npy or .npz file: {_short(why)}", where=str(path), help=help
        ) from None


def read_named(path: Path, name: str) -> Array:
    """One array of a .npz; raises RanvierError naming those that are there."""
    arrays = read_arrays(path)
    if name not in arrays:
        raise error("unknown-name", f"it holds no array called {name!r}", where=str(path), help=suggest(name, arrays))
    return arrays[name]


def read_inputs(paths: Sequence[Path], names: Sequence[str]) -> tuple[list[Array], list[str]]:
    """Arrays for arguments of these names, and the file of each: one .npz by name, or files in the arguments' order."""
    if len(paths) == 1 and paths[0].suffix == ".npz":
        arrays = read_arrays(paths[0])
        if len(arrays) == 1 and len(names) == 1:
            return list(arrays.values()), [str(paths[0])]
        missing = [name for name in names if name not in arrays]
        if missing:
            help = f"it holds {', '.join(arrays)}; the model takes {', '.join(names)}"
            raise error("unknown-name", f"it holds no array called {missing[0]!r}", where=str(paths[0]), help=help)
        return [arrays[name] for name in names], [str(paths[0])] * len(names)
    if len(paths) != len(names):
        message = f"the model takes {len(names)} inputs ({', '.join(names)}), {len(paths)} were given"
        raise error("bad-input", message, help="give one --input for each, in this order")
    return [next(iter(read_arrays(path).values())) for path in paths], [str(path) for path in paths]


def check_output(path: Path, count: int) -> None:
    """Raise RanvierError (cannot-write) when `count` arrays cannot be written to a file of this name."""
    if path.suffix not in (".npy", ".npz"):
        raise error("cannot-write", f"{path} is neither .npz nor .npy", help=f"write {path.with_suffix('.npz').name}")
    if path.suffix == ".npy" and count != 1:
        raise error("cannot-write", f"there are {count} outputs and a .npy holds one", help="write a .npz")


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays to a .npz by name, or the only one to a .npy; whole or not at all."""
    check_output(path, len(arrays))
    with whole_file(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".npy":
            np.save(file, next(iter(arrays.values())), allow_pickle=False)
        else:
            # names of arrays are parameters of savez; none of ours is called `file`
            np.savez(file, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]


def _short(why: BaseException) -> str:
    return str(why).split("\n")[0] or type(why).__name__


def read_samples(path: Path, names: Sequence[str]) -> tuple[tuple[Array, ...], Array | None]:
    """Calibration inputs and labels: a .npy is the only input; a .npz holds inputs as `x` (or `x0`, `x1`, ..., or by
    argument name) and labels as `y`.

    Raises RanvierError naming what is there when the inputs are not.
    """
    arrays = read_arrays(path)
    labels = arrays.pop("y", None)
    numbered = ["x"] if len(names) == 1 else [f"x{n}" for n in range(len(names))]
    for wanted in (list(names), numbered, [""]):
        if all(name in arrays for name in wanted):
            return tuple(arrays[name] for name in wanted), labels
    held = ", ".join(arrays) or "nothing"
    help = f"name the inputs {', '.join(numbered)} (and the labels y)"
    raise error("unknown-name", f"it holds {held}, but not the inputs of the model", where=str(path), help=help)
