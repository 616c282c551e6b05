"""What the physics of a crossbar costs beside the ideal one: compilation of wires, their inference, noise, programming.

    OMP_NUM_THREADS=1 python -m benchmarks.crossbar_physics [--rounds 9] [--no-write]

CPU time of one thread, medians of rounds that measure all variants of a comparison in turns, so that a busy machine
disturbs both alike. The bounds are ratios, except for those of compilation and programming.

- Compilation: effective conductances of 64x64 arrays with 2 ohm a segment, alone and in a stack of 16.
- IR drop in inference: one GEMM of a 512x512 layer on 64x64 arrays with effective conductances, against one with ideal
  cells.
- Read noise: a layer of 512 inputs and 512 outputs in four slices and two arms on arrays of 128 rows; 256 samples of
  spikes, one plane; each partial sum with noise of its own, against partial sums alone.
- Programming: 512x512 weights on pairs of phase-change cells, and one day of drift with its 1/f noise.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.backends.crossbar.devices import Pcm
from ranvier.backends.crossbar.physics.effective import effective
from ranvier.backends.crossbar.physics.programming import program
from ranvier.ir.hardware.iterative import iterate
from ranvier.ir.hardware.noise import cell_variance, constant_variance, normals
from ranvier.ir.hardware.wires import Wires

Array = np.ndarray[Any, Any]
RESULTS = Path(__file__).resolve().parent / "results" / "crossbar_physics.md"
BOUNDS = {"compile": 100.0, "ir_drop": 1.2, "noise": 10.0, "program": 55.0}


def measure(rounds: int, *functions: Callable[[], Any]) -> list[float]:
    """Median CPU milliseconds of each function, called in turns."""
    found: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for times, function in zip(found, functions, strict=True):
            start = time.process_time()
            function()
            times.append((time.process_time() - start) * 1e3)
    return [statistics.median(times) for times in found]


def compilation(rounds: int) -> list[tuple[str, float]]:
    """Milliseconds an array, by what is solved."""
    rng, wires = np.random.default_rng(0), Wires(2.0, 2.0)
    out = []
    for size, count in ((64, 1), (64, 16), (128, 1)):
        g = rng.uniform(5e-6, 5e-5, (count, size, size))
        (ms,) = measure(rounds, lambda g=g: effective(g, wires, cache=False))
        out.append((f"{count} of {size}x{size}", ms / count))
    g, v = rng.uniform(5e-6, 5e-5, (64, 64)), (rng.random((64, 64)) < 0.5) * 1.0
    (ms,) = measure(max(3, rounds // 3), lambda: iterate(g, v, wires, gated=True, tolerance=1e-6))
    out.append(("gated 64x64, fixed point to 1e-6: a vector", ms / 64))
    return out


def inference(rounds: int) -> tuple[float, float]:
    """Milliseconds of the layer with ideal cells and with effective conductances."""
    rng = np.random.default_rng(1)
    cells = rng.integers(0, 4, (512, 512)).astype(np.float32)
    x = rng.integers(0, 2, (256, 512)).astype(np.float32)
    blocks = cells.reshape(8, 64, 8, 64).swapaxes(1, 2) * 1e-5 / 3 + 1e-7
    real = effective(blocks, Wires(2.0, 2.0), cache=False).swapaxes(1, 2).reshape(512, 512)
    real = np.ascontiguousarray(real / (1e-5 / 3), np.float32)
    ideal_ms, real_ms = measure(rounds * 5, lambda: x @ cells, lambda: x @ real)
    return ideal_ms, real_ms


def read_noise(rounds: int) -> tuple[float, float, float]:
    """Milliseconds of the partial sums alone, with constant and with proportional noise."""
    rng = np.random.default_rng(2)
    cells = rng.integers(0, 4, (4, 128, 4 * 2 * 512)).astype(np.float32)
    x = (rng.random((4, 256, 128)) < 0.3).astype(np.float32)
    squares = (0.02 * cells) ** 2

    def ideal() -> Array:
        return np.stack([x[t] @ cells[t] for t in range(4)])

    def noisy(variance: Callable[[int], Array]) -> Array:
        out = []
        for t in range(4):
            noise = normals(0, "op", 0, range(256), 0, (256, cells.shape[2]), part=t)
            noise *= np.sqrt(variance(t))
            noise += x[t] @ cells[t]
            out.append(noise)
        return np.stack(out)

    found = measure(
        rounds,
        ideal,
        lambda: noisy(lambda t: constant_variance(x[t], 0.06)),
        lambda: noisy(lambda t: cell_variance(x[t], squares[t])),
    )
    return found[0], found[1], found[2]


def programming(rounds: int) -> tuple[float, float]:
    """Milliseconds of writing 512x512 weights, and of writing and one day."""
    weights = np.random.default_rng(3).integers(-127, 128, (512, 512))
    levels = np.stack([np.maximum(weights, 0), np.maximum(-weights, 0)])[None]
    found = measure(
        rounds,
        lambda: program(levels, 127, Pcm(), seed=0, key="w", fluctuation=False),
        lambda: program(levels, 127, Pcm(), seed=0, key="w", time=86400.0),
    )
    return found[0], found[1]


def main() -> int:
    """Measure, print and write the page; the exit status says whether every bound held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    compiled = compilation(options.rounds)
    ideal, real = inference(options.rounds)
    plain, constant, proportional = read_noise(options.rounds)
    written, aged = programming(options.rounds)
    rows = [
        (f"effective conductances, {what}, ms", ms, BOUNDS["compile"] if "of 64" in what else None)
        for what, ms in compiled
    ]
    rows += [
        ("ideal 512x512 layer, 256 vectors, ms", ideal, None),
        ("the same with IR drop: times ideal", real / ideal, BOUNDS["ir_drop"]),
        ("partial sums of spikes, 4 slices, 2 arms, ms", plain, None),
        ("with constant read noise: times ideal", constant / plain, BOUNDS["noise"]),
        ("with proportional read noise: times ideal", proportional / plain, BOUNDS["noise"]),
        ("programming 512x512, ms", written, BOUNDS["program"]),
        ("programming and one day of drift, ms", aged, BOUNDS["program"]),
    ]
    lines = [f"| {what} | {value:.2f} | {'' if bound is None else f'{bound:g}'} |" for what, value, bound in rows]
    table = "\n".join(["| what | measured | at most |", "|---|---|---|", *lines])
    machine = f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
    about = __doc__.split("[--no-write]")[1].strip()
    head = f"# Physics of crossbars\n\n`python -m benchmarks crossbar_physics`\n\n{about}\n"
    print(table)
    if not options.no_write:
        RESULTS.write_text(f"{head}\nMedians of {options.rounds} rounds, one thread ({machine}).\n\n{table}\n")
    return int(any(bound is not None and value > bound for _, value, bound in rows))


if __name__ == "__main__":
    sys.exit(main())
