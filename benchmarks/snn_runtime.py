"""The PyTorch runtime on a spiking ResNet-20 skeleton, beside the same ANN, hand-written loops and other SNN libraries.

    python -m benchmarks.snn_runtime [--cells 8x1,8x32] [--rounds 5] [--no-write]

Network, weights and the other runtimes are those of `../shared/peers/bench_snn.py`: unsigned integrate-and-fire,
threshold 1, soft reset, the image as direct input at every step. One thread. A round runs every runtime once, one after
the other; times are CPU seconds (`process_time`), since the machine may be shared; "x ANN" is the median over the
rounds of the time over T forwards of the ANN in eager torch in the same round. A library that cannot be imported is
left out and named.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import statistics
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT.parent / "shared" / "peers" / "bench_snn.py"
RESULTS = ROOT / "benchmarks" / "results" / "snn_runtime.md"
CELLS = ((8, 1), (8, 32), (8, 128), (32, 1), (32, 32), (32, 128))
OTHERS = {
    "torch_single": "hand-written torch, loop over T",
    "torch_multi": "hand-written torch, T in the batch",
    "sj_single": "SpikingJelly, single step",
    "sj_multi": "SpikingJelly, multi step",
    "snntorch_single": "snnTorch",
    "norse_single": "Norse IAFCell",
    "norse_lifbox_single": "Norse LIFBoxCell",
    "sinabs_multi": "Sinabs IAFSqueeze",
}
# The same dynamics: their sums of outputs must agree with ours.
EXACT = ("torch_single", "torch_multi", "sj_single", "sj_multi", "sinabs_multi")
FIRST_CALL = 1.0
GATES = {(8, 1): 0.85, (32, 1): 0.85, (8, 32): 1.2, (32, 32): 1.2, (8, 128): 1.1, (32, 128): 1.2}


@dataclass
class Cell:
    """What was measured for one number of steps and one batch."""

    steps: int
    batch: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    first: float = 0.0
    plan: str = ""
    agreement: str = ""

    def ratio(self, name: str) -> float:
        """Median over the rounds of the time over the ANN's in the same round."""
        return statistics.median(a / b for a, b in zip(self.seconds[name], self.seconds["ann"], strict=True))


def peer_namespace(steps: int, batch: int) -> dict[str, Any]:
    """The names of the peers' script, its own measurement left out."""
    argv, sys.argv = sys.argv, [str(PEERS), "--T", str(steps), "--B", str(batch), "--reps", "0", "--which", "ann_x_T"]
    space: dict[str, Any] = {"__file__": str(PEERS), "__name__": "bench_snn"}
    text = PEERS.read_text().split("import signal\n")[0]
    if importlib.util.find_spec("torchvision") is None:  # its helper mends a broken torchvision; there is none to mend
        sys.modules.setdefault("tvstub", types.ModuleType("tvstub"))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, str(PEERS), "exec"), space)
    finally:
        sys.argv = argv
    return space


