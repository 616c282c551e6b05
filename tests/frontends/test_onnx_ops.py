"""One-node models over several opsets: the meaning of what is imported against onnxruntime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.frontends.onnx import coverage
from tests.frontends.onnx_models import agree, data, model, node, ops, single

X = data(2, 3, 5, 6)
I64 = np.int64


def ints(*values):
    return np.asarray(values, I64)


UNARY = {
    **dict.fromkeys(
        ["Neg", "Abs", "Exp", "Floor", "Ceil", "Tanh", "Sigmoid", "Relu", "Identity", "Softplus", "Softsign"], 7
    ),
    **dict.fromkeys(["LeakyRelu", "Elu", "Selu", "HardSigmoid", "Sin", "Cos"], 7),
    **dict.fromkeys(["Sign", "Erf", "IsNaN"], 9),
    **dict.fromkeys(["IsInf"], 10),
    **dict.fromkeys(["Round"], 11),
    **dict.fromkeys(["Celu"], 12),
    **dict.fromkeys(["HardSwish"], 14),
    **dict.fromkeys(["Mish"], 18),
    **dict.fromkeys(["Gelu"], 20),
}


@pytest.mark.parametrize("op", UNARY)
def test_unary(op):
    for opset in {UNARY[op], 13, 17, 22} - set(range(UNARY[op])):
        agree(single(op, [X], opset=opset), [X])


@pytest.mark.parametrize("op", ["Sqrt", "Log", "Reciprocal"])
def test_unary_of_positive_numbers(op):
    x = data(2, 4, low=0.1, high=3)
    agree(single(op, [x], opset=9), [x])
    agree(single(op, [x], opset=18), [x])


@pytest.mark.parametrize("op", ["Relu", "Abs", "Neg", "Sign"])
def test_unary_of_integers(op):
    x = np.arange(-3, 4, dtype=np.int32)
    agree(single(op, [x], opset=18), [x])


@pytest.mark.parametrize("attributes", [{}, {"alpha": 0.3}])
@pytest.mark.parametrize("op", ["LeakyRelu", "Elu", "HardSigmoid", "Celu", "Selu"])
def test_slopes(op, attributes):
    agree(single(op, [X], opset=16, **attributes), [X])


def test_gelu_by_tanh():
    agree(single("Gelu", [X], opset=20, approximate="tanh"), [X])


@pytest.mark.parametrize("slope", [(3, 1, 1), (1, 1, 1), (6,), (1,), (3, 5, 1)])
def test_prelu(slope):
    arrays = [X, data(*slope, seed=1, low=0, high=1)]
    agree(single("PRelu", arrays, constants=[1], opset=16), arrays[:1])


@pytest.mark.parametrize("opset", [7, 13, 14])
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
def test_binary_broadcasts(op, opset):
    arrays = [X, data(3, 1, 6, seed=1, low=0.5)]
    agree(single(op, arrays, opset=opset), arrays)
    agree(single(op, arrays, constants=[1], opset=opset), arrays[:1])
    whole = [np.arange(-6, 6, dtype=I64), np.full(12, 4, I64)]
    agree(single(op, whole, opset=opset), whole)


def test_powers():
    base = data(3, 4, low=0.1, high=3)
    agree(single("Pow", [base, data(4, seed=1)], opset=13), [base, data(4, seed=1)])
    agree(single("Pow", [base, ints(3)], opset=13), [base, ints(3)])
    assert ops(agree(single("Pow", [base, np.float32(2)], constants=[1], opset=13), [base])) == ["nn.mul"]


@pytest.mark.parametrize("fmod", [0, 1])
def test_mod(fmod):
    a, b = np.arange(-5, 6, dtype=I64), np.full(11, 3, I64)
    agree(single("Mod", [a, b], opset=13, fmod=fmod), [a, b])
    agree(single("Mod", [a, -b], opset=13, fmod=fmod), [a, -b])
    agree(single("Mod", [X, np.float32(0.7)], opset=13, fmod=1), [X, np.float32(0.7)])


@pytest.mark.parametrize("opset", [8, 13])
@pytest.mark.parametrize("op", ["Sum", "Mean", "Max", "Min"])
def test_any_number_of_operands(op, opset):
    for count in (1, 2, 3):
        arrays = [data(2, 3, seed=i) for i in range(count - 1)] + [data(3, seed=9)]
        agree(single(op, arrays, opset=opset), arrays)


def test_clip():
    for attributes in ({"min": 0.0, "max": 6.0}, {"min": -1.0}, {"max": 1.0}, {}):
        agree(single("Clip", [X], opset=7, **attributes), [X])
    low, high = np.float32(-0.5), np.float32(1)
    assert ops(agree(single("Clip", [X, low, high], constants=[1, 2], opset=13), [X])) == ["nn.clip"]
    assert ops(agree(single("Clip", [X, None, high], constants=[2], opset=13), [X])) == ["nn.clip"]
    assert ops(agree(single("Clip", [X, low], constants=[1], opset=11), [X])) == ["nn.clip"]
    assert ops(agree(single("Clip", [X, low, high], opset=13), [X, low, high])) == ["nn.maximum", "nn.minimum"]
    whole = np.arange(-5, 6, dtype=np.int32)
    agree(single("Clip", [whole, np.int32(-2), np.int32(3)], constants=[1, 2], opset=13), [whole])


@pytest.mark.parametrize("target", ["float64", "int32", "int64", "bool", "float16", "uint8"])
def test_cast(target):
    from onnx import helper

    to = helper.np_dtype_to_tensor_dtype(np.dtype(target))
    x = np.abs(X) * 10
    for opset in (9, 13, 19):
        agree(single("Cast", [x], opset=opset, to=to), [x])


@pytest.mark.parametrize("op", ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
def test_relations(op):
    a, b = data(4, 3).round(), data(3, seed=1).round()
    agree(single(op, [a, b], opset=16), [a, b])


def test_bits():
    a, b = data(4, 3) > 0, data(3, seed=1) > 0
    for op in ("And", "Or", "Xor"):
        agree(single(op, [a, b], opset=7), [a, b])
    agree(single("Not", [a], opset=7), [a])
    arrays = [a, data(4, 3, seed=2), data(3, seed=3)]
    agree(single("Where", arrays, opset=9), arrays)


@pytest.mark.parametrize("upper", [0, 1])
def test_triangles(upper):
    for k in (-1, 0, 2):
        agree(single("Trilu", [X, np.asarray(k, I64)], constants=[1], opset=14, upper=upper), [X])


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_running_sums(exclusive, reverse):
    proto = single("CumSum", [X, np.asarray(2, I64)], constants=[1], opset=14, exclusive=exclusive, reverse=reverse)
    agree(proto, [X])


# -- layout ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("opset", [7, 13, 14, 21])
def test_reshape(opset):
    for shape in ([6, 30], [0, -1], [-1], [2, 0, 30], [0, 0, 5, 3, 2]):
        agree(single("Reshape", [X, ints(*shape)], constants=[1], opset=opset), [X])


def test_reshape_keeps_the_batch():
    module = agree(single("Reshape", [X, ints(-1, 90)], constants=[1], dims={0: ("b", 3, 5, 6)}), [X])
    assert str(module.main.outputs[0].type) == "tensor<Nx90xf32>"


@pytest.mark.parametrize("axis", [0, 1, 3, 4, -1])
def test_flatten(axis):
    agree(single("Flatten", [X], opset=13, axis=axis), [X])


@pytest.mark.parametrize("opset", [9, 13])
def test_squeeze_and_unsqueeze(opset):
    x = data(1, 3, 1, 2)
    for op, axes in (("Squeeze", [0, -2]), ("Squeeze", [2]), ("Unsqueeze", [0, 3]), ("Unsqueeze", [1])):
        if opset < 13:
            agree(single(op, [x], opset=opset, axes=axes), [x])
        else:
            agree(single(op, [x, ints(*axes)], constants=[1], opset=opset), [x])
    agree(single("Squeeze", [x], opset=opset), [x])


def test_transpose():
    agree(single("Transpose", [X]), [X])
    agree(single("Transpose", [X], perm=[0, 2, 3, 1]), [X])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(axis):
    arrays = [X, X + 1, X * 2]
    agree(single("Concat", arrays, axis=axis), arrays)
    agree(single("Concat", arrays, axis=axis, constants=[1]), [X, X * 2])


def test_split():
    agree(single("Split", [X], outputs=2, opset=11, axis=3), [X])
    agree(single("Split", [X], outputs=2, opset=11, axis=2, split=[1, 4]), [X])
    agree(single("Split", [X, ints(1, 2)], outputs=2, constants=[1], opset=13, axis=1), [X])
    agree(single("Split", [X], outputs=2, opset=18, axis=2, num_outputs=2), [X])


def test_slice():
    agree(single("Slice", [X], opset=9, starts=[0, 1], ends=[2, 100], axes=[1, 3]), [X])
    for parts in (
        [ints(0, 1), ints(2, 4)],
        [ints(-2), ints(1000), ints(-1)],
        [ints(0, 0), ints(5, 6), ints(2, 3), ints(2, 2)],
        [ints(-1), ints(-(2**62)), ints(3), ints(-2)],
        [ints(4), ints(0), ints(2), ints(-1)],
    ):
        for opset in (10, 13):
            agree(single("Slice", [X, *parts], constants=[1, 2, 3, 4], opset=opset), [X])


def test_slices_on_several_axes_are_one():
    nodes = [
        node("Slice", "x z big two step", "y", name="rows"),
        node("Slice", "y z big three step", "w", name="columns"),
    ]
    held = {"z": ints(0), "big": ints(2**62), "two": ints(2), "three": ints(3), "step": ints(2)}
    module = agree(model(nodes, {"x": [2, 3, 5, 6]}, ["w"], held), [X])
    assert ops(module) == ["core.slice"]
    module = agree(model(nodes, {"x": [2, 3, 5, 6]}, ["w", "y"], held), [X])
    assert ops(module) == ["core.slice", "core.slice"]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather(axis):
    for index in (np.asarray(1, I64), np.asarray(-1, I64), ints(0), ints(1, 0, -1), ints(0, 1, 1, 0).reshape(2, 2)):
        agree(single("Gather", [X, index], constants=[1], opset=13, axis=axis), [X])
    agree(single("Gather", [X, ints(1, 0)], opset=13, axis=axis), [X, ints(1, 0)])


def test_expand_and_tile():
    x = data(3, 1)
    for shape in ([3, 4], [2, 3, 1], [1, 1], [3, 1], [2, 1, 6]):
        agree(single("Expand", [x, ints(*shape)], constants=[1], opset=13), [x])
    for repeats in ([1, 1], [2, 3], [1, 4], [3, 1]):
        agree(single("Tile", [x, ints(*repeats)], constants=[1], opset=13), [x])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad(mode):
    pads = [0, 1, 0, 2, 1, 0, 2, 1]
    agree(single("Pad", [X], opset=10, mode=mode, pads=pads), [X])
    for opset in (11, 13, 19):
        agree(single("Pad", [X, ints(*pads)], constants=[1], opset=opset, mode=mode), [X])
    agree(single("Pad", [X, ints(*pads), np.float32(1.5)], constants=[1, 2], opset=13), [X])
    agree(single("Pad", [X, ints(1, 2), None, ints(2)], constants=[1, 3], opset=18, mode=mode), [X])
    agree(single("Pad", [X, ints(0, 0, -1, 2, 0, 0, 1, -2)], constants=[1], opset=13), [X])


def test_pixels_and_channels():
    x = data(2, 8, 4, 6)
    agree(single("DepthToSpace", [x], opset=13, blocksize=2), [x])
    agree(single("DepthToSpace", [x], opset=13, blocksize=2, mode="CRD"), [x])
    agree(single("SpaceToDepth", [x], opset=13, blocksize=2), [x])


# -- reductions --------------------------------------------------------------------------------------------------------
REDUCTIONS = [
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
]
REDUCTIONS += ["ReduceLogSumExp", "ReduceLogSum"]


@pytest.mark.parametrize("op", REDUCTIONS)
def test_reductions(op):
    x = np.abs(X) + 0.1
    for axes in ([1], [2, 3], [-1], None):
        for keep in (0, 1):
            given = {} if axes is None else {"axes": axes}
            agree(single(op, [x], opset=11, keepdims=keep, **given), [x])
            if axes is None:
                agree(single(op, [x], opset=18, keepdims=keep), [x])
            else:
                agree(single(op, [x, ints(*axes)], constants=[1], opset=18, keepdims=keep), [x])


def test_sum_takes_its_axes_as_input_before_the_others():
    agree(single("ReduceSum", [X, ints(1)], constants=[1], opset=13), [X])
    assert ops(agree(single("ReduceSum", [X], opset=13, noop_with_empty_axes=1), [X])) == []


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_where_the_extremum_is(op):
    x = np.round(X)
    for axis in (0, 1, -1):
        for keep in (0, 1):
            for last in (0, 1):
                agree(single(op, [x], opset=13, axis=axis, keepdims=keep, select_last_index=last), [x])


@pytest.mark.parametrize("opset", [7, 11, 13])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(op, opset):
    for axis in (0, 1, 2, 3):
        agree(single(op, [X], opset=opset, axis=axis), [X])
    agree(single(op, [X], opset=opset), [X])


# -- linear, convolution, pools, normalisation -------------------------------------------------------------------------
@pytest.mark.parametrize("opset", [7, 11, 13])
@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_gemm(trans_a, trans_b, opset):
    a, b = data(4, 3), data(3, 5, seed=1)
    a, b = (a.T.copy() if trans_a else a), (b.T.copy() if trans_b else b)
    for c in (data(5, seed=2), data(1, 5, seed=2), data(4, 5, seed=2), data(1, seed=2), data(4, 1, seed=2)):
        for factors in ({}, {"alpha": 0.5, "beta": 2.0}):
            arrays = [a, b, c]
            proto = single("Gemm", arrays, constants=[1, 2], opset=opset, transA=trans_a, transB=trans_b, **factors)
            agree(proto, [a])
    agree(single("Gemm", [a, b, data(5)], opset=opset, transA=trans_a, transB=trans_b), [a, b, data(5)])
    if opset >= 11:
        agree(single("Gemm", [a, b], constants=[1], opset=opset, transA=trans_a, transB=trans_b), [a])


def test_matmul():
    for left, right in (((2, 3, 4), (4, 5)), ((4,), (4, 5)), ((2, 1, 3, 4), (6, 4, 2)), ((3, 4), (4,))):
        arrays = [data(*left), data(*right, seed=1)]
        agree(single("MatMul", arrays, opset=9), arrays)
        agree(single("MatMul", arrays, constants=[1], opset=13), arrays[:1])


def test_a_shared_matrix_is_one_resource():
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b w", "c"), node("Gemm", "c w", "d")]
    module = agree(model(nodes, {"x": [2, 4]}, ["d"], {"w": data(4, 4)}), [data(2, 4, seed=3)])
    assert list(module.resources) == ["w.T"]


CONVOLUTIONS = [
    {},
    {"strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"pads": [0, 1, 2, 0], "dilations": [2, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [2, 1]},
    {"auto_pad": "VALID"},
]


@pytest.mark.parametrize("attributes", CONVOLUTIONS)
def test_convolution(attributes):
    x, w, b = data(2, 4, 9, 8), data(6, 4, 3, 2, seed=1), data(6, seed=2)
    for opset in (7, 11, 22):
        agree(single("Conv", [x, w, b], constants=[1, 2], opset=opset, **attributes), [x])
    agree(single("Conv", [x, data(8, 1, 3, 2)], constants=[1], opset=11, group=4, **attributes), [x])


def test_convolutions_of_one_and_three_axes():
    agree(single("Conv", [data(2, 3, 7), data(4, 3, 3)], constants=[1], pads=[1, 1]), [data(2, 3, 7)])
    agree(single("Conv", [data(1, 2, 4, 5, 6), data(3, 2, 2, 3, 2)], constants=[1]), [data(1, 2, 4, 5, 6)])


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2]},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [3, 2], "output_shape": [12, 9]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"dilations": [2, 1], "pads": [1, 0, 0, 1]},
    ],
)
def test_transposed_convolution(attributes):
    x, b = data(2, 4, 4, 4), data(6, seed=2)
    agree(single("ConvTranspose", [x, data(4, 6, 3, 3), b], constants=[1, 2], opset=11, **attributes), [x])
    agree(single("ConvTranspose", [x, data(4, 3, 3, 3)], constants=[1], opset=11, group=2, **attributes), [x])


@pytest.mark.parametrize("attributes", [*CONVOLUTIONS[:2], *CONVOLUTIONS[3:], {"ceil_mode": 1, "strides": [2, 2]}])
def test_pools(attributes):
    x = data(2, 3, 8, 9)
    for opset in (8, 11, 12, 19):
        rest = attributes if opset >= 10 else {k: v for k, v in attributes.items() if k != "ceil_mode"}
        agree(single("MaxPool", [x], opset=opset, kernel_shape=[3, 2], **rest), [x])
        agree(single("AveragePool", [x], opset=opset, kernel_shape=[3, 2], **rest), [x])
    agree(single("AveragePool", [x], opset=19, kernel_shape=[3, 2], count_include_pad=1, **attributes), [x])
    agree(single("MaxPool", [x], opset=12, kernel_shape=[2, 2], dilations=[2, 2]), [x])


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(op):
    agree(single(op, [X], opset=7), [X])
    agree(single(op, [X[..., 0]], opset=7), [X[..., 0]])


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalization(opset):
    params = [data(3, seed=i, low=0.5, high=1.5) for i in range(4)]
    proto = single("BatchNormalization", [X, *params], constants=[1, 2, 3, 4], opset=opset, epsilon=1e-3)
    assert ops(agree(proto, [X])) == ["nn.batch_norm"]


def test_other_normalizations():
    params = [data(3, seed=i, low=0.5, high=1.5) for i in range(2)]
    agree(single("InstanceNormalization", [X, *params], constants=[1, 2], opset=7), [X])
    inner = [data(5, 6, seed=i) for i in range(2)]
    agree(single("LayerNormalization", [X, *inner], constants=[1, 2], opset=17, axis=2), [X])
    agree(single("LayerNormalization", [X, inner[0]], outputs=3, constants=[1], opset=17, axis=-2), [X])
    x = data(2, 6, 4, 4)
    agree(single("GroupNormalization", [x, data(6), data(6)], constants=[1, 2], opset=21, num_groups=3), [x])
    agree(single("LRN", [x], opset=13, size=3, alpha=0.1, beta=0.6, bias=1.2), [x])
    agree(single("LRN", [x], opset=7, size=5), [x])


def test_groups_share_scale_and_bias_before_opset_21():
    from onnx.reference import ReferenceEvaluator

    from ranvier.ir.interpret import evaluate
    from tests.frontends.onnx_models import load

    x = data(2, 6, 4, 4)
    proto = single("GroupNormalization", [x, data(3), data(3, seed=1)], constants=[1, 2], opset=18, num_groups=3)
    (want,) = ReferenceEvaluator(proto).run(None, {"i0": x})
    np.testing.assert_allclose(evaluate(load(proto), [x])[0][0], want, atol=1e-4)


def test_dropout_does_nothing():
    for opset in (7, 10):
        assert ops(agree(single("Dropout", [X], opset=opset, ratio=0.5), [X])) == []
    assert ops(agree(single("Dropout", [X, np.float32(0.5)], constants=[1], opset=13), [X])) == []
    agree(single("Dropout", [X, np.float32(0.5), np.asarray(False)], outputs=2, constants=[1, 2], opset=13), [X])


# -- resize ------------------------------------------------------------------------------------------------------------
IMAGE = data(1, 2, 4, 6)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(mode):
    scales = np.asarray([1, 1, 2, 3], np.float32)
    agree(single("Upsample", [IMAGE], opset=7, mode=mode, scales=scales.tolist()), [IMAGE])
    agree(single("Upsample", [IMAGE, scales], constants=[1], opset=9, mode=mode), [IMAGE])
    agree(single("Resize", [IMAGE, scales], constants=[1], opset=10, mode=mode), [IMAGE])


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize(mode, coordinates):
    given = {"mode": mode, "coordinate_transformation_mode": coordinates}
    rounds = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] if mode == "nearest" else [None]
    for rounding in rounds:
        extra = given if rounding is None else {**given, "nearest_mode": rounding}
        for scales in ([1, 1, 2, 3], [1, 1, 0.5, 0.5]):
            arrays = [IMAGE, None, np.asarray(scales, np.float32)]
            agree(single("Resize", arrays, constants=[2], opset=13, **extra), [IMAGE])
        arrays = [IMAGE, None, None, ints(1, 2, 7, 5)]
        agree(single("Resize", arrays, constants=[3], opset=13, **extra), [IMAGE])
    agree(single("Resize", [IMAGE, None, None, ints(8, 9)], constants=[3], opset=18, axes=[2, 3], **given), [IMAGE])


# -- what ONNX itself defines by other operators -----------------------------------------------------------------------
def test_operators_without_a_handler_are_expanded():
    declared = {name for name, _ in coverage()}
    for op, opset, attributes in (
        ("Shrink", 9, {"lambd": 0.5}),
        ("MeanVarianceNormalization", 13, {}),
        ("MeanVarianceNormalization", 9, {"axes": [0, 1, 2, 3]}),
        ("ThresholdedRelu", 10, {"alpha": 0.5}),
        ("ThresholdedRelu", 18, {"alpha": 0.5}),
    ):
        assert op not in declared
        agree(single(op, [X], opset=opset, **attributes), [X])


def test_coverage_is_a_table():
    table = dict(coverage())
    assert table["Clip"] == (6, 11)
    assert table["GroupNormalization"] == (18, 21)
    assert len(table) >= 100


# -- at random ---------------------------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=60)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    groups=st.sampled_from([1, 2, 4]),
    size=st.tuples(st.integers(5, 9), st.integers(5, 9)),
)
def test_random_convolutions(kernel, strides, dilations, pads, groups, size):
    x, w = data(2, 4, *size), data(4, 4 // groups, *kernel, seed=1)
    attributes = {"strides": strides, "dilations": dilations, "pads": pads, "group": groups}
    agree(single("Conv", [x, w], constants=[1], opset=11, dims={0: ("batch", 4, *size)}, **attributes), [x])


@settings(deadline=None, max_examples=60)
@given(
    bounds=st.lists(
        st.tuples(st.integers(-8, 8), st.integers(-8, 8), st.sampled_from([-2, -1, 1, 2])), min_size=1, max_size=4
    )
)
def test_random_slices(bounds):
    starts, ends, steps = (ints(*c) for c in zip(*bounds, strict=True))
    axes = ints(*range(len(bounds)))
    agree(single("Slice", [X, starts, ends, axes, steps], constants=[1, 2, 3, 4], opset=13), [X])
