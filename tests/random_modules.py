"""Random valid modules: random cases of ops, called from a random @main, with everything that text can say."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ranvier.ir import facts as facts_
from ranvier.ir.codes import Rate
from ranvier.ir.core import Builder, Graph, Module, Value
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.locations import Derived, FileLoc, NodeLoc
from ranvier.ir.ops import arith, control, core, neurons, nn, snn, time
from ranvier.ir.resources import Resource
from ranvier.ir.text.values import Call, Word
from ranvier.ir.types import SpikesType, StateType, TensorType, tensor
from tests.strategies import OpCase, cases

VALUE_NAMES = (
    "_", "0", "1a", "a.b", "a..b", "T", "N", "Nx3", "none", "true", "inf", "nan", "info", "nano", "return", "graph",
    "facts", "place", "loc", "resources", "x3", "f32", "u4", "tensor", "1e5", "0x1", "core.call", "Z9_", "__",
)  # fmt: skip
IDENTS = (
    "body", "if-body", "layer1/conv.weight", "0", "w.0-1", "none", "inf", "_", "a/b/c", "return", "f32", "p99.9",
)  # fmt: skip
OUTPUT_NAMES = ("logits", "a b", 'quote"d', "ümlaut", "", "1", "a-b", "line\nbreak", "role", "tensor", "\\", "𝛽", "T=4")
TEXTS = (*OUTPUT_NAMES, "net.onnx", "/conv1/Conv", "// no comment", "# none", "}")


@cache
def pool() -> tuple[OpCase, ...]:
    """The cases of ops that graphs are drawn from, each with a name of its own."""
    return tuple(cases())


names = st.sampled_from(TEXTS)
reals = st.floats(allow_nan=False, width=32)
any_reals = st.lists(reals, min_size=0, max_size=12).map(tuple)
spots = st.one_of(
    st.builds(FileLoc, names, st.integers(0, 99), st.integers(0, 99)), st.builds(NodeLoc, names, names, names)
)
locations = st.one_of(
    st.none(), spots, st.builds(Derived, st.sampled_from(["cse", "a <- b"]), st.lists(spots, max_size=10).map(tuple))
)


@st.composite
def facts(draw: Any, mask: str | None = None, counts: str | None = None) -> tuple[Any, ...]:
    """Facts of every class; those that name resources only where one is given."""
    kinds: list[Any] = [
        st.builds(
            facts_.Statistics,
            st.sampled_from(["max", "p99.9", "mean"]),
            any_reals,
            st.sampled_from(["layer", "channel"]),
            names,
            names,
        ),
        st.builds(facts_.ImportedName, names),
        st.builds(facts_.DimName, st.just("N"), names),
        st.builds(facts_.Note, names),
        st.builds(
            facts_.Converted,
            names,
            names,
            st.one_of(st.none(), st.integers(0, 99)),
            st.sampled_from(facts_.PROVENANCES),
        ),
    ]
    if mask is not None:
        kinds.append(st.just(facts_.Mask(mask)))
    if counts is not None:
        kinds.append(st.builds(facts_.Histogram, st.just(counts), any_reals, any_reals, names))
    return tuple(draw(st.lists(st.one_of(kinds), max_size=2)))


@st.composite
def resources(draw: Any, module: Module) -> str:
    """A constant of [4]: numbers in the text, one number for all, or an array that lies elsewhere."""
    kind = draw(st.sampled_from(["dense", "splat", "blob", "odd"]))
    hint = draw(st.sampled_from(IDENTS))
    if kind == "splat":
        made = Resource(tensor(4), splat=draw(st.sampled_from([0.0, -0.0, 1.0, 0.1, float("inf"), float("nan")])))
    elif kind == "blob":
        large = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((5, 4)).astype(np.float32)
        made = Resource.of(large)
    else:
        values = draw(st.lists(st.floats(width=32), min_size=4, max_size=4))
        made = Resource.of(np.array(values, np.float32))
    return module.add(made.with_facts(draw(facts())), hint)


def _quantized(draw: Any, size: int) -> Elem:
    """An element type with scales on the last of two axes."""
    numbers = st.one_of(st.floats(2.0**-9, 9.0), st.fractions(1, 9, max_denominator=9))
    halves = st.sampled_from([0, 1, 7.5, -3])
    if draw(st.booleans()):
        return Elem(draw(st.sampled_from(["u4", "i8", "i3"])), Affine(draw(numbers), draw(halves)))
    group = draw(st.sampled_from([None, 2]))
    count = size // (group or 1)
    scales = tuple(draw(st.lists(numbers, min_size=count, max_size=count)))
    zero: Any = tuple(draw(st.lists(halves, min_size=count, max_size=count))) if draw(st.booleans()) else 0
    return Elem("i4", Affine(scales, zero, 1, group, draw(st.sampled_from(["half_even", "floor"]))))


def _argument_type(draw: Any) -> Any:
    layout = draw(st.sampled_from([None, Word("channels_last"), Call("tiles", (4, 4), {"order": Word("zyx")})]))
    shape = ("N", draw(st.sampled_from([12, 10])))
    kind = draw(st.sampled_from(["levels", "spikes", "state", "symbols"]))
    if kind == "levels":
        return TensorType(shape, _quantized(draw, shape[1]), draw(st.sampled_from([None, 3])), layout)
    if kind == "spikes":
        scale = Elem("i2", Affine(tuple(draw(st.lists(st.floats(0.125, 8), min_size=12, max_size=12))), axis=1))
        return SpikesType(("N", 12), scale, Rate(signed=True), draw(st.sampled_from([4, "T"])), layout)
    return StateType(shape, Elem("f32"), layout) if kind == "state" else tensor("B_1", "?", 0, "X", time="STEPS")


def _call(make: Builder, graph: Graph, callee: Graph) -> list[Value]:
    args = [graph.argument(a.name, a.type) for a in callee.args]
    found = make(control.Call, *args, graph_name=callee.name, types=tuple(v.type for v in callee.outputs))
    return list(found) if isinstance(found, tuple) else [found]


def _chain(draw: Any, make: Builder, x: Value) -> Value:
    """Elementwise ops, constants and a layer of neurons that sees itself a step later."""
    module = make.graph.module
    assert module is not None
    for kind in draw(st.lists(st.sampled_from(["add", "clip", "linear", "leaky"]), max_size=5)):
        if kind == "add":
            name = draw(resources(module))
            x = make(arith.Add, x, make.graph.constant(name)) if module.resource(name).type.rank == 1 else x
        elif kind == "clip":
            x = make(arith.Clip, x, low=draw(st.sampled_from([-1.0, 0.0, -0.0, 0.1])), high=draw(st.floats(1, 9)))
        elif kind == "linear":
            weights = np.ones((4, 4), np.float32)
            bias = make.constant(np.zeros(4, np.float32), "b") if draw(st.booleans()) else None
            x = make(nn.Linear, x, make.constant(weights, "w"), bias)
        else:
            x = make(arith.LeakyRelu, x, slope=draw(st.floats(-1, 1)))
    return x


def _recurrent(draw: Any, make: Builder, x: Value) -> list[Value]:
    timed = make(time.Repeat, x, steps=4)
    before = make(core.Delay, timed, make.constant(np.float32(0), "zero"), name="before")
    options: dict[str, Any] = draw(
        st.sampled_from(
            [{}, {"reset": "none"}, {"compare": "gt", "reset": "hard", "v_reset": -0.25}, {"surrogate": "triangle"}]
        )
    )
    v0 = make.constant(np.float32(0.5), "v0") if draw(st.booleans()) else None
    leak = make.constant(np.float32(0.5), "leak") if draw(st.booleans()) else None
    neuron = make(neurons.Neuron, make(arith.Add, timed, before), None, v0, leak, code=Rate(), **options)
    value = make(snn.Psp, neuron[0])
    before.op.set_operand(0, value)
    return [value, neuron[1]]


@st.composite
def modules(draw: Any) -> Module:
    """A module that verifies."""
    module = Module(draw(names))
    unique = {
        "unique_by": lambda c: c.op.name.startswith("core.") or c.name
    }  # the graphs that ops name are called alike
    chosen = draw(st.lists(st.sampled_from(pool()), max_size=3, **unique))
    callees = []
    for i, case in enumerate(chosen):
        graph = case.build(module)
        del module.graphs["main"]
        graph.name = f"{draw(st.sampled_from(IDENTS))}{i}"
        module.graphs[graph.name] = graph
        callees.append(graph)
    main = module.new_graph("main")
    make = Builder(main)
    x = main.argument("x", tensor("N", 4))
    outputs = [_chain(draw, make, x)]
    if draw(st.booleans()):
        outputs += _recurrent(draw, make, outputs[0])
    for callee in callees:
        outputs += _call(make, main, callee)
    outputs += [main.argument("extra", _argument_type(draw)) for _ in range(draw(st.integers(0, 2)))]
    labels = draw(st.lists(st.sampled_from(OUTPUT_NAMES), min_size=len(outputs), max_size=len(outputs)))
    roles = draw(st.lists(st.sampled_from(["output", "loss"]), min_size=len(outputs), max_size=len(outputs)))
    make.returns(*outputs, names=labels, roles=roles)
    _decorate(draw, module)
    return module.verify()


def _decorate(draw: Any, module: Module) -> None:
    """Names, facts, places and locations on some of what is there."""
    mask = module.add(np.array([True, False, True, True]), "mask")
    counts = module.add(np.arange(6).reshape(2, 3), "counts")
    module.facts = draw(facts(mask, counts))
    for graph in module.graphs.values():
        for value in list(graph.values):
            if draw(st.integers(0, 3)) == 0:
                graph.rename(value, draw(st.sampled_from(VALUE_NAMES)))
            if draw(st.integers(0, 3)) == 0:
                value.facts = draw(facts(mask, counts))
        for op in graph.ops:
            op.location = draw(locations)
            if draw(st.integers(0, 3)) == 0:
                op.facts = draw(facts(mask, counts))
                op.place = draw(st.sampled_from([None, *IDENTS]))
