"""How fast the crossbar executor is, as ratios to the matrix product that the layer or its planes are.

    python benchmarks/crossbar_speed.py            # ratios of a 512 x 512 layer, batch 256
    python benchmarks/crossbar_speed.py --resnet   # ResNet-20, bit-serial with converters, 100 images

Every ratio is the median over rounds of two timings of one round, side by side; one BLAS thread. The limit of a
bit-sliced layer is one float32 product of all planes with all slices and arms, of the same shape, a row tile.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.backends.crossbar.passes.fuse_xbar import FuseXbar
from ranvier.backends.crossbar.passes.prove_adc import ProveAdc
from ranvier.backends.crossbar.program import CrossbarProgram
from ranvier.backends.crossbar.runtime import CrossbarRuntime
from ranvier.ir.core import Builder, Module
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.hardware.adc import Flash, Ideal
from ranvier.ir.hardware.inputs import Binary
from ranvier.ir.hardware.weights import Differential, Offset
from ranvier.ir.interfaces import PassContext
from ranvier.ir.ops.xbar import Mvm, product_elem
from ranvier.ir.types import TensorType

RESULTS = Path(__file__).parent / "results" / "crossbar_speed.md"
SHARED = Path(__file__).resolve().parents[2] / "shared"
SIZE, BATCH, ROUNDS, WARM = 512, 256, 5, 1


def layer(**attributes: Any) -> Module:
    """A linear layer of 8-bit levels on arrays of 128 rows."""
    rng = np.random.default_rng(0)
    act, held = Elem("u8", Affine(1.0)), Elem("i8", Affine(1.0, narrow=True))
    weight = np.clip(np.rint(rng.normal(0, 30, (SIZE, SIZE))), -127, 127).astype(np.int8)
    module = Module("layer")
    build = Builder(module.new_graph("main"))
    x = build.graph.argument("x", TensorType(("N", SIZE), act))
    w = build.constant(weight, "w", type=TensorType(weight.shape, held))
    elem = product_elem("i32", x.type, w.type, 1)
    build.returns(build(Mvm, x, w, elem=elem, input=Binary(bits=8), **attributes))
    return module.verify().freeze()


def proven(module: Module) -> Module:
    """The module with what the converters cannot change folded."""
    copy = module.clone()
    for each in (ProveAdc(), FuseXbar()):
        each.run(copy, PassContext(CrossbarRuntime()))
    return copy.verify().freeze()


def seconds(run: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def side_by_side(ours: Callable[[], Any], limit: Callable[[], Any]) -> tuple[float, float, float]:
    """Medians of ours and of the limit in ms, and the median of the ratios of the rounds."""
    for _ in range(WARM):
        ours()
        limit()
    rounds = [(seconds(ours), seconds(limit)) for _ in range(ROUNDS)]
    a, b = (1000 * statistics.median(r[i] for r in rounds) for i in (0, 1))
    return a, b, statistics.median(x / y for x, y in rounds)


def repeated(run: Callable[[], Any], times: int) -> Callable[[], None]:
    """The same call several times, so that short ones can be timed."""

    def body() -> None:
        for _ in range(times):
            run()

    return body


def tiles(planes: int, columns: int) -> Callable[[], None]:
    """The limit: for each of four row tiles one product of all planes with all slices and arms."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (planes * BATCH, 128)).astype(np.float32)
    cells = rng.integers(0, 4, (128, columns)).astype(np.float32)
    out = np.empty((planes * BATCH, columns), np.float32)

    def body() -> None:
        for _ in range(SIZE // 128):
            np.matmul(x, cells, out=out)

    return body


def rows() -> list[tuple[str, float, float, float, str]]:
    """Name, ours and limit in ms, ratio, gate."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (BATCH, SIZE)).astype(np.uint8)
    real, weight = x.astype(np.float32), rng.integers(-127, 128, (SIZE, SIZE)).astype(np.float32)

    def run(module: Module) -> Callable[[], Any]:
        program = CrossbarProgram(module, samples=BATCH)
        return lambda: program.run([x])

    def sgemm() -> Any:
        return real @ weight

    found = []
    for name, module, gate in (
        ("ideal", layer(adc=Ideal()), "at most 1.5"),
        ("proven transparent, 9-bit converters", proven(layer(adc=Flash(bits=9))), "at most 3"),
    ):
        a, b, ratio = side_by_side(repeated(run(module), 20), repeated(sgemm, 20))
        found.append((f"{name} / one sgemm", a / 20, b / 20, ratio, gate))
    for name, encoding, columns in (("offset", Offset(), 4 * SIZE), ("differential", Differential(), 8 * SIZE)):
        a, b, ratio = side_by_side(run(layer(adc=Flash(bits=6), weights=encoding)), tiles(8, columns))
        found.append((f"bit-sliced, {name}, 6-bit converters / limit", a, b, ratio, "at most 1.54 (65 %)"))
    part = proven(layer(adc=Flash(bits=7)))
    a, b, ratio = side_by_side(run(part), tiles(8, 8 * SIZE))
    found.append(("partly proven, differential, 7-bit converters / limit", a, b, ratio, ""))
    return found


def load(path: Path) -> Any:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resnet20(count: int = 100) -> str:
    """ResNet-20, 8-bit weights and inputs bit by bit, 128 x 128 arrays, converters on every partial."""
    import torch

    reader = load(SHARED / "data" / "load.py")
    train, _ = reader.cifar("train")
    test, labels = reader.cifar("test")
    chosen = np.concatenate([np.flatnonzero(labels == c)[: count // 10] for c in range(10)])
    x, y = reader.normalize(test[chosen]), labels[chosen]
    calibration = reader.normalize(train[np.random.default_rng(0).permutation(len(train))[:128]])
    model = load(SHARED / "peers" / "resnet_cifar.py").load_finetuned()
    source = rv.compile(model, "fold-batchnorm, canonicalize", example=torch.zeros(2, 3, 32, 32)).module
    passes = "quantize, freeze-quant, lower-integer, map-crossbar{adc=sar adc_bits=8}"
    program = CrossbarProgram(rv.opt(source, passes, data=calibration))
    begun = time.process_time()
    out = program.run([x]).outputs[0]
    spent = time.process_time() - begun
    return f"{spent:.1f} s for {len(x)} images, {100 * float((out.argmax(1) == y).mean()):.1f} % right"


def page(found: list[tuple[str, float, float, float, str]], network: str) -> str:
    """The results as a page."""
    lines = [
        "# Speed of the crossbar executor",
        "",
        f"A {SIZE} x {SIZE} layer of 8-bit levels, batch {BATCH}, 128 rows an array, 2-bit cells, 8 planes of one bit. "
        "CPU time, one thread, median of five rounds; ratios are taken round by round "
        "(`python benchmarks/crossbar_speed.py`). The limit of a bit-sliced layer is one float32 product of all planes "
        "with all slices and arms a row tile, without conversion.",
        "",
        "| what | ms | limit ms | ratio | wanted |",
        "|---|---|---|---|---|",
        *(f"| {name} | {a:.2f} | {b:.2f} | {ratio:.2f} | {gate} |" for name, a, b, ratio, gate in found),
        "",
        f"ResNet-20, 8-bit bit-serial, 8-bit converters on every partial (wanted: 60 s at most): {network}",
        "",
        "Other emulators on the same layers: [crossbar_peers](crossbar_peers.md).",
        "",
    ]
    return "\n".join(lines)


def pinned() -> None:
    """Begin again with one BLAS thread, which libraries read when they are loaded."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    if any(os.environ.get(name) != "1" for name in names):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **dict.fromkeys(names, "1")})


def main() -> None:
    """Measure and write the page."""
    pinned()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resnet", action="store_true", help="also run ResNet-20 on 100 images")
    options = parser.parse_args()
    found = rows()
    for name, a, b, ratio, gate in found:
        print(f"{name:60s} {a:8.2f} {b:8.2f} {ratio:6.2f}  {gate}")
    network = resnet20() if options.resnet else "not run"
    print(network)
    RESULTS.write_text(page(found, network))


if __name__ == "__main__":
    main()
