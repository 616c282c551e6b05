"""Peripheries of VGG16 on crossbars: XPert's gradient gates against dynamic programming, on XPert's cost fits.

    python -m benchmarks.crossbar_periphery

Two spaces: widths fixed at VGG16's (a trained network), and widths free in 64 .. 512 as in XPert's co-search, where
the area band of 5 % around the target stands for capacity. The gradient search gets the best of several learning rates,
area weights and seeds; dynamic programming gets the area that the gradient search used, and no more. No figure here
depends on the machine but the seconds.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ranvier.backends.crossbar.cost import LayerShape
from ranvier.backends.crossbar.cost.search import WIDTHS, Band, Found, Space, by_dp, by_gradient, make_space
from ranvier.ir.diagnostics import RanvierError

RESULTS = Path(__file__).resolve().parent / "results" / "crossbar_periphery.md"
VGG16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
SIDES = (32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2)
RATES, WEIGHTS, SEEDS = (12.0, 1.2, 0.12), (1e-13, 1e-14, 1e-15), range(3)
TARGETS = {"fixed": (55e6, 65e6, 80e6, 100e6), "free": (30e6, 50e6, 70e6)}


@dataclass(frozen=True)
class Row:
    """One target: the gradient search's solutions, and dynamic programming at the area of the best and in the band."""

    space: str
    target: float
    runs: int
    met: int
    gradient: Found | None
    setting: str
    gradient_seconds: float
    equal: Found | None
    best: Found
    dp_seconds: float


def vgg16() -> list[LayerShape]:
    """Its 13 convolutions on 32x32 images."""
    inputs = (3, *VGG16[:-1])
    return [
        LayerShape(f"conv{n}", i, o, 9, s * s, i * s * s)
        for n, (i, o, s) in enumerate(zip(inputs, VGG16, SIDES, strict=True))
    ]


def measure(name: str, space: Space, target: float) -> Row:
    """Both searches on one target."""
    band = Band(0.95 * target, 1.05 * target, target)
    found: list[tuple[Found, str]] = []
    began = time.process_time()
    settings = list(itertools.product(RATES, WEIGHTS, SEEDS))
    for rate, weight, seed in settings:
        try:
            made = by_gradient(space, band, seed=seed, weight=weight, rate=rate)
        except RanvierError:
            continue
        found.append((made, f"rate {rate:g}, weight {weight:g}, seed {seed}"))
    spent = (time.process_time() - began) / len(settings)
    gradient, setting = min(found, key=lambda pair: pair[0].latency) if found else (None, "")
    began = time.process_time()
    best = by_dp(space, band)
    seconds = time.process_time() - began
    equal = None if gradient is None else by_dp(space, Band(band.low, gradient.area, target))
    return Row(name, target, len(settings), len(found), gradient, setting, spent, equal, best, seconds)


def choices(found: Found) -> str:
    """`64 flash/8, ...`: width, converter and columns an ADC of each layer."""
    return ", ".join(f"{o.outputs} {o.adc}/{o.mux}" for o in found.options)


def table(rows: Sequence[Row]) -> str:
    """The rows as markdown."""
    lines = [
        "Latency in the unit of the fits (the script's own), area in mm². *met*: runs of the gradient search "
        f"({len(RATES)} rates x {len(WEIGHTS)} area weights x {len(SEEDS)} seeds, 2000 steps) that came by an area in "
        "the band of 5 % around the target; *gradient* is the best of them. *DP, equal area* may use as much area as "
        "that one, *DP, band* all of the band. Seconds of CPU are of one gradient run and of one DP.",
        "",
        "| widths | target | met | gradient: area | latency | DP, equal area: area | latency | DP, band: area "
        "| latency | s gradient | s DP |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r.space} | {r.target / 1e6:g} | {r.met}/{r.runs} | {_figures(r.gradient)} | {_figures(r.equal)} "
            f"| {_figures(r.best)} | {r.gradient_seconds:.2f} | {r.dp_seconds:.2f} |"
        )
    lines += ["", "Choices (width, converter, columns an ADC; layer by layer):", ""]
    for r in rows:
        lines.append(f"- {r.space}, {r.target / 1e6:g} mm²")
        if r.gradient is not None:
            lines.append(f"  - gradient ({r.setting}): {choices(r.gradient)}")
        lines.append(f"  - DP in the band: {choices(r.best)}")
    lines += [
        "",
        "Source of the costs: XPert's regressions (32 nm, 64x64 arrays, 8-bit weights in 4-bit cells). Not modelled: "
        "energy, accuracy (XPert's training-free score needs networks and data), seconds. XPert's published learning "
        "rate 12 and area weight 1e-7 hold in a unit of area that its script does not state, so both are searched.",
    ]
    return "\n".join(lines) + "\n"


def _figures(found: Found | None) -> str:
    return "none | " if found is None else f"{found.area / 1e6:.2f} | {found.latency:.2f}"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 when dynamic programming is slower than the gradient search at equal area."""
    arguments = sys.argv[1:] if arguments is None else arguments
    spaces = {"fixed": make_space(vgg16()), "free": make_space(vgg16(), [WIDTHS] * len(VGG16))}
    rows = []
    for name, targets in TARGETS.items():
        for target in targets:
            rows.append(measure(name, spaces[name], target))
            print(f"{name} {target / 1e6:g} mm^2", rows[-1].gradient, rows[-1].equal, sep="\n  ", flush=True)
    text = table(rows)
    if "--no-write" not in arguments:
        RESULTS.write_text(f"# Peripheries of VGG16\n\n`python -m benchmarks.crossbar_periphery`\n\n{text}", "utf-8")
    slower = [r for r in rows if r.gradient and r.equal and r.equal.latency > r.gradient.latency * (1 + 1e-12)]
    print(f"slower than the gradient search: {len(slower)} of {len(rows)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
