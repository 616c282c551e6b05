"""Train a small residual CNN on scikit-learn's handwritten digits and write `digits.onnx` and `digits.npz`.

The data are the 1797 images of 8x8 pixels that ship with scikit-learn (nothing is downloaded), pixel values 0..16
divided by 16.  One fixed permutation splits them into 1347 training and 450 test images; `digits.npz` holds them in
that order,

    x  float32 [1797, 1, 8, 8]   rows 0..1346 train, rows 1347..1796 test, values in [0, 1], as the network takes them
    y  int64   [1797]            the digit

so images for calibration are to be taken from the front and the last 450 are the ones to evaluate on.

The network has six convolutions, each followed by BatchNorm, and 4608 ReLU neurons an image: a stem (16 channels), a
residual block (16 channels), a residual block with stride 2 and a 1x1 projection as its shortcut (48 channels), the
mean over the image and a linear layer.  It is trained with Adam under a one-cycle schedule on images shifted by up to
one pixel; the weights written are those after the last epoch.  The test images serve for the final report alone.

`digits.onnx` (opset 20, input `image` [batch, 1, 8, 8], output `logits` [batch, 10]) is one file, the weights inside.
The exporter's own optimizer would fold BatchNorm into the convolutions, so it is left off and only the constant parts
of the graph are folded: the file keeps its six BatchNormalization nodes for a compiler to fold.

The same seed gives the same files on the same machine with the same library versions; other versions round otherwise.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules.common import remove_optional_bias_from_conv_rule
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

TRAIN = 1347
"""Images in the training part; the other 450 are the test part."""
SPLIT_SEED = 0
"""Seed of the split.  It does not follow --seed, so every trained network is tested on the same images."""
OPSET = 20


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.norm1(self.conv1(x)))
        out: Tensor = self.relu2(self.norm2(self.conv2(y)) + self.shortcut(x))
        return out


class DigitsNet(nn.Module):
    """Stem, two residual blocks, mean over the image, linear layer."""

    def __init__(self, width: int = 16, wide: int = 48) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.block1 = Block(width, width)
        self.block2 = Block(width, wide, stride=2)
        self.linear = nn.Linear(wide, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(image)))
        x = self.block2(self.block1(x))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def load() -> tuple[np.ndarray, np.ndarray]:
    """All images [1797, 1, 8, 8] and labels [1797], the training part first and the test part last."""
    digits = load_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(digits.target))
    x = (digits.images[order, None] / 16).astype(np.float32)
    return x, digits.target[order].astype(np.int64)


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Every image moved by -1, 0 or 1 pixel along each axis, with zeros moved in."""
    height, width = x.shape[2:]
    padded = functional.pad(x, (1, 1, 1, 1))
    move = torch.randint(0, 3, (2, len(x), 1), generator=generator)
    rows = (move[0] + torch.arange(height))[:, :, None]
    columns = (move[1] + torch.arange(width))[:, None, :]
    return padded[torch.arange(len(x))[:, None, None], 0, rows, columns][:, None]


def train(x: Tensor, y: Tensor, epochs: int, seed: int, batch: int = 64) -> DigitsNet:
    """A network trained on `x` and `y`, in evaluation mode."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = DigitsNet()
    optimizer = torch.optim.Adam(net.parameters(), weight_decay=1e-4)
    steps = -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, epochs=epochs, steps_per_epoch=steps)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x), generator=generator).split(batch):
            loss = functional.cross_entropy(net(shifted(x[chosen], generator)), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        if (epoch + 1) % 10 == 0 or epoch + 1 == epochs:
            print(f"epoch {epoch + 1:3d}  mean training loss {total / len(x):.4f}")
    return net.eval()


def export(net: DigitsNet) -> onnx.ModelProto:
    """The network in ONNX, BatchNorm kept as nodes of its own."""
    program = torch.onnx.export(
        net,
        (torch.zeros(2, 1, 8, 8),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        optimize=False,
        verbose=False,
    )
    assert program is not None
    model = program.model
    fold_constants(model)  # the zero bias that the exporter builds for a convolution without one becomes a constant
    model = rewrite(model, pattern_rewrite_rules=[remove_optional_bias_from_conv_rule])  # ... and goes
    remove_unused_nodes(model)
    proto = onnx.shape_inference.infer_shapes(program.model_proto)
    graph = proto.graph
    for item in (proto, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        item.ClearField("metadata_props")  # stack traces and the like of the export
        item.ClearField("doc_string")
    onnx.checker.check_model(proto, full_check=True)
    return proto


def main() -> None:
    """Train, write both files and report the accuracy of the network and of the file written."""
    parser = argparse.ArgumentParser(description="Train a small residual CNN on digits; write digits.onnx, digits.npz.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the batches and the shifts")
    arguments = parser.parse_args()

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums split over threads would depend on the number of cores
    x, y = load()
    started = time.perf_counter()
    net = train(torch.from_numpy(x[:TRAIN]), torch.from_numpy(y[:TRAIN]), arguments.epochs, arguments.seed)
    print(f"trained on {TRAIN} images in {time.perf_counter() - started:.0f} s")

    arguments.output.mkdir(parents=True, exist_ok=True)
    onnx_path, data_path = arguments.output / "digits.onnx", arguments.output / "digits.npz"
    onnx.save(export(net), onnx_path)
    np.savez_compressed(data_path, x=x, y=y)

    with torch.inference_mode():
        expected = net(torch.from_numpy(x[TRAIN:])).numpy()
    session = onnxruntime.InferenceSession(onnx_path, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"image": x[TRAIN:]})[0]
    for name, values in (("torch", expected), ("onnxruntime", logits)):
        right = int((values.argmax(1) == y[TRAIN:]).sum())
        print(f"{name:11s}  {right} of {len(values)} test images right, accuracy {100 * right / len(values):.2f} %")
    print(f"largest difference between their logits {np.abs(logits - expected).max():.1e}")
    for path in (onnx_path, data_path):
        print(f"wrote {path} ({path.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
