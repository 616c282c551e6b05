"""The table of codes and networks: what each code makes of each network, or why it refuses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError
from tests.zoo.zoo import Zoo

CODES: dict[str, str] = {
    "rate": "convert-snn{code=rate steps=32}",
    "phase": "convert-snn{code=phase(period=8) steps=8}",
    "burst": "convert-snn{code=burst steps=32}",
    "ttfs": "convert-snn{code=ttfs(tau=8) steps=32}",
    "ttas": "convert-snn{code=ttas(spikes=5) steps=32}",
    "fs": "convert-snn{code=fs(K=6)}",
    "multi_threshold": "convert-snn{code=multi_threshold(levels=6) steps=4}",
    "diff": "convert-snn{code=diff steps=32 schedule=stepwise}",
    "fs_fitted": "fs-fit{K=16 softmax=true}, convert-snn{code=fs(K=16)}",
}
"""The passes of each code; the last one is `convert-snn`, with options."""
BEFORE = "fold-batchnorm, canonicalize"
Compiler = Callable[..., Any]


@dataclass(frozen=True)
class Cell:
    """One code on one network. `score` and `agreement` are from 0 to 1 and mean what the network's metric says.

    `refusals` are the errors of the strict conversion, by code and message without names; empty when it went through.
    `left` counts the hidden activations that stayed real-valued where it was then allowed; without any, the code is
    refused altogether and there are no figures. `crash` is an error that is no diagnostic.
    """

    network: str
    code: str
    source: float = 0.0
    score: float | None = None
    agreement: float | None = None
    neurons: int = 0
    left: Mapping[str, int] | None = None
    spikes: float | None = None
    steps: int | None = None
    latency: int | None = None
    refusals: tuple[str, ...] = ()
    crash: str = ""
    seconds: float = 0.0

    @property
    def converted(self) -> bool:
        """Whether every hidden activation has become spikes."""
        return self.score is not None and not self.left


def conversion_table(
    codes: Mapping[str, str],
    networks: Iterable[Zoo],
    runtime: str = "torch",
    *,
    compile: Compiler = rv.compile,
    before: str = BEFORE,
) -> Iterator[Cell]:
    """Convert every network with every code, run it on the target `runtime`, and judge it on its evaluation data.

    A conversion that refuses is tried again with `allow_unconverted=true`; what it refused stays in the cell.
    """
    for zoo in networks:
        module = zoo.module()
        source = np.asarray(compile(module, target=runtime)(zoo.evaluation))
        assert zoo.labels is not None
        known = zoo.metric.score(source, zoo.labels)
        for code, passes in codes.items():
            started = time.process_time()
            cell = Cell(zoo.name, code, known)
            cell = _strict(cell, zoo, module, source, f"{before}, {passes}", runtime, compile)
            yield replace(cell, seconds=time.process_time() - started)


def _strict(cell: Cell, zoo: Zoo, module: Module, source: Any, passes: str, target: str, compile: Compiler) -> Cell:
    """Try as asked, and where that is refused with what may stay real-valued."""
    for allowed in ("}", " allow_unconverted=true}"):
        text = passes.removesuffix("}") + allowed
        try:
            made = compile(module, text, target=target, data=zoo.calibration)
            return _judge(cell, zoo, made, source)
        except RanvierError as why:
            cell = replace(cell, refusals=cell.refusals + _reasons(why))
        except Exception as why:
            return replace(cell, crash=f"{type(why).__name__}: {str(why).splitlines()[0] if str(why) else ''}")
    return cell


def _judge(cell: Cell, zoo: Zoo, made: Any, source: Any) -> Cell:
    outputs = np.asarray(made(zoo.evaluation))
    figures = made.evaluate(zoo.evaluation[:64])
    rows = _coverage(made.trace)
    left: dict[str, int] = {}
    for row in rows:
        if row["became"] == "real-valued":
            left[row["op"]] = left.get(row["op"], 0) + 1
    return replace(
        cell,
        score=zoo.metric.score(outputs, zoo.labels),
        agreement=zoo.metric.agreement(outputs, source),
        neurons=sum(row["became"] == "neuron" for row in rows),
        left=left,
        spikes=figures.spikes_per_neuron,
        steps=figures.timesteps,
        latency=figures.latency_steps,
    )


def _coverage(stages: Sequence[Any]) -> list[dict[str, Any]]:
    """What became of each activation, from the stage that converted."""
    return next((s.tables["coverage"] for s in stages if "coverage" in s.tables), [])


def _reasons(why: RanvierError) -> tuple[str, ...]:
    """Codes and messages, those that differ in the value's name alone once."""
    found: dict[str, None] = {}
    for d in why.diagnostics:
        message = " ".join(w for w in d.message.split() if not w.lstrip("`'").startswith("%"))
        found[f"{d.code}: {message}"] = None
    return tuple(found)
