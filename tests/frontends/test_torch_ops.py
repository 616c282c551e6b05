"""One op at a time: what the imported module computes is what torch computes, and it is the op that it should be."""

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ranvier.frontends import find_frontend
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.interpret import evaluate


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def check(function, *shapes, ops=None, integers=None):
    """Import a function (or module), compare with torch at three batch sizes, and give the ops that it became."""
    torch.manual_seed(0)
    model = function if isinstance(function, nn.Module) else Function(function)
    model.eval()

    def inputs(batch):
        if integers is not None:
            return [torch.randint(integers, (batch, *s)) for s in shapes]
        return [torch.randn(batch, *s) for s in shapes]

    module = find_frontend(model).load(model, tuple(inputs(2)))
    for batch in (1, 2, 5):
        given = inputs(batch)
        with torch.no_grad():
            want = torch.utils._pytree.tree_leaves(model(*given))
        found, _ = evaluate(module, [x.numpy() for x in given])
        for have, value in zip(found, want, strict=True):
            assert have.dtype == value.numpy().dtype
            np.testing.assert_allclose(have, value.numpy(), atol=1e-4, rtol=1e-5)
    found = Counter(op.name for op in module.main.ops if op.name != "core.return")
    if ops is not None:
        assert found == Counter(ops.split())
    return module


