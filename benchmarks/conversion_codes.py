"""Every spike code on the digits network and on ResNet-20, beside the figures of the method cards.

    python -m benchmarks.conversion_codes [--images 100] [--only digits|resnet20] [--no-write]

The page is written after every row. The cards' digits network is another one of the same size, and their ResNet-20 has
other weights (80.5 % before conversion), so orders and sizes of effects are compared, not digits behind the point.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from benchmarks.conversion_resnet20 import SHARED, data, load

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "conversion_codes.md"
TRAIN = 1347
SPIKES_AT = 8


@dataclass(frozen=True)
class Kind:
    """A code with options of convert-snn; `{T}` stands for the number of steps. `card` has the figures at `steps`."""

    name: str
    options: str
    steps: tuple[int, ...]
    card: tuple[Any, ...]


@dataclass
class Row:
    """What was measured of a kind at each T."""

    kind: Kind
    accuracy: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    spikes: list[float] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    quantized: list[float | None] = field(default_factory=list)
    latency: list[int] = field(default_factory=list)


ALL = (1, 2, 4, 8, 16, 32, 64)
STEPWISE = "schedule=stepwise steps={T}"
SIGNED = f"signed=true {STEPWISE}"
NEAREST = f"code=multi_threshold(levels={{}} rule=nearest) {SIGNED}"
HMT = f"code=multi_threshold(levels={{}}) {SIGNED}"
FLOOR = "code=fs(K={T} round=floor) threshold=max"
# Accuracies of the card in percent (coding conversion card, section 14, first table).
DIGITS = (
    Kind("rate, max, v0 = 0", f"threshold=max per=layer v0=0 {STEPWISE}", ALL, (9, 9, 11, 26, 69, 98, 99)),
    Kind("rate, channel MSE", f"{STEPWISE}", ALL, (52, 76, 94, 98, 98.7, 98.7, 98.9)),
    Kind("rate, channel MSE, signed", SIGNED, ALL, (52, 92, 98, 98.9, 98.9, 98.9, 98.9)),
    Kind("burst, channel max", f"code=burst threshold=max {STEPWISE}", ALL, (29, 53, 77, 94, 98.9, 98.9, 98.9)),
    Kind("phase p = 8, shared phase", f"code=phase v0=0 {STEPWISE}", (8, 16, 32, 64), (11, 34, 67, 98)),
    Kind("phase, layer by layer, p = T", "code=phase(period={T}) v0=0", (5, 6), (98.9, 99.3)),
    Kind("multi-threshold n = 4, nearest", NEAREST.replace("{}", "4"), (1, 4), (96.9, 98.9)),
    Kind("multi-threshold n = 6, nearest", NEAREST.replace("{}", "6"), (1, 4), (98.9, 98.7)),
    Kind("H-MT n = 3", f"code=multi_threshold(levels=3) {SIGNED}", (1,), (99.1,)),
    Kind("H-MT n = 4", f"code=multi_threshold(levels=4) {SIGNED}", (1,), (98.2,)),
    Kind("FS floor, channel max, K = T", FLOOR, (3, 4, 5, 6), (59.6, 94.0, 98.9, 99.3)),
    Kind("FS round, K = T", "code=fs(K={T})", (3, 4, 5, 6), (None, None, None, None)),
    Kind("TTFS mid, T/tau = 3", "code=ttfs(tau={tau}) threshold=max steps={T}", (8, 16, 32), (98.9, 98.9, 99.1)),
    Kind("TTFS ceil, T/tau = 3", "code=ttfs(tau={tau} round=ceil) threshold=max steps={T}", (32,), (99.1,)),
    Kind("TTAS 5 spikes, T/tau = 3", "code=ttas(tau={tau}) threshold=max steps={T}", (16, 32), (None, None)),
    Kind("differential", f"code=diff {STEPWISE}", (4, 8, 16, 32), (None,) * 4),
)  # fmt: skip
# Accuracy / agreement of the card (second table).
RESNET = (
    Kind("FS floor, channel max, K = T", FLOOR, (4, 6, 8), ("40.5/45.5", "77/90", "79/98")),
    Kind("FS round, channel max, K = T", "code=fs(K={T}) threshold=max", (4, 5, 6), ("79/84.5", "76.5/90", "79.5/96")),
    Kind("FS round, channel MSE, K = T", "code=fs(K={T})", (4, 5), ("78/85.5", "76.5/91.5")),
    Kind("H-MT n = 4, signed", HMT.replace("{}", "4"), (1, 2, 4), ("77/84.5", "80/89.5", "78/94.5")),
    Kind("H-MT n = 6, signed", HMT.replace("{}", "6"), (1, 2), ("76/94.5", "80/99.5")),
    Kind("TTFS mid, channel max", "code=ttfs(tau={tau}) threshold=max steps={T}", (16, 32), ("74.5/83.5", "79.5/94")),
    Kind("TTFS ceil, channel max", "code=ttfs(tau={tau} round=ceil) threshold=max steps={T}", (32,), ("62/70",)),
    Kind("multi-threshold n = 4, nearest, signed", NEAREST.replace("{}", "4"), (1, 4), ("61.5", "78")),
    Kind("rate, channel MSE, signed", SIGNED, (8, 32), ("66.5", "77")),
    Kind("rate, channel MSE", STEPWISE, (8, 32), ("45.5", "75")),
    Kind("burst, v_th = theta/2, channel MSE", f"code=burst(v_th=0.5) {STEPWISE}", (8, 32), ("20.5", "35")),
    Kind("phase p = 8, shared phase", f"code=phase v0=0 {STEPWISE}", (32,), (None,)),
    Kind("phase p = 8, layer by layer", "code=phase steps=8", (8,), (None,)),
)  # fmt: skip


def measure(module: Any, kind: Kind, calibration: Any, x: Any, y: Any) -> Row:
    """Convert and evaluate a kind at each of its numbers of steps."""
    row = Row(kind)
    for t in kind.steps:
        options = kind.options.replace("{T}", str(t)).replace("{tau}", f"{t / 3:.4g}")
        found = rv.compile(module, f"convert-snn{{{options}}}", data=calibration).evaluate(x, y)
        row.accuracy.append(100 * (found.accuracy or 0.0))
        row.agreement.append(100 * (found.agreement or 0.0))
        row.spikes.append(found.spikes_per_neuron or 0.0)
        row.bits.append(found.bits_per_spike or 0.0)
        row.latency.append(found.latency_steps or 0)
        row.quantized.append(None if found.baseline_agreement is None else 100 * found.baseline_agreement)
    print(
        f"{kind.name:40}" + " ".join(f"{t}: {a:.1f}" for t, a in zip(kind.steps, row.accuracy, strict=True)), flush=True
    )
    return row


def table(title: str, about: str, rows: list[Row]) -> list[str]:
    """A section of the page: one line for each code and T."""
    lines = [
        f"## {title}", "", about, "",
        "| code | T | latency | accuracy | agreement | card | quantized network | spikes per neuron | bits per spike |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        for i, t in enumerate(row.kind.steps):
            card, quantized = row.kind.card[i], row.quantized[i]
            cells = [
                row.kind.name, t, row.latency[i], f"{row.accuracy[i]:.1f}", f"{row.agreement[i]:.1f}",
                "" if card is None else card, "" if quantized is None else f"{quantized:.1f}",
                f"{row.spikes[i]:.2f}", f"{row.bits[i]:g}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return [*lines, ""]


HEAD = [
    "# Spike codes",
    "",
    "Made by `python -m benchmarks.conversion_codes`. Percent; `latency` is the whole network's in steps; `agreement` "
    "is with the source network (top-1); `card` is the accuracy (or accuracy/agreement) of the method cards at that T; "
    "`quantized network` is the agreement with the source of the network of equal capacity without spikes: what "
    "rounding alone costs. What a code is below it, the unevenness of its spikes in time costs. Thresholds of "
    "bursts are those of the quantizer of a burst that is charged step by step; the card took half of the rate code's.",
    "",
]


def digits(say: Any) -> None:
    """Measure the digits network; `say(lines)` after every row."""
    found = np.load(ROOT / "examples" / "digits.npz")
    x, y = found["x"], found["y"]
    network = rv.opt(rv.load(ROOT / "examples" / "digits.onnx"), "fold-batchnorm, canonicalize")
    source = rv.compile(network).evaluate(x[TRAIN:], y[TRAIN:]).accuracy or 0.0
    about = (
        f"450 test images, the source has {100 * source:.1f} % (the cards' network 98.9 %); thresholds from 1347 "
        "training images. One image is 0.22 points."
    )
    rows: list[Row] = []
    for kind in DIGITS:
        rows.append(measure(network, kind, x[:TRAIN], x[TRAIN:], y[TRAIN:]))
        say(table("Digits", about, rows))


def resnet20(images: int, say: Any) -> None:
    """Measure ResNet-20 on the first test images of each class; `say(lines)` after every row."""
    import torch

    calibration, x, y = data(images)
    model = load(SHARED / "peers" / "resnet_cifar.py").load_finetuned()
    source = rv.compile(model, "fold-batchnorm, canonicalize", example=torch.zeros(2, 3, 32, 32))
    accuracy = source.evaluate(x, y).accuracy or 0.0
    about = (
        f"CIFAR-10-JPEG, the first {images // 10} test images of each class, the source has {100 * accuracy:.1f} % "
        "(the cards' 80.5 %, on other images); thresholds from 512 training images. One standard error of an "
        f"accuracy is about {100 * (0.87 * 0.13 / images) ** 0.5:.1f} points."
    )
    rows: list[Row] = []
    for kind in RESNET:
        rows.append(measure(source.module, kind, calibration, x, y))
        say(table("ResNet-20", about, rows))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100, help="of ResNet-20; a multiple of 10")
    parser.add_argument("--only", choices=("digits", "resnet20"), help="leave the other network's section as it is")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    sections = _sections()
    started = time.process_time()

    def keep(name: str, lines: list[str]) -> None:
        sections[name] = "\n".join(lines)
        if not arguments.no_write:
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            RESULTS.write_text("\n".join([*HEAD, *sections.values()]).rstrip() + "\n")

    if arguments.only != "resnet20":
        digits(lambda lines: keep("Digits", lines))
    if arguments.only != "digits":
        if not (SHARED / "data" / "load.py").exists():
            print(f"ResNet-20 skipped: no data in {SHARED}")
        else:
            resnet20(arguments.images, lambda lines: keep("ResNet-20", lines))
    print(f"took {time.process_time() - started:.0f} s of CPU")


def _sections() -> dict[str, str]:
    """The sections that the page has, so that one can be made anew without the other."""
    found = {"Digits": "", "ResNet-20": ""}
    if RESULTS.exists():
        for part in RESULTS.read_text().split("\n## ")[1:]:
            found[part.partition("\n")[0]] = f"## {part}"
    return found


if __name__ == "__main__":
    main()
