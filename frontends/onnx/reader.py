"""From a path to a ModelProto whose versions are known, or the error that says why not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.frontends import existing_file
from ranvier.ir.diagnostics import RanvierError, error

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

OLDEST = 7
OLDEST_IR = 3


@dataclass(frozen=True)
class OnnxFile:
    """A model, the name that its locations bear, its folder (for external data), and its operator sets by domain."""

    proto: ModelProto
    name: str
    folder: Path | None
    opsets: dict[str, int]


def read(model: Any) -> OnnxFile:
    """Read a path or take a ModelProto. Raises RanvierError: missing-file, not-onnx, onnx-version."""
    if isinstance(model, str | os.PathLike):
        path = existing_file(os.fspath(model))
        proto, name, folder = _parse(path), path.name, path.parent
    else:
        proto, name, folder = model, "<ModelProto>", None
    try:
        _check(proto, name)
        _check_text(proto)
        opsets = {_domain(o.domain): o.version for o in proto.opset_import}
    except UnicodeDecodeError:
        raise _broken(name) from None
    _check_versions(proto, opsets, name)
    return OnnxFile(proto, name, folder, opsets)


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _broken(name: str) -> RanvierError:
    help = "the file is truncated or damaged, or of another format; export or download it again"
    return error("not-onnx", "this is not a whole ONNX model", where=name, help=help)


def _parse(path: Path) -> ModelProto:
    from onnx import ModelProto

    try:
        content = path.read_bytes()
    except OSError as why:
        raise error("missing-file", f"the file cannot be read: {why.strerror}", where=str(path)) from None
    proto = ModelProto()
    try:
        proto.ParseFromString(content)
    except Exception:  # whatever protobuf raises, these bytes are no model
        raise _broken(str(path)) from None
    return proto


def _check(proto: ModelProto, name: str) -> None:
    if not proto.HasField("graph") or not proto.HasField("ir_version") or not proto.opset_import:
        raise _broken(name)
    if not proto.graph.output:
        raise error(
            "not-onnx", "the model has no outputs", where=name, help="the file is truncated, or was not exported whole"
        )


def _check_text(proto: ModelProto) -> None:
    """Raise UnicodeDecodeError for names that are no text: protobuf hands these out as bytes, or raises itself."""
    _check_graph(proto.graph)
    for function in proto.functions:
        _decode(function.name, function.domain, *function.input, *function.output, *function.attribute)
        _check_nodes(function.node)


def _check_graph(graph: GraphProto) -> None:
    _decode(graph.name, *(t.name for t in graph.initializer))
    for info in (*graph.input, *graph.output):
        dims = info.type.tensor_type.shape.dim if info.type.HasField("tensor_type") else ()
        _decode(info.name, *(d.dim_param for d in dims))
    _check_nodes(graph.node)


def _check_nodes(nodes: Iterable[NodeProto]) -> None:
    for node in nodes:
        _decode(node.name, node.op_type, node.domain, node.overload, *node.input, *node.output)
        for attribute in node.attribute:
            _decode(attribute.name, attribute.ref_attr_name)
            if attribute.HasField("g"):
                _check_graph(attribute.g)


def _decode(*names: object) -> None:
    for name in names:
        if isinstance(name, bytes):
            name.decode("utf-8")
            raise UnicodeDecodeError("utf-8", name, 0, len(name), "bytes where a name should be")


def _check_versions(proto: ModelProto, opsets: dict[str, int], name: str) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_IR <= proto.ir_version <= onnx.IR_VERSION:
        raise error(
            "onnx-version",
            f"the file is of IR version {proto.ir_version}; versions {OLDEST_IR} to {onnx.IR_VERSION} are read",
            where=name,
            help=f"upgrade onnx ({onnx.__version__} is installed)"
            if proto.ir_version > onnx.IR_VERSION
            else "export it again",
        )
    version = opsets.get("", newest)
    if not OLDEST <= version <= newest:
        help = f"export with an opset from {OLDEST} to {newest}, or use onnx.version_converter"
        raise error(
            "onnx-version",
            f"the model uses opset {version} of ai.onnx; opsets {OLDEST} to {newest} are read",
            where=name,
            help=help if version < OLDEST else f"{help}; or upgrade onnx ({onnx.__version__} is installed)",
        )