def ranvier_module(state: dict[str, Any], steps: int) -> Any:
    """The spiking ResNet-20 skeleton as a module, from the ANN's state dict."""
    from ranvier.ir.core import Builder, Module
    from ranvier.ir.ops import arith, neurons, nn, reduce, shape, snn
    from ranvier.ir.ops import time as timing
    from ranvier.ir.types import tensor

    module = Module("resnet20_if")
    graph = module.new_graph()
    b = Builder(graph)

    def conv(x: Any, name: str, stride: int = 1) -> Any:
        w, bias = (b.constant(state[f"{name}.{part}"].numpy(), f"{name}.{part}") for part in ("weight", "bias"))
        return b(nn.Conv, x, w, bias, strides=(stride, stride), padding=(1, 1, 1, 1))

    def fire(x: Any) -> Any:
        return b(snn.Psp, b(neurons.Neuron, x, code="rate")[0])

    h = b(timing.Repeat, graph.argument("x", tensor("N", 3, 32, 32)), steps=steps)
    h = fire(conv(h, "c"))
    channels, index = 16, 0
    for out, first in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            stride, name, skip = first if i == 0 else 1, f"b.{index}", h
            if channels != out:
                cut = {"axes": (2, 3), "starts": (0, 0), "stops": (2**31 - 1,) * 2, "steps": (2, 2)}
                more = (0, (out - channels) // 2, 0, 0)
                skip = b(shape.Pad, b(shape.Slice, h, **cut), before=more, after=more)
            y = conv(fire(conv(h, f"{name}.c1", stride)), f"{name}.c2")
            h = fire(b(arith.Add, y, skip))
            channels, index = out, index + 1
    pooled = b(reduce.Mean, h, axes=(2, 3))
    logits = b(nn.Linear, pooled, *(b.constant(state[f"fc.{p}"].numpy(), f"fc.{p}") for p in ("weight", "bias")))
    total, _ = b(timing.Accumulate, logits, mode="sum")
    b.returns(b(timing.Last, total), names=["logits"])
    return module.verify().freeze()


def measure(steps: int, batch: int, rounds: int, names: list[str]) -> Cell:
    """Every runtime of one cell, in rounds."""
    import torch

    from ranvier.backends.torch_runtime import TorchTarget

    cell = Cell(steps, batch)
    space = peer_namespace(steps, batch)
    x = space["x"].numpy()
    module = ranvier_module(space["ref"].state_dict(), steps)
    began = time.process_time()
    program = TorchTarget(threads=1).lower(module)
    program.run([x])
    cell.first = time.process_time() - began
    runners: dict[str, Callable[[], Any]] = {
        "ann": space["V"]["ann_x_T"](),
        "ranvier": lambda: program.run([x]).outputs[0],
    }
    for name in names:
        try:
            runners[name] = space["V"][name]()
            runners[name]()
        except Exception as why:
            cell.skipped[name] = f"{type(why).__name__}: {str(why).splitlines()[0][:80] if str(why) else ''}"
            runners.pop(name, None)
    cell.plan = _shape_of_plan(program, batch, steps)
    cell.agreement = _agreement(runners)
    for runner in (runners["ann"], runners["ranvier"]):
        runner()
    for _ in range(rounds):
        for name, runner in runners.items():
            began = time.process_time()
            runner()
            cell.seconds.setdefault(name, []).append(time.process_time() - began)
    torch.set_grad_enabled(False)
    return cell


def _shape_of_plan(program: Any, batch: int, steps: int) -> str:
    from ranvier.backends.torch_runtime.tiling import choose
    from ranvier.backends.torch_runtime.writer import Mode

    order = program.lowered(Mode()).order
    size, fold = choose(order, batch, steps, tile=None, threads=1, cuda=False)
    return f"{size} samples x {fold} steps"


def _agreement(runners: dict[str, Callable[[], Any]]) -> str:
    import numpy as np

    ours = np.asarray(runners["ranvier"]())
    found = []
    for name in EXACT:
        if name in runners:
            theirs = runners[name]().detach().numpy()
            found.append(f"{name} {float(np.abs(theirs - ours).max()):.2g}")
    return ", ".join(found)


def table(cells: list[Cell]) -> str:
    """Results as Markdown."""
    names = ["ann", "ranvier", *OTHERS]
    heads = [f"T={c.steps} B={c.batch}" for c in cells]
    rows = ["| runtime | " + " | ".join(heads) + " |", "|---" * (len(cells) + 1) + "|"]
    labels = {"ann": "ANN x T, eager torch", "ranvier": "**Ranvier**", **OTHERS}
    for name in names:
        texts = []
        for c in cells:
            if name in c.seconds:
                texts.append(f"{statistics.median(c.seconds[name]) * 1e3:.1f} ms ({c.ratio(name):.2f})")
            else:
                texts.append("–")
        if any(t != "–" for t in texts):
            rows.append(f"| {labels[name]} | " + " | ".join(texts) + " |")
    rows.append("| gate | " + " | ".join(f"{GATES.get((c.steps, c.batch), 0):.2f}" for c in cells) + " |")
    rows.append("| met | " + " | ".join(_verdict(c) for c in cells) + " |")
    rows.append("| tile | " + " | ".join(c.plan for c in cells) + " |")
    firsts = [_first_call(c) for c in cells]
    rows.append("| lowering and first call beyond a later one, s | " + " | ".join(f"{s:.2f}" for s in firsts) + " |")
    return "\n".join(rows)


def _first_call(cell: Cell) -> float:
    """Seconds that lowering and the first call take beyond a later call; at most FIRST_CALL."""
    return cell.first - statistics.median(cell.seconds["ranvier"])


def _verdict(cell: Cell) -> str:
    ours = cell.ratio("ranvier")
    libraries = [n for n in cell.seconds if n in OTHERS and not n.startswith("torch")]
    slower = [n for n in libraries if cell.ratio(n) <= ours]
    gate = "yes" if ours <= GATES.get((cell.steps, cell.batch), float("inf")) else "no"
    return gate + (f", but not below {', '.join(slower)}" if slower else ", below all libraries" if libraries else "")


def report(cells: list[Cell]) -> str:
    """The whole page."""
    import platform

    import torch

    lines = [
        "# SNN inference: the PyTorch runtime",
        "",
        "Made by `python -m benchmarks.snn_runtime`; its docstring says what is measured and how. "
        f"torch {torch.__version__}, Python {platform.python_version()}, one thread, {_processor()}. CPU time, "
        f"median of {len(cells[0].seconds['ann'])} rounds; in brackets the time over T forwards of the ANN.",
        "",
        table(cells),
        "",
        "Largest difference of the summed outputs from runtimes of the same dynamics (spikes may differ where "
        "a membrane meets the threshold within rounding):",
        "",
        *[f"- T={c.steps} B={c.batch}: {c.agreement or 'none ran'}" for c in cells],
    ]
    skipped = {f"{OTHERS[n]}: {why}" for c in cells for n, why in c.skipped.items()}
    if skipped:
        lines += ["", "Left out:", "", *[f"- {text}" for text in sorted(skipped)]]
    return "\n".join(lines) + "\n"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "unknown processor"
    return next(
        (line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "unknown"
    )


def main() -> None:
    """Measure, print, and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="", help="such as 8x1,32x128; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", default="all", help="names of other runtimes, or none")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    if not PEERS.exists():
        sys.exit(f"{PEERS} is not there: network and weights come from it")
    import torch

    torch.set_num_threads(1)
    cells = [tuple(map(int, c.split("x"))) for c in options.cells.split(",") if c] or list(CELLS)
    names = list(OTHERS) if options.others == "all" else [n for n in options.others.split(",") if n != "none"]
    done = []
    for steps, batch in cells:
        done.append(measure(steps, batch, options.rounds, names))
        print(table(done[-1:]), done[-1].agreement, sep="\n", flush=True)
        if not options.no_write:
            RESULTS.write_text(report(done))
    print(report(done))
    late = any(_first_call(c) >= FIRST_CALL for c in done)
    sys.exit(late or any(_verdict(c).startswith("no") or "but" in _verdict(c) for c in done))


if __name__ == "__main__":
    main()
