"""Read the constants of a module from text: numbers in the text itself, one number for all, or arrays elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.ir.diagnostics import RanvierError, error
from ranvier.ir.resources import Origin, Resource, open_safetensors
from ranvier.ir.text.records import placed, read_facts
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.values import IDENT, NAME, Call, read_call
from ranvier.ir.types import TensorType

ResourceStore = Mapping[str, "Resource | np.ndarray[Any, Any]"]


class ConstantReader:
    """Reads one constant after the other. `store` has arrays by name or digest, `folder` is where files lie."""

    def __init__(self, s: Scanner, store: ResourceStore, folder: Path | None, alias: Callable[[str, int], Any]):
        self.s, self.store, self.folder, self.alias = s, store, folder, alias
        self.files: dict[str, Any] = {}

    def read(self) -> Resource:
        """Read `$name = form(type, ...)` and its facts; raises RanvierError with position."""
        s = self.s
        start = s.pos
        s.expect("$")
        name = s.need(IDENT, "a resource's name")
        s.expect("=")
        form = s.need(NAME, "`blob`, `dense` or `splat`")
        call = read_call(s, form, self.alias)
        if not call.args or not isinstance(call.args[0], TensorType):
            raise s.error(pos=start, code="bad-value", message=f"${name} needs a tensor type first")
        kind = call.args[0]
        if not all(isinstance(d, int) for d in (*kind.shape, kind.time or 1)):
            raise s.error(pos=start, code="bad-value", message=f"${name}: the dims of {kind} are not all numbers")
        try:
            resource = self._make(name, form, kind, call)
        except (ValueError, TypeError, OverflowError) as why:
            raise s.error(pos=start, code="bad-value", message=f"${name}: {why}") from None
        except RanvierError as why:
            raise placed(s, why, start) from None
        resource.facts = read_facts(s, self.alias) if s.keyword("facts") else ()
        return resource

    def _make(self, name: str, form: str, kind: TensorType, call: Call) -> Resource:
        if form == "splat" and len(call.args) == 2 and not call.fields:
            return Resource(kind, splat=call.args[1], name=name)
        if form == "dense" and len(call.args) == 2 and not call.fields:
            return Resource(kind, _dense(kind, call.args[1]), name=name)
        if form != "blob" or len(call.args) != 1 or call.fields.keys() - {"sha256", *_ORIGIN}:
            raise ValueError("use blob(type, ...), dense(type, [numbers]) or splat(type, number)")
        for key, value in call.fields.items():
            if not isinstance(value, _ORIGIN.get(key, str)):
                raise ValueError(f"{key} must be {'a string' if _ORIGIN.get(key, str) is str else 'an integer'}")
        digest = call.fields.get("sha256")
        given = self.store.get(name, self.store.get(str(digest)))
        if given is not None:
            array = given.array if isinstance(given, Resource) else given
            made = Resource(kind, np.asarray(array), name=name)
            if digest is not None and made.digest != digest:
                raise ValueError("the array given for it has another content than the text says")
            return made
        if "file" not in call.fields:
            return Resource(kind, digest=None if digest is None else str(digest), name=name)
        place = "" if self.folder is None else str(self.folder.resolve())
        origin = Origin(**{k: v for k, v in call.fields.items() if k != "sha256"}, folder=place)
        return Resource(kind, load=self._loader(origin), origin=origin, name=name)

    def _loader(self, origin: Origin) -> Any:
        path = str((self.folder or Path()) / origin.file)

        def load() -> np.ndarray[Any, Any]:
            if path not in self.files:
                self.files[path] = open_safetensors(path)
            if origin.key not in self.files[path]:
                raise error("missing-data", f"{path} holds no array called {origin.key!r}")
            return self.files[path][origin.key]()  # type: ignore[no-any-return]

        return load


_ORIGIN: dict[str, type] = {"file": str, "key": str, "offset": int, "length": int}


def _dense(kind: TensorType, numbers: Any) -> np.ndarray[Any, Any]:
    """The array of numbers in a text, which may be nested as its axes are. Raises ValueError for what does not fit."""
    array = np.asarray(numbers)
    if array.dtype.kind == "O" and all(isinstance(n, int) for n in array.ravel()):  # beyond 64 bits, or u64
        array = np.asarray(numbers, kind.elem.dtype)
    allowed = {"i1": "b"}.get(kind.elem.storage, "fiu" if kind.elem.is_float else "iu")
    if array.size and array.dtype.kind not in allowed:
        raise ValueError(f"its numbers are not of {kind.elem.storage}")
    time = () if kind.time is None else (kind.time,)
    shape = [int(d) for d in (*time, *kind.shape)]
    if array.size != math.prod(shape):
        raise ValueError(f"{kind} holds {math.prod(shape)} numbers, not {array.size}")
    array = array.reshape(shape)
    if array.dtype.kind in "iu" and array.size and not kind.elem.is_float:
        low, high = kind.elem.range
        if array.min() < low or array.max() > high:
            raise ValueError(f"{kind.elem.storage} holds {low} to {high}")
    with np.errstate(over="ignore"):
        return array.astype(kind.elem.dtype)
