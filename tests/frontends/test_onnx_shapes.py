"""Sizes computed while a file is read: the polynomials, and the chains of nodes that exporters write."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.frontends.onnx.symbols import Expr, atom, equal, least, less, product, quotient, to_dim
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import DimName, ImportedName
from ranvier.ir.interpret import evaluate
from ranvier.ir.text.parser import parse_module
from tests.frontends.onnx_models import agree, data, load, model, node, ops

N, H = atom("N"), atom("H")
I64 = np.int64


def ints(*values):
    return np.asarray(values, I64)


@st.composite
def polynomials(draw):
    """A polynomial in N and H, and its value at a point."""
    n, h = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    value, expr = 0, 0
    for coefficient, i, j in draw(
        st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 2), st.integers(0, 2)), max_size=4)
    ):
        value += coefficient * n**i * h**j
        expr = expr + coefficient * product([N] * i + [H] * j)
    return expr, value, (n, h)


def at(expr, point):
    if isinstance(expr, int):
        return expr
    names = dict(zip("NH", point, strict=True))
    return sum(c * int(np.prod([names[a] for a in m], dtype=int)) for m, c in expr.terms.items())


@given(polynomials(), polynomials())
def test_polynomials_compute_like_their_values(a, b):
    (x, _, point), (y, _, _) = a, b
    left, right = at(x, point), at(y, point)
    assert at(x + y, point) == left + right
    assert at(x - y, point) == left - right
    assert at(x * y, point) == left * right
    assert (x * y) == (y * x)
    assert x - x == 0
    if y != 0 and not isinstance(y, int):
        exact = quotient(x * y, y)
        assert exact is None or exact == x


@given(polynomials(), polynomials())
def test_comparisons_hold_at_every_point(a, b):
    (x, _, point), (y, _, _) = a, b
    left, right = at(x, point), at(y, point)
    assert less(x, y) in (None, left < right)
    assert equal(x, y) in (None, left == right)
    low = least(x)
    assert low is None or low <= left


def test_dims():
    assert to_dim(N) == "N"
    assert to_dim(N * 2) == "?"
    assert to_dim((N * 12) // 12) == "N"
    assert to_dim(5) == 5
    assert isinstance((N * 3) // 2, Expr)
    assert (N * 3) // 2 == (N * 3) // 2
    assert str(N * 2 + 1) == "2*N + 1"


def test_exporters_flatten():
    """view(x.size(0), -1): Shape, Gather, Unsqueeze, Concat, Reshape."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 rest", "target", axis=0),
        node("Reshape", "x target", "y"),
    ]
    held = {"zero": np.asarray(0, I64), "axes": ints(0), "rest": ints(-1)}
    module = agree(model(nodes, {"x": ["batch", 3, 4]}, ["y"], held), [data(5, 3, 4)])
    assert ops(module) == ["core.reshape"]
    assert not module.resources
    assert str(module.main.outputs[0].type) == "tensor<Nx12xf32>"


def test_heads_go_into_the_batch_and_back():
    """[N, 6, 8] -> [2N, 6, 4] -> softmax -> [N, 2, 6, 4], by arithmetic on Shape."""
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s zero one", "n"),
        node("Mul", "n two", "n2"),
        node("Concat", "n two six four", "split", axis=0),
        node("Concat", "n2 six four", "joined", axis=0),
        node("Reshape", "x split", "a"),
        node("Reshape", "a joined", "b"),
        node("Softmax", "b", "c", axis=-1),
        node("Shape", "c", "s2"),
        node("Slice", "s2 zero one", "m"),
        node("Div", "m two", "back"),
        node("Concat", "back two six four", "apart", axis=0),
        node("Reshape", "c apart", "y"),
    ]
    held = {"zero": ints(0), "one": ints(1), "two": ints(2), "six": ints(6), "four": ints(4)}
    module = agree(model(nodes, {"x": ["batch", 6, 8]}, ["y"], held), [data(3, 6, 8)])
    assert str(module.main.outputs[0].type) == "tensor<Nx2x6x4xf32>"


