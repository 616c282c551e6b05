"""Which ops treat every sample of the first axis on its own: they may be cut into tiles, or folded with other steps.

A rule sees an op and the dimension that counts samples. An op without a rule is taken as one that mixes samples: then
a runtime keeps the batch whole and runs steps one by one, and a batch of a fixed size stays fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from ranvier.ir.core import Graph, Op, Value
from ranvier.ir.types import Dim

Rule = Callable[[Op, Dim], bool]
RULES: dict[str, Rule] = {}

BINARY = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "mod", "compare", "logical", "prelu")
UNARY = (
    "neg",
    "abs",
    "sqrt",
    "exp",
    "log",
    "reciprocal",
    "floor",
    "ceil",
    "round",
    "sign",
    "erf",
    "sin",
    "cos",
    "tanh",
)
ACTIVATIONS = ("sigmoid", "softplus", "relu", "silu", "mish", "hard_swish", "softsign", "leaky_relu", "elu", "selu")
BOUNDED = ("celu", "gelu", "hard_sigmoid", "clip")
NOT_NN = ("core.select", "core.cast", "q.quantize", "q.dequantize", "q.fake_quant", "q.requantize", "q.add")
ELEMENTWISE = (*(f"nn.{n}" for n in (*BINARY, *UNARY, *ACTIVATIONS, *BOUNDED)), *NOT_NN)
POOLS = ("nn.max_pool", "nn.avg_pool", "q.sum_pool")
WEIGHTED = (
    "nn.conv",
    "nn.conv_transpose",
    "nn.linear",
    "nn.batch_norm",
    "nn.group_norm",
    "q.conv",
    "q.linear",
    "xbar.circuit_mvm",
    "xbar.mvm",
    *POOLS,
)
CURRENTS = ("snn.encode", "snn.psp", "snn.bias_current", "snn.neuron", "xbar.noisy_mvm")
STATEFUL = ("core.repeat", "core.delay", "core.accumulate", *CURRENTS)
WINDOWED = ("core.last", "core.first", "snn.decode", "snn.residual_membrane")


def batch_dim(graph: Graph) -> Dim | None:
    """The common first dimension of a graph's arguments, or None."""
    first = {a.type.shape[0] for a in graph.args if a.type.rank}
    return first.pop() if len(first) == 1 and "?" not in first else None


def leads(value: Value | None, batch: Dim) -> bool:
    """Whether the first axis of a value counts samples."""
    return value is not None and value.type.rank > 0 and value.type.shape[0] == batch


def mentions(value: Value | None, batch: Dim) -> bool:
    """Whether a symbolic batch dimension stands anywhere in a value's shape, or a size is not known."""
    return value is not None and (batch in value.type.shape if isinstance(batch, str) else leads(value, batch))


def is_samplewise(op: Op, batch: Dim, still: set[Value], fold: bool = False) -> bool:
    """Whether an op treats samples on their own; with `fold`, whether timed values may hold several steps at once."""
    values = [*op.arguments, *op.results]
    if any("?" in v.type.shape for v in values):
        return False
    timed = [v for v in values if v.type.time is not None and v not in still]
    if fold and not all(leads(v, batch) and not v.is_constant for v in timed):
        return False
    if not any(mentions(v, batch) for v in values):
        return not (fold and timed)
    if isinstance(batch, str) and any(batch in v.type.shape[1:] for v in values):
        return False
    rule = RULES.get(op.name)
    return rule is not None and rule(op, batch)


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the rule of some ops."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


@rule(*ELEMENTWISE)
def _elementwise(op: Op, batch: Dim) -> bool:
    rank = op.result.type.rank
    return leads(op.result, batch) and all(v.type.rank == rank or not mentions(v, batch) for v in op.arguments)


@rule(*WEIGHTED)
def _weighted(op: Op, batch: Dim) -> bool:
    x, *weights = op.arguments
    least = 2
    return (
        leads(x, batch)
        and x.type.rank >= least
        and all(v.is_constant or v.type.time is None for v in weights)
        and not any(isinstance(batch, str) and mentions(v, batch) for v in weights)
    )


