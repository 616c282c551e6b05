"""Whole networks: imported through torch.export, the meaning gives what torch gives, at every batch size."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ranvier.frontends import find_frontend
from ranvier.ir.interpret import evaluate
from ranvier.ir.text.parser import parse_module

SHARED = Path(__file__).resolve().parents[2] / "../shared"


def load(model, *shapes):
    """The imported module of a network with random weights and statistics."""
    torch.manual_seed(0)
    randomize(model)
    return find_frontend(model).load(model.eval(), tuple(torch.randn(2, *shape) for shape in shapes))


def randomize(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)


def agree(module, model, *shapes, batches=(1, 2, 5)):
    """Outputs of the meaning and of torch differ by at most 1e-4."""
    for batch in batches:
        inputs = [torch.randn(batch, *shape) for shape in shapes]
        with torch.no_grad():
            want = torch.utils._pytree.tree_leaves(model(*inputs))
        found, _ = evaluate(module, [x.numpy() for x in inputs])
        for have, value in zip(found, want, strict=True):
            np.testing.assert_allclose(have, value.numpy(), atol=1e-4)


def counted(module):
    return Counter(op.name for op in module.main.ops)


class Functional(nn.Module):
    """A function of the input as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10))


def vgg():
    def block(cin, cout):
        return [nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU(inplace=True), nn.MaxPool2d(2)]

    return nn.Sequential(*block(3, 8), *block(8, 16), nn.Flatten(), nn.Linear(64, 16), nn.Dropout(), nn.Linear(16, 10))