def test_a_class_token_for_every_sample():
    """torch writes expand(B, -1, -1) with Where, Equal and ConstantOfShape."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 minus minus", "wish", axis=0),
        node("Shape", "wish", "count"),
        node("ConstantOfShape", "count", "ones", value=_tensor(ints(1))),
        node("Equal", "wish minus", "free"),
        node("Where", "free ones wish", "shape"),
        node("Expand", "token shape", "tokens"),
        node("Concat", "tokens x", "y", axis=1),
    ]
    held = {"zero": np.asarray(0, I64), "axes": ints(0), "minus": ints(-1), "token": data(1, 1, 4, seed=3)}
    proto = model(nodes, {"x": ["batch", 5, 4]}, ["y"], held)
    module = agree(proto, [data(3, 5, 4)])
    assert ops(module) == ["core.broadcast", "core.concat"]
    assert str(module.main.outputs[0].type) == "tensor<Nx6x4xf32>"


def _tensor(array):
    from onnx import numpy_helper

    return numpy_helper.from_array(array)


def test_bounds_of_a_slice_from_a_size():
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Sub", "n one", "last"),
        node("Unsqueeze", "last axes", "end"),
        node("Slice", "x axes end axes", "y"),
    ]
    held = {"zero": np.asarray(0, I64), "one": np.asarray(1, I64), "axes": ints(0)}
    module = agree(model(nodes, {"x": ["batch", 4]}, ["y"], held), [data(5, 4)])
    assert ops(module) == ["core.slice"]


def test_the_size_of_another_image():
    nodes = [
        node("Shape", "big", "s"),
        node("Slice", "s two end", "hw"),
        node("Shape", "small", "t"),
        node("Slice", "t zero two", "nc"),
        node("Concat", "nc hw", "size", axis=0),
        node("Resize", "small _ _ size", "y", mode="linear"),
    ]
    held = {"zero": ints(0), "two": ints(2), "end": ints(4)}
    shapes = {"small": ["batch", 2, 3, 4], "big": ["batch", 1, 7, 9]}
    agree(model(nodes, shapes, ["y"], held), [data(2, 2, 3, 4), data(2, 1, 7, 9)])


def test_what_is_symmetric_needs_no_name():
    """A dimension without a name still flows through convolution, addition and flattening."""
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Shape", "a", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Concat", "n minus", "t", axis=0),
        node("Relu", "a", "b"),
        node("Reshape", "b t", "y"),
    ]
    held = {"w": data(2, 1, 3, 3), "zero": ints(0), "minus": ints(-1)}
    module = agree(model(nodes, {"x": [None, 1, None, None]}, ["y"], held), [data(3, 1, 5, 4)])
    assert str(module.main.args[0].type) == "tensor<Nx1x?x?xf32>"
    assert str(module.main.outputs[0].type) == "tensor<Nx?xf32>"


def test_names_of_dimensions():
    nodes = [node("Relu", "x", "y"), node("Relu", "z", "w")]
    proto = model(nodes, {"x": ["batch_size", 3, "height", "n"], "z": ["batch_size", "größe"]}, ["y", "w"])
    module = load(proto)
    assert str(module.main.args[0].type) == "tensor<Nx3xHEIGHTxS1xf32>"
    assert str(module.main.args[1].type) == "tensor<NxS2xf32>"
    assert set(module.facts) == {
        DimName(symbol="N", name="batch_size"),
        DimName(symbol="HEIGHT", name="height"),
        DimName(symbol="S1", name="n"),
        DimName(symbol="S2", name="größe"),
    }
    assert parse_module(str(module)) == module


def test_a_fixed_batch_stays():
    module = load(model([node("Relu", "x", "y")], {"x": [1, 3]}, ["y"]))
    assert str(module.main.args[0].type) == "tensor<1x3xf32>"
    assert module.facts == ()


def test_names_of_values():
    nodes = [node("Relu", "input.1", "/layer/Relu_output_0"), node("Neg", "/layer/Relu_output_0", "out-put")]
    module = load(model(nodes, {"input.1": [2]}, ["out-put"]))
    assert [v.name for v in module.main.values] == ["input.1", "layer_Relu_output_0", "out_put"]
    assert [v.fact(ImportedName) for v in module.main.values] == [
        None,
        ImportedName("/layer/Relu_output_0"),
        ImportedName("out-put"),
    ]
    assert parse_module(str(module)) == module


def test_resources_keep_their_names_and_are_shared():
    nodes = [node("Conv", "x conv1.weight", "a"), node("Conv", "a conv1.weight", "y")]
    module = load(model(nodes, {"x": [1, 2, 5, 5]}, ["y"], {"conv1.weight": data(2, 2, 1, 1), "unused": data(3)}))
    assert list(module.resources) == ["conv1.weight"]
    assert [op.operands[1].resource for op in module.main.ops if op.name == "nn.conv"] == ["conv1.weight"] * 2


def test_a_weight_of_one_number_takes_no_memory():
    nodes = [node("ConstantOfShape", "shape", "w", value=_tensor(np.float32([0.25]))), node("MatMul", "x w", "y")]
    module = load(model(nodes, {"x": ["n", 4000]}, ["y"], {"shape": ints(4000, 3000)}))
    (resource,) = module.resources.values()
    assert resource.splat == 0.25
    assert resource.type.shape == (3000, 4000)


@pytest.mark.parametrize("count", [3, 20])
def test_constant_parts_are_computed(count):
    nodes = [node("Mul", "c c", "d"), node("Add", "d c", "e"), node("Mul", "x e", "y")]
    module = agree(model(nodes, {"x": [2, count]}, ["y"], {"c": data(count)}), [data(2, count)])
    assert ops(module) == ["nn.mul"]


def test_sizes_as_numbers_are_refused():
    nodes = [node("Shape", "x", "s"), node("Cast", "s", "f", to=1), node("Mul", "x f", "y")]
    with pytest.raises(RanvierError, match="turns sizes into f32, and they depend on symbols"):
        load(model(nodes, {"x": ["batch", 4]}, ["y"]))


def test_a_size_as_output_is_refused():
    with pytest.raises(RanvierError, match="output 's' is a size"):
        load(model([node("Shape", "x", "s")], {"x": ["batch", 4]}, ["s"]))
    module = load(model([node("Shape", "x", "s")], {"x": [3, 4]}, ["s"]))
    np.testing.assert_array_equal(evaluate(module, [data(3, 4)])[0][0], [3, 4])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_reshapes_at_random(shape, draw):
    """Any split of the elements behind the batch, with 0 for kept dims and one -1."""
    wanted = list(draw.draw(st.permutations(shape)))
    target = [0, *wanted]
    if draw.draw(st.booleans()):
        target[draw.draw(st.integers(1, len(wanted)))] = -1
    nodes = [node("Reshape", "x t", "y")]
    agree(model(nodes, {"x": ["batch", *shape]}, ["y"], {"t": ints(*target)}), [data(2, *shape)])
