"""What an ONNX name can stand for while a file is read: a value of the graph, a constant, or computed sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.symbols import Size
from ranvier.ir.core import Value
from ranvier.ir.diagnostics import error
from ranvier.ir.elements import Elem, elem
from ranvier.ir.resources import Origin, Resource
from ranvier.ir.types import TensorType

if TYPE_CHECKING:
    from onnx import TensorProto

Array = np.ndarray[Any, Any]

# TensorProto.DataType -> element type. What is not here (strings, complex, 8-bit floats, packed 4 bits) is refused.
ELEMENTS = {
    1: "f32", 2: "u8", 3: "i8", 4: "u16", 5: "i16", 6: "i32", 7: "i64", 9: "i1", 10: "f16", 11: "f64", 12: "u32",
    13: "u64", 16: "bf16",
}  # fmt: skip
EAGER = 4096
"""Arrays of at most so many elements are read at once, larger ones when they are needed."""


def element_type(data_type: int) -> Elem:
    """The element type of a TensorProto.DataType; raises Unsupported for one that the IR does not hold."""
    if data_type not in ELEMENTS:
        from onnx import TensorProto

        known = data_type in TensorProto.DataType.values()
        name = TensorProto.DataType.Name(data_type).lower() if known else f"of data type {data_type}"
        raise Unsupported(f"uses {name} tensors, which are not imported")
    return elem(ELEMENTS[data_type])


class Constant:
    """An array known when the file is read; loaded when first needed, a resource of the module once an op uses it."""

    __slots__ = ("_array", "_load", "hint", "origin", "resource", "splat", "transposed", "type")

    def __init__(
        self,
        type: TensorType,
        array: Array | None = None,
        *,
        load: Callable[[], Array] | None = None,
        splat: int | float | bool | None = None,
        origin: Origin | None = None,
        hint: str = "c",
    ):
        self.type, self.splat, self.origin, self.hint = type, splat, origin, hint
        self._array, self._load = array, load
        self.resource: str | None = None
        self.transposed: Constant | None = None

    @staticmethod
    def of(array: Any, element: Elem | None = None, hint: str = "c") -> Constant:
        """A constant of a numpy array."""
        array = np.asarray(array)
        found = element or elem(_storage(array.dtype))
        return Constant(TensorType(array.shape, found), array.astype(found.dtype, copy=False), hint=hint)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; no constant has symbols."""
        return tuple(int(d) for d in self.type.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def array(self) -> Array:
        """The array; computed from the file when first asked for."""
        if self._array is None:
            if self.splat is not None:
                return np.broadcast_to(np.asarray(self.splat, self.type.elem.dtype), self.shape)
            assert self._load is not None
            self._array = np.asarray(self._load()).astype(self.type.elem.dtype, copy=False).reshape(self.shape)
        return self._array

    def to_resource(self) -> Resource:
        """The array as a resource that is loaded as late as this constant."""
        if self._array is not None:
            return Resource(self.type, self._array)
        if self.splat is not None:
            return Resource(self.type, splat=self.splat)
        return Resource(self.type, load=lambda: self.array, origin=self.origin)


class Sizes:
    """An integer tensor of which some elements depend on symbols: an object array of `Size`."""

    __slots__ = ("array", "elem")

    def __init__(self, array: Array, element: Elem):
        self.array, self.elem = array, element

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor itself."""
        return tuple(int(d) for d in self.array.shape)

    @property
    def symbolic(self) -> bool:
        """Whether any element is no number."""
        return any(not isinstance(x, int) for x in self.array.ravel().tolist())


Tensor = Value | Constant | Sizes


def sizes_of(t: Constant | Sizes) -> Array:
    """An integer constant or computed sizes as an object array of `Size`."""
    if isinstance(t, Sizes):
        return t.array
    out = np.empty(t.shape, object)
    flat: list[Size] = [int(x) for x in t.array.ravel().tolist()]
    out.reshape(-1)[:] = flat
    return out


def settle(array: Any, element: Elem) -> Constant | Sizes:
    """An object array of sizes as a constant where all are numbers."""
    made = Sizes(np.asarray(array, object), element)
    if made.symbolic:
        return made
    return Constant.of(np.asarray(made.array.tolist(), np.int64).reshape(made.shape), element)


def _storage(dtype: np.dtype[Any]) -> str:
    from ranvier.ir.elements import elem_of

    return elem_of(dtype).storage


def read_tensor(proto: TensorProto, file: str, folder: Path | None, hint: str = "") -> Constant:
    """A TensorProto as a constant, its length checked now and its numbers decoded when needed.

    Raises Unsupported for element types that the IR does not hold, RanvierError for missing or short data.
    """
    from onnx import numpy_helper

    name = hint or proto.name or "c"
    kind = TensorType(tuple(int(d) for d in proto.dims), element_type(proto.data_type))
    if any(int(d) < 0 for d in proto.dims):
        raise error("not-onnx", f"tensor {name!r} has a negative dimension: {list(proto.dims)}", where=file)
    count = math.prod(int(d) for d in proto.dims)
    if proto.data_location == 1:
        load, origin = _external(proto, kind, count, file, folder)
        return Constant(kind, load=load, origin=origin, hint=name)
    if proto.HasField("raw_data"):
        if len(proto.raw_data) != count * kind.elem.dtype.itemsize:
            raise _length(name, file, len(proto.raw_data), count * kind.elem.dtype.itemsize, "bytes")
        if count > EAGER:
            return Constant(kind, load=lambda: numpy_helper.to_array(proto), hint=name)
    else:
        stored = max(
            len(getattr(proto, f)) for f in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
        )
        if stored != count:
            raise _length(name, file, stored, count, "numbers")
    return Constant(kind, numpy_helper.to_array(proto).astype(kind.elem.dtype, copy=False), hint=name)


def _length(name: str, file: str, have: int, want: int, unit: str) -> Exception:
    return error(
        "not-onnx",
        f"tensor {name!r} holds {have} {unit} where its shape needs {want}",
        where=file,
        help="the file is damaged; export or download it again",
    )


def _external(
    proto: TensorProto, kind: TensorType, count: int, file: str, folder: Path | None
) -> tuple[Callable[[], Array], Origin]:
    """A loader of data that lies in another file, which must be beside the model or below it."""
    entries = {e.key: e.value for e in proto.external_data}
    place = entries.get("location", "")
    if folder is None:
        help = "load it from its path, or with onnx.load, which reads the data too"
        raise error(
            "onnx-external-data", f"the data of {proto.name!r} lie in {place!r}, but the model has no path", help=help
        )
    path = (folder / place).resolve()
    if not place or not path.is_relative_to(folder.resolve()):
        raise error(
            "onnx-external-data", f"{proto.name!r} names data outside the model's folder: {place!r}", where=file
        )
    offset, length = int(entries.get("offset", 0)), count * kind.elem.dtype.itemsize
    if int(entries.get("length", length)) != length:
        raise _length(proto.name, file, int(entries["length"]), length, "bytes")
    if not path.is_file():
        help = f"put {place} into {folder}"
        raise error("onnx-external-data", f"there is no file {path}, which holds {proto.name!r}", where=file, help=help)
    if offset < 0 or path.stat().st_size < offset + length:
        raise error(
            "onnx-external-data", f"{path} ends before the data of {proto.name!r}", where=file, help="it is truncated"
        )

    def load() -> Array:
        try:
            with path.open("rb") as handle:
                handle.seek(offset)
                raw = handle.read(length)
        except OSError as why:
            raise error("onnx-external-data", f"{path} cannot be read any more: {why.strerror}", where=file) from None
        if len(raw) != length:
            raise error("onnx-external-data", f"{path} ends before the data of {proto.name!r}", where=file)
        return np.frombuffer(raw, kind.elem.dtype.newbyteorder("<")).reshape(kind.shape)

    return load, Origin(str(path), proto.name, offset, length)
