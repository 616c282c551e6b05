"""What the compiler's own work costs: building, verifying, cloning, canonicalizing, printing and parsing a module.

    python -m benchmarks.compile_time [--ops 10000] [--rounds 5] [--no-write]

The module is a chain of residual blocks (conv, relu, conv, add, relu) with a bias that stands as an add of its own, a
comparison that writes a ReLU, and constants to fold: every pass has something to do in every block. Each stage is timed
in CPU seconds on one thread, on the whole module and on ten modules of a tenth of its ops, in turns; the figures are
medians. Nothing may be quadratic: ten times the ops may take at most 13 times as long as the mean of the ten. (They are
ten, all alive at once, so that both sides work on as much memory: caches and the garbage collector favour small modules
by more than the difference that is looked for.)
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Module
from ranvier.ir.interfaces import PassContext
from ranvier.ir.ops import arith, nn, shape
from ranvier.ir.text.parser import parse_module
from ranvier.ir.text.printer import print_module
from ranvier.ir.types import tensor
from ranvier.passes.simplify.canonicalize import Canonicalize
from ranvier.passes.simplify.fold_batchnorm import FoldBatchNorm

RESULTS = Path(__file__).resolve().parent / "results" / "compile_time.md"
RATIO = 13.0
PARSED = 3000.0
STAGES = ("build", "verify", "clone", "compare", "print", "parse", "canonicalize", "fold-batchnorm")


def network(ops: int, channels: int = 4) -> Module:
    """A module of about so many ops, seeded."""
    rng = np.random.default_rng(0)
    module = Module("deep")
    graph = module.new_graph("main")
    build = Builder(graph)
    x = graph.argument("x", tensor("N", channels, 8, 8))
    for _ in range(ops // 11):
        x = _block(build, x, channels, rng)
    build.returns(x)
    return module


def _block(build: Builder, x: Any, channels: int, rng: np.random.Generator) -> Any:
    """Eleven ops: two convs, one normalized; ReLUs in three forms; a bias apart; a constant that is computed."""

    def weight(*size: int) -> Any:
        return build.constant(rng.standard_normal(size).astype(np.float32), "w")

    zero = build.constant(np.float32(0), "zero")
    trivial = {"strides": (1, 1), "padding": (1, 1, 1, 1), "dilations": (1, 1)}
    h = build(nn.Conv, x, weight(channels, channels, 3, 3), **trivial)
    statistics_ = [build.constant(rng.uniform(0.5, 1, channels).astype(np.float32), n) for n in ("s", "o", "m", "v")]
    h = build(nn.BatchNorm, h, *statistics_)
    h = build(arith.Maximum, h, zero)
    h = build(nn.Conv, h, weight(channels, channels, 3, 3), **trivial)
    bias = build(arith.Mul, weight(1, channels, 1, 1), build.constant(np.float32(2), "two"))
    h = build(arith.Add, h, bias)
    h = build(arith.Add, h, x)
    positive = build(arith.Compare, h, zero, how="gt")
    h = build(shape.Select, positive, h, zero)
    h = build(shape.Reshape, h, shape=("N", channels, 64))
    return build(shape.Reshape, h, shape=("N", channels, 8, 8))


def stages(ops: int, count: int) -> tuple[int, dict[str, float]]:
    """The number of ops of one module, and the mean CPU seconds of each stage over `count` modules."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[..., Any], *each: list[Any]) -> list[Any]:
        gc.collect()
        start = time.process_time()
        found = [work(*arguments) for arguments in zip(*each, strict=True)]
        seconds[name] = (time.process_time() - start) / count
        return found

    modules = timed("build", network, [ops] * count)
    timed("verify", Module.verify, modules)
    copies = timed("clone", Module.clone, modules)
    if not all(timed("compare", Module.__eq__, copies, modules)):
        raise SystemExit("a clone differs from its module")
    texts = timed("print", print_module, modules)
    parsed = timed("parse", lambda text, m: parse_module(text, resources=m.resources), texts, modules)
    if parsed != modules:
        raise SystemExit("the text parses to another module")
    context = PassContext(runtime=None)  # type: ignore[arg-type]
    timed("canonicalize", lambda m: Canonicalize().run(m, context), copies)
    timed("fold-batchnorm", lambda m: FoldBatchNorm().run(m, context), copies)
    for copy in copies:
        copy.verify()
    return len(modules[0].main), seconds


def measure(ops: int, rounds: int) -> list[dict[str, Any]]:
    """A row a stage: seconds and ops a second of the whole module, and the ratio to a tenth of it."""
    small, large = [], []
    stages(ops // 10, 1)  # what is loaded lazily is loaded now
    for _ in range(rounds):
        small.append(stages(ops // 10, 10))
        large.append(stages(ops, 1))
    rows = []
    scale = 10 * small[0][0] / large[0][0]  # the modules are not of exactly so many ops
    for name in STAGES:
        seconds = statistics.median(s[name] for _, s in large)
        # round by round: what else the machine does slows both sides of a round
        ratios = [long[name] / short[name] for (_, long), (_, short) in zip(large, small, strict=True)]
        ratio = statistics.median(ratios) * scale
        rows.append({"stage": name, "seconds": seconds, "ops/s": large[0][0] / seconds, "ratio": ratio})
    return rows


def table(rows: list[dict[str, Any]], ops: int) -> str:
    """The rows as markdown."""
    lines = [
        f"A module of {ops:,} ops against one of {ops // 10:,}; CPU seconds, medians, one thread "
        f"({platform.processor() or platform.machine()}, Python {platform.python_version()}).",
        "",
        "| stage | s | ops/s | 10x the ops: times |",
        "|---|---|---|---|",
    ]
    lines += [f"| {r['stage']} | {r['seconds']:.3f} | {r['ops/s']:,.0f} | {r['ratio']:.1f} |" for r in rows]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 when a stage is quadratic or parsing is slow."""
    reader = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    reader.add_argument("--ops", type=int, default=10_000)
    reader.add_argument("--rounds", type=int, default=5)
    reader.add_argument("--no-write", action="store_true")
    options = reader.parse_args(arguments)
    rows = measure(options.ops, options.rounds)
    text = table(rows, options.ops)
    print(text)
    bad = [f"{r['stage']} takes {r['ratio']:.1f} times as long for 10x the ops" for r in rows if r["ratio"] > RATIO]
    bad += [f"parsing makes {r['ops/s']:.0f} op/s" for r in rows if r["stage"] == "parse" and r["ops/s"] < PARSED]
    if not options.no_write:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text("# Compile time\n\n`python -m benchmarks.compile_time`\n\n" + text)
    print("\n".join(bad) or f"every ratio is at most {RATIO:g}; parsing makes at least {PARSED:,.0f} op/s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
