"""Meanings against onnxruntime on models of one node, where the conventions are ONNX's."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ranvier.ir.elements import Affine, Elem
from ranvier.ir.ops import arith, nn, q, reduce, shape
from tests.op_cases.base import value
from tests.ops.helpers import apply, close

onnxruntime.set_default_logger_severity(4)
few = settings(derandomize=True, deadline=None, max_examples=15)
seeds = st.integers(0, 2**31)


def onnx_run(op: str, *inputs: Any, opset: int = 21, **attributes: Any) -> Any:
    """The first output of an ONNX node; None stands for an input left out."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    feeds = {n: np.asarray(x) for n, x in zip(names, inputs, strict=True) if x is not None}
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in feeds.items()
    ]
    node = helper.make_node(op, names, ["y"], **attributes)
    graph = helper.make_graph([node], "one", infos, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    session = onnxruntime.InferenceSession(
        onnx.shape_inference.infer_shapes(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)[0]


def random(seed: int, *size: int) -> Any:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@given(seed=seeds, h=st.integers(1, 6), w=st.integers(1, 6), data=st.data())
@few
def test_resize(mode: str, coordinates: str, seed: int, h: int, w: int, data: Any) -> None:
    x = random(seed, 1, 2, h, w)
    same = {"mode": mode, "coordinate_transformation_mode": coordinates}
    scale = st.sampled_from([0.5, 1.0, 1.25, 1.5, 2.0, 4.0])
    scales = [1.0, 1.0, data.draw(scale), data.draw(scale)]
    roundings = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    roundings = roundings if mode == "nearest" else roundings[:1]
    ours = {"mode": mode, "coordinates": coordinates}
    for rounding in roundings:
        size = (int(h * scales[2]), int(w * scales[3]))
        # onnxruntime copies where the shape stays, whatever the scales say
        if min(size) > 0 and size != (h, w):
            want = onnx_run("Resize", x, None, np.array(scales, np.float32), nearest_mode=rounding, **same)
            close(apply(nn.Resize, x, scales=scales, rounding=rounding, **ours), want)
        sizes = [1, 2, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))]
        if mode != "nearest":  # a tie of the nearest falls by float32's rounding error there
            want = onnx_run("Resize", x, None, None, np.array(sizes), **same)
            close(apply(nn.Resize, x, sizes=sizes, **ours), want)


@given(seed=seeds, data=st.data(), ceil=st.booleans(), count=st.booleans(), n=st.integers(1, 3))
@few
def test_pools(seed: int, data: Any, ceil: bool, count: bool, n: int) -> None:
    def each(low: int, high: int) -> list[int]:
        return [data.draw(st.integers(low, high)) for _ in range(n)]

    kernel, strides, dilations = each(1, 3), each(1, 3), each(1, 2)
    pads = [data.draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    size = [(k - 1) * d + data.draw(st.integers(1, 5)) for k, d in zip(kernel, dilations, strict=True)]
    x = random(seed, 2, 3, *size)
    node = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads, "ceil_mode": int(ceil)}
    same = {"kernel": kernel, "strides": strides, "dilations": dilations, "padding": pads, "ceil_mode": ceil}
    np.testing.assert_array_equal(apply(nn.MaxPool, x, **same), onnx_run("MaxPool", x, **node))
    want = onnx_run("AveragePool", x, count_include_pad=int(count), **node)
    close(apply(nn.AvgPool, x, count_include_pad=count, **same), want)


@given(seed=seeds, data=st.data(), n=st.integers(1, 3), groups=st.integers(1, 2))
@few
def test_convolutions_with_uneven_padding(seed: int, data: Any, n: int, groups: int) -> None:
    def each(low: int, high: int) -> list[int]:
        return [data.draw(st.integers(low, high)) for _ in range(n)]

    kernel, strides, dilations = each(1, 3), each(1, 3), each(1, 2)
    pads = [data.draw(st.integers(0, 2)) for _ in range(2 * n)]
    x = random(seed, 2, 2 * groups, *[(k - 1) * d + 3 for k, d in zip(kernel, dilations, strict=True)])
    node = {"strides": strides, "dilations": dilations, "pads": pads, "group": groups}
    same = {"strides": strides, "dilations": dilations, "padding": pads, "groups": groups}
    weight, bias = random(seed + 1, 3 * groups, 2, *kernel), random(seed + 2, 3 * groups)
    close(apply(nn.Conv, x, weight, bias, **same), onnx_run("Conv", x, weight, bias, **node))
    weight = random(seed + 1, 2 * groups, 3, *kernel)
    extra = [min(data.draw(st.integers(0, 1)), s - 1) for s in strides]
    node["pads"] = same["padding"] = [min(p, 1) for p in pads]
    want = onnx_run("ConvTranspose", x, weight, bias, output_padding=extra, **node)
    close(apply(nn.ConvTranspose, x, weight, bias, output_padding=extra, **same), want)


