"""What ops infer: symbols stay where they may, scales go where their axis goes, and mistakes are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.ir.codes import Rate
from ranvier.ir.core import Builder, Module, Op
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, core, loss, nn, q, reduce, shape
from ranvier.ir.types import SpikesType, TensorType, Type, tensor

MOST = 2**31 - 1


def infer(op: type[Op], *kinds: Type | None, **attributes: Any) -> Any:
    """The result type of an op on arguments of some types."""
    graph = Module().new_graph("main")
    values = [None if k is None else graph.argument(f"x{i}", k) for i, k in enumerate(kinds)]
    return Builder(graph)(op, *values, **attributes).type


def fails(message: str, op: type[Op], *kinds: Type | None, help: str | None = None, **attributes: Any) -> None:
    with pytest.raises(RanvierError) as raised:
        infer(op, *kinds, **attributes)
    (found,) = raised.value.diagnostics
    assert found.message == f"`{op.name}` {message}"
    if help is not None:
        assert found.help == help


def scaled(*dims: Any, axis: int, scale: Any = (0.5, 0.25, 1.0), zero: Any = 0, **more: Any) -> TensorType:
    return TensorType(dims, Elem("i8", Affine(scale, zero, axis, **more)))


def spiking(*dims: Any, axis: int, scale: Any = (0.5, 0.25, 1.0)) -> SpikesType:
    return SpikesType(dims, Elem("i1", Affine(scale, axis=axis)), Rate(), 4)


# -- symbols -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "wanted", "result"),
    [
        (("N", 3, 4), ("N", 12), ("N", 12)),
        (("N", 3, 4), ("N", -1), ("N", 12)),
        (("N", 3, 4), (-1, 12), ("N", 12)),
        (("N", 3, 4), (-1, 4), ("?", 4)),
        (("N", 3, 4), ("?", 12), ("N", 12)),
        (("N", 3, 4), (-1,), ("?",)),
        ((2, 3, 4), (-1, 8), (3, 8)),
        ((2, 3, 4), ("M", 8), (3, 8)),
        (("?", 4), (-1, 2), ("?", 2)),
        (("?", 4), ("M", 2), ("M", 2)),
        (("?", 4), (2, 6), (2, 6)),
        (("N", "L", 8), ("N", "L", 2, 4), ("N", "L", 2, 4)),
        (("N", "L", 8), ("N", -1, 8), ("N", "L", 8)),
        ((2, 3), (), None),
        ((1, 1), (), ()),
    ],
)
def test_reshape_resolves_what_it_can(given: Any, wanted: Any, result: Any) -> None:
    if result is None:
        fails("makes [] of [2, 3], which has other elements", shape.Reshape, tensor(*given), shape=wanted)
    else:
        assert infer(shape.Reshape, tensor(*given), shape=wanted).shape == result


def test_reshape_refuses_what_cannot_be() -> None:
    fails("makes [N, 13] of [N, 3, 4], which has other elements", shape.Reshape, tensor("N", 3, 4), shape=("N", 13))
    fails("makes [5, 20] of [N, 10], which has other elements", shape.Reshape, tensor("N", 10), shape=(5, 20))
    fails("makes [-1, 5] of [2, 3]: 5 does not divide 6", shape.Reshape, tensor(2, 3), shape=(-1, 5))
    fails("leaves more than one dim of [-1, ?] open", shape.Reshape, tensor(2, 3), shape=(-1, "?"))
    fails("has a negative dim in [-2, 3]", shape.Reshape, tensor(2, 3), shape=(-2, 3))


def test_the_batch_goes_through_layers() -> None:
    x, w = tensor("N", 3, 8, "?"), tensor(5, 3, 3, 3)
    assert infer(nn.Conv, x, w).shape == ("N", 5, 6, "?")
    assert infer(nn.Conv, tensor("N", 3, "H", "W"), w, padding=(1, 1, 1, 1)).shape == ("N", 5, "H", "W")
    assert infer(nn.ConvTranspose, x, tensor(3, 5, 2, 2), strides=(2, 2)).shape == ("N", 5, 16, "?")
    assert infer(nn.Linear, tensor("N", "L", 4), tensor(7, 4)).shape == ("N", "L", 7)
    assert infer(nn.Matmul, tensor("N", 2, 5, 4), tensor("N", 2, 4, "?")).shape == ("N", 2, 5, "?")
    assert infer(nn.MaxPool, x, kernel=(2, 2), strides=(2, 2)).shape == ("N", 3, 4, "?")
    assert infer(nn.Resize, x, scales=(1, 1, 2, 2)).shape == ("N", 3, 16, "?")
    assert infer(reduce.Mean, x, axes=(2, 3)).shape == ("N", 3)
    assert infer(shape.Concat, tensor("N", 3), tensor("N", "?"), axis=1).shape == ("N", "?")
    assert infer(shape.Slice, tensor("N", 9), axes=(0, 1), starts=(0, 2), stops=(MOST, 5)).shape == ("N", 3)
    assert infer(shape.Slice, tensor("N", 9), axes=(0,), starts=(1,), stops=(MOST,)).shape == ("?", 9)
    assert infer(shape.Pad, tensor("N", 9), before=(0, 1), after=(0, 1)).shape == ("N", 11)
    assert infer(arith.Add, tensor("N", 1, 4), tensor(3, "?")).shape == ("N", 3, 4)
    assert infer(loss.CrossEntropy, tensor("N", 9), tensor("N", dtype="i64")) == tensor()


def test_broadcast_to_the_batch_of_the_inputs() -> None:
    """A class token: [1, 1, D] becomes [N, 1, D] before it is joined with the patches."""
    module = Module()
    graph = module.new_graph("main")
    make, x = Builder(graph), graph.argument("x", tensor("N", 4, 2))
    token = make.constant(np.ones((1, 1, 2), np.float32))
    make.returns(make(shape.Concat, make(shape.Broadcast, token, shape=("N", 1, 2)), x, axis=1))
    x0 = np.zeros((3, 4, 2), np.float32)
    assert evaluate(module.verify(), [x0])[0][0].shape == (3, 5, 2)
    timed = Module()
    graph = timed.new_graph("main")
    make, x = Builder(graph), graph.argument("x", tensor(1, 2, time=3))
    make.returns(make(shape.Broadcast, x, shape=("M", 2)))
    with pytest.raises(RanvierError, match=r"`core.broadcast` %broadcast does not know the size of M"):
        evaluate(timed, [np.zeros((3, 1, 2), np.float32)])
    assert evaluate(timed, [np.zeros((3, 1, 2), np.float32)], symbols={"M": 5})[0][0].shape == (3, 5, 2)


# -- scales of an axis -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [scaled, spiking])
def test_scales_go_with_their_axis(kind: Any) -> None:
    x = kind("N", 3, 2, 2, axis=1)
    assert infer(shape.Transpose, x, perm=(0, 2, 3, 1)) == kind("N", 2, 2, 3, axis=3)
    assert infer(shape.Reshape, x, shape=("N", 3, -1)) == kind("N", 3, 4, axis=1)
    assert infer(shape.Reshape, x, shape=("N", 1, 3, 4)) == kind("N", 1, 3, 4, axis=2)
    assert infer(shape.Concat, x, x, axis=2) == kind("N", 3, 4, 2, axis=1)
    six = (0.5, 0.25, 1.0) * 2
    assert infer(shape.Concat, x, x, axis=1) == kind("N", 6, 2, 2, axis=1, scale=six)
    cut = {"axes": (1,), "starts": (-1,), "stops": (-MOST,), "steps": (-2,)}
    assert infer(shape.Slice, x, **cut) == kind("N", 2, 2, 2, axis=1, scale=(1.0, 0.5))
    assert infer(shape.Slice, x, axes=(2,), starts=(0,), stops=(1,)) == kind("N", 3, 1, 2, axis=1)
    assert infer(shape.Pad, x, before=(0, 0, 1, 0), after=(0, 0, 1, 0)) == kind("N", 3, 4, 2, axis=1)
    assert infer(shape.Broadcast, kind(3, 1, axis=0), shape=("N", 3, 5)) == kind("N", 3, 5, axis=1)


def test_joined_scales_of_groups_and_zeros() -> None:
    a = scaled(2, 4, axis=1, scale=(0.5, 1.0), group=2)
    b = scaled(2, 2, axis=1, scale=(2.0,), group=2)
    assert infer(shape.Concat, a, b, axis=1) == scaled(2, 6, axis=1, scale=(0.5, 1.0, 2.0), group=2)
    a, b = scaled(2, axis=0, scale=(0.5, 1.0), zero=3), scaled(1, axis=0, scale=(2.0,), zero=(1,))
    assert infer(shape.Concat, a, b, axis=0) == scaled(3, axis=0, scale=(0.5, 1.0, 2.0), zero=(3, 3, 1))


def test_a_joined_value_is_worth_what_its_parts_were() -> None:
    parts = [scaled(2, 3, axis=1), scaled(2, 2, axis=1, scale=(2.0, 4.0), zero=1)]
    arrays = [np.arange(2 * k.shape[1], dtype=np.int8).reshape(2, -1) for k in parts]
    module = Module()
    graph = module.new_graph("main")
    make, xs = Builder(graph), [graph.argument(f"x{i}", k) for i, k in enumerate(parts)]
    together = make(q.Dequantize, make(shape.Concat, *xs, axis=1))
    apart = make(shape.Concat, *[make(q.Dequantize, x) for x in xs], axis=1)
    make.returns(together, apart)
    a, b = evaluate(module.verify(), arrays)[0]
    np.testing.assert_array_equal(a, b)


def test_what_would_tear_scales_is_refused() -> None:
    x = scaled("N", 3, 2, axis=1)
    remedy = "compute in real numbers here (snn.psp or q.dequantize before), or give the tensor one scale"
    on = "axis 1, which the scales of x lie on"
    fails(f"to [N, 6] does not keep {on}", shape.Reshape, x, shape=("N", 6), help=remedy)
    fails(f"pads {on}", shape.Pad, x, before=(0, 1, 0), after=(0, 0, 0), help=remedy)
    fails(f"looks up along {on}", shape.Gather, x, tensor(2, dtype="i64"), axis=1, help=remedy)
    grouped = scaled(2, 4, axis=1, scale=(0.5, 1.0), group=2)
    fails(f"cuts groups of {on}", shape.Slice, grouped, axes=(1,), starts=(0,), stops=(2,))


# -- spikes ------------------------------------------------------------------------------------------------------------
def test_shape_ops_keep_codes_and_others_refuse_spikes() -> None:
    s = SpikesType(("N", 3), Rate().element(), Rate(), 4)
    signed = SpikesType(("N", 3), Rate(signed=True).element(), Rate(signed=True), 4)
    help = "put snn.psp or snn.decode between"
    fails("computes with real numbers, but operand 'x' is spikes", arith.Relu, s, help=help)
    fails("computes with real numbers, but operand 'a' is spikes", arith.Add, s, tensor("N", 3, time=4), help=help)
    fails("joins spikes of rate and of rate(signed=true)", shape.Concat, s, signed, axis=1)
    message = "joins spikes<Nx3xi1, rate, T=4> and tensor<Nx3xf32>"
    fails(message, shape.Concat, s, tensor("N", 3), axis=1, help="put snn.psp behind the spikes, or encode the tensor")
    fails("pads spikes with something else than 0", shape.Pad, s, before=(0, 1), after=(0, 0), mode="edge")
    assert infer(core.Delay, s, tensor(dtype="i1")) == s


# -- mistakes ----------------------------------------------------------------------------------------------------------
F, X = tensor("N", 3, 8, 8), tensor("N", 3)
HALVES = tensor(3, dtype=Elem("i8", Affine(0.5)))
FIVE = scaled(5, axis=0, scale=(0.5,) * 5)
MISTAKES: list[tuple[str, Any, tuple[Any, ...], dict[str, Any]]] = [
    ("mixes f32 and i64", arith.Add, (X, tensor(3, dtype="i64")), {}),
    ("shapes [N, 3] and [4] do not broadcast: 3 against 4", arith.Mul, (X, tensor(4)), {}),
    ("has no arithmetic on i1", arith.Add, (tensor(3, dtype="i1"), tensor(3, dtype="i1")), {}),
    ("needs real numbers, not i64", arith.Exp, (tensor(3, dtype="i64"),), {}),
    (
        "computes with numbers, not with levels of i8@affine(scale=0.5)",
        arith.Relu,
        (tensor(3, dtype=Elem("i8", Affine(0.5))),),
        {},
    ),
    ("needs bits, not f32", arith.Logical, (X, X), {"how": "and"}),
    ("how=not takes one operand", arith.Logical, (tensor(3, dtype="i1"), tensor(3, dtype="i1")), {"how": "not"}),
    ("has axis 2, but its operand has 2 axes", reduce.Softmax, (X,), {"axis": 2}),
    ("names an axis twice in [1, -1]", reduce.Sum, (X,), {"axes": (1, -1)}),
    ("has a weight for 4 input channels, but x is [N, 3, 8, 8]", nn.Conv, (F, tensor(5, 4, 3, 3)), {}),
    ("has 5 output channels in 3 groups", nn.Conv, (F, tensor(5, 1, 3, 3)), {"groups": 3}),
    ("needs 5 numbers as bias, not [4]", nn.Conv, (F, tensor(5, 3, 3, 3), tensor(4)), {}),
    ("needs 4 numbers as padding for 2 spatial axes, not 2", nn.Conv, (F, tensor(5, 3, 3, 3)), {"padding": (1, 1)}),
    ("has a window of 9 elements on 8 elements padded by 0", nn.Conv, (F, tensor(5, 3, 9, 9)), {}),
    (
        "needs an input [N, C, *spatial] and a weight of as many axes, not [N, 3] and [5, 3, 3, 3]",
        nn.Conv,
        (X, tensor(5, 3, 3, 3)),
        {},
    ),
    (
        "has output_padding 2 with stride 2 and dilation 1",
        nn.ConvTranspose,
        (F, tensor(3, 2, 3, 3)),
        {"strides": (2, 2), "output_padding": (2, 0)},
    ),
    ("needs 4 inputs on the last axis of x, which is [N, 3]", nn.Linear, (X, tensor(5, 4)), {}),
    ("multiplies [N, 3] by [4, 5]: 3 against 4", nn.Matmul, (X, tensor(4, 5)), {}),
    ("has a kernel of 1 axes for an input [N, 3, 8, 8]", nn.MaxPool, (F,), {"kernel": (2,)}),
    ("has a padding of 2 for windows of 2", nn.AvgPool, (F,), {"kernel": (2, 2), "padding": (2, 0, 0, 0)}),
    ("needs 3 numbers as mean, not [4]", nn.BatchNorm, (F, tensor(3), tensor(3), tensor(4), tensor(3)), {}),
    ("needs a scale of shape [8], not [7]", nn.LayerNorm, (F, tensor(7)), {}),
    ("has 3 channels in 2 groups", nn.GroupNorm, (F,), {"groups": 2}),
    ("needs either scales or sizes", nn.Resize, (F,), {}),
    ("has 2 entries for the 4 axes of [N, 3, 8, 8]", nn.Resize, (F,), {"scales": (2, 2)}),
    ("resizes an axis of N to M", nn.Resize, (F,), {"sizes": ("M", 3, 8, 8)}),
    ("needs integers as labels, not f32", loss.CrossEntropy, (X, tensor("N")), {}),
    ("needs labels [N], not [N, 3]", loss.CrossEntropy, (X, tensor("N", 3, dtype="i64")), {}),
    ("compares [N, 3] with [N, 4]", loss.Mse, (X, tensor("N", 4)), {}),
    ("has perm=[0, 0] for 2 axes", shape.Transpose, (X,), {"perm": (0, 0)}),
    ("joins [N, 3] and [M, 3] along axis 1", shape.Concat, (X, tensor("M", 3)), {"axis": 1}),
    ("joins f32 and f16", shape.Concat, (X, tensor("N", 3, dtype="f16")), {"axis": 1}),
    ("has a step of 0", shape.Slice, (X,), {"axes": (1,), "starts": (0,), "stops": (2,), "steps": (0,)}),
    ("pads i64 with 0.5", shape.Pad, (tensor(3, dtype="i64"),), {"before": (1,), "after": (1,), "value": 0.5}),
    ("needs 2 entries in before and after, one an axis", shape.Pad, (X,), {"before": (1,), "after": (1,)}),
    (
        "cannot put 3 before and 0 after 3 elements with mode=reflect",
        shape.Pad,
        (X,),
        {"before": (0, 3), "after": (0, 0), "mode": "reflect"},
    ),
    ("cannot broadcast [N, 3] to [N, 4]: 3 against 4", shape.Broadcast, (X,), {"shape": ("N", 4)}),
    ("needs integers as indices, not f32", shape.Gather, (X, tensor(2)), {}),
    ("needs bits as condition, not f32", shape.Select, (X, X, X), {}),
    ("makes levels of reals of f32", shape.Cast, (X,), {"elem": Elem("i8", Affine(0.5))}),
    ("needs a quantized element type, not i8", q.Quantize, (X,), {"elem": "i8"}),
    ("rounds before it adds a zero of one half", q.Quantize, (X,), {"elem": Elem("u4", Affine(1.0, 7.5))}),
    ("has 2 scales on axis 1 of shape [N, 3]", q.Quantize, (X,), {"elem": Elem("i8", Affine((1.0, 2.0), axis=1))}),
    ("needs levels of a quantized element type, not f32", q.Dequantize, (X,), {}),
]


@pytest.mark.parametrize(("message", "op", "kinds", "attributes"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_mistakes_are_named(message: str, op: type[Op], kinds: Any, attributes: dict[str, Any]) -> None:
    fails(message, op, *kinds, **attributes)


def test_labels_out_of_range_are_named() -> None:
    module = Module()
    graph = module.new_graph("main")
    x, labels = graph.argument("x", X), graph.argument("labels", tensor("N", dtype="i64"))
    Builder(graph).returns(Builder(graph)(loss.CrossEntropy, x, labels))
    with pytest.raises(RanvierError, match=r"was given labels 0\.\.3 for 3 classes"):
        evaluate(module, [np.zeros((2, 3), np.float32), np.array([0, 3])])


# -- costs -------------------------------------------------------------------------------------------------------------
def test_multiply_accumulates_are_per_sample() -> None:
    def macs(op: type[Op], *kinds: Type, **attributes: Any) -> int:
        graph = Module().new_graph("main")
        values = [graph.argument(f"x{i}", k) for i, k in enumerate(kinds)]
        return Builder(graph)(op, *values, **attributes).op.macs()  # type: ignore[no-any-return]

    for batch in ("N", 7):
        x = tensor(batch, 4, 8, 8)
        assert macs(nn.Conv, x, tensor(6, 2, 3, 3), groups=2) == 6 * 6 * 6 * 2 * 9
        assert macs(nn.ConvTranspose, x, tensor(4, 5, 2, 2), strides=(2, 2)) == 4 * 64 * 5 * 4
        assert macs(nn.Linear, tensor(batch, 5, 4), tensor(3, 4)) == 5 * 4 * 3
        assert macs(nn.Matmul, tensor(batch, 2, 5, 4), tensor(batch, 2, 4, 3)) == 2 * 5 * 4 * 3
    assert macs(arith.Add, X, X) == 0
