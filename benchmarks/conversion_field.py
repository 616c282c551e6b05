"""Conversion of ResNet-20 beside the field: one set of options at every T against SpikingJelly's best, and no data.

    python -m benchmarks.conversion_field [--images 500] [--steps 4,8,16,32] [--only corrected,light] [--no-write]

The same weights, images and calibration images as `conversion_resnet20`. The options were chosen on other images: the
test images 100 to 129 of each class.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import ranvier as rv
from benchmarks.conversion_resnet20 import PEER, PEER_STEPS, SHARED, data, load

RESULTS = Path(__file__).resolve().parent / "results"
STORE = RESULTS / "conversion_field.json"
BASE = "schedule=stepwise signed=true"
KINDS = {
    "corrected": f"{BASE} correct=advanced",
    "light": f"{BASE} correct=light",
    "plain": BASE,
    "ltb": f"{BASE} threshold=ltb",
    "gaussian": f"{BASE} threshold=gaussian",
    "noise": f"{BASE} calibration=noise",
    "class impressions": f"{BASE} calibration=class_impression",
    "multi-threshold, 4 levels": "schedule=stepwise code=multi_threshold(levels=4 signed=true)",
}
Cell = dict[str, float]


def measure(kind: str, steps: int, source: Any, calibration: Any, x: Any, y: Any) -> Cell:
    """Accuracy, agreement (percent), spikes an image / 1000, bits a spike and CPU seconds of the conversion."""
    text = f"convert-snn{{steps={steps} {KINDS[kind]}}}"
    started = time.process_time()
    exe = rv.compile(source.module, text, data=None if "calibration=" in text else calibration)
    seconds = time.process_time() - started
    found = exe.evaluate(x, y)
    neuron = next(op for op in exe.module.main.ops if op.name == "snn.neuron")
    return {
        "accuracy": 100 * (found.accuracy or 0.0),
        "source": 100 * (found.source_accuracy or 0.0),
        "agreement": 100 * (found.agreement or 0.0),
        "spikes": (found.spikes_per_sample or 0.0) / 1e3,
        "bits": float(neuron.attributes["code"].bits),
        "seconds": seconds,
    }


def page(cells: dict[str, Cell]) -> str:
    """The page of results: what has been measured, beside SpikingJelly's figures."""
    lines = [
        "# Conversion of ResNet-20 beside the field",
        "",
        "Made by `python -m benchmarks.conversion_field`, cell by cell. Weights, test images and the 512 calibration "
        "images are those of `conversion_resnet20.md`; schedule stepwise, so that the whole network takes T "
        "steps. Options were chosen on test images 100 to 129 of each class. Accuracy in percent (in brackets: "
        "agreement with the source), thousands of spikes an image, CPU seconds of the conversion.",
        "",
        "| kind | images | T | source | accuracy | spikes / 1000 | bits a spike | conversion, CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, c in cells.items():
        kind, steps, images = key.split("|")
        lines.append(
            f"| {kind} | {images} | {steps} | {c['source']:.1f} | {c['accuracy']:.1f} ({c['agreement']:.1f}) | "
            f"{c['spikes']:.0f} | {c['bits']:.0f} | {c['seconds']:.1f} |"
        )
    lines += ["", "Options of the kinds:", ""]
    lines += [f"- {kind}: `convert-snn{{steps=T {options}}}`" for kind, options in KINDS.items()]
    head = " | ".join(f"T={t}" for t in PEER_STEPS)
    lines += [
        "",
        "SpikingJelly 2.0.0 on the same 500 images:",
        "",
        f"| recipe | {head} | kspikes at T=8, 16, 32 |",
    ]
    lines.append("|---|" + "---|" * (len(PEER_STEPS) + 1))
    for name, (accuracy, _, spikes) in PEER.items():
        lines.append(f"| {name} | {' | '.join(f'{a:.1f}' for a in accuracy)} | {', '.join(map(str, spikes))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is asked for, and write after every cell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=500, help="a multiple of 10; 5000 for all")
    parser.add_argument("--steps", default="4,8,16,32")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    if not (SHARED / "data" / "load.py").exists():
        sys.exit(f"skipped: no data in {SHARED}")
    import torch

    calibration, x, y = data(arguments.images)
    model = load(SHARED / "peers" / "resnet_cifar.py").load_finetuned()
    source = rv.compile(model, "fold-batchnorm, canonicalize", example=torch.zeros(2, 3, 32, 32))
    cells: dict[str, Cell] = json.loads(STORE.read_text()) if STORE.exists() else {}
    for steps in [int(t) for t in arguments.steps.split(",")]:
        for kind in arguments.only.split(","):
            cell = measure(kind, steps, source, calibration, x, y)
            print(f"{kind} T={steps}", {k: round(v, 1) for k, v in cell.items()}, flush=True)
            cells[f"{kind}|{steps}|{arguments.images}"] = cell
            if not arguments.no_write:
                STORE.write_text(json.dumps(cells, indent=1) + "\n")
                (RESULTS / "conversion_field.md").write_text(page(cells))


if __name__ == "__main__":
    main()
