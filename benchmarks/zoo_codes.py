"""Every spike code on every network of the zoo: accuracy and agreement, spikes and latency, or why a code refuses.

    python -m benchmarks.zoo_codes [--networks NAME ...] [--codes NAME ...] [--samples N] [--no-write]

Networks are those of `tests/zoo` with their trained weights; thresholds come from training data, figures
from test data.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.zoo.data import Missing
from tests.zoo.networks import ZOO
from tests.zoo.table import BEFORE, CODES, Cell, conversion_table
from tests.zoo.zoo import Zoo

RESULTS = Path(__file__).resolve().parent / "results" / "zoo_codes.md"
CALIBRATION = 512


def networks(names: list[str], samples: int) -> Iterator[Zoo]:
    """The networks that can be had, with so many samples to evaluate on."""
    for name in names:
        try:
            yield ZOO[name]().few(CALIBRATION, samples)
        except Missing as why:
            print(f"{name}: left out, {why}", file=sys.stderr)


class Notes:
    """Numbered reasons, each once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def mark(self, reasons: tuple[str, ...]) -> str:
        """The numbers of reasons in brackets."""
        found = sorted({self.numbers.setdefault(r, len(self.numbers) + 1) for r in reasons})
        return f"[{', '.join(map(str, found))}]" if found else ""

    def lines(self) -> list[str]:
        """All of them as a list."""
        return [f"{n}. {reason}" for reason, n in self.numbers.items()]


def quality(cell: Cell, notes: Notes) -> str:
    """Score and agreement in percent; in italics where activations stayed real-valued, with the reasons."""
    mark = notes.mark((f"error: {cell.crash}",) if cell.crash else cell.refusals)
    if cell.score is None or cell.agreement is None:
        return f"**error** {mark}" if cell.crash else f"refused {mark}"
    figures = f"{100 * cell.score:.1f} ({100 * cell.agreement:.1f})"
    return f"*{figures}* {cell.neurons}/{cell.neurons + sum((cell.left or {}).values())} {mark}" if mark else figures


def effort(cell: Cell) -> str:
    """Spikes per neuron, timesteps of a layer, latency of the network in steps."""
    if cell.spikes is None:
        return "–"
    return f"{cell.spikes:.2f}, {cell.steps}, {cell.latency}"


def grid(cells: list[Cell], show: Callable[[Cell], str], first: str, source: bool) -> list[str]:
    """A table of networks by codes."""
    codes = list(dict.fromkeys(c.code for c in cells))
    head = [first, *(["source"] if source else []), *codes]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in dict.fromkeys(c.network for c in cells):
        row = {c.code: c for c in cells if c.network == name}
        known = [f"{100 * next(iter(row.values())).source:.1f}"] if source else []
        lines.append(f"| {' | '.join([name, *known, *(show(row[c]) for c in codes)])} |")
    return lines


def page(cells: list[Cell], chosen: list[Zoo], seconds: float) -> str:
    """The page of results."""
    notes = Notes()
    table = grid(cells, lambda c: quality(c, notes), "network", True)
    metrics = [
        f"- {z.name}: {z.metric.score_name}; {z.metric.agreement_name}; {len(z.evaluation)} samples" for z in chosen
    ]
    strict = [c for c in cells if c.converted]
    lines = [
        "# Codes on the zoo",
        "",
        f"Made by `python -m benchmarks.zoo_codes` in {seconds:.0f} s of CPU. Each cell: score in percent on test "
        "data, in brackets the agreement with the source network. Where hidden activations have no spiking form in a "
        "code, the conversion refuses for the reasons noted; the figures in italics are then those with "
        "`allow_unconverted=true`, followed by neurons out of all hidden activations. "
        f"{len(strict)} of {len(cells)} conversions leave nothing real-valued.",
        "",
        *table,
        "",
        "Reasons:",
        "",
        *notes.lines(),
        "",
        "Spikes per neuron, timesteps of a layer, latency of the whole network in timesteps:",
        "",
        *grid(cells, effort, "network", False),
        "",
        "Passes, behind `" + BEFORE + "`:",
        "",
        *(f"- {name}: `{CODES[name]}`" for name in dict.fromkeys(c.code for c in cells)),
        "",
        "Score, agreement and samples:",
        "",
        *metrics,
        "",
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 when a conversion ended in an error that is no diagnostic."""
    reader = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    reader.add_argument("--networks", nargs="+", choices=[*ZOO], default=[*ZOO])
    reader.add_argument("--codes", nargs="+", choices=[*CODES], default=[*CODES])
    reader.add_argument("--samples", type=int, default=1000)
    reader.add_argument("--no-write", action="store_true")
    options = reader.parse_args(arguments)
    started = time.process_time()
    chosen, cells = list(networks(options.networks, options.samples)), []
    for cell in conversion_table({c: CODES[c] for c in options.codes}, chosen):
        cells.append(cell)
        print(f"{cell.network:17} {cell.code:16} {quality(cell, Notes())} {cell.crash or effort(cell)}", flush=True)
    text = page(cells, chosen, time.process_time() - started)
    if not options.no_write:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")
    return 1 if any(c.crash for c in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
