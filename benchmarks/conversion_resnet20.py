"""Conversion of ResNet-20 on CIFAR-10-JPEG: accuracy, spikes and conversion time, beside SpikingJelly's.

    python -m benchmarks.conversion_resnet20 [--images 500] [--steps 4,8,16,32] [--no-write]

Weights, images and network definition are read from `../shared` (skipped when absent). Calibration: 512 images drawn at
random from the training pack; evaluation: the first 50 test images of each class; every layer runs stepwise.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
RESULTS = ROOT / "benchmarks" / "results" / "conversion_resnet20.md"
KINDS = {
    "channel MSE, signed": "signed=true",
    "channel MSE, signed, negative spikes at -theta": "signed=true lower=threshold",
    "channel p99.9, signed": "signed=true threshold=p99.9",
    "channel MSE": "",
    "channel p99.9": "threshold=p99.9",
    "channel max": "threshold=max",
    "layer p99.9": "threshold=p99.9 per=layer",
    "layer p99.9, v0 = 0": "threshold=p99.9 per=layer v0=0",
}
# SpikingJelly 2.0.0, the same weights and images, 512 calibration images of the same pack: percent at T = 4, 8, 16, 32,
# and its conversion in CPU seconds and thousands of spikes an image at T = 8, 16, 32, these two from an earlier run of
# the same script, with other calibration images.
PEER_STEPS = (4, 8, 16, 32)
PEER = {
    "LTB, 240 batches": ((31.4, 52.8, 75.0, 84.2), 17.3, (239, 469, 932)),
    "channel p99.9, half threshold": ((25.8, 40.6, 70.8, 84.2), 4.7, (212, 413, 817)),
    "channel max, half threshold": ((17.4, 23.6, 44.8, 77.6), 0.6, (164, 316, 621)),
    "layer p99.9": ((10.0, 9.6, 15.0, 59.6), 6.1, (118, 286, 630)),
    "layer max": ((10.0, 10.0, 9.4, 24.2), 0.55, (48, 139, 328)),
}


@dataclass
class Row:
    """What was measured of a kind at each T."""

    name: str
    accuracy: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    spikes: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def load(path: Path) -> Any:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def data(images: int) -> tuple[Any, Any, Any]:
    """Calibration images, evaluation images and their labels."""
    reader = load(SHARED / "data" / "load.py")
    train, _ = reader.cifar("train")
    test, labels = reader.cifar("test")
    chosen = np.concatenate([np.flatnonzero(labels == c)[: images // 10] for c in range(10)])
    calibration = train[np.random.default_rng(0).permutation(len(train))[:512]]
    return reader.normalize(calibration), reader.normalize(test[chosen]), labels[chosen].astype(np.int64)


def measure(steps: list[int], images: int) -> tuple[float, list[Row]]:
    """The source's accuracy in percent, and a row for each kind."""
    import torch

    calibration, x, y = data(images)
    model = load(SHARED / "peers" / "resnet_cifar.py").load_finetuned()
    source = rv.compile(model, "fold-batchnorm, canonicalize", example=torch.zeros(2, 3, 32, 32))
    accuracy = source.evaluate(x, y).accuracy
    rows = []
    for name, options in KINDS.items():
        row = Row(name)
        for t in steps:
            exe = rv.compile(source.module, f"convert-snn{{schedule=stepwise steps={t} {options}}}", data=calibration)
            found = exe.evaluate(x, y)
            row.accuracy.append(100 * (found.accuracy or 0.0))
            row.agreement.append(100 * (found.agreement or 0.0))
            row.spikes.append((found.spikes_per_sample or 0.0) / 1e3)
            row.seconds.append(conversion_seconds(source.module, options, t, calibration))
        rows.append(row)
        print(f"{name:48}" + " ".join(f"{a:5.1f}" for a in row.accuracy), flush=True)
    return 100 * (accuracy or 0.0), rows


def conversion_seconds(module: Any, options: str, steps: int, calibration: Any) -> float:
    """CPU seconds of the pass alone, its run over the calibration images included."""
    started = time.process_time()
    rv.opt(module, f"convert-snn{{schedule=stepwise steps={steps} {options}}}", data=calibration)
    return time.process_time() - started


