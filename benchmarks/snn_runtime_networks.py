"""Converted networks on the PyTorch runtime: ResNet-20 with its trained weights, and a VGG-like network.

    python -m benchmarks.snn_runtime_networks [--rounds 5] [--no-write]

Each is imported from PyTorch, simplified, and converted to rate code with direct input (`convert-snn`, T=8, unsigned
and signed). Measured as in `benchmarks.snn_runtime`: CPU seconds of one thread over T forwards of the same ANN in eager
torch, one after the other in every round, median over the rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
RESULTS = ROOT / "benchmarks" / "results" / "snn_runtime_networks.md"
STEPS = 8
BATCHES = (1, 32)
CONVERSIONS = {
    "unsigned, layer p99.9": "threshold=p99.9 per=layer",
    "signed, channel MSE": "threshold=mse per=channel signed=true",
}


def resnet20() -> Any:
    """The fine-tuned ResNet-20 of the shared folder."""
    path = SHARED / "peers" / "resnet_cifar.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made.load_finetuned()


def vgg() -> Any:
    """Six convolutions in three blocks with average pools, then a linear layer; weights drawn with a seed."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[Any] = []
    before = 3
    for channels in (64, 128, 256):
        for _ in range(2):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
        layers.append(nn.AvgPool2d(2))
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 16, 10)).eval()
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight)
    return model


def measure(name: str, model: Any, rounds: int) -> list[dict[str, str]]:
    """A row for each conversion and batch."""
    import torch

    import ranvier as rv
    from ranvier.backends.torch_runtime import TorchTarget
    from ranvier.frontends import find_frontend

    images = np.random.default_rng(0).random((64, 3, 32, 32), np.float32)
    source = find_frontend(model).load(model, (torch.zeros(2, 3, 32, 32),)).freeze()
    simple = rv.opt(source, "fold-batchnorm, canonicalize")
    rows = []
    for label, options in CONVERSIONS.items():
        passes = f"convert-snn{{code=rate steps={STEPS} {options} schedule=stepwise}}"
        program = TorchTarget(threads=1).lower(rv.opt(simple, passes, data=images))
        for batch in BATCHES:
            x = images[:batch]
            tensor = torch.from_numpy(x)
            times: list[tuple[float, float]] = []
            program.run([x])
            for _ in range(rounds + 1):
                began = time.process_time()
                with torch.no_grad():
                    for _ in range(STEPS):
                        model(tensor)
                between = time.process_time()
                program.run([x])
                times.append((between - began, time.process_time() - between))
            ann, ours = (statistics.median(t[i] for t in times[1:]) * 1e3 for i in range(2))
            ratio = statistics.median(b / a for a, b in times[1:])
            figures = {"ANN x T, ms": f"{ann:.1f}", "Ranvier, ms": f"{ours:.1f}", "ratio": f"{ratio:.2f}"}
            rows.append({"network": name, "conversion": label, "batch": str(batch), **figures})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure, print, and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    rows: list[dict[str, str]] = []
    left_out = []
    for name, make in (("ResNet-20", resnet20), ("VGG-like", vgg)):
        try:
            model = make()
        except (FileNotFoundError, ImportError) as why:
            left_out.append(f"{name}: {why}")
            continue
        rows += measure(name, model, options.rounds)
    heads = list(rows[0])
    how = (
        f"T={STEPS}, torch {torch.__version__}, one thread, CPU time, median of {options.rounds} rounds; random images."
    )
    lines = ["# Converted networks on the PyTorch runtime", ""]
    lines += [f"Made by `python -m benchmarks.snn_runtime_networks`; {how}", ""]
    lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    lines += [f"\nLeft out: {text}" for text in left_out]
    text = "\n".join(lines) + "\n"
    if not options.no_write:
        RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
