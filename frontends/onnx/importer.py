"""A model's graph becomes `@main`: initializers, inputs, then node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ranvier.frontends.onnx import registry
from ranvier.frontends.onnx.arguments import DimNames, argument_type
from ranvier.frontends.onnx.emitter import Emitter, legal
from ranvier.frontends.onnx.errors import Findings, Unsupported
from ranvier.frontends.onnx.functions import FunctionTable, call_function
from ranvier.frontends.onnx.node import Node
from ranvier.frontends.onnx.reader import OnnxFile
from ranvier.frontends.onnx.symbols import Size
from ranvier.frontends.onnx.tensors import Constant, Sizes, Tensor, read_tensor
from ranvier.ir.core import Builder, Graph, Module, Value
from ranvier.ir.diagnostics import Diagnostic, RanvierError, error, suggest
from ranvier.ir.facts import ImportedName
from ranvier.ir.locations import NodeLoc

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto


class Failed:
    """Stands for a name whose node could not be imported: what uses it is passed over in silence."""


Known = Tensor | Failed
FAILED = Failed()


class Import:
    """One import: the file, the module being made, what was found wrong."""

    def __init__(self, file: OnnxFile):
        self.file, self.module, self.findings = file, Module(legal(file.proto.graph.name)), Findings(file.name)
        self.known: dict[Value, tuple[Size, ...]] = {}
        self.functions = FunctionTable(file.proto)
        self.trail: list[str] = []

    def graph_name(self, hint: str) -> str:
        """A name for another graph of the module."""
        name, n = legal(hint).replace(".", "_"), 1
        while name in self.module.graphs:
            n += 1
            name = f"{legal(hint).replace('.', '_')}_{n}"
        return name


class Scope:
    """Names of one ONNX graph, or of a function's body, and the IR graph that its nodes are written into."""

    def __init__(
        self,
        run: Import,
        emitter: Emitter,
        opsets: dict[str, int],
        names: dict[str, Known] | None = None,
        outer: Scope | None = None,
        prefix: str = "",
    ):
        self.run, self.emitter, self.opsets, self.outer, self.prefix = run, emitter, opsets, outer, prefix
        self.names: dict[str, Known] = dict(names or {})

    def find(self, name: str) -> Known | None:
        """What a name stands for, here or outside."""
        if name in self.names:
            return self.names[name]
        return self.outer.find(name) if self.outer is not None else None

    def define(self, name: str, t: Known) -> None:
        """Say what a name stands for; raises RanvierError when it is taken."""
        if name in self.names:
            raise error("onnx-graph", f"two nodes define {name!r}", where=self.run.file.name)
        self.names[name] = t

    # -- nodes ---------------------------------------------------------------------------------------------------------
    def initializers(self, graph: GraphProto) -> None:
        """Define the constants of a graph."""
        for proto in graph.initializer:
            self.define(proto.name, self._initializer(proto))
        for sparse in graph.sparse_initializer:
            where = NodeLoc(self.run.file.name, sparse.values.name or "sparse", "SparseTensor")
            self.run.findings.unsupported(
                "", "SparseTensor", self.opsets.get("", 0), "is not imported as initializer", "", where
            )
            self.define(sparse.values.name, FAILED)

    def _initializer(self, proto: TensorProto) -> Known:
        file = self.run.file
        try:
            return read_tensor(proto, file.name, file.folder)
        except Unsupported as why:
            where = NodeLoc(file.name, proto.name, "initializer")
            self.run.findings.unsupported("", "initializer", self.opsets.get("", 0), why.reason, why.help, where)
        except RanvierError as why:
            self.run.findings.add(why.diagnostics)
        return FAILED

    def nodes(self, protos: Sequence[NodeProto]) -> None:
        """Import nodes in their order; errors go to the findings."""
        for index, proto in enumerate(protos):
            name = proto.name or f"{proto.op_type}#{index}"
            where = NodeLoc(self.run.file.name, "/".join([*self.run.trail, name]), proto.op_type)
            results = self._results(proto, where)
            for i, output in enumerate(proto.output):
                if output:
                    self.define(output, results[i] if i < len(results) else FAILED)

    def _results(self, proto: NodeProto, where: NodeLoc) -> Sequence[Known]:
        """What a node gives, or nothing after noting why."""
        emitter, findings = self.emitter, self.run.findings
        opset = self.opsets.get("" if proto.domain == "ai.onnx" else proto.domain, 0)
        before = emitter.hint, emitter.location
        emitter.hint = self.prefix + legal(next((o for o in proto.output if o), proto.op_type))
        emitter.location = where
        try:
            inputs = [self._input(name, where) for name in proto.input]
            start = len(emitter.created)
            results = self._import(proto, inputs, opset)
            for output, t in zip(proto.output, results, strict=False):
                if not isinstance(t, Failed):
                    emitter.call(t, self.prefix + output if output else "", emitter.created[start:])
            return results
        except Unsupported as why:
            findings.unsupported(proto.domain, proto.op_type, opset, why.reason, why.help, where)
        except RanvierError as why:
            findings.add(d if d.where else _placed(d, where) for d in why.diagnostics)
        except Exception as why:  # a node may contradict itself in more ways than can be listed
            text = f"`{proto.op_type}` cannot be read: {why or type(why).__name__}"
            help = "the file may be damaged; onnx.checker.check_model may say more"
            findings.add([Diagnostic("onnx-node", text, where.describe(), help)])
        finally:
            emitter.hint, emitter.location = before
        return ()

    def _input(self, name: str, where: NodeLoc) -> Known | None:
        if not name:
            return None
        found = self.find(name)
        if found is None:
            help = "nodes must come after what they use"
            raise error("onnx-graph", f"nothing defines {name!r} before it is used", where=where.describe(), help=help)
        return found

    def _import(self, proto: NodeProto, inputs: Sequence[Known | None], opset: int) -> Sequence[Known]:
        """The results of a node. An operator that is not imported is refused before its inputs are looked at, so that
        one import finds all of them."""
        core = proto.domain in ("", "ai.onnx")
        local = self.run.functions.local(proto)
        handler = registry.resolve(proto.op_type, opset) if core and local is None else None
        if handler is None and local is None and not (core and self.run.functions.expands(proto.op_type, opset)):
            raise self._unknown(proto, opset)
        tensors: list[Tensor | None] = []
        for t in inputs:
            if isinstance(t, Failed):
                return ()
            tensors.append(t)
        if handler is None:
            return call_function(self, proto, local, tensors, opset)
        node = Node(proto, tensors, opset, self)
        found = handler(node)
        results = [found] if isinstance(found, Value | Constant | Sizes) else list(found)
        node.check_all_read(len(results))
        return results

    def _unknown(self, proto: NodeProto, opset: int) -> Unsupported:
        if proto.domain not in ("", "ai.onnx"):
            return Unsupported(
                "is not imported: it is of another domain than ai.onnx, and the model holds no function of that name"
            )
        if versions := dict(registry.coverage()).get(proto.op_type):
            return Unsupported(f"is imported from opset {versions[0]} on")
        import onnx

        if not onnx.defs.has(proto.op_type):
            hit = suggest(proto.op_type, registry.handled_names())
            return Unsupported("is no operator of ONNX", hit if "did you mean" in hit else "")
        return Unsupported("is not imported")

    # -- ends ----------------------------------------------------------------------------------------------------------
    def outputs(self, graph: GraphProto) -> list[Tensor] | None:
        """The outputs of a graph, or None when one failed."""
        out: list[Tensor] = []
        for info in graph.output:
            found = self.find(info.name)
            if found is None:
                self.run.findings.add(
                    [
                        Diagnostic(
                            "onnx-graph",
                            f"nothing defines the output {info.name!r}",
                            self.run.file.name,
                            "the file may be damaged",
                        )
                    ]
                )
            elif isinstance(found, Sizes):
                text = f"output {info.name!r} is a size that is not known before the network runs"
                self.run.findings.add(
                    [Diagnostic("unsupported-op", text, self.run.file.name, "give the input a fixed shape")]
                )
            elif not isinstance(found, Failed):
                out.append(found)
        return out if len(out) == len(graph.output) else None


