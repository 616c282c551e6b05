"""The `.rvx` file: a zip archive with the modules of every stage, their arrays, and how they were made.

    manifest.json          versions, target, pipeline, stages, SHA-256 of every other member
    source.rv, final.rv    the first and the last module, with locations
    stages/02.rv ...       the modules between
    weights.safetensors    the arrays of all modules, each once, by the digest of its content

The archive's comment, the last bytes of the file, is `ranvier rvx ` and the SHA-256 of all bytes before the digest. So
every changed byte is found, those of the archive's own tables too. The comment is the same in every format version.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.files import whole_file
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError, error, register_code
from ranvier.ir.interfaces import Array
from ranvier.ir.text.parser import parse_module
from ranvier.ir.text.printer import print_module
from ranvier.trace import Stage, Trace

if TYPE_CHECKING:
    from ranvier.executable import Executable

FORMAT = 1
MARK = b"ranvier rvx "
DIGITS = 64
TIME = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the same executable gives the same bytes."""

register_code(
    "newer-file", "The file was written by a newer version of Ranvier, in a format that this one does not know."
)


def save(executable: Executable, path: str | Path) -> Path:
    """Write an executable; the file is whole or not there. Raises RanvierError where an array is not at hand."""
    members, arrays = {}, {}
    stages: list[dict[str, Any]] = []
    names: dict[int, str] = {}
    modules = [stage.module for stage in executable.trace]
    for index, (stage, module) in enumerate(zip(executable.trace, modules, strict=True)):
        saved = {**stage.as_dict(), "member": None, "resources": {}}
        if module is not None:
            if id(module) not in names:
                name = (
                    "source.rv"
                    if index == 0
                    else "final.rv"
                    if module is executable.module
                    else f"stages/{index:02d}.rv"
                )
                names[id(module)] = name
                members[name] = print_module(module, locations=True).encode()
                arrays.update(_arrays(module))
            saved["member"] = names[id(module)]
            saved["resources"] = {n: r.digest for n, r in module.resources.items() if r.splat is None}
        stages.append(saved)
    members["weights.safetensors"] = _pack(arrays)
    members = {"manifest.json": _manifest(executable, stages, names, members), **members}
    with whole_file(path) as temporary:
        temporary.write_bytes(_seal(members))
    return Path(path)


def load(path: str | Path) -> Executable:
    """Read an executable; see `ranvier.executable.load_executable`."""
    from ranvier.api import as_target
    from ranvier.executable import Executable
    from ranvier.frontends import existing_file

    data = existing_file(path).read_bytes()
    members = _open(data, str(path))
    manifest = _read_manifest(members, str(path))
    arrays = _unpack(members["weights.safetensors"], str(path))
    made: dict[str, Callable[[], Module]] = {}
    for saved in manifest["stages"]:
        name = saved["member"]
        if name is not None and name not in made:
            made[name] = _loader(
                members[name], f"{path}:{name}", {n: arrays[d] for n, d in saved["resources"].items() if d in arrays}
            )
    target = as_target(manifest["target"], f"{path}:manifest.json")
    stages = []
    for saved in manifest["stages"]:
        fields = {k: v for k, v in saved.items() if k not in ("member", "resources")}
        stages.append(Stage.from_dict(fields, None if saved["member"] is None else made[saved["member"]]))
    final = made[manifest["final"]]()
    trace = Trace(stages, target.runtime())
    return Executable(final, target, target.lower(final), trace, manifest["pipeline"], manifest["data"])


# -- writing -----------------------------------------------------------------------------------------------------------
def _arrays(module: Module) -> dict[str, Array]:
    return {r.digest: np.ascontiguousarray(r.array) for r in module.resources.values() if r.splat is None}


def _pack(arrays: dict[str, Array]) -> bytes:
    from safetensors.numpy import save

    return save({name: arrays[name] for name in sorted(arrays)})


def _manifest(
    executable: Executable, stages: list[dict[str, Any]], names: dict[int, str], members: dict[str, bytes]
) -> bytes:
    import ranvier

    manifest = {
        "format": FORMAT,
        "ranvier": ranvier.__version__,
        "target": str(executable.target),
        "pipeline": executable.pipeline,
        "data": executable.data_description,
        "final": names[id(executable.module)],
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
        "stages": stages,
    }
    return json.dumps(manifest, indent=1).encode()


def _seal(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = MARK + b"0" * DIGITS
        for name, content in members.items():
            info = zipfile.ZipInfo(name, TIME)
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    body = out.getvalue()[:-DIGITS]
    return body + hashlib.sha256(body).hexdigest().encode()


# -- reading -----------------------------------------------------------------------------------------------------------
def _open(data: bytes, where: str) -> dict[str, bytes]:
    """The members, after the seal was checked."""
    help = "save the executable again, or copy the file anew"
    if data[:2] != b"PK" and MARK not in data[-DIGITS - len(MARK) :]:
        message = "this is no executable of Ranvier"
        raise error("damaged-file", message, where=where, help="executables are made by exe.save(path) and end in .rvx")
    body, seal = data[:-DIGITS], data[-DIGITS:]
    if not body.endswith(MARK):
        raise error("damaged-file", "the file is truncated, or no executable of Ranvier", where=where, help=help)
    if hashlib.sha256(body).hexdigest().encode() != seal:
        raise error("damaged-file", "the file's checksum is wrong: its bytes were changed", where=where, help=help)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, KeyError, EOFError) as why:
        raise error("damaged-file", f"the archive cannot be read: {why}", where=where, help=help) from None


def _read_manifest(members: dict[str, bytes], where: str) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(members["manifest.json"])
        version = manifest["format"]
    except (KeyError, ValueError, TypeError) as why:
        raise error("damaged-file", f"the archive has no readable manifest: {why}", where=where) from None
    if version > FORMAT:
        message = (
            f"the file has format {version}, written by Ranvier {manifest.get('ranvier', '?')}; this is {_version()}"
        )
        help = f"this version reads formats up to {FORMAT}: update Ranvier, or save the executable with this version"
        raise error("newer-file", message, where=where, help=help)
    for name, digest in manifest["sha256"].items():
        if name not in members or hashlib.sha256(members[name]).hexdigest() != digest:
            message = f"its member {name} is missing or changed"
            raise error("damaged-file", message, where=where, help="save the executable again")
    return manifest


def _version() -> str:
    import ranvier

    return f"Ranvier {ranvier.__version__}"


def _unpack(content: bytes, where: str) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except SafetensorError as why:
        raise error("damaged-file", f"its arrays cannot be read: {why}", where=where) from None


def _loader(content: bytes, name: str, arrays: dict[str, Array]) -> Callable[[], Module]:
    made: list[Module] = []

    def load() -> Module:
        if not made:
            made.append(parse_module(content.decode(), name, arrays).freeze())
        return made[0]

    return load


__all__ = ["FORMAT", "RanvierError", "load", "save"]
