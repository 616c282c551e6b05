"""Whole networks: what is imported means what onnxruntime computes."""

import importlib.util
import io
import logging
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from ranvier.frontends.onnx import OnnxFrontend
from ranvier.ir.interpret import evaluate
from ranvier.ir.locations import NodeLoc
from ranvier.ir.text.parser import parse_module
from tests.frontends.onnx_models import agree, data, model, node, ops

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "../shared"
I64 = np.int64


def shared(path):
    """A file of the sibling folder, or a skipped test."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"{path} is not there")
    return found


def loader():
    """The readers of the shared data."""
    spec = importlib.util.spec_from_file_location("shared_load", shared("data/load.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def close(module, path, x):
    """Meaning and onnxruntime agree on an input; returns the output."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    want = session.run(None, {session.get_inputs()[0].name: x})[0]
    found = evaluate(module, [x])[0][0]
    np.testing.assert_allclose(found, want, atol=1e-4 * max(1.0, np.abs(want).max()))
    return found


# -- real files --------------------------------------------------------------------------------------------------------
def test_digits():
    path = ROOT / "examples/digits.onnx"
    module = OnnxFrontend().load(path)
    with np.load(ROOT / "examples/digits.npz") as archive:
        x, labels = archive["x"][-450:], archive["y"][-450:]
    assert (close(module, path, x).argmax(1) == labels).mean() > 0.97
    counted = Counter(ops(module))
    assert counted["nn.conv"] == 6
    assert counted["nn.batch_norm"] == 6
    assert parse_module(str(module), resources=module.resources) == module
    assert str(module.main.args[0].type) == "tensor<Nx1x8x8xf32>"
    assert [o.name for o in module.main.outputs] == ["logits"]
    convolution = next(op for op in module.main.ops if op.name == "nn.conv")
    assert convolution.location == NodeLoc(file="digits.onnx", node="node_Conv_90", op="Conv")


def test_mnist_of_the_model_zoo():
    """Opset 8, weights that are inputs too, a matrix that is reshaped before it multiplies."""
    path = shared("data/onnx/mnist.onnx")
    module = OnnxFrontend().load(path)
    assert [str(a.type) for a in module.main.args] == ["tensor<1x1x28x28xf32>"]
    assert "core.reshape" in ops(module)
    images, labels = loader().mnist("test")
    right = 0
    for image, label in zip(images[:60], labels[:60], strict=True):
        right += close(module, path, image[None, None].astype(np.float32)).argmax() == label
    assert right >= 58


# -- graphs written by hand --------------------------------------------------------------------------------------------
def norm(x, y, channels):
    """A BatchNormalization and its constants."""
    held = {f"{y}.{k}": data(channels, seed=i, low=0.5, high=1.5) for i, k in enumerate("sbmv")}
    return node("BatchNormalization", f"{x} {y}.s {y}.b {y}.m {y}.v", y), held


def test_mlp():
    nodes = [
        node("Flatten", "x", "f"),
        node("Gemm", "f w1 b1", "h", transB=1),
        node("Relu", "h", "r"),
        node("MatMul", "r w2", "m"),
        node("Add", "m b2", "y"),
    ]
    held = {"w1": data(16, 12), "b1": data(16), "w2": data(16, 5), "b2": data(5)}
    module = agree(model(nodes, {"x": ["n", 3, 4]}, ["y"], held), [data(7, 3, 4)])
    assert ops(module) == ["core.reshape", "nn.linear", "nn.relu", "nn.linear", "nn.add"]


def test_residual_with_zero_padded_shortcut():
    first, held = norm("c1", "n1", 8)
    second, more = norm("c2", "n2", 8)
    nodes = [
        node("Conv", "x w1", "c1", strides=[2, 2], pads=[1, 1, 1, 1]),
        first,
        node("Relu", "n1", "r1"),
        node("Conv", "r1 w2", "c2", pads=[1, 1, 1, 1]),
        second,
        node("Slice", "x zero end rows two", "s1"),
        node("Slice", "s1 zero end columns two", "s2"),
        node("Pad", "s2 pads", "short"),
        node("Add", "n2 short", "sum"),
        node("Relu", "sum", "r2"),
        node("GlobalAveragePool", "r2", "g"),
        node("Flatten", "g", "y"),
    ]
    held |= more | {"w1": data(8, 4, 3, 3), "w2": data(8, 8, 3, 3), "zero": np.asarray([0]), "end": np.asarray([2**40])}
    held |= {"rows": np.asarray([2]), "columns": np.asarray([3]), "two": np.asarray([2])}
    held["pads"] = np.asarray([0, 2, 0, 0, 0, 2, 0, 0])
    module = agree(model(nodes, {"x": ["n", 4, 8, 8]}, ["y"], held), [data(3, 4, 8, 8)])
    assert Counter(ops(module))["core.slice"] == 1


