"""ResNet-20 on crossbars, in 8 bits and in spikes, with and without each non-ideality: accuracy and cost.

    python -m benchmarks.crossbar_resnet20 [--images N] [--only NAME ...] [--page]

Trained weights and images come from the data folder beside the repository (CIFAR-10-JPEG). Every case is kept in
benchmarks/results/crossbar_resnet20.json when it is done, and the page is made of what is there.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.frontends import find_frontend
from ranvier.ir.core import Module
from ranvier.ir.cost import Activity
from tests.zoo import resnet20

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "crossbar_resnet20.json"
RESULTS = KEPT.with_suffix(".md")
STEPS = 8
DAY = 86400
QUANTIZED = "quantize, freeze-quant, lower-integer"
SPIKING = f"convert-snn{{code=rate steps={STEPS} signed=true}}"
MODEL = "isaac-128"
OHMIC = "program{device=ideal(r_on_ohm=40000 r_off_ohm=4000000)}"
# name -> (words, options of map-crossbar, passes behind it)
CASES = {
    "ideal": ("ideal arrays and converters", "", ""),
    "adc8": ("converters of 8 bits", " adc=sar adc_bits=8", "calibrate-adc{range=mse samples=8}, prove-adc, fuse-xbar"),
    "adc6": ("converters of 6 bits", " adc=sar adc_bits=6", "calibrate-adc{range=mse samples=8}, prove-adc, fuse-xbar"),
    "pcm": ("PCM, programming noise", "", "program{device=pcm}"),
    "day": ("PCM after a day", "", f"program{{device=pcm time={DAY}}}"),
    "compensated": (
        "PCM after a day, drift compensated by column", "", f"program{{device=pcm time={DAY} compensation=column}}"
    ),
    "adapted": (
        "PCM after a day, batch norms kept and adapted on 256 images",
        "",
        f"program{{device=pcm time={DAY}}}, bn-adapt",
    ),
    "ir": ("IR drop, 1 Ohm a segment on 40 kOhm, off 4 MOhm", "", f"{OHMIC}, solve-parasitics{{r_wire=1}}"),
    "read": ("read noise .02 of the highest level", "", "read-noise{sigma=0.02}"),
}  # fmt: skip
KINDS = {"ann": "8-bit network, bit-serial inputs", "snn": f"spiking network, T={STEPS}, weights of 8 bits"}


@cache
def source(norm: bool = False) -> Module:
    """The trained network, its batch norms folded unless `norm`."""
    import torch

    net = resnet20.network()
    module = find_frontend(net).load(net, (torch.zeros(2, 3, 32, 32),)).freeze()
    return rv.opt(module, "canonicalize" if norm else "fold-batchnorm, canonicalize")


@cache
def quantized(kind: str, norm: bool = False) -> Module:
    """The network in levels, or in spikes and weights in levels; made with 256 calibration images."""
    passes = QUANTIZED if kind == "ann" else f"{SPIKING}, {QUANTIZED}"
    return rv.opt(source(norm), passes, data=resnet20.calibration_images(256))


def right(outputs: Any, labels: Any) -> float:
    """Percent."""
    return 100 * float((np.asarray(outputs).argmax(1) == labels).mean())


@cache
def density(kind: str) -> dict[str, float]:
    """Spikes a neuron and step by the value that carries them, on 20 images."""
    if kind == "ann":
        return {}
    x, y = resnet20.evaluation_images(0, 2)
    found = rv.compile(quantized(kind)).evaluate(x, y)
    return {layer.name: min(1.0, layer.rate) for layer in found.layers}


def measure(kind: str, name: str, images: int) -> dict[str, Any]:
    """One case: accuracy on `images` images, cost by the model, seconds."""
    _, mapping, physics = CASES[name]
    x, y = resnet20.evaluation_images(0, images // 10)
    passes = ", ".join(p for p in (f"map-crossbar{{rows=128 cols=128 cell_bits=2{mapping}}}", physics) if p)
    started = time.process_time()
    norm = "bn-adapt" in physics
    calibration = resnet20.calibration_images(256)
    needs = {"data": calibration if norm else calibration[:16]} if norm or "mse" in physics else {}
    exe = rv.compile(quantized(kind, norm), passes, target=f"crossbar{{cost_table={MODEL}}}", **needs)
    compiled = time.process_time()
    outputs = [np.asarray(exe(x[i : i + 20])) for i in range(0, len(x), 20)]
    ran = time.process_time()
    found: dict[str, Any] = {
        "images": len(x),
        "accuracy": right(np.concatenate(outputs), y),
        "compile_s": compiled - started,
        "run_s": ran - compiled,
    }
    cost = exe.cost(Activity(STEPS if kind == "snn" else None, density=density(kind)))
    assert cost is not None
    found["cost"] = dict(cost.figures())
    found["remarks"] = cost.remarks()
    return found


def reals(images: int) -> float:
    """Accuracy of the network in real numbers on the same images."""
    x, y = resnet20.evaluation_images(0, images // 10)
    return right(rv.compile(source())(x), y)


def kept() -> dict[str, Any]:
    """What was measured so far."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def page(found: dict[str, Any]) -> str:
    """The page of results."""
    lines = [
        "# ResNet-20 on crossbars",
        "",
        "Made by `python -m benchmarks.crossbar_resnet20`. CIFAR-10-JPEG test images, the first of each class; 128x128 "
        "arrays, weights of 8 bits in differential columns of 2-bit cells, im2col; ranges and thresholds from 256 "
        "training images. Each case has one non-ideality alone, all others off. Cost: the built-in model "
        f"`{MODEL}` (its constants and their sources are in docs/crossbar_cost.md), one image; ideal converters are "
        "counted as those of the model's table. CPU seconds of one core; what is measured once for all cases (the "
        "quantized network) is in the first.",
        "",
    ]
    for kind, title in KINDS.items():
        rows = found.get(kind, {})
        names = [n for n in CASES if n in rows]
        if not names:
            continue
        columns = list(rows[names[0]]["cost"])
        lines += [
            f"## {title[0].upper()}{title[1:]}",
            "",
            f"| | images | accuracy | {' | '.join(c.replace(f' ({MODEL})', '') for c in columns)} | compile | run |",
            "|---" * (len(columns) + 5) + "|",
        ]
        for name in names:
            row = rows[name]
            figures = " | ".join(row["cost"].get(c, "") for c in columns)
            seconds = f"{row['compile_s']:.1f} s | {row['run_s']:.0f} s"
            lines.append(f"| {CASES[name][0]} | {row['images']} | {row['accuracy']:.1f} | {figures} | {seconds} |")
        lines.append("")
    if "reals" in found:
        by_count = "; ".join(f"{a:.1f} % of {n}" for n, a in found["reals"].items())
        lines += [f"The network in real numbers, on the same images: {by_count}. One image of 200 is half a point.", ""]
    remarks = [r for k in KINDS for row in list(found.get(k, {}).values())[:1] for r in row["remarks"]]
    lines += ["What the cost model says of itself:", "", *(f"- {r}" for r in dict.fromkeys(remarks)), ""]
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for, keep it, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=200, help="images, as many of each class")
    parser.add_argument("--only", nargs="*", default=None, help="cases such as ann.adc6")
    parser.add_argument("--page", action="store_true", help="only write the page anew")
    arguments = parser.parse_args()
    every = [f"{k}.{c}" for k in KINDS for c in CASES if (k, c) != ("snn", "adapted")]  # neurons have no batch norm
    wanted = every if arguments.only is None else arguments.only
    for each in [] if arguments.page else wanted:
        kind, name = each.split(".")
        row = measure(kind, name, arguments.images)
        found = kept()
        found.setdefault(kind, {})[name] = row
        if str(row["images"]) not in found.setdefault("reals", {}):
            found["reals"][str(row["images"])] = reals(arguments.images)
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{each:20} {row['accuracy']:.1f} %  {row['compile_s']:.1f} s + {row['run_s']:.1f} s", flush=True)
    text = page(kept())
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