ACTIVATIONS = {
    "relu": (F.relu, "nn.relu"),
    "relu_": (lambda x: F.relu_(x * 1), "nn.mul nn.relu"),
    "nn.ReLU": (nn.ReLU(), "nn.relu"),
    "inplace": (nn.Sequential(nn.Tanh(), nn.ReLU(inplace=True)), "nn.tanh nn.relu"),
    "clamp(min=0)": (lambda x: x.clamp(min=0), "nn.relu"),
    "relu6": (F.relu6, "nn.clip"),
    "hardtanh": (nn.Hardtanh(-0.5, 0.7), "nn.clip"),
    "clamp": (lambda x: x.clamp(-0.5, 0.25), "nn.clip"),
    "clamp_max": (lambda x: x.clamp(max=0.25), "nn.clip"),
    "leaky_relu": (nn.LeakyReLU(0.2), "nn.leaky_relu"),
    "elu": (nn.ELU(0.5), "nn.elu"),
    "selu": (nn.SELU(), "nn.selu"),
    "celu": (nn.CELU(0.7), "nn.celu"),
    "gelu": (nn.GELU(), "nn.gelu"),
    "gelu tanh": (nn.GELU("tanh"), "nn.gelu"),
    "silu": (nn.SiLU(), "nn.silu"),
    "mish": (nn.Mish(), "nn.mish"),
    "hardswish": (nn.Hardswish(), "nn.hard_swish"),
    "hardsigmoid": (nn.Hardsigmoid(), "nn.hard_sigmoid"),
    "sigmoid": (torch.sigmoid, "nn.sigmoid"),
    "tanh": (torch.tanh, "nn.tanh"),
    "softplus": (nn.Softplus(), "nn.softplus"),
    "softplus beta": (nn.Softplus(beta=2.0), "nn.mul nn.softplus nn.div"),
    "prelu": (nn.PReLU(4), "nn.prelu"),
    "dropout": (nn.Dropout(), ""),
    "logsigmoid": (nn.LogSigmoid(), None),
    "softsign": (nn.Softsign(), None),
    "tanhshrink": (nn.Tanhshrink(), None),
    "hardshrink": (nn.Hardshrink(0.3), None),
    "softshrink": (nn.Softshrink(0.3), None),
    "threshold": (nn.Threshold(0.1, -1.0), None),
    "glu": (nn.GLU(1), None),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    function, ops = ACTIVATIONS[name]
    check(function, (4, 5), ops=ops)


ARITHMETIC = {
    "add": (lambda x, y: x + y, "nn.add"),
    "add alpha": (lambda x, y: torch.add(x, y, alpha=0.5), "nn.mul nn.add"),
    "add number": (lambda x, y: x + 1, "nn.add"),
    "sub": (lambda x, y: x - y, "nn.sub"),
    "rsub": (lambda x, y: 1 - x, "nn.sub"),
    "mul": (lambda x, y: x * y * 2, "nn.mul nn.mul"),
    "div": (lambda x, y: x / (y + 10), "nn.add nn.div"),
    "floor div": (lambda x, y: torch.div(x, 0.3, rounding_mode="floor"), "nn.div nn.floor"),
    "square": (lambda x, y: x**2, "nn.mul"),
    "cube": (lambda x, y: x**3, "nn.pow"),
    "root": (lambda x, y: x.abs().sqrt() + x.abs() ** 0.5, "nn.abs nn.abs nn.sqrt nn.sqrt nn.add"),
    "rsqrt": (lambda x, y: torch.rsqrt(x.abs() + 1), "nn.abs nn.add nn.sqrt nn.reciprocal"),
    "power": (lambda x, y: 2.0**x, "nn.pow"),
    "exp log": (lambda x, y: torch.log(torch.exp(x) + 1), "nn.exp nn.add nn.log"),
    "log1p expm1": (lambda x, y: torch.log1p(x.abs()) + torch.expm1(y), None),
    "round": (lambda x, y: torch.floor(x) + torch.ceil(y) + torch.round(x * 2), None),
    "sign": (lambda x, y: -torch.sign(x), "nn.sign nn.neg"),
    "erf": (lambda x, y: torch.erf(x) + torch.sin(x) + torch.cos(y), None),
    "max": (torch.maximum, "nn.maximum"),
    "min": (torch.minimum, "nn.minimum"),
    "clamp tensor": (lambda x, y: torch.clamp(x, min=y), "nn.maximum"),
    "remainder": (lambda x, y: torch.remainder(x, 0.7), "nn.mod"),
    "fmod": (lambda x, y: torch.fmod(x, 0.7), "nn.mod"),
    "compare": (lambda x, y: (x > 0.5, x <= y, x != x), "nn.compare nn.compare nn.compare"),
    "logic": (lambda x, y: ((x > 0) & (y > 0)) | ~(x > 1), None),
    "where": (lambda x, y: torch.where(x > 0, x, y), "nn.compare core.select"),
    "where number": (lambda x, y: torch.where(x > 0, x, 0.25), "nn.compare core.select"),
    "masked_fill": (lambda x, y: x.masked_fill(y < 0, -7.0), "nn.compare core.select"),
    "promotion": (lambda x, y: (x > 0) + y * (x > 0).long(), None),
    "cast": (lambda x, y: ((x * 3).int() + 1, x.double() * 0.1), None),
    "matmul": (lambda x, y: x @ y.transpose(1, 2), "core.transpose nn.matmul"),
    "bmm": (lambda x, y: torch.baddbmm(x @ y.mT, x, y.mT, alpha=0.5), None),
    "einsum": (lambda x, y: torch.einsum("nij,nkj->nik", x, y), None),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(name):
    function, ops = ARITHMETIC[name]
    check(function, (4, 6), (4, 6), ops=ops)


REDUCTIONS = {
    "mean": (lambda x: x.mean((2, 3)), "nn.mean"),
    "mean keep": (lambda x: x.mean(-1, keepdim=True), "nn.mean"),
    "sum": (lambda x: x.sum(1), "nn.sum"),
    "sum of bits": (lambda x: (x > 0).sum((1, 2)), "nn.compare core.cast nn.sum"),
    "all": (lambda x: (x.sum(), x.mean(), x.max(), x.min()), "nn.sum nn.mean nn.max nn.min"),
    "amax": (lambda x: x.amax((1, 2)) + x.amin((1, 2)), "nn.max nn.min nn.add"),
    "max": (lambda x: x.max(1), "nn.max nn.argmax"),
    "max value": (lambda x: x.max(-1).values, "nn.max"),
    "min": (lambda x: x.min(1), "nn.min nn.argmin"),
    "argmax": (lambda x: x.argmax(1), "nn.argmax"),
    "prod": (lambda x: x.prod(2), "nn.prod"),
    "any": (lambda x: ((x > 2).any(1), (x > 9).any()), None),
    "var": (lambda x: x.var((2, 3)), "nn.mean nn.sub nn.mul nn.mean nn.mul"),
    "std": (lambda x: x.std(1, correction=0), "nn.mean nn.sub nn.mul nn.mean nn.sqrt"),
    "norm": (lambda x: (x.norm(dim=1), x.norm(1, dim=2)), None),
    "normalize": (lambda x: F.normalize(x, dim=1), None),
    "softmax": (lambda x: F.softmax(x, 1), "nn.softmax"),
    "log_softmax": (lambda x: F.log_softmax(x, -1), "nn.log_softmax"),
    "logsumexp": (lambda x: x.logsumexp(1), None),
    "cumsum": (lambda x: x.cumsum(2), "nn.cumsum"),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    function, ops = REDUCTIONS[name]
    check(function, (3, 4, 5), ops=ops)


SHAPES = {
    "view": (lambda x: x.view(x.shape[0], -1), "core.reshape"),
    "flatten": (lambda x: x.flatten(1), "core.reshape"),
    "into the batch": (
        lambda x: x.reshape(-1, 4, 6).relu().view(x.size(0), 3, 4, 6),
        "core.reshape nn.relu core.reshape",
    ),
    "same": (lambda x: x.view(-1, 3, 4, 6).contiguous().permute(0, 1, 2, 3), ""),
    "unsqueeze": (lambda x: x.unsqueeze(1).squeeze(1).unsqueeze(-1), "core.reshape core.reshape core.reshape"),
    "permute": (lambda x: x.permute(0, 2, 3, 1), "core.transpose"),
    "transpose": (lambda x: x.transpose(-1, 1), "core.transpose"),
    "slice": (lambda x: x[:, 1:, ::2, -3:], "core.slice"),
    "slices used twice": (lambda x: (lambda y: (y[:, :, 1:], y))(x[:, 1:]), "core.slice core.slice"),
    "negative": (lambda x: x[:, :-1], "core.slice"),
    "select": (lambda x: x[:, 0] + x[:, -1], "core.slice core.reshape core.slice core.reshape nn.add"),
    "chunk": (lambda x: x.chunk(2, 2), "core.slice core.slice"),
    "split": (lambda x: x.split([1, 2], 1)[1], "core.slice"),
    "unbind": (lambda x: x.unbind(1), None),
    "cat": (lambda x: torch.cat([x, x * 2], 1), "nn.mul core.concat"),
    "stack": (lambda x: torch.stack([x, x], 2), None),
    "expand": (lambda x: x[:, :1].expand(-1, 3, -1, -1), "core.slice core.broadcast"),
    "repeat": (lambda x: x.repeat(1, 2, 1, 1), "core.concat"),
    "flip": (lambda x: x.flip(1, 3), "core.slice"),
    "roll": (lambda x: x.roll((1, -2), (2, 3)), "core.slice core.slice core.concat core.slice core.slice core.concat"),
    "pixel_shuffle": (lambda x: F.pixel_unshuffle(x, 2), "core.reshape core.transpose core.reshape"),
    "index": (lambda x: x[:, [2, 0]], "core.gather"),
    "index_select": (lambda x: x.index_select(1, torch.tensor([1, 1])), "core.gather"),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 1)), "core.pad"),
    "pad value": (lambda x: F.pad(x, (1, 0), value=2.5), "core.pad"),
    "pad negative": (lambda x: F.pad(x, (-1, 1)), "core.pad"),
    "pad reflect": (lambda x: F.pad(x, (1, 2, 1, 1), mode="reflect"), "core.pad"),
    "pad replicate": (lambda x: F.pad(x, (1, 2, 1, 1), mode="replicate"), "core.pad"),
    "pad circular": (lambda x: F.pad(x, (1, 2, 1, 1), mode="circular"), "core.pad"),
    "assign": (lambda x: assigned(x), None),
    "zeros": (lambda x: torch.cat([x, torch.zeros_like(x), x.new_ones(x.shape[0], 1, 4, 6)], 1), None),
    "arange": (lambda x: x + torch.arange(6), "nn.add"),
    "triangle": (lambda x: x @ torch.ones(6, 6).tril(), "nn.matmul"),
}