def test_vgg_with_local_response():
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("LRN", "r1", "l", size=3),
        node("MaxPool", "l", "p", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("Dropout", "p", "d"),
        node("Reshape", "d shape", "f"),
        node("Gemm", "f w2 b2", "z"),
        node("Softmax", "z", "y"),
    ]
    held = {"w1": data(4, 3, 3, 3), "b1": data(4), "w2": data(64, 10), "b2": data(10), "shape": np.asarray([-1, 64])}
    agree(model(nodes, {"x": ["n", 3, 8, 8]}, ["y"], held, opset=12), [data(2, 3, 8, 8)])


@pytest.mark.parametrize("opset", [7, 11])
def test_mobilenet(opset):
    depthwise, held = norm("c2", "n2", 8)
    bounds = {"zero": np.float32(0), "six": np.float32(6)}
    if opset == 7:
        first, second = (node("Clip", a, b, min=0.0, max=6.0) for a, b in (("c1", "r1"), ("n2", "r2")))
        bounds = {}
    else:
        first, second = (node("Clip", f"{a} zero six", b) for a, b in (("c1", "r1"), ("n2", "r2")))
    nodes = [
        node("Conv", "x w1", "c1", strides=[2, 2], pads=[1, 1, 1, 1]),
        first,
        node("Conv", "r1 w2", "c2", pads=[1, 1, 1, 1], group=8),
        depthwise,
        second,
        node("Conv", "r2 w3", "c3"),
        node("ReduceMean", "c3", "y", axes=[2, 3], keepdims=0),
    ]
    held |= bounds | {"w1": data(8, 3, 3, 3), "w2": data(8, 1, 3, 3), "w3": data(5, 8, 1, 1)}
    module = agree(model(nodes, {"x": ["n", 3, 9, 9]}, ["y"], held, opset=opset), [data(2, 3, 9, 9)])
    assert Counter(ops(module))["nn.clip"] == 2


