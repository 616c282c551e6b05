"""The crossbar executor beside CrossSim and aihwkit, on layers of 512 inputs and 512 outputs.

    CROSSSIM=/path/to/cross-sim python -m benchmarks.crossbar_peers [--rounds 5] [--no-write]

CPU time of one thread; a round runs ours and the peer's side by side, ratios are medians over rounds. A peer that
cannot be imported is named with the reason, and its bounds are not measured. Bounds:

- Bit-sliced: 8-bit weights in four slices (offset), 8 planes of one bit, 128 rows an array, an 8-bit converter for each
  partial, batch 256; CrossSim's BITSLICED core with SignMagnitudeADC and the GRANULAR range does the same, offset or
  balanced (currents of a pair are subtracted before the converter, so that it converts as often).
- The same layer with 9-bit converters, which provably change nothing, so that the products are folded into one.
- Read noise: a spiking layer in four slices with 8-bit converters, 256 vectors, against CrossSim's balanced core (one
  slice, no converter), which draws all conductances anew for each of 16 vectors; milliseconds a vector.
- Everything: 8-bit inputs in one plane, 8-bit cells in pairs, IR drop, read noise and 8-bit converters on one array of
  512 rows, against aihwkit's compiled tile with StandardHWATrainingPreset and its IR drop, batch 256. Physics differ:
  aihwkit's wires are a polynomial correction in every pass, ours are solved once before (not counted here).
  Our cells are random stand-ins of the right size for cells so solved; what runs does not depend on their values.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _crossbar_peers as peers
from benchmarks.crossbar_physics import layer
from benchmarks.crossbar_speed import layer as module_of
from benchmarks.crossbar_speed import proven
from ranvier.backends.crossbar.program import CrossbarProgram
from ranvier.ir.core import Module
from ranvier.ir.hardware.adc import Flash
from ranvier.ir.hardware.arrays import Array
from ranvier.ir.hardware.inputs import Binary
from ranvier.ir.hardware.weights import Offset

RESULTS = Path(__file__).resolve().parent / "results" / "crossbar_peers.md"
VECTORS, FEW = 256, 16
Forward = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """A comparison: ours and the peer's milliseconds a vector, and how many times faster ours must be at least."""

    what: str
    peer: str
    bound: float | None
    ours_ms: float = 0.0
    peer_ms: float = 0.0
    times: float = 0.0
    missing: str = ""

    @property
    def broken(self) -> bool:
        """Whether it was measured and missed its bound."""
        return not self.missing and self.bound is not None and self.times < self.bound


def compare(
    what: str,
    peer: str,
    bound: float | None,
    ours: Forward,
    vectors: int,
    theirs: Callable[[], Forward],
    count: int,
    rounds: int,
) -> Row:
    """Run both in turns; `vectors` and `count` are how many vectors one call of ours and of the peer's takes."""
    try:
        other = theirs()
        other()
    except ImportError as why:
        return Row(what, peer, bound, missing=str(why).splitlines()[0][:160])
    ours()
    found = [(seconds(ours) / vectors, seconds(other) / count) for _ in range(rounds)]
    mine, its = (1e3 * statistics.median(r[i] for r in found) for i in (0, 1))
    return Row(what, peer, bound, mine, its, statistics.median(b / a for a, b in found))


def seconds(run: Forward) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def program(module: Module) -> Forward:
    """A pass of the executor on 256 vectors of 8-bit levels."""
    run = CrossbarProgram(module, samples=VECTORS).run
    x = np.random.default_rng(2).integers(0, 256, (VECTORS, 512)).astype(np.uint8)
    return lambda: run([x])


def rows(rounds: int) -> list[Row]:
    """All comparisons."""
    rng = np.random.default_rng(0)
    w = np.clip(rng.normal(0, 0.25, (512, 512)), -1, 1)
    x = rng.integers(0, 128, (VECTORS, 512)) / 127
    arrays = Array(rows=128, cols=128)
    sliced = program(module_of(adc=Flash(bits=8), weights=Offset()))
    spiking = layer(arrays, Flash(bits=8), (8, 2), Binary(bits=1), sigma=0.06)
    cells = np.random.default_rng(5).uniform(0, 120, (1, 2, 512, 512))
    one = Array(rows=512, cols=1024)
    whole = layer(one, Flash(bits=8, lsb=(512 * 30.0,)), (8, 8), Binary(bits=8, plane_bits=8), cells, sigma=5.0)
    offset = lambda: peers.crosssim_bitsliced(w, x, "OFFSET")  # noqa: E731
    balanced = lambda: peers.crosssim_bitsliced(w, x, "BALANCED")  # noqa: E731
    folded = program(proven(module_of(adc=Flash(bits=9))))
    preset = lambda: peers.aihwkit_preset(w, x)  # noqa: E731
    return [
        compare("bit-sliced, 8-bit converters", "CrossSim, offset", 2, sliced, VECTORS, offset, VECTORS, rounds),
        compare("bit-sliced, 8-bit converters", "CrossSim, balanced", 2, sliced, VECTORS, balanced, VECTORS, rounds),
        compare(
            "provably transparent converters", "CrossSim, balanced", 30, folded, VECTORS, balanced, VECTORS, rounds
        ),
        compare(
            "read noise", "CrossSim", 10, spiking, VECTORS, lambda: peers.crosssim_read_noise(w, x[:FEW]), FEW, rounds
        ),
        compare("converters, read noise and IR drop", "aihwkit, compiled", 8, whole, VECTORS, preset, VECTORS, rounds),
        compare(
            "converters, read noise and IR drop",
            "aihwkit, PyTorch tile (no IR drop)",
            None,
            whole,
            VECTORS,
            lambda: peers.aihwkit_torch_tile(w, x),
            VECTORS,
            rounds,
        ),
    ]


def page(found: list[Row], rounds: int) -> str:
    """The results as a page."""
    assert __doc__ is not None
    lines = [
        f"| {r.what} | {r.peer} | "
        + (f"not measured: {r.missing} | | |" if r.missing else f"{r.ours_ms:.4f} | {r.peer_ms:.4f} | {r.times:.1f} |")
        + (f" {r.bound:g} |" if r.bound else " |")
        for r in found
    ]
    versions = [f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"]
    for name in ("torch",):
        if importlib.util.find_spec(name):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return "\n".join(
        [
            "# The crossbar executor beside its peers",
            "",
            "`python -m benchmarks.crossbar_peers`",
            "",
            __doc__.split("[--no-write]")[1].strip(),
            "",
            f"Milliseconds a vector, medians of {rounds} rounds, one thread ({', '.join(versions)}).",
            "",
            "| layer | peer | ours, ms | peer, ms | times faster | at least |",
            "|---|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def main() -> int:
    """Measure, print and write the page; the exit status says whether every measured bound held."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        os.execve(
            sys.executable,
            [sys.executable, "-m", "benchmarks.crossbar_peers", *sys.argv[1:]],
            {**os.environ, **dict.fromkeys(names, "1")},
        )
    found = rows(options.rounds)
    text = page(found, options.rounds)
    print(text.split("(", 1)[1])
    if not options.no_write:
        RESULTS.write_text(text)
    return int(any(r.broken for r in found))


if __name__ == "__main__":
    sys.exit(main())