def assigned(x):
    y = x.clone()
    y[:, 1:, 2] = 5.0
    y[:, 0] = x[:, 1]
    return y


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name):
    function, ops = SHAPES[name]
    check(function, (3, 4, 6), ops=ops)


SPATIAL = {
    "conv": (nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), "nn.conv"),
    "conv same": (nn.Conv2d(4, 6, 3, padding="same"), "nn.conv"),
    "conv same even": (nn.Conv2d(4, 6, 4, padding="same"), None),
    "conv reflect": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), "core.pad nn.conv"),
    "conv_transpose": (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, dilation=2), "nn.conv_transpose"),
    "batch_norm": (nn.BatchNorm2d(4), "nn.batch_norm"),
    "batch_norm plain": (nn.BatchNorm2d(4, affine=False), "nn.batch_norm"),
    "group_norm": (nn.GroupNorm(2, 4), "nn.group_norm"),
    "instance_norm": (nn.InstanceNorm2d(4, affine=True), "nn.group_norm"),
    "instance_norm tracked": (nn.InstanceNorm2d(4, track_running_stats=True), "nn.batch_norm"),
    "layer_norm": (nn.LayerNorm((8, 8)), "nn.layer_norm"),
    "layer_norm plain": (nn.LayerNorm(8, elementwise_affine=False), "nn.layer_norm"),
    "rms_norm": (nn.RMSNorm(8), None),
    "max_pool": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), "nn.max_pool"),
    "max_pool dilated": (nn.MaxPool2d((2, 3), dilation=2), "nn.max_pool"),
    "avg_pool": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), "nn.avg_pool"),
    "avg_pool uncounted": (nn.AvgPool2d(2, padding=1, count_include_pad=False), "nn.avg_pool"),
    "adaptive": (nn.AdaptiveAvgPool2d((2, 4)), "nn.avg_pool"),
    "adaptive 1": (nn.AdaptiveAvgPool2d(1), "nn.mean"),
    "adaptive same": (nn.AdaptiveAvgPool2d(8), ""),
    "adaptive max": (nn.AdaptiveMaxPool2d(2), "nn.max_pool"),
    "adaptive max 1": (nn.AdaptiveMaxPool2d(1), "nn.max"),
    "nearest": (nn.Upsample(scale_factor=2), "nn.resize"),
    "nearest odd": (nn.Upsample(scale_factor=1.7), "nn.resize"),
    "nearest size": (nn.Upsample(size=(5, 13)), "nn.resize"),
    "nearest exact": (nn.Upsample(size=(5, 13), mode="nearest-exact"), "nn.resize"),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), "nn.resize"),
    "bilinear odd": (nn.Upsample(scale_factor=1.7, mode="bilinear"), "nn.resize"),
    "bilinear down": (nn.Upsample(size=(5, 3), mode="bilinear"), "nn.resize"),
    "bilinear corners": (nn.UpsamplingBilinear2d(size=(5, 13)), "nn.resize"),
    "bicubic": (nn.Upsample(size=(5, 13), mode="bicubic"), "nn.resize"),
    "bicubic corners": (nn.Upsample(scale_factor=2, mode="bicubic", align_corners=True), "nn.resize"),
}