@rule(*STATEFUL)
def _stateful(op: Op, batch: Dim) -> bool:
    return leads(op.arguments[0], batch)


@rule("snn.noise", "q.output_noise")
def _noise(op: Op, batch: Dim) -> bool:
    return leads(op.arguments[0], batch)


@rule("snn.code_value")
def _code_value(op: Op, batch: Dim) -> bool:
    return leads(op.operands[0], batch) and not any(mentions(v, batch) for v in op.operands[1:])


@rule(*WINDOWED)
def _windowed(op: Op, batch: Dim) -> bool:
    return leads(op.arguments[0], batch)


@rule("core.to_time", "core.from_time")
def _time_axis(op: Op, batch: Dim) -> bool:
    return leads(op.arguments[0], batch) and leads(op.result, batch)


@rule("core.reshape")
def _reshape(op: Op, batch: Dim) -> bool:
    x, y = op.arguments[0], op.result
    if not (leads(x, batch) and leads(y, batch)):
        return False
    rest = [v.type.shape[1:] for v in (x, y)]
    return all(isinstance(d, int) for r in rest for d in r) and prod(rest[0]) == prod(rest[1])


@rule("core.transpose")
def _transpose(op: Op, batch: Dim) -> bool:
    return leads(op.arguments[0], batch) and op.attributes["perm"][0] == 0


@rule("core.concat")
def _concat(op: Op, batch: Dim) -> bool:
    return all(leads(v, batch) for v in op.arguments) and op.attributes["axis"] % op.result.type.rank != 0


@rule("core.slice")
def _slice(op: Op, batch: Dim) -> bool:
    rank = op.result.type.rank
    return leads(op.arguments[0], batch) and all(a % rank != 0 for a in op.attributes["axes"])


@rule("core.pad")
def _pad(op: Op, batch: Dim) -> bool:
    return leads(op.arguments[0], batch) and op.attributes["before"][0] == 0 and op.attributes["after"][0] == 0


@rule("core.gather")
def _gather(op: Op, batch: Dim) -> bool:
    x, indices = op.arguments
    axis = op.attributes["axis"] % x.type.rank
    if axis == 0:
        return not mentions(x, batch) and leads(indices, batch)
    return leads(x, batch) and not mentions(indices, batch)


@rule("nn.sum", "q.sum", "nn.mean", "nn.max", "nn.min", "nn.prod")
def _reduce(op: Op, batch: Dim) -> bool:
    x = op.arguments[0]
    axes = op.attributes["axes"]
    return leads(x, batch) and bool(axes) and all(a % x.type.rank != 0 for a in axes)


@rule("nn.argmax", "nn.argmin", "nn.softmax", "nn.log_softmax", "nn.cumsum")
def _along_axis(op: Op, batch: Dim) -> bool:
    x = op.arguments[0]
    return leads(x, batch) and op.attributes["axis"] % x.type.rank != 0


@rule("nn.layer_norm")
def _layer_norm(op: Op, batch: Dim) -> bool:
    return _along_axis(op, batch) and not any(mentions(v, batch) for v in op.arguments[1:])


@rule("nn.matmul", "q.matmul", "xbar.matmul")
def _matmul(op: Op, batch: Dim) -> bool:
    a, b = op.arguments
    matrix = 2
    if leads(a, batch) and not mentions(b, batch):
        return (
            a.type.rank > b.type.rank >= matrix
            or (a.type.rank == b.type.rank == matrix)
            or (b.type.rank == 1 and a.type.rank >= matrix)
            or (a.type.rank == b.type.rank > matrix and b.type.shape[0] == 1)
        )
    return leads(a, batch) and leads(b, batch) and a.type.rank == b.type.rank > matrix


@rule("nn.resize")
def _resize(op: Op, batch: Dim) -> bool:
    sizes = op.attributes["sizes"]
    stays = isinstance(sizes[0], str) if sizes else op.attributes["scales"][0] == 1
    return stays and leads(op.arguments[0], batch) and leads(op.result, batch)