def _placed(d: Diagnostic, where: NodeLoc) -> Diagnostic:
    return Diagnostic(d.code, d.message, where.describe(), d.help, d.excerpt, d.notes)


def import_model(file: OnnxFile) -> Module:
    """The module of a model; raises RanvierError with everything that is wrong with it."""
    registry.load_families()
    run = Import(file)
    graph = run.module.new_graph("main")
    try:
        _import_main(run, graph, file.proto.graph)
    except UnicodeDecodeError:
        raise error(
            "not-onnx", "the model holds names that are no text", where=file.name, help="the file is damaged"
        ) from None
    if run.findings:
        raise run.findings.error()
    return run.module.verify()


def _import_main(run: Import, graph: Graph, proto: GraphProto) -> None:
    emitter = Emitter(run.module, graph, run.known)
    scope = Scope(run, emitter, run.file.opsets)
    scope.initializers(proto)
    inputs = [i for i in proto.input if i.name not in scope.names]
    names = DimNames(inputs)
    for info in inputs:
        try:
            value = graph.argument(legal(info.name), argument_type(info, names, run.file.name))
        except Unsupported as why:
            where = NodeLoc(run.file.name, info.name, "input")
            run.findings.unsupported("", "input", run.file.opsets.get("", 0), why.reason, why.help, where)
            scope.define(info.name, FAILED)
            continue
        if value.name != info.name:
            value.facts += (ImportedName(info.name),)
        scope.define(info.name, value)
    run.module.facts += names.facts()
    scope.nodes(proto.node)
    outputs = scope.outputs(proto)
    if outputs is not None and not run.findings:
        values = [emitter.value(t) for t in outputs]
        Builder(graph).returns(*values, names=[o.name for o in proto.output])
        emitter.drop_superseded()