@given(seed=seeds, size=st.lists(st.integers(1, 6), min_size=1, max_size=4), data=st.data())
@few
def test_slices(seed: int, size: list[int], data: Any) -> None:
    x = random(seed, *size)
    axes = data.draw(st.lists(st.integers(0, len(size) - 1), min_size=1, unique=True))
    most, least = 2**31 - 1, -(2**31) + 1
    steps = [data.draw(st.sampled_from([-2, -1, 1, 2, 3])) for _ in axes]
    starts = [data.draw(st.one_of(st.integers(-7, 7), st.sampled_from([most, least]))) for _ in axes]
    # onnxruntime takes 2**31 - 1 for "to the front" where the step is negative; numpy and we do not
    stops = [data.draw(st.one_of(st.integers(-7, 7), st.just(most if s > 0 else least))) for s in steps]
    want = onnx_run("Slice", x, *[np.array(v, np.int64) for v in (starts, stops, axes, steps)])
    close(apply(shape.Slice, x, axes=axes, starts=starts, stops=stops, steps=steps), want)


@given(seed=seeds, size=st.lists(st.integers(1, 4), min_size=1, max_size=3), data=st.data())
@few
def test_gather_concat_transpose_reshape(seed: int, size: list[int], data: Any) -> None:
    x = random(seed, *size)
    axis = data.draw(st.integers(-len(size), len(size) - 1))
    at = np.array(data.draw(st.lists(st.integers(-size[axis], size[axis] - 1), min_size=1, max_size=4)))
    close(apply(shape.Gather, x, at, axis=axis), onnx_run("Gather", x, at, axis=axis))
    y = np.concatenate([x, x], axis=axis)
    close(apply(shape.Concat, x, y, axis=axis), onnx_run("Concat", x, y, axis=axis))
    perm = data.draw(st.permutations(range(len(size))))
    close(apply(shape.Transpose, x, perm=perm), onnx_run("Transpose", x, perm=perm))
    wanted = np.array([*size[:axis], -1] if axis > 0 else [-1])
    close(apply(shape.Reshape, x, shape=wanted.tolist()), onnx_run("Reshape", x, wanted))


@given(seed=seeds, size=st.lists(st.integers(2, 4), min_size=1, max_size=3), data=st.data())
@few
def test_pad(seed: int, size: list[int], data: Any) -> None:
    x = random(seed, *size)
    for mode, low, high in (("constant", -1, 2), ("edge", 0, 2), ("reflect", 0, 1), ("wrap", 0, 1)):
        pads = [data.draw(st.integers(low, high)) for _ in range(2 * len(size))]
        before, after = pads[: len(size)], pads[len(size) :]
        if all(n + b + a > 0 for n, b, a in zip(size, before, after, strict=True)):
            fill = np.float32(1.5) if mode == "constant" else None
            want = onnx_run("Pad", x, np.array(pads, np.int64), fill, mode=mode)
            close(apply(shape.Pad, x, before=before, after=after, mode=mode, value=1.5), want)


@given(seed=seeds)
@few
def test_integers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-20, 20, (4, 5)), rng.integers(1, 6, (4, 5)) * rng.choice([-1, 1], (4, 5))
    close(apply(arith.Div, a, b), onnx_run("Div", a, b))
    close(apply(arith.Mod, a, b), onnx_run("Mod", a, b))
    close(apply(arith.Mod, a, b, sign="dividend"), onnx_run("Mod", a, b, fmod=1))
    close(apply(reduce.Prod, a, axes=(1,)), onnx_run("ReduceProd", a, np.array([1]), keepdims=0))
    close(apply(reduce.Cumsum, a, axis=0), onnx_run("CumSum", a, np.array(0)))
    close(apply(nn.Matmul, a, b.T), onnx_run("MatMul", a, b.T))
    close(apply(shape.Cast, a, elem="i8"), onnx_run("Cast", a, to=TensorProto.INT8))
    close(apply(shape.Cast, a * 100, elem="u8"), onnx_run("Cast", a * 100, to=TensorProto.UINT8))


@given(seed=seeds, scale=st.sampled_from([0.5, 0.125, 2.0]), zero=st.integers(-5, 5), signed=st.booleans())
@few
def test_quantize(seed: int, scale: float, zero: int, signed: bool) -> None:
    x = (np.random.default_rng(seed).integers(-800, 800, (3, 4)) / 16).astype(np.float32)
    zero = zero if signed else zero + 5
    kind = Elem("i8" if signed else "u8", Affine(scale, zero))
    at = np.array(zero, np.int8 if signed else np.uint8)
    levels = onnx_run("QuantizeLinear", x, np.float32(scale), at)
    close(apply(q.Quantize, x, elem=kind), levels)
    back = apply(q.Dequantize, value(levels, dtype=kind))
    close(back, onnx_run("DequantizeLinear", levels, np.float32(scale), at))


def test_erf_gelu_and_layer_norm() -> None:
    x = random(0, 3, 4, 5) * 3
    close(apply(arith.Erf, x), onnx_run("Erf", x))
    close(apply(arith.Gelu, x), onnx_run("Gelu", x))
    close(apply(arith.HardSigmoid, x, alpha=0.2), onnx_run("HardSigmoid", x))
    scale, bias = random(1, 4, 5), random(2, 4, 5)
    close(apply(nn.LayerNorm, x, scale, bias, axis=1), onnx_run("LayerNormalization", x, scale, bias, axis=1))
