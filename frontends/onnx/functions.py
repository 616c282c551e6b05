"""Operators defined by others: functions of the model, and those that ONNX itself defines by a body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ranvier.frontends.onnx.emitter import legal
from ranvier.frontends.onnx.errors import Unsupported
from ranvier.frontends.onnx.symbols import to_dim
from ranvier.frontends.onnx.tensors import ELEMENTS, Tensor
from ranvier.ir.core import Value

if TYPE_CHECKING:
    from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto

    from ranvier.frontends.onnx.importer import Known, Scope

DEEPEST = 64
RANDOM = frozenset({"Bernoulli", "Dropout", "RandomNormalLike", "RandomUniformLike"})
_TENSOR_TYPES = {storage: number for number, storage in ELEMENTS.items()}


class FunctionTable:
    """Functions by domain, name and overload."""

    def __init__(self, model: ModelProto):
        self._local = {(f.domain, f.name, f.overload): f for f in model.functions}

    def local(self, node: NodeProto) -> FunctionProto | None:
        """The function of the model that a node calls, or None."""
        return self._local.get((node.domain, node.op_type, node.overload))

    def expands(self, op: str, opset: int) -> bool:
        """Whether ONNX defines an operator by a body of others."""
        import onnx

        if op in RANDOM or not onnx.defs.has(op) or opset < 1:
            return False
        try:
            schema: Any = onnx.defs.get_schema(op, opset)
        except onnx.defs.SchemaError:
            return False
        return bool(schema.has_function or schema.has_context_dependent_function)


def call_function(
    scope: Scope, node: NodeProto, local: FunctionProto | None, inputs: Sequence[Tensor | None], opset: int
) -> Sequence[Known]:
    """Import the body of the function that a node calls, in place of the node."""
    from ranvier.frontends.onnx.importer import FAILED, Scope

    function = local if local is not None else _schema_body(scope, node, inputs, opset)
    trail = scope.run.trail
    if len(trail) >= DEEPEST:
        raise Unsupported("calls functions that call each other too deep, or in a circle")
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in function.opset_import}
    if "" in opsets and opsets[""] < 7:
        opsets[""] = max(opsets[""], 7)
    prefix = scope.prefix + legal(node.name or next((o for o in node.output if o), node.op_type)) + "."
    given: dict[str, Known] = {n: t for n, t in zip(function.input, inputs, strict=False) if t is not None}
    inner = Scope(scope.run, scope.emitter, opsets or scope.opsets, given, prefix=prefix)
    absent = set(function.input) - set(given)
    trail.append(node.name or node.op_type)
    try:
        inner.nodes([_with_attributes(n, node, function, absent) for n in function.node])
    finally:
        trail.pop()
    return [inner.find(name) or FAILED for name in function.output]


def _schema_body(scope: Scope, node: NodeProto, inputs: Sequence[Tensor | None], opset: int) -> FunctionProto:
    import onnx

    schema: Any = onnx.defs.get_schema(node.op_type, opset)  # its stubs leave the functions out
    body = onnx.FunctionProto()
    defaults = [a.default_value for a in schema.attributes.values() if a.default_value.name]
    # a body written for a later operator set says the same of this operator: its own imports say how to read it
    if schema.has_function:
        body.ParseFromString(schema.get_function_with_opset_version(_nearest(schema.function_opset_versions, opset)))
        body.attribute_proto.extend(defaults)
        return body
    version = _nearest(schema.context_dependent_function_opset_versions, opset)
    types = [_type_proto(scope, t) for t in inputs]
    made = schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), types)
    if not made:
        raise Unsupported("is not imported in this form")
    body.ParseFromString(made)
    body.attribute_proto.extend(defaults)
    return body


def _nearest(versions: Sequence[int], opset: int) -> int:
    """The newest version that is not newer than an operator set, or the oldest."""
    return max((v for v in versions if v <= opset), default=min(versions))


def _type_proto(scope: Scope, t: Tensor | None) -> bytes:
    import onnx

    if t is None:
        return bytes(onnx.TypeProto().SerializeToString())
    shape = [to_dim(d) for d in scope.emitter.shape(t)] if isinstance(t, Value) else list(t.shape)
    number = _TENSOR_TYPES[scope.emitter.element(t).storage]
    kind = onnx.helper.make_tensor_type_proto(number, [None if d == "?" else d for d in shape])
    return bytes(kind.SerializeToString())


def _with_attributes(node: NodeProto, call: NodeProto, function: FunctionProto, absent: set[str]) -> NodeProto:
    """A node of a body with the caller's attributes put in, and inputs that the caller left out left out."""
    import onnx

    given: dict[str, AttributeProto] = {a.name: a for a in function.attribute_proto}
    given.update((a.name, a) for a in call.attribute)
    out = onnx.NodeProto()
    out.CopyFrom(node)
    del out.attribute[:]
    for a in node.attribute:
        if not a.ref_attr_name:
            out.attribute.add().CopyFrom(a)
        elif a.ref_attr_name in given:
            filled = out.attribute.add()
            filled.CopyFrom(given[a.ref_attr_name])
            filled.name = a.name
    for a in out.attribute:
        if a.type == onnx.AttributeProto.GRAPH:
            inner = [_with_attributes(n, call, function, absent) for n in a.g.node]
            del a.g.node[:]
            a.g.node.extend(inner)
    for i, name in enumerate(out.input):
        if name in absent:
            out.input[i] = ""
    return out