def page(source: float, rows: list[Row], steps: list[int], images: int) -> str:
    """The page of results."""
    head = " | ".join(f"T={t}" for t in steps)
    lines = [
        "# Conversion of ResNet-20 on CIFAR-10-JPEG",
        "",
        f"Made by `python -m benchmarks.conversion_resnet20`. The source network has {source:.1f} % on these {images} "
        "images (the first of each class of the test pack); 512 calibration images drawn at random from the training "
        "pack; stepwise; v0 is half the threshold unless said otherwise. One standard error is about 1.5 points; "
        "accuracy in percent, in brackets the agreement with the source, which is the sharper figure. "
        "Option-A shortcuts are converted as they are.",
        "",
        f"| thresholds, neurons | {head} | conversion, CPU s | spikes per image / 1000: {head} |",
        "|---|" + "---|" * (2 * len(steps) + 1),
    ]
    for row in rows:
        cells = " | ".join(f"{a:.1f} ({g:.1f})" for a, g in zip(row.accuracy, row.agreement, strict=True))
        spikes = " | ".join(f"{s:.0f}" for s in row.spikes)
        lines.append(f"| {row.name} | {cells} | {np.median(row.seconds):.1f} | {spikes} |")
    lines += [
        "",
        "SpikingJelly 2.0.0 on the same weights and images (its option-A shortcuts rewritten by hand as convolutions; "
        "spikes and seconds from an earlier run of the same script, with other calibration images):",
        "",
        "| recipe | "
        + " | ".join(f"T={t}" for t in PEER_STEPS)
        + " | conversion, CPU s | spikes / 1000: T=8 | T=16 | T=32 |",
        "|---|" + "---|" * (len(PEER_STEPS) + 4),
    ]
    for name, (accuracy, seconds, counts) in PEER.items():
        figures = [*(f"{a:.1f}" for a in accuracy), f"{seconds}", *map(str, counts)]
        lines.append(f"| {name} | {' | '.join(figures)} |")
    return "\n".join([*lines, *reading(source, rows, steps)]) + "\n"


def reading(source: float, rows: list[Row], steps: list[int]) -> list[str]:
    """Statements, each checked against the figures; none when other numbers of steps were measured."""
    if tuple(steps) != PEER_STEPS:
        return []
    row = {r.name: r for r in rows}
    names = list(KINDS)
    signed, sparse, plain = row[names[0]], row[names[1]], row["channel MSE"]
    half, zero = row["layer p99.9"], row["layer p99.9, v0 = 0"]
    best = [max(p[0][i] for p in PEER.values()) for i in range(len(steps))]
    lead = ", ".join(f"{a - b:+.1f} at T={t}" for a, b, t in zip(signed.accuracy, best, steps, strict=True))
    lost = [a - b for a, b in zip(signed.accuracy, sparse.accuracy, strict=True)]
    same, theirs = row["channel p99.9"].accuracy, PEER["channel p99.9, half threshold"][0]
    apart = max(abs(a - b) for a, b in zip(same, theirs, strict=True))
    saved = 100 * (1 - sparse.spikes[3] / signed.spikes[3])
    return [
        "",
        "## Reading",
        "",
        f"- Signed neurons with channel MSE thresholds reach {signed.accuracy[3]:.1f} % at T=32, the source "
        f"{source:.1f} %. Against the best cell of SpikingJelly, in points: {lead}.",
        f"- Negative spikes at -theta instead of below zero cost {lost[1]:.1f} points at T=8 and {lost[3]:.1f} at "
        f"T=32, and save {saved:.0f} % of the spikes at T=32. At about equal spikes: T=16 below zero has "
        f"{signed.accuracy[2]:.1f} % with {signed.spikes[2]:.0f} thousand, T=32 at -theta {sparse.accuracy[3]:.1f} % "
        f"with {sparse.spikes[3]:.0f} thousand.",
        f"- Without negative spikes channel MSE has {plain.accuracy[1]:.1f} % at T=8 and {plain.accuracy[3]:.1f} % at "
        "T=32: a spike fired before the inhibition arrived is never taken back.",
        f"- Channel p99.9 with half a threshold is the same method in both: accuracies differ by at most "
        f"{apart:.1f} points.",
        f"- v0 of half a threshold is worth {half.accuracy[2] - zero.accuracy[2]:.1f} points at T=16 (layer p99.9).",
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=500, help="a multiple of 10")
    parser.add_argument("--steps", default="4,8,16,32")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    if not (SHARED / "data" / "load.py").exists():
        sys.exit(f"skipped: no data in {SHARED}")
    steps = [int(t) for t in arguments.steps.split(",")]
    source, rows = measure(steps, arguments.images)
    text = page(source, rows, steps, arguments.images)
    print(text)
    if not arguments.no_write:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
