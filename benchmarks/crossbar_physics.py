"""What the physics of a crossbar costs beside the ideal one: compilation of wires, their inference, noise, programming.

    OMP_NUM_THREADS=1 python -m benchmarks.crossbar_physics [--rounds 9] [--no-write]

CPU time of one thread, medians of rounds that measure all variants of a comparison in turns, so that a busy machine
disturbs both alike. The bounds are ratios, except for those of compilation and programming.

- Compilation: effective conductances of 64x64 arrays with 2 ohm a segment, alone and in a stack of 16.
- IR drop in inference: a layer of 512 inputs and 512 outputs in the executor on 64x64 arrays with effective
  conductances, against the same with ideal cells; 256 vectors of 8-bit levels, with ideal converters and with 6-bit
  ones (these round partials that are no integers any more, which ideal cells do not need).
- Read noise: a layer of 512 inputs and 512 outputs in four slices and two arms on arrays of 128 rows; 256 samples of
  spikes, one plane; each partial sum with noise of its own, against partial sums alone. And in the executor, with
  8-bit converters in both.
- The whole: 8-bit levels in one plane, 8-bit cells in pairs, one array of 512x1024, IR drop, read noise, 8-bit
  converters; 256 vectors. (Effective conductances of so large an array are not what one would solve; the cells are
  stand-ins of the same size.)
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
from ranvier.backends.crossbar.kernels import lower
from ranvier.backends.crossbar.noisy_kernels import lower_noisy
from ranvier.backends.crossbar.physics.effective import effective
from ranvier.backends.crossbar.physics.programming import program
from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Affine, Elem, elem
from ranvier.ir.hardware.adc import Adc, Flash, Ideal
from ranvier.ir.hardware.arrays import Array as HardwareArray
from ranvier.ir.hardware.arrays import Im2col
from ranvier.ir.hardware.grid import Grid
from ranvier.ir.hardware.inputs import Binary, Input
from ranvier.ir.hardware.iterative import iterate
from ranvier.ir.hardware.noise import cell_variance, constant_variance, normals
from ranvier.ir.hardware.places import over_arrays
from ranvier.ir.hardware.weights import Differential
from ranvier.ir.hardware.wires import Wires
from ranvier.ir.interpret import Moment
from ranvier.ir.ops.xbar import Mvm, NoisyMvm
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType

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


def layer(
    array: HardwareArray, adc: Adc, bits: tuple[int, int], drive: Input, cells: Array | None = None, sigma: float = 0.0
) -> Callable[[], Any]:
    """The executor's kernel on 256 vectors of a layer of 512 inputs and 512 outputs."""
    rng = np.random.default_rng(1)
    weight_bits, cell_bits = bits
    most = (1 << (weight_bits - 1)) - 1
    w = rng.integers(-most, most + 1, (512, 512)).astype(np.int8)
    high = drive.range()[1]
    x = rng.integers(0, high + 1, (256, 512)).astype(np.uint8)
    module = Module("layer")
    graph = module.new_graph("main")
    build = Builder(graph)
    value = graph.argument("x", TensorType(("N", 512), Elem("u8" if high > 1 else "u1", Affine(1.0))))
    kind = TensorType(w.shape, Elem(f"i{weight_bits}", Affine(1.0, narrow=True)))
    weight = graph.constant(module.add(Resource(kind, w), "w"))
    real = None if cells is None else graph.constant(module.add(Resource.of(cells.astype(np.float32)), "cells"))
    options: dict[str, Any] = {"array": array, "weight_bits": weight_bits, "cell_bits": cell_bits, "input": drive}
    integral = adc.integral or (cells is None and adc.transparent and not sigma)
    options |= {"adc": adc, "elem": Elem("i32", Affine(1.0)) if integral else elem("f32")}
    if sigma:
        build.returns(build(NoisyMvm, value, weight, real, sigma=sigma, key="k", **options))
    else:
        build.returns(build(Mvm, value, weight, real, **options))
    op = build.created[0]
    if isinstance(op, NoisyMvm):
        noisy, moment = lower_noisy(module.verify(), op), Moment(0, 1, np.arange(256))
        assert noisy is not None
        return lambda: noisy(x, moment)
    kernel = lower(module.verify(), op)
    assert kernel is not None
    return lambda: kernel(x)


def inference(rounds: int) -> list[tuple[str, float, float]]:
    """What, and milliseconds of the layer with ideal cells and with effective conductances."""
    array, drive = HardwareArray(rows=64, cols=64), Binary(bits=8)
    rng = np.random.default_rng(1)
    w = rng.integers(-127, 128, (512, 512))
    grid = Grid(array, Differential(), Im2col(), 8, 2, 512, 1, 512)
    levels = grid.cells(w.T)
    siemens = (1e-4 - 1e-6) / 3
    real, _ = over_arrays(grid, levels * siemens + 1e-6, lambda g: effective(g, Wires(2.0, 2.0), cache=False))
    out = []
    for name, adc in (("ideal converters", Ideal()), ("6-bit converters", Flash(bits=6, lsb=(4.0,)))):
        both = [layer(array, adc, (8, 2), drive, c) for c in (None, real / siemens)]
        ideal_ms, real_ms = measure(rounds, *both)
        out.append((name, ideal_ms, real_ms))
    return out


def executor_noise(rounds: int) -> tuple[float, float]:
    """Milliseconds of a spiking layer with 8-bit converters, and of it with read noise."""
    array, adc = HardwareArray(rows=128, cols=128), Flash(bits=8)
    found = measure(rounds, *(layer(array, adc, (8, 2), Binary(bits=1), sigma=s) for s in (0.0, 0.06)))
    return found[0], found[1]


def everything(rounds: int) -> float:
    """Milliseconds of the layer with all of it."""
    array = HardwareArray(rows=512, cols=1024)
    cells = np.random.default_rng(5).uniform(0, 120, (1, 2, 512, 512))
    adc = Flash(bits=8, lsb=(512 * 120 * 255 / 255 / 4,))
    (ms,) = measure(rounds, layer(array, adc, (8, 8), Binary(bits=8, plane_bits=8), cells, sigma=5.0))
    return ms


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
    dropped = inference(options.rounds)
    plain, constant, proportional = read_noise(options.rounds)
    converted, noisy = executor_noise(options.rounds)
    whole = everything(options.rounds)
    written, aged = programming(options.rounds)
    rows = [
        (f"effective conductances, {what}, ms", ms, BOUNDS["compile"] if "of 64" in what else None)
        for what, ms in compiled
    ]
    for name, ideal, real in dropped:
        rows.append((f"512x512 layer in the executor, {name}, ms", ideal, None))
        rows.append(("the same with IR drop: times ideal", real / ideal, BOUNDS["ir_drop"]))
    rows += [
        ("partial sums of spikes, 4 slices, 2 arms, ms", plain, None),
        ("with constant read noise: times ideal", constant / plain, BOUNDS["noise"]),
        ("with proportional read noise: times ideal", proportional / plain, BOUNDS["noise"]),
        ("spiking layer in the executor, 8-bit converters, ms", converted, None),
        ("the same with constant read noise: times without", noisy / converted, BOUNDS["noise"]),
        ("8-bit layer, IR drop, read noise, converters, ms", whole, None),
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