@pytest.mark.parametrize("name", SPATIAL)
def test_spatial(name):
    function, ops = SPATIAL[name]
    check(function, (4, 8, 8), ops=ops)


@pytest.mark.parametrize(
    ("module", "shape", "ops"),
    [
        (nn.Conv3d(2, 3, 2, padding=1), (2, 4, 4, 4), "nn.conv"),
        (nn.MaxPool3d(2), (2, 4, 4, 4), "nn.max_pool"),
        (nn.AvgPool3d(2), (2, 4, 4, 4), "nn.avg_pool"),
        (nn.Upsample(scale_factor=2, mode="trilinear"), (2, 2, 3, 2), "nn.resize"),
        (nn.Upsample(scale_factor=2, mode="linear"), (2, 5), "nn.resize"),
        (nn.AdaptiveAvgPool1d(1), (2, 5), "nn.mean"),
        (nn.AdaptiveAvgPool1d(2), (2, 6), "nn.avg_pool"),
        (nn.MaxPool1d(3, 2, 1), (2, 7), "nn.max_pool"),
    ],
)
def test_other_numbers_of_axes(module, shape, ops):
    check(module, shape, ops=ops)


def test_embedding():
    check(nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 2)), (5,), ops="core.gather nn.linear", integers=7)


def test_linear_of_a_hand_written_product():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(3))

        def forward(self, x):
            return torch.addmm(self.bias, x, self.weight.t()) + x @ self.weight.t()

    check(Product(), (4,), ops="nn.linear nn.linear nn.add")


@pytest.mark.parametrize("mask", [None, torch.rand(5, 5) > 0.3, torch.randn(5, 5)], ids=["no mask", "bits", "numbers"])
def test_attention(mask):
    def attend(x):
        y = F.scaled_dot_product_attention(x, x, x, attn_mask=None if mask is None else mask | torch.eye(5).bool())
        return y + F.scaled_dot_product_attention(x, x * 2, x, is_causal=True, scale=0.3)

    def attend_numbers(x):
        return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    check(attend if mask is None or mask.dtype == torch.bool else attend_numbers, (2, 5, 8))


def test_a_fault_of_a_handler_is_found(monkeypatch):
    from ranvier.frontends.torch_export.registry import HANDLERS

    monkeypatch.setitem(HANDLERS, "mean.dim", lambda at, x, *_: x)
    with pytest.raises(RanvierError, match=r"`mean.dim` gives f32 \[N\] in torch, but was imported as tensor<Nx3xf32>"):
        check(lambda x: x.mean(1), (3,))
