"""`free-batch`: a model that was exported for batches of a fixed size takes batches of any size."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.diagnostics import Diagnostic, RanvierError, error
from ranvier.ir.fields import Dims
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import describe
from ranvier.ir.ops.control import callees
from ranvier.ir.samplewise import batch_dim, is_samplewise, leads

EXPORT = "export the model with an open batch, such as torch.onnx.export(..., dynamic_axes={'image': {0: 'N'}})"


@dataclass(frozen=True)
class FreeBatch(Pass):
    """Open the first dimension of every argument: a fixed 1 (or any number that all of them share) becomes `N`.

    The result computes for each sample what the model computes for it alone. That is proved op by op: the shapes must
    follow with `N` in place of the number, and every op must treat the samples on their own. A model in which one does
    not (a softmax over the first axis, a reshape that moves samples into other axes, a graph that is called) is
    refused, with all such ops. Put first, it runs before the data are looked at, and what it gives is the source that
    later stages and evaluations are compared with. A model whose first dimension is open stays as it is.
    """

    word = "free-batch"
    opens_inputs = True

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        graph = module.main
        size = _fixed_size(graph)
        if size is None:
            return
        symbol = _fresh_symbol(module)
        order = {op: at for at, op in enumerate(graph.ops)}
        found = [d for op in graph.ops if (d := _refusal(op, order)) is not None]
        if found:
            raise RanvierError(found)
        for arg in graph.args:
            arg.type = replace(arg.type, shape=(symbol, *arg.type.shape[1:]))
        for op in graph.ops:
            if op.results:
                _follow(op, size, symbol)
        found = [_mixes(op) for op in graph.ops if op.results and not is_samplewise(op, symbol, set())]
        found += [_no_row(name, v) for name, v in _named_outputs(graph) if not leads(v, symbol)]
        if found:
            raise RanvierError(found)
        context.note(f"the first dimension of every input, {size} in the model, is now {symbol}")


def _fixed_size(graph: Graph) -> int | None:
    """The first dimension that all arguments share; None where it is open. Raises RanvierError when they share none."""
    size = batch_dim(graph)
    if any(not arg.type.rank for arg in graph.args) or size is None:
        kinds = ", ".join(f"%{arg.name}: {arg.type}" for arg in graph.args)
        raise error("unsupported", f"`free-batch`: the inputs share no first dimension ({kinds})", help=EXPORT)
    return size if isinstance(size, int) else None


def _fresh_symbol(module: Module) -> str:
    taken = {d for graph in module.graphs.values() for v in graph.values for d in v.type.shape}
    return next(name for name in ("N", *(f"N{i}" for i in range(len(taken) + 1))) if name not in taken)


def _refusal(op: Op, order: dict[Op, int]) -> Diagnostic | None:
    reason = None
    if callees(op):
        reason = "runs another graph, whose ops are not looked at"
    elif any(v.op is not None and order[v.op] > order[op] for v in op.arguments):
        reason = "reads a value that is defined later"
    return None if reason is None else Diagnostic("unsupported", f"`free-batch`: {op!r} {reason}", _place(op), EXPORT)


def _follow(op: Op, size: int, symbol: str) -> None:
    """Give an op the types that follow from its operands; a list of dims that says the size says the symbol then."""
    first = next((v for v in op.arguments if not v.is_constant), None)
    if leads(first, symbol):
        written = {name: op.attributes[name] for name, a in op.attribute_fields.items() if isinstance(a.kind, Dims)}
        opened = {name: (symbol, *dims[1:]) for name, dims in written.items() if dims and dims[0] == size}
        op.attributes.update(opened)
    try:
        types = op.infer_types()
    except RanvierError as why:
        raise RanvierError(
            Diagnostic("unsupported", f"`free-batch`: {d.message}", d.where, EXPORT) for d in why.diagnostics
        ) from None
    for result, kind in zip(op.results, types, strict=True):
        result.type = kind


def _mixes(op: Op) -> Diagnostic:
    message = f"`free-batch`: {op!r} mixes samples, or is not known to treat each on its own"
    return Diagnostic("unsupported", message, _place(op), EXPORT)


def _no_row(name: str, value: Value) -> Diagnostic:
    message = f"`free-batch`: the output {name} is {value.type}, which holds no row a sample"
    return Diagnostic("unsupported", message, "" if value.op is None else _place(value.op), EXPORT)


def _place(op: Op) -> str:
    return describe(op.location)


def _named_outputs(graph: Graph) -> list[tuple[str, Value]]:
    return list(zip(graph.terminator.attributes["names"], graph.outputs, strict=True))
