"""What re-estimated batch norms give back on crossbars: the digits MLP, beside the figures of the method card.

    python -m benchmarks.crossbar_bn [--no-write]

An MLP 64-128-128-128-10 with batch norms, trained on the 1347 training digits (seconds), in 8 bits on 64x64 arrays with
analog cells (7 bits a cell, one plane of inputs of 8 bits); 200 calibration images in 4 batches; accuracies of the 450
test images, mean over three seeds, each of which is a network, a chip and the noise of its reads. The card's networks
are others of the same size and one seed, its weights on one scale a layer, so sizes of effects are compared.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

import ranvier as rv
from tests.zoo.digits import TRAIN
from tests.zoo.digits_mlp import digits_mlp, flat_digits

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "crossbar_bn.md"
SEEDS = (0, 1, 2)
CALIBRATION = 200
MAPPED = "quantize, freeze-quant, lower-integer, bit-encode{plane_bits=8}, map-crossbar{rows=64 cols=64 cell_bits=7}"
OHMIC = "program{device=ideal(r_on_ohm=10000 r_off_ohm=1000000)}"
DAY, YEAR = 86400, 365 * 86400


@dataclass(frozen=True)
class Case:
    """A non-ideality: its passes for a seed, and the card's accuracies before and after."""

    name: str
    passes: str
    card: tuple[float, float]


CASES = {
    "clean": Case("clean", "", (98.7, 98.3)),
    "ir4": Case("IR drop, 4 Ohm a segment, on 10 kOhm", f"{OHMIC}, solve-parasitics{{r_wire=4}}", (98.0, 98.7)),
    "ir10": Case("IR drop, 10 Ohm", f"{OHMIC}, solve-parasitics{{r_wire=10}}", (93.5, 98.7)),
    "pcm": Case("PCM, programming noise", "program{device=pcm seed=SEED}", (98.2, 98.2)),
    "day": Case("PCM, drift of a day", f"program{{device=pcm seed=SEED time={DAY}}}", (92.8, 98.2)),
    "year": Case("PCM, drift of a year", f"program{{device=pcm seed=SEED time={YEAR}}}", (80.1, 98.5)),
    "read.05": Case("read noise .05 of the highest level", "read-noise{sigma=0.05 seed=SEED}", (97.8, 98.0)),
    "read.1": Case("read noise .1", "read-noise{sigma=0.1 seed=SEED}", (94.4, 94.7)),
    "read.2": Case("read noise .2", "read-noise{sigma=0.2 seed=SEED}", (52.1, 59.9)),
    "all": Case(
        "PCM, drift of a year, IR drop 40 Ohm on 40 kOhm, read noise .05",
        f"program{{device=pcm seed=SEED time={YEAR}}}, solve-parasitics{{r_wire=40}}, "
        "read-noise{sigma=0.05 seed=SEED}",
        (20.9, 97.6),
    ),
}  # fmt: skip
ADAPTED = ("", "bn-adapt{samples=200 batches=4}", "bn-adapt{samples=200 batches=4 mode=affine}")


@dataclass(frozen=True)
class Row:
    """Accuracies in percent of a case: for each seed as it is, with statistics anew, with scale and bias too."""

    case: Case
    found: tuple[tuple[float, float, float], ...]

    def average(self, column: int) -> float:
        """Over the seeds."""
        return mean(f[column] for f in self.found)


def accuracy(case: Case, adapted: str, seed: int) -> float:
    """Percent of the test images."""
    x, y = flat_digits()
    passes = ", ".join(p for p in (MAPPED, case.passes.replace("SEED", str(seed)), adapted) if p)
    exe = rv.compile(digits_mlp(seed), passes, target="crossbar", data=x[:CALIBRATION])
    found = np.asarray(exe(x[TRAIN:])).argmax(1)
    return 100 * float((found == y[TRAIN:]).mean())


def measure(names: tuple[str, ...] = tuple(CASES)) -> dict[str, Row]:
    """A row for each case."""
    rows = {}
    for name in names:
        case = CASES[name]
        found = [tuple(accuracy(case, a, seed) for a in ADAPTED) for seed in SEEDS]
        rows[name] = Row(case, tuple((f[0], f[1], f[2]) for f in found))
        print(f"{case.name:66} " + " ".join(f"{rows[name].average(i):5.1f}" for i in range(3)), flush=True)
    return rows


def gates(rows: dict[str, Row]) -> list[tuple[bool, str]]:
    """What must hold, each with its figures."""
    clean = rows["clean"].average(0)
    out = []
    for name in ("ir10", "year"):
        after, before = rows[name].average(1), rows[name].average(0)
        text = f"{rows[name].case.name}: within a point of clean ({clean:.1f}): {before:.1f}, adapted {after:.1f}"
        out.append((after >= clean - 1, text))
    noisy = rows["read.2"]
    gain = noisy.average(1) - noisy.average(0)
    out.append((gain < 15, f"{noisy.case.name}: gains less than 15 points: {gain:.1f}"))
    return out


def page(rows: dict[str, Row], seconds: float) -> str:
    """The page of results."""
    lines = [
        "# Batch norms re-estimated on crossbars: digits",
        "",
        "Made by `python -m benchmarks.crossbar_bn`. An MLP 64-128-128-128-10 with batch norms in 8 bits on 64x64 "
        "arrays (differential columns, 7 bits a cell, inputs in one plane of 8 bits, ideal converters, off 1 MOhm). "
        "Accuracy in percent on the 450 test images, mean over three seeds (network, chip and reads), smallest and "
        "largest behind it; one image is 0.22 points. `bn-adapt` looks at 200 training images in 4 batches. The card's "
        "figures are of one seed of a network of the same size. Here every output channel has a scale of its own, so "
        "that every column is loaded to the full: wires take more than where small weights stay small.",
        "",
        "| non-ideality | as it is | `mode=stats` | `mode=affine` | card: as it is | card: re-estimated |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows.values():
        cells = []
        for i in range(3):
            each = [f[i] for f in row.found]
            cells.append(f"{row.average(i):.1f} ({min(each):.1f} to {max(each):.1f})")
        lines.append(f"| {row.case.name} | {' | '.join(cells)} | {row.case.card[0]:g} | {row.case.card[1]:g} |")
    lines += ["", *(f"- {'Met' if holds else 'NOT MET'}: {text}." for holds, text in gates(rows)), "", NOTE, ""]
    return "\n".join([*lines, f"Took {seconds:.0f} s of CPU, networks trained among it.", ""])


NOTE = (
    "Gains and offsets of channels come back, as the algebra says; what reads add at random does not: the "
    "signal-to-noise ratio stays. `mode=affine` sets scale and bias by least squares to what the ideal arrays give."
)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    started = time.process_time()
    text = page(measure(), time.process_time() - started)
    print(text)
    if not arguments.no_write:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