def test_unet():
    nodes = [
        node("Conv", "x w1", "a", pads=[1, 1, 1, 1]),
        node("MaxPool", "a", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p w2", "b", pads=[1, 1, 1, 1]),
        node("ConvTranspose", "b w3 b3", "u", strides=[2, 2]),
        node("Resize", "b _ scales", "v", mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
        node("Concat", "a u v", "c", axis=1),
        node("Conv", "c w4", "y"),
    ]
    held = {"w1": data(4, 1, 3, 3), "w2": data(6, 4, 3, 3), "w3": data(6, 4, 2, 2), "b3": data(4)}
    held |= {"scales": np.float32([1, 1, 2, 2]), "w4": data(2, 14, 1, 1)}
    agree(model(nodes, {"x": ["n", 1, 8, 8]}, ["y"], held, opset=13), [data(2, 1, 8, 8)])


def test_densenet_block():
    nodes, held, seen = [], {}, ["x"]
    for i in range(3):
        joined = f"j{i}" if i else "x"
        if i:
            nodes.append(node("Concat", " ".join(seen), joined, axis=1))
        bn, more = norm(joined, f"n{i}", 3 + 4 * i)
        nodes += [bn, node("Relu", f"n{i}", f"r{i}"), node("Conv", f"r{i} w{i}", f"y{i}", pads=[1, 1, 1, 1])]
        held |= more | {f"w{i}": data(4, 3 + 4 * i, 3, 3, seed=i)}
        seen.append(f"y{i}")
    nodes += [node("Concat", " ".join(seen), "all", axis=1), node("AveragePool", "all", "y", kernel_shape=[2, 2])]
    agree(model(nodes, {"x": ["n", 3, 6, 6]}, ["y"], held), [data(2, 3, 6, 6)])


def test_attention_block_in_parts():
    """A normalisation in seven nodes, heads by Reshape and Transpose, Gelu by Erf."""
    nodes = [
        node("ReduceMean", "x", "mean", axes=[-1]),
        node("Sub", "x mean", "centred"),
        node("Pow", "centred two", "squares"),
        node("ReduceMean", "squares", "variance", axes=[-1]),
        node("Add", "variance tiny", "v"),
        node("Sqrt", "v", "spread"),
        node("Div", "centred spread", "n"),
        node("MatMul", "n qkv", "h"),
        node("Reshape", "h heads", "hs"),
        node("Transpose", "hs", "ht", perm=[2, 0, 3, 1, 4]),
        node("Split", "ht", "q3 k3 v3", axis=0),
        *(node("Squeeze", f"{c}3 first", c) for c in "qkv"),
        node("Transpose", "k", "kt", perm=[0, 1, 3, 2]),
        node("MatMul", "q kt", "scores"),
        node("Mul", "scores scale", "scaled"),
        node("Softmax", "scaled", "p", axis=-1),
        node("MatMul", "p v", "mixed"),
        node("Transpose", "mixed", "mt", perm=[0, 2, 1, 3]),
        node("Reshape", "mt flat", "out"),
        node("Add", "x out", "r"),
        node("Div", "r root", "e1"),
        node("Erf", "e1", "e2"),
        node("Add", "e2 one", "e3"),
        node("Mul", "r e3", "e4"),
        node("Mul", "e4 half", "y"),
    ]
    # "v" is taken by the variance, so the heads' value is renamed
    for n in nodes:
        if n.op_type in ("Add", "Sqrt") and "v" in (*n.input, *n.output):
            n.input[:] = ["var" if i == "v" else i for i in n.input]
            n.output[:] = ["var" if o == "v" else o for o in n.output]
    held = {"two": 2, "tiny": 1e-5, "scale": 0.5, "root": 2**0.5, "one": 1, "half": 0.5}
    held = {k: np.float32(v) for k, v in held.items()} | {"qkv": data(8, 24), "first": np.asarray([0])}
    held |= {"heads": np.asarray([0, 5, 3, 2, 4]), "flat": np.asarray([-1, 5, 8])}
    module = agree(model(nodes, {"x": ["n", 5, 8]}, ["y"], held), [data(3, 5, 8)])
    assert str(module.main.outputs[0].type) == "tensor<Nx5x8xf32>"


def test_several_inputs_and_outputs():
    nodes = [node("Add", "a b", "s"), node("Sub", "a b", "d")]
    module = agree(model(nodes, {"a": ["n", 4], "b": ["n", 4]}, ["d", "s", "a"]), [data(3, 4), data(3, 4, seed=1)])
    assert module.main.terminator.attributes["names"] == ("d", "s", "a")


@pytest.mark.parametrize(
    "name", ["resnet50", "densenet121", "squeezenet", "vgg19", "bvlc_alexnet", "shufflenet", "zfnet512"]
)
def test_light_models_of_onnx(name):
    """The networks that ship with onnx, their weights one number each: shapes and costs need no weights."""
    path = Path(onnx.__file__).parent / f"backend/test/data/light/light_{name}.onnx"
    if not path.exists():
        pytest.skip("this onnx ships without its light models")
    module = OnnxFrontend().load(path)
    assert all(r.splat is not None or r.size < 10000 for r in module.resources.values())
    macs = sum(op.macs() for op in module.ops)
    floor = {"resnet50": 3.8e9, "vgg19": 19e9, "densenet121": 2.7e9, "squeezenet": 3e8, "bvlc_alexnet": 6e8}.get(
        name, 1e8
    )
    assert macs > floor


# -- what PyTorch exports ----------------------------------------------------------------------------------------------
def torch_networks():
    """Small networks with an example input of two samples."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Vit(nn.Module):
        def __init__(self, dim=16, heads=2):
            super().__init__()
            self.patch = nn.Conv2d(3, dim, 4, 4)
            self.token = nn.Parameter(torch.randn(1, 1, dim))
            self.place = nn.Parameter(torch.randn(1, 17, dim))
            self.norm, self.qkv, self.head = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, 10)
            self.heads = heads

        def forward(self, x):
            count = x.shape[0]
            x = self.patch(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(count, -1, -1), x], 1) + self.place
            batch, length, dim = x.shape
            q, k, v = self.qkv(self.norm(x)).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            p = (q @ k.transpose(-2, -1) * (dim // self.heads) ** -0.5).softmax(-1)
            x = x + F.gelu((p @ v).transpose(1, 2).reshape(batch, length, dim))
            return self.head(x[:, 0])

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down1, self.down2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
            self.up, self.out = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 2, 1)

        def forward(self, x):
            a = F.relu(self.down1(x))
            b = F.relu(self.down2(F.max_pool2d(a, 2)))
            u = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)[:, :8]
            w = F.interpolate(u, size=a.shape[-2:], mode="nearest")
            return F.interpolate(
                self.out(torch.cat([a, self.up(b)], 1)) + w[:, :2], scale_factor=2, mode="bilinear", align_corners=True
            )

    def mobile():
        layers = [
            nn.Conv2d(3, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, 1, 1, groups=8),
        ]
        return nn.Sequential(
            *layers, nn.Hardswish(), nn.Conv2d(8, 16, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
        )

    def vgg():
        layers = [
            nn.Conv2d(3, 8, 3, 1, 1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3),
            nn.LeakyReLU(0.1),
            nn.AvgPool2d(2),
        ]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(72, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 10))

    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
    image = torch.randn(2, 3, 16, 16)
    return {
        "mlp": (nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.Tanh(), nn.Linear(16, 4)), image),
        "mobile": (mobile(), image),
        "transformer": (encoder, torch.randn(2, 5, 16)),
        "unet": (UNet(), image),
        "vgg": (vgg(), image),
        "vit": (Vit(), image),
    }


def exported(network, example, opset, dynamo):
    """The bytes of a network, its batch dimension dynamic."""
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},)
            program = torch.onnx.export(
                network.eval(), (example,), dynamo=True, opset_version=opset, dynamic_shapes=shapes, verbose=False
            )
            return program.model_proto.SerializeToString()
        buffer = io.BytesIO()
        torch.onnx.export(
            network.eval(),
            (example,),
            buffer,
            dynamo=False,
            opset_version=opset,
            input_names=["x"],
            dynamic_axes={"x": {0: "b"}},
        )
        return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(("opset", "dynamo"), [(20, True), (18, True), (17, False), (14, False), (11, False)])
@pytest.mark.parametrize("name", ["mlp", "mobile", "transformer", "unet", "vgg", "vit"])
def test_exports(name, opset, dynamo, tmp_path):
    network, example = torch_networks()[name]
    if (not dynamo and name == "transformer") or (opset < 14 and name == "mobile"):
        pytest.skip("torch's older exporter does not write this network for this opset")
    path = tmp_path / "net.onnx"
    path.write_bytes(exported(network, example, opset, dynamo))
    module = OnnxFrontend().load(path)
    for batch in (1, 3):
        close(module, path, data(batch, *example.shape[1:], seed=batch))
    assert module.main.outputs[0].type.shape[0] == "N"


@pytest.mark.slow
@pytest.mark.parametrize(("opset", "dynamo"), [(20, True), (13, False)])
def test_resnet20(opset, dynamo, tmp_path):
    """Option-A shortcuts are a slice and a pad; outputs on real images equal onnxruntime's."""
    import torch

    spec = importlib.util.spec_from_file_location("resnet_cifar", shared("peers/resnet_cifar.py"))
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    path = tmp_path / "resnet20.onnx"
    path.write_bytes(exported(peers.load_finetuned(), torch.randn(2, 3, 32, 32), opset, dynamo))
    module = OnnxFrontend().load(path)
    counted = Counter(ops(module))
    assert counted["nn.conv"] == 19
    assert counted["nn.relu"] == 19
    assert counted["nn.add"] == 9
    assert counted["core.slice"] == counted["core.pad"] == 2
    assert set(counted) <= {
        "nn.conv",
        "nn.relu",
        "nn.add",
        "nn.mean",
        "nn.linear",
        "core.slice",
        "core.pad",
        "core.reshape",
    }
    load = loader()
    images, labels = load.cifar("test")
    images, labels = images[::50], labels[::50]
    found = close(module, path, load.normalize(images))
    assert (found.argmax(1) == labels).mean() > 0.8


def test_initializers_that_are_inputs_too():
    proto = model([node("Add", "x w", "y")], {"x": [2]}, ["y"], {"w": data(2)})
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2]))
    module = agree_without_optional_inputs(proto)
    assert [a.name for a in module.main.args] == ["x"]


def agree_without_optional_inputs(proto):
    module = OnnxFrontend().load(proto)
    x = data(2)
    weight = onnx.numpy_helper.to_array(proto.graph.initializer[0])
    np.testing.assert_allclose(evaluate(module, [x])[0][0], x + weight)
    return module
