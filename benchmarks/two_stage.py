"""Two-stage methods, delayed readout and signed neurons: accuracy at the latency that each of them really has.

    python -m benchmarks.two_stage [--images 200] [--no-write]

All are stepwise, with one MSE threshold a channel and v0 = theta/2. Digits: the network and the 450 test images of
`examples/`. ResNet-20: weights and images of `../shared` (left out when absent), 512 calibration images, the first test
images of each class.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from benchmarks import conversion_resnet20 as resnet20

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "two_stage.md"
TRAIN = 1347
METHODS = {
    "plain": "",
    "srp, 4 steps tried": "correct=srp(steps=4)",
    "srp, 8 steps tried": "correct=srp(steps=8)",
    "cos, 4 steps tried": "correct=cos(steps=4)",
    "cos, 8 steps tried": "correct=cos(steps=8)",
    "delayed readout": "readout=mean(start=auto)",
    "signed neurons": "signed=true",
}
CARD = {"plain": (61.6, 84.2, 95.3), "srp, 4 steps tried": (87.6, 97.1, 98.4)}
"""The method cards' digits network at T = 1, 2, 4, whose thresholds are not stated there."""


@dataclass
class Cell:
    """Percent right, percent of agreement, steps in all, spikes per neuron; `reason` where it is refused."""

    accuracy: float = 0.0
    agreement: float = 0.0
    latency: int = 0
    spikes: float = 0.0
    reason: str = ""


@dataclass
class Table:
    """A network's cells, by method and T."""

    name: str
    source: float
    images: int
    steps: tuple[int, ...]
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """One standard error of the source's accuracy, in points."""
        part = self.source / 100
        return 100 * float(np.sqrt(part * (1 - part) / self.images))

    def best(self, latency: int) -> tuple[str, int, Cell] | None:
        """The most accurate cell that takes so many steps at most."""
        found = [(m, t, c) for (m, t), c in self.cells.items() if not c.reason and c.latency <= latency]
        return max(found, key=lambda f: (f[2].accuracy, -f[2].latency), default=None)


def measure(name: str, network: Any, passes: str, data: Any, images: Any, labels: Any, steps: tuple[int, ...]) -> Table:
    """Every method at every T."""
    source = rv.compile(network).evaluate(images, labels).accuracy
    assert source is not None
    table = Table(name, 100 * source, len(images), steps)
    for method, options in METHODS.items():
        for t in steps:
            text = f"{passes}convert-snn{{schedule=stepwise steps={t} {options}}}"
            try:
                found = rv.compile(network, text, data=data).evaluate(images, labels)
            except rv.RanvierError as why:
                table.cells[method, t] = Cell(reason=why.diagnostics[0].message)
                continue
            assert found.accuracy is not None
            assert found.agreement is not None
            assert found.latency_steps is not None
            cell = Cell(100 * found.accuracy, 100 * found.agreement, found.latency_steps, found.spikes_per_neuron or 0)
            table.cells[method, t] = cell
            print(f"{name:10} {method:20} T={t:<3} {cell.accuracy:5.1f} in {cell.latency} steps", flush=True)
    return table


def tables(images: int) -> Iterator[Table]:
    """Digits, and ResNet-20 where it is at hand."""
    found = np.load(ROOT / "examples" / "digits.npz")
    x, y = found["x"], found["y"]
    digits = rv.load(ROOT / "examples" / "digits.onnx")
    yield measure("digits", digits, "fold-batchnorm, ", x[:TRAIN], x[TRAIN:], y[TRAIN:], (1, 2, 4, 8, 16, 32))
    if not resnet20.SHARED.exists():
        print(f"ResNet-20: left out, {resnet20.SHARED} is not there")
        return
    import torch

    data, test, labels = resnet20.data(images)
    model = resnet20.load(resnet20.SHARED / "peers" / "resnet_cifar.py").load_finetuned()
    source = rv.compile(model, "fold-batchnorm, canonicalize", example=torch.zeros(2, 3, 32, 32))
    yield measure("ResNet-20", source.module, "", data, test, labels, (4, 8, 16, 32))


def lines_of(table: Table) -> list[str]:
    """A network's table, and what is best within some latencies."""
    heads = " | ".join(f"T={t}" for t in table.steps)
    lines = [
        f"## {table.name}", "",
        f"{table.source:.1f} % before conversion, {table.images} images; one standard error there is "
        f"{table.error:.1f} points.", "",
        f"| | {heads} |", "|---" * (len(table.steps) + 1) + "|",
    ]  # fmt: skip
    for method in METHODS:
        cells = [table.cells[method, t] for t in table.steps]
        lines.append(f"| {method} | {' | '.join(show(c) for c in cells)} |")
    lines += [
        "",
        "The most accurate within a latency, chosen on these images:",
        "",
        "| steps | method | T | accuracy | agreement | spikes / neuron |",
    ]
    lines.append("|---" * 6 + "|")
    for latency in sorted({c.latency for c in table.cells.values() if not c.reason}):
        best = table.best(latency)
        if best is not None and best[2].latency == latency:
            method, t, c = best
            lines.append(f"| {latency} | {method} | {t} | {c.accuracy:.1f} | {c.agreement:.1f} | {c.spikes:.2f} |")
    return [*lines, ""]


def show(cell: Cell) -> str:
    """Accuracy, latency and spikes; a dash where a method has no trial so short."""
    return "–" if cell.reason else f"{cell.accuracy:.1f} in {cell.latency} ({cell.spikes:.2f})"


def page(found: list[Table], seconds: float) -> str:
    """The page of results."""
    card = "; ".join(f"{m} {'/'.join(map(str, v))}" for m, v in CARD.items())
    return "\n".join(
        [
            "# Two-stage methods at their latency",
            "",
            f"Made by `python -m benchmarks.two_stage` in {seconds:.0f} s of CPU. Accuracy in percent, *in* so many "
            "steps from the first input to the output of the whole network, trials included, and in brackets spikes "
            "per neuron and image, those of trials included. Stepwise; MSE thresholds of channels; v0 = theta/2. A "
            "dash: `cos` tries the first steps of its own input, which must have as many.",
            "",
            *(line for table in found for line in lines_of(table)),
            f"The method cards have, on another digits network and at T = 1/2/4: {card}.",
            "",
            "`srp` and `cos` are for stepwise neurons without negative spikes. `cos` tries each layer on the corrected "
            "layer before it, as its authors' code does, so that its latency grows with the depth of the network. The "
            "delayed readout leaves out the first steps, at no cost but the steps that are not read.",
            "",
        ]
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=200, help="test images of ResNet-20")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    started = time.process_time()
    found = list(tables(arguments.images))
    text = page(found, time.process_time() - started)
    print(text)
    if not arguments.no_write:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
