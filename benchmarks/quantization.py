"""What quantization costs on the digits network and on ResNet-20: reals on grids, and integers.

    python -m benchmarks.quantization [--no-write]

The digits network is that of `examples/`, calibrated on 256 of the 1347 training images and evaluated on the 450 test
images; ResNet-20 (where it is at hand) is calibrated on 256 training images and evaluated on 500 test images of
CIFAR-10-JPEG. There is no training after quantization. `moved` is the share of images whose class differs between
integers and fake quantization, which differ by the rounding of biases alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Module

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "quantization.md"
BITS = ((8, 8), (6, 6), (4, 8), (4, 4), (3, 4), (2, 8))
TRAIN, CALIBRATE, EVALUATE = 1347, 256, 500
Array = np.ndarray[Any, Any]


def networks() -> Iterator[tuple[str, Module, Array, Array, Array]]:
    """Name, module, calibration images, images and labels."""
    found = np.load(ROOT / "examples" / "digits.npz")
    x, y = found["x"], found["y"]
    yield "digits", rv.load(ROOT / "examples" / "digits.onnx"), x[:CALIBRATE], x[TRAIN:], y[TRAIN:]
    from tests.zoo import resnet20

    if not resnet20.missing():
        import torch

        from ranvier.frontends import find_frontend

        model = resnet20.network()
        module = find_frontend(model).load(model, (torch.zeros(2, 3, 32, 32),)).freeze()
        images, labels = resnet20.evaluation_images()
        yield "ResNet-20", module, resnet20.calibration_images()[:CALIBRATE], images[:EVALUATE], labels[:EVALUATE]


def classes(module: Module, x: Array) -> Array:
    """The class of each image."""
    return np.asarray(np.asarray(TorchRuntime().run(module, [x], batch=50).outputs[0]).argmax(1))


def rows() -> Iterator[str]:
    """A line of the table for each network, method and pair of bits."""
    for name, imported, data, x, y in networks():
        module = rv.opt(imported, "fold-batchnorm, canonicalize")
        real = classes(module, x)
        yield f"| {name} | reals | | {100 * (real == y).mean():.1f} | | | |"
        for method in ("minmax", "mse"):
            for bits, act_bits in BITS:
                options = f"quantize{{bits={bits} act_bits={act_bits} method={method}}}"
                faked = rv.opt(module, options, data=data)
                integer = rv.opt(faked, "freeze-quant, lower-integer, verify-integer")
                a, b = classes(faked, x), classes(integer, x)
                scores = f"{100 * (a == y).mean():.1f} | {100 * (b == y).mean():.1f}"
                yield (
                    f"| {name} | {method} | {bits} / {act_bits} | {scores} | {100 * (a != b).mean():.1f} "
                    f"| {100 * (b == real).mean():.1f} |"
                )


def page() -> str:
    """The table with what it says."""
    head = "| network | ranges | weight / activation bits | fake quantized | integers | moved | agrees with reals |"
    text = (__doc__ or "").split("\n\n")
    lines = ["# Quantization without training", "", text[2].strip(), "", "All figures in percent.", ""]
    return "\n".join([*lines, head, "|---|---|---|---:|---:|---:|---:|", *rows()]) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    started = time.process_time()
    text = page() + f"\nTook {time.process_time() - started:.0f} s of CPU.\n"
    print(text)
    if not arguments.no_write:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