class Depthwise(nn.Module):
    """A block of MobileNetV2."""

    def __init__(self, channels):
        super().__init__()
        wide = 4 * channels
        self.expand = nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(True))
        self.depth = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(True)
        )
        self.project = nn.Sequential(nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return x + self.project(self.depth(self.expand(x)))


def mobilenet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), Depthwise(8), Depthwise(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.middle = nn.Conv2d(8, 16, 3, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.out = nn.Conv2d(16, 5, 1)
        self.side = nn.Conv2d(16, 5, 1)

    def forward(self, x):
        fine = F.relu(self.down(x))
        coarse = F.relu(self.middle(self.pool(fine)))
        joined = torch.cat([self.up(coarse), fine], dim=1)
        side = self.side(coarse)
        bilinear = F.interpolate(side, scale_factor=2, mode="bilinear", align_corners=False)
        return self.out(joined) + bilinear, F.interpolate(side, size=x.shape[2:], mode="nearest")


class ViT(nn.Module):
    """Hand-written attention, or nn.TransformerEncoderLayer."""

    def __init__(self, ready_made):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.cls = nn.Parameter(torch.randn(1, 1, 16))
        self.position = nn.Parameter(torch.randn(1, 5, 16))
        self.norm = nn.LayerNorm(16)
        self.qkv, self.project = nn.Linear(16, 48), nn.Linear(16, 16)
        self.mlp = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) if ready_made else nn.Identity()
        self.head = nn.Linear(16, 10)

    def attend(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
        return self.project(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        x = x + self.attend(self.norm(x))
        x = self.layer(x + self.mlp(x))
        return self.head(x[:, 0])


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4 + 4 * i, 4, 3, padding=1) for i in range(3))

    def forward(self, x):
        seen = [x]
        for conv in self.convs:
            seen.append(F.silu(conv(torch.cat(seen, 1))))
        return torch.cat(seen, 1).mean((2, 3))


def conv1d():
    return nn.Sequential(
        nn.Conv1d(2, 8, 5, stride=2, padding=2, dilation=1),
        nn.BatchNorm1d(8),
        nn.LeakyReLU(0.2),
        nn.MaxPool1d(3, 2, 1),
        nn.AvgPool1d(2),
        nn.ConvTranspose1d(8, 4, 3, 2, 1, 1),
        nn.Flatten(),
    )


NETWORKS = {
    "mlp": (mlp, (1, 8, 8)),
    "vgg": (vgg, (3, 8, 8)),
    "mobilenet": (mobilenet, (3, 12, 12)),
    "unet": (UNet, (3, 8, 8)),
    "vit": (lambda: ViT(False), (3, 8, 8)),
    "vit_layer": (lambda: ViT(True), (3, 8, 8)),
    "dense": (Dense, (4, 6, 6)),
    "conv1d": (conv1d, (2, 33)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    make, shape = NETWORKS[name]
    model = make()
    module = load(model, shape)
    assert module.main.args[0].type.shape == ("N", *shape)
    assert not module.facts
    agree(module, model, shape)


@pytest.mark.parametrize("name", ["vgg", "unet", "vit"])
def test_an_imported_module_prints_and_parses(name):
    make, shape = NETWORKS[name]
    module = load(make(), shape)
    arrays = {key: resource for key, resource in module.resources.items()}
    assert parse_module(str(module), resources=arrays) == module


def test_ops_of_a_vgg():
    found = counted(load(vgg(), (3, 8, 8)))
    assert found == {
        "nn.conv": 2,
        "nn.batch_norm": 2,
        "nn.relu": 2,
        "nn.max_pool": 2,
        "core.reshape": 1,
        "nn.linear": 2,
        "core.return": 1,
    }


def resnet20(functional):
    path = SHARED / "peers/resnet_cifar.py"
    weights = SHARED / "data/pretrained/resnet20_cifar10jpg_finetuned.pth"
    if not path.exists() or not weights.exists():
        pytest.skip(f"needs {path} and {weights}")
    spec = importlib.util.spec_from_file_location("resnet_cifar", path)
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    model = peers.load_finetuned()
    return make_functional(model) if functional else model


class FunctionalBlock(nn.Module):
    """A residual block whose ReLUs are functions and whose shortcut is written in forward."""

    def __init__(self, block):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = block.conv1, block.bn1, block.conv2, block.bn2
        self.pad = getattr(block.shortcut, "pad", None)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.pad is not None:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu_(y + x)


class FunctionalResNet(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.conv1, self.bn1, self.linear = model.conv1, model.bn1, model.linear
        self.blocks = nn.ModuleList(FunctionalBlock(b) for s in (model.layer1, model.layer2, model.layer3) for b in s)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for block in self.blocks:
            x = block(x)
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def make_functional(model):
    return FunctionalResNet(model).eval()


@pytest.mark.parametrize("functional", [False, True])
def test_resnet20(functional):
    model = resnet20(functional)
    module = find_frontend(model).load(model, torch.randn(1, 3, 32, 32))
    assert counted(module) == {
        "nn.conv": 19,
        "nn.batch_norm": 19,
        "nn.relu": 19,
        "nn.add": 9,
        "core.slice": 2,
        "core.pad": 2,
        "nn.mean": 1,
        "core.reshape": 1,
        "nn.linear": 1,
        "core.return": 1,
    }
    pad = next(op for op in module.main.ops if op.name == "core.pad")
    assert pad.attributes["before"] == pad.attributes["after"] == (0, 8, 0, 0)
    assert pad.operands[0].op.attributes["steps"] == (2, 2)
    agree(module, model, (3, 32, 32), batches=(2,))


def test_batch_size_of_one_in_the_example_is_no_constant():
    module = find_frontend(nn.Linear(3, 2)).load(nn.Linear(3, 2), np.ones((1, 3), np.float32))
    assert str(module.main.args[0].type) == "tensor<Nx3xf32>"


def test_several_inputs_share_the_batch():
    class Two(nn.Module):
        def forward(self, image, scale):
            return image * scale[:, :, None], scale.sum()

    model = Two()
    module = load(model, (3, 4), (3,))
    assert [str(a.type) for a in module.main.args] == ["tensor<Nx3x4xf32>", "tensor<Nx3xf32>"]
    agree(module, model, (3, 4), (3,))


@pytest.mark.slow
def test_resnet20_on_real_images():
    model, loader = resnet20(False), SHARED / "data/load.py"
    pytest.importorskip("PIL", reason="the images are JPEG")
    spec = importlib.util.spec_from_file_location("shared_data", loader)
    data = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(data)
    images, labels = data.cifar("test")
    first = np.concatenate([np.flatnonzero(labels == c)[:50] for c in range(10)])
    inputs = data.normalize(images[first])
    module = find_frontend(model).load(model, inputs[:1])
    with torch.no_grad():
        want = model(torch.from_numpy(inputs)).numpy()
    found = np.concatenate([evaluate(module, [inputs[i : i + 50]])[0][0] for i in range(0, 500, 50)])
    np.testing.assert_allclose(found, want, atol=1e-4)
    assert np.mean(found.argmax(1) == labels[first]) > 0.85
