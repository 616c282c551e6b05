"""Conversion of ResNet-20 beside the field: one set of options at every T against SpikingJelly's best, and no data.

    python -m benchmarks.conversion_field [--part choice|field|all|data] [--peer FILE] [--again] [--no-measure]

Weights, test images and the 512 calibration images are those of `conversion_resnet20`. Options are chosen on images of
the training pack that are not among these. Each figure is written when it is found, and kept for the next run unless
`--again` is given. `--peer` reads what the peer's script (`../shared/peers/sj_convert.py jpg RECIPE 64 500`) wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from benchmarks.conversion_field_page import failed, page
from benchmarks.conversion_resnet20 import SHARED, data, load

RESULTS = Path(__file__).resolve().parent / "results"
STORE = RESULTS / "conversion_field.json"
PLAIN = "schedule=stepwise signed=true"
CANDIDATES = {
    f"{PLAIN}{more}": (4, 8, 16)
    for more in (
        "",
        " correct=light",
        " correct=advanced",
        " correct=advanced threshold=p99.9",
        " correct=advanced lower=threshold",
    )
}
SIZES = {
    f"schedule=stepwise code=multi_threshold({rule} signed=true)": (4,)
    for rule in ("levels=3", "levels=4", "levels=6", "levels=6 rule=nearest", "levels=8 rule=nearest")
}
CHOSEN = f"{PLAIN} correct=advanced"
CHOSEN_SIZES = "schedule=stepwise code=multi_threshold(levels=6 signed=true)"
FEWER_SIZES = "schedule=stepwise code=multi_threshold(levels=4 signed=true)"
WITHOUT_DATA = {name: f"{PLAIN} calibration={name}" for name in ("class_impression", "noise")}
ALL = 5000
BATCH = 100


@dataclass(frozen=True)
class Cell:
    """What is measured: options of convert-snn at T on so many images of each set, `counted` with their spikes."""

    part: str
    options: str
    steps: int
    images: int
    counted: bool = False

    @property
    def key(self) -> str:
        """Its name in the store."""
        return f"{self.part} | {self.options} | T={self.steps} | {self.images}"


def cells(part: str) -> Iterator[Cell]:
    """The cells of a part of the page."""
    if part == "choice":
        yield from (Cell(part, o, t, 500) for group in (CANDIDATES, SIZES) for o, steps in group.items() for t in steps)
    if part == "field":
        yield from (Cell(part, CHOSEN, t, 500, True) for t in (2, 4, 8, 16, 24, 32))
        yield from (Cell(part, options, 4, 500, True) for options in (CHOSEN_SIZES, FEWER_SIZES))
        yield Cell(part, PLAIN, 8, 500)
    if part == "all":
        yield from (Cell(part, options, 4, ALL) for options in (CHOSEN_SIZES, FEWER_SIZES))
        yield Cell(part, CHOSEN, 32, ALL)
    if part == "data":
        yield from (Cell(part, options, 32, ALL) for options in (PLAIN, *WITHOUT_DATA.values()))


@cache
def source() -> Any:
    """The network before conversion."""
    import torch

    model = load(SHARED / "peers" / "resnet_cifar.py").load_finetuned()
    return rv.compile(model, "fold-batchnorm, canonicalize", example=torch.zeros(2, 3, 32, 32))


@cache
def images(part: str, count: int) -> tuple[Any, Any, Any]:
    """Calibration images, the images that a part is measured on, and their labels."""
    calibration, x, y = data(10 if part == "choice" else count)
    if part == "choice":
        reader = load(SHARED / "data" / "load.py")
        train, labels = reader.cifar("train")
        others = np.random.default_rng(0).permutation(len(train))[len(calibration) : len(calibration) + count]
        x, y = reader.normalize(train[others]), labels[others].astype(np.int64)
    return calibration, x, y


@cache
def source_logits(part: str, count: int) -> Any:
    """What the network before conversion says of these images."""
    return logits(source(), images(part, count)[1])


def logits(exe: Any, x: Any) -> Any:
    """Outputs on all the images, a batch at a time."""
    return np.concatenate([exe(x[i : i + BATCH]) for i in range(0, len(x), BATCH)])


def measure(cell: Cell) -> dict[str, Any]:
    """Percents of right answers and of agreement, CPU seconds of the conversion, and spikes where they are counted."""
    calibration, x, y = images(cell.part, cell.images)
    text = f"convert-snn{{{cell.options} steps={cell.steps}}}"
    given = None if "calibration=" in cell.options else calibration
    want = source_logits(cell.part, cell.images)
    started = time.process_time()
    exe = rv.compile(source().module, text, data=given)
    seconds = time.process_time() - started
    found: dict[str, Any] = {**asdict(cell), "seconds": seconds, "source": percent(want.argmax(1) == y)}
    if not cell.counted:
        answers = logits(exe, x).argmax(1)
        return {**found, "accuracy": percent(answers == y), "agreement": percent(answers == want.argmax(1))}
    whole = exe.evaluate(x, y)
    shares = {"accuracy": whole.accuracy, "agreement": whole.agreement, "quantized": whole.baseline_agreement}
    return {
        **found,
        **{name: 100 * share for name, share in shares.items() if share is not None},
        "spikes": whole.spikes_per_sample,
        "bits": whole.bits_per_spike,
    }


def percent(right: Any) -> float:
    """The part that is true, in percent."""
    return float(100 * np.mean(right))


def peer(path: Path) -> list[dict[str, Any]]:
    """What the peer's script has written: a line a recipe."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def main() -> int:
    """Measure what is not known yet and write after every cell; 1 when a gate is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = ("choice", "field", "all", "data")
    parser.add_argument("--part", choices=parts, action="append", help="measure this part only; may be repeated")
    parser.add_argument("--peer", type=Path, help="a file of figures of SpikingJelly to take in")
    parser.add_argument("--again", action="store_true", help="measure anew what is known")
    parser.add_argument("--no-measure", action="store_true", help="write the page from what is known")
    arguments = parser.parse_args()
    if not (SHARED / "data" / "load.py").exists():
        sys.exit(f"skipped: no data in {SHARED}")
    store: dict[str, Any] = json.loads(STORE.read_text()) if STORE.exists() else {"cells": {}, "peer": []}
    if arguments.peer:
        store["peer"] = peer(arguments.peer)
    wanted = [c for part in arguments.part or parts for c in cells(part)]
    todo = [] if arguments.no_measure else [c for c in wanted if arguments.again or c.key not in store["cells"]]
    if todo:  # what is loaded on first use is no part of a conversion
        rv.opt(source().module, f"convert-snn{{{PLAIN} steps=1}}", data=images("field", 500)[0][:8])
    for cell in todo:
        found = store["cells"][cell.key] = measure(cell)
        print(cell.key, {k: round(v, 2) for k, v in found.items() if isinstance(v, float)}, flush=True)
        write(store)
    write(store)
    missed = failed(known(store), store["peer"])
    print("\n".join(missed) or "every gate that has figures is kept")
    return bool(missed)


def known(store: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of the cells that the page shows, in its order: the store may hold those of earlier options."""
    order = [c.key for part in ("choice", "field", "all", "data") for c in cells(part)]
    return [store["cells"][key] for key in order if key in store["cells"]]


def write(store: dict[str, Any]) -> None:
    """The store and the page made from it."""
    STORE.write_text(json.dumps(store, indent=1) + "\n")
    chosen = {"spikes in {-1, 0, 1}": CHOSEN, "multi-threshold spikes": CHOSEN_SIZES}
    (RESULTS / "conversion_field.md").write_text(page(known(store), store["peer"], chosen))


if __name__ == "__main__":
    sys.exit(main())
