"""An exported program becomes a module: parameters are resources, a node goes to the handler of its ATen overload."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.frontends.torch_export import ops  # noqa: F401  (registers the handlers)
from ranvier.frontends.torch_export.constants import element_of, identity, resource_of
from ranvier.frontends.torch_export.decompositions import decompose
from ranvier.frontends.torch_export.errors import Findings, Unsupported
from ranvier.frontends.torch_export.folding import Folder
from ranvier.frontends.torch_export.interface import Interface
from ranvier.frontends.torch_export.locations import Names, location
from ranvier.frontends.torch_export.registry import HANDLERS, overload_name
from ranvier.frontends.torch_export.site import Site
from ranvier.frontends.torch_export.symbols import Symbols
from ranvier.ir.core import Builder, Module, Value
from ranvier.ir.diagnostics import RanvierError, error, register_code
from ranvier.ir.facts import Note
from ranvier.ir.locations import describe
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType, same_dim, show_shape

register_code(
    "import-mismatch",
    "Ranvier infers another type for an imported op than PyTorch. Only a fault of the frontend can cause this.",
)

# What checks sizes while torch runs and computes nothing.
SILENT = {
    "_assert_scalar.default",
    "_assert_tensor_metadata.default",
    "sym_constrain_range.default",
    "_assert_async.msg",
}


def import_program(program: Any, name: str, *, source: str, notes: Sequence[str] = (), private: bool = False) -> Module:
    """The module of a torch.export.ExportedProgram.

    `source` stands in locations where torch recorded no line. `private` says that nobody else holds the program's
    tensors, so that their memory can be shared. Raises RanvierError with every op that cannot be imported.
    """
    return Importer(decompose(program), name, source, private).run(notes)


class Importer:
    """The state of one import: nodes already imported, resources by identity, names, findings."""

    def __init__(self, program: Any, name: str, source: str, private: bool):
        self.program, self.source, self.private = program, source, private
        self.module = Module(name)
        self.builder = Builder(self.module.new_graph("main"))
        self.symbols = Symbols()
        self.findings = Findings()
        self.interface = Interface(program)
        self.folder = Folder(self.symbols)
        self.names = Names(filter(self._computes, program.graph.nodes))
        self.values: dict[Any, Any] = {}
        self.resources: dict[Any, Value] = {}

    def run(self, notes: Sequence[str]) -> Module:
        """Import everything; raises RanvierError with all findings."""
        self.interface.check(self.findings)
        self._inputs()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._import(node)
        if self.findings:
            raise self.findings.error()
        self._outputs()
        erase_unused(self.builder.graph)
        used = {v.resource for v in self.builder.graph.constants}
        self.module.resources = {k: r for k, r in self.module.resources.items() if k in used}
        self.module.facts += tuple(map(Note, [*notes, *self.interface.notes]))
        return self.module.verify()

    def _computes(self, node: Any) -> bool:
        """Whether a node computes something of the inputs: no size, no part of a tuple, no transposed weight."""
        if node.op != "call_function" or node.target is operator.getitem or not _is_tensor(node.meta.get("val")):
            return False
        return not all(n.name in self.interface.tensors for n in node.all_input_nodes)

    # -- inputs, parameters, outputs -----------------------------------------------------------------------------------
    def _inputs(self) -> None:
        nodes = {n.name: n for n in self.program.graph.nodes if n.op == "placeholder"}
        users = [nodes[name] for name in self.interface.inputs]
        self.symbols.bind_inputs([n.meta["val"].shape for n in users])
        for node in users:
            fake = node.meta["val"]
            try:
                kind = TensorType(self.symbols.shape(fake.shape), element_of(fake.dtype, f"the input {node.name}"))
            except RanvierError as why:
                self.findings.add(why.diagnostics)
                continue
            self.values[node] = self.builder.graph.argument(node.name, kind)
        for name, (tensor, path, constant) in self.interface.tensors.items():
            if constant:
                self.folder.tensors[nodes[name]] = tensor.cpu()
            self.values[nodes[name]] = _Held(tensor, path)

    def _outputs(self) -> None:
        nodes = {n.name: n for n in self.program.graph.nodes}
        values, names = [], []
        for name, label in self.interface.outputs:
            value = self.value(nodes[name])
            values.append(value)
            names.append(label or value.name or str(value.resource))
        self.builder.location = None
        self.builder.returns(*values, names=_distinct(names))

    # -- nodes ---------------------------------------------------------------------------------------------------------
    def _import(self, node: Any) -> None:
        name = overload_name(node.target)
        if name in SILENT or not _is_tensor(node.meta.get("val")):
            return  # arithmetic on sizes: the results' shapes already say what it comes to
        place = location(node, self.source)
        self.builder.location = place
        try:
            self.values[node] = self._result(node, name)
            return
        except Unsupported as why:
            self.findings.unsupported(f"`{name}`" if "::" in name else f"`aten.{name}`", why, describe(place))
        except RanvierError as why:
            self.findings.add(why.diagnostics)
        try:  # go on with a value that nothing computes, to find what else cannot be imported
            self.values[node] = self._stand_in(node.meta["val"])
        except RanvierError:
            raise self.findings.error() from None

    def _result(self, node: Any, name: str) -> Any:
        if node.target is operator.getitem:
            return self._item(node)
        if self.folder.fold(node):
            return _Held(self.folder.tensors[node], "")
        handler = HANDLERS.get(name)
        if handler is None:
            raise Unsupported("is not imported", _remedy(name))
        out = handler(Site(self, node), *self._arguments(node))
        self._check(node, out)
        return out

    def _item(self, node: Any) -> Value:
        source, index = node.args
        value = self.values[source][index]
        if value is None:
            op = overload_name(source.target)
            raise Unsupported(f"takes result {index} of {op}, which is not imported", "use the first result alone")
        out: Value = value
        return out

    def _arguments(self, node: Any) -> list[Any]:
        """Every argument of the schema in order, defaults filled in, nodes replaced by values and dims."""
        args: list[Any] = []
        for position, declared in enumerate(node.target._schema.arguments):
            if position < len(node.args):
                args.append(self._argument(node.args[position]))
            elif declared.name in node.kwargs:
                args.append(self._argument(node.kwargs[declared.name]))
            else:
                args.append(declared.default_value if declared.has_default_value() else None)
        return args

    def _argument(self, argument: Any) -> Any:
        if isinstance(argument, tuple | list):
            return [self._argument(a) for a in argument]
        if not hasattr(argument, "op"):
            return argument
        if not _is_tensor(argument.meta.get("val")):
            return self.symbols.dim(argument.meta.get("val"))
        return self.value(argument)

    def value(self, node: Any) -> Value:
        """The value of a node; a parameter becomes a resource on first use."""
        found = self.values[node]
        if isinstance(found, _Held):
            resource = resource_of(found.tensor, f"${found.path or node.name}", private=self.private)
            key = (identity(found.tensor), bool(found.path))
            found = self.values[node] = self.resource(resource, key, found.path or node.name)
        out: Value = found
        return out

    def resource(self, resource: Resource, key: Any, hint: str) -> Value:
        """A resource of the module as a value; the same key gives the same resource."""
        if key not in self.resources:
            self.resources[key] = self.builder.graph.constant(self.module.add(resource, hint))
        return self.resources[key]

    def constant(self, array: np.ndarray[Any, Any], hint: str) -> Value:
        """An array made by a handler as a value."""
        return self.resource(Resource.of(array), ("array", array.dtype.str, array.shape, array.tobytes()), hint)

    def _stand_in(self, fake: Any) -> Any:
        """A value (or several) of the type that torch says, for what was not imported."""
        if isinstance(fake, tuple | list):
            return tuple(None if f is None else self._stand_in(f) for f in fake)
        return Value(TensorType(self.symbols.shape(fake.shape), element_of(fake.dtype, "a result")), "unknown")

    def _check(self, node: Any, out: Any) -> None:
        """What the handler built has the shape and element type that torch says."""
        fakes = node.meta["val"]
        pairs = zip(out, fakes, strict=False) if isinstance(out, tuple) else [(out, fakes)]
        for value, fake in pairs:
            if value is None or fake is None:
                continue
            want = TensorType(self.symbols.shape(fake.shape), element_of(fake.dtype, "the result"))
            have = value.type
            fits = len(have.shape) == len(want.shape) and all(map(same_dim, have.shape, want.shape))
            if not fits or have.elem != want.elem:
                op = overload_name(node.target)
                raise error(
                    "import-mismatch",
                    f"`{op}` gives {want.elem} {show_shape(want.shape)} in torch, but was imported as {have}",
                    where=describe(self.builder.location),
                    help="please report this with the lines of the model",
                )


class _Held:
    """A tensor that is not yet a resource: it becomes one when an op uses it."""

    def __init__(self, tensor: Any, path: str):
        self.tensor, self.path = tensor, path


def erase_unused(graph: Any) -> None:
    """Take out ops whose results nobody uses, such as the transpose of a weight that became nn.linear's."""
    op = graph.last
    while op is not None:
        before = op.prev
        if op.results and not any(r.uses for r in op.results):
            graph.erase(op)
        op = before


def _is_tensor(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_is_tensor(v) for v in value)
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _remedy(name: str) -> str:
    if "::" in name:
        return "register a decomposition of the custom op, or write the model without it"
    if name.startswith(("_unsafe_index", "_unsafe_masked")):
        return "give the program as torch.export.export makes it, before run_decompositions()"
    return "write this part of the model with other ops"


def _distinct(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return out
