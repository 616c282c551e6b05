"""Every spike code on one network over several numbers of steps: what `ranvier codes` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.api import as_target, compile_for, load_model, run_passes
from ranvier.evaluation import Evaluation, evaluate, source_output
from ranvier.ir.codes import Code
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.fields import RecordOf
from ranvier.ir.interfaces import Array, Target
from ranvier.ir.records import known, record_class, short_real
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.values import format_value, read_value
from ranvier.manager import Progress, no_progress

STEPS = (4, 8, 16, 32)
PASSES = "fold-batchnorm, canonicalize"


@dataclass(frozen=True)
class Cell:
    """A code at one number of steps: its evaluation, or the reason why there is none."""

    steps: int
    evaluation: Evaluation | None
    refusal: str = ""


@dataclass(frozen=True)
class CodeRow:
    """A code with its options, as written in `convert-snn`, and its cells in order of steps."""

    text: str
    cells: tuple[Cell, ...]

    def figure(self, name: str) -> list[Any]:
        """One figure of all evaluations, None where there is none."""
        return [None if c.evaluation is None else getattr(c.evaluation, name) for c in self.cells]


@dataclass(frozen=True)
class CodeTable:
    """What was found: `str` gives accuracy and agreement, spikes and bits, what quantizing alone gives, refusals."""

    steps: tuple[int, ...]
    rows: tuple[CodeRow, ...]

    def __str__(self) -> str:
        first = next((c.evaluation for row in self.rows for c in row.cells if c.evaluation is not None), None)
        parts = []
        if first is not None:
            scored = first.accuracy is not None
            source = f"; the source model has {first.source_accuracy:.2%}" if first.source_accuracy is not None else ""
            about = "accuracy / agreement with the source" if scored else "agreement with the source"
            cells = [_both if scored else _agreed, _spikes, _quantized]
            titles = (
                f"{about}, percent of {first.samples} samples{source}",
                "spikes per neuron and sample; bits of one spike",
                "the quantized network of equal capacity: " + ("accuracy" if scored else "agreement with the source"),
            )
            parts = [self._part(*pair) for pair in zip(titles, cells, strict=True)]
        return "\n\n".join([*parts, *self._refusals()])

    def _part(self, title: str, cell: Any) -> str:
        from ranvier.tables import render

        heads = [f"T={t}" for t in self.steps]
        rows: list[tuple[Any, ...]] = []
        for row in self.rows:
            shown = [None if c.evaluation is None else cell(c.evaluation) for c in row.cells]
            if any(shown):
                extra = (_last(row.figure("bits_per_spike")), _last(row.figure("latency_steps")))
                rows.append((row.text, *(s or "-" for s in shown), *(extra if cell is _spikes else ())))
        columns = ["code", *heads, *(("bits", f"latency at T={self.steps[-1]}") if cell is _spikes else ())]
        return f"{title}\n{render(columns, rows, right=columns[1:])}"

    def _refusals(self) -> list[str]:
        found: dict[tuple[str, str], list[int]] = {}
        for row in self.rows:
            for c in row.cells:
                if c.refusal:
                    found.setdefault((row.text, c.refusal), []).append(c.steps)
        every = len(self.steps)
        lines = [
            f"{text}{'' if len(at) == every else ' at T=' + ', '.join(map(str, at))}: {why}"
            for (text, why), at in found.items()
        ]
        return ["refused\n" + "\n".join(f"  {line}" for line in lines)] if lines else []


def _both(e: Evaluation) -> str:
    assert e.accuracy is not None
    return f"{100 * e.accuracy:.1f} / {_agreed(e)}"


def _agreed(e: Evaluation) -> str:
    return "" if e.agreement is None else f"{100 * e.agreement:.1f}"


def _spikes(e: Evaluation) -> str:
    return "" if e.spikes_per_neuron is None else f"{e.spikes_per_neuron:.3g}"


def _quantized(e: Evaluation) -> str:
    found = e.baseline_accuracy if e.accuracy is not None else e.baseline_agreement
    return "" if found is None else f"{100 * found:.1f}"


def _last(figures: Sequence[Any]) -> str:
    found = [f for f in figures if f is not None]
    return f"{found[-1]:.3g}" if found else ""


def all_codes() -> list[str]:
    """Every code that ships, layer by layer, and step by step where it can be: signed then, if it has that form."""
    texts: list[str] = []
    for word in known("code"):
        cls = record_class("code", word)
        assert cls is not None
        try:
            code: Any = cls()
        except (RanvierError, TypeError):  # it has options that must be given: refused with that reason
            texts.append(word)
            continue
        if not code.needs_stepwise:
            texts.append(word)
        if not code.needs_window:
            signed = "signed" in {f.name for f in cls.options()}
            texts.append(f"{word}{' signed=true' if signed else ''} schedule=stepwise")
    return texts


def code_table(
    model: Any,
    images: Any,
    labels: Array | None = None,
    *,
    data: Any,
    codes: Iterable[str] = (),
    steps: Sequence[int] = STEPS,
    passes: str = PASSES,
    options: str = "",
    target: str | Target = "torch",
    data_description: str = "",
    progress: Progress = no_progress,
) -> CodeTable:
    """Convert a model with every code at every number of steps, and evaluate it.

    `codes` are texts such as `fs`, `phase(period=4)` or `rate signed=true schedule=stepwise`: a code, then options of
    convert-snn; without any, all that ship. A code without parameters gets those that suit the window
    (`Code.for_steps`). `passes` run once before; `options` are added to every conversion; `data` are the calibration
    inputs. A code that the model cannot have is a row of refusals. Raises RanvierError when the model, the data or the
    passes themselves are wrong.
    """
    chosen = as_target(target)
    source = load_model(model)
    simple = run_passes(source, passes, data=data, data_description=data_description).stages[-1].module
    assert simple is not None
    texts = list(codes) or all_codes()
    known_outputs: Array | None = None
    rows = []
    for i, text in enumerate(texts):
        cells = []
        for t in steps:
            progress(f"{text} T={t}", i, len(texts))
            try:
                conversion = f"convert-snn{{{code_options(text, t)} {options}".rstrip() + "}"
                exe = compile_for(simple, conversion, chosen, data=data, data_description=data_description)
                if known_outputs is None:
                    known_outputs = source_output(exe, images if isinstance(images, tuple) else (images,))
                cells.append(Cell(t, evaluate(exe, images, labels, source_outputs=known_outputs)))
            except RanvierError as why:
                cells.append(Cell(t, None, "; ".join(dict.fromkeys(d.message for d in why.diagnostics))))
        rows.append(CodeRow(text, tuple(cells)))
    progress("done", len(texts), len(texts))
    return CodeTable(tuple(steps), tuple(rows))


def code_options(text: str, steps: int) -> str:
    """Options of convert-snn for a code and a number of steps; raises RanvierError when the code cannot be read."""
    scanner = Scanner(text, "<code>")
    value = read_value(scanner)
    rest = text[scanner.pos :].strip()
    code: Code = RecordOf("code").read(value)
    if not code.fields():
        code = code.for_steps(steps)
    return f"code={format_value(code.write(), short_real)} steps={steps} {rest}".rstrip()
