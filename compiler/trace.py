"""The record of a compilation: every stage from the source model to the lowered plan, to look at and to run again."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.drift import Drift, cosine, largest_difference
from ranvier.ir.core import Module, Value
from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.interfaces import Array, RunResult, Runtime
from ranvier.ir.types import SpikesType, Type


def op_counts(module: Module) -> dict[str, int]:
    """How many ops of each name a module has, `core.return` left out, sorted by name."""
    counts = Counter(op.name for op in module.ops)
    del counts["core.return"]
    return dict(sorted(counts.items()))


@dataclass
class Stage:
    """One step of a compilation and what came out of it.

    `name` is unique in the trace; `text` what was run (a pass with its options); `module` what it gave, None for the
    lowered plan, whose `plan` is the text. `labels` are the checkpoints behind it. `opens_inputs`: the module takes
    other inputs than the one before, and what follows is compared with this one.
    """

    name: str
    text: str = ""
    load: Callable[[], Module] | None = field(default=None, repr=False)
    seconds: float = 0.0
    changed: bool = True
    ops_before: dict[str, int] = field(default_factory=dict)
    ops_after: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rewrites: list[Any] = field(default_factory=list)
    drift: Drift | None = None
    labels: tuple[str, ...] = ()
    plan: str = ""
    opens_inputs: bool = False

    @property
    def module(self) -> Module | None:
        """The module after this stage; None for the lowered plan."""
        if self.load is None:
            return None
        made = self.load()
        self.load = lambda: made
        return made

    @property
    def listing(self) -> str:
        """The module's text, or the lowered plan."""
        return self.plan if self.load is None else str(self.module)

    @property
    def op_changes(self) -> dict[str, int]:
        """How many ops of each name were added (positive) or removed, names without a change left out."""
        names = sorted({*self.ops_before, *self.ops_after})
        changes = {n: self.ops_after.get(n, 0) - self.ops_before.get(n, 0) for n in names}
        return {n: c for n, c in changes.items() if c}

    def as_dict(self) -> dict[str, Any]:
        """Everything but the module, for JSON."""
        return {
            "name": self.name,
            "text": self.text,
            "seconds": self.seconds,
            "changed": self.changed,
            "ops_before": self.ops_before,
            "ops_after": self.ops_after,
            "notes": self.notes,
            "tables": {name: [_plain(row) for row in rows] for name, rows in self.tables.items()},
            "rewrites": [_plain(log) for log in self.rewrites],
            "drift": None if self.drift is None else self.drift.as_dict(),
            "labels": list(self.labels),
            "plan": self.plan,
            "opens_inputs": self.opens_inputs,
        }

    @staticmethod
    def from_dict(saved: dict[str, Any], load: Callable[[], Module] | None) -> Stage:
        """The inverse of `as_dict`; `load` gives the module."""
        given = {**saved, "labels": tuple(saved["labels"])}
        given["drift"] = None if saved["drift"] is None else Drift(**saved["drift"])
        return Stage(load=load, **given)


class Trace(Sequence[Stage]):
    """The stages in order. `trace[2]`, `trace["fold-batchnorm"]` and `trace[a checkpoint]` give one."""

    def __init__(self, stages: Sequence[Stage] = (), runtime: Runtime | None = None):
        self.stages: list[Stage] = list(stages)
        self.runtime = runtime

    @property
    def source(self) -> Module:
        """The module that others are compared with: as it was imported, or as passes that open its inputs left it."""
        stage = next((s for s in reversed(self.stages) if s.opens_inputs), self.stages[0])
        return self._module(stage)

    def __len__(self) -> int:
        return len(self.stages)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self.stages[key]
        return self.stage(key)

    def stage(self, key: int | str | Stage) -> Stage:
        """A stage by number, name or checkpoint; raises RanvierError (unknown-name) with the near miss."""
        if isinstance(key, Stage):
            return key
        if isinstance(key, str):
            for stage in self.stages:
                if key == stage.name or key in stage.labels:
                    return stage
            names = [n for stage in self.stages for n in (stage.name, *stage.labels)]
            raise error("unknown-name", f"the trace has no stage {key!r}", help=suggest(key, names))
        try:
            return self.stages[key]
        except IndexError:
            raise error("unknown-name", f"the trace has {len(self)} stages, none is number {key}") from None

    def fresh(self, name: str) -> str:
        """A stage name that is not yet taken: the name itself, or with `-2`, `-3`, ..."""
        taken = {stage.name for stage in self.stages}
        made, n = name, 1
        while made in taken:
            n += 1
            made = f"{name}-{n}"
        return made

    def diff(self, a: int | str | Stage, b: int | str | Stage, context: int = 3) -> str:
        """The unified diff of two stages' texts; empty when they are the same."""
        one, other = self.stage(a), self.stage(b)
        lines = difflib.unified_diff(
            one.listing.splitlines(), other.listing.splitlines(), one.name, other.name, n=context, lineterm=""
        )
        return "\n".join(lines)

    def run(self, stage: int | str | Stage, inputs: Any, taps: Sequence[str] = ()) -> RunResult:
        """Outputs and tapped values of a stage's module, on the target's runtime."""
        from ranvier.samples import as_inputs, to_numpy

        module = self._module(self.stage(stage))
        return self._runtime().run(module, [to_numpy(x) for x in as_inputs(inputs)], taps)

    def compare(self, a: int | str | Stage, b: int | str | Stage, inputs: Any) -> Comparison:
        """Run two stages and compare every value of `@main` that bears the same name in both, and the outputs.

        A value with time is compared by its mean over the steps, spikes by what they decode to, in real units.
        """
        one, other = self._module(self.stage(a)), self._module(self.stage(b))
        names = comparable_values(one, other)
        left, right = self.run(a, inputs, names), self.run(b, inputs, names)
        rows = [
            _row(f"%{name}", in_real_units(one.main.value(name).type, left.taps[name]),
                 in_real_units(other.main.value(name).type, right.taps[name]))
            for name in names
        ]  # fmt: skip
        outs = zip(one.main.terminator.attributes["names"], one.main.outputs, other.main.outputs, strict=False)
        for i, (name, v, w) in enumerate(outs):
            pair = in_real_units(v.type, left.outputs[i]), in_real_units(w.type, right.outputs[i])
            if pair[0].shape == pair[1].shape:
                rows.append(_row(f"output {name}", *pair))
        return Comparison(self.stage(a).name, self.stage(b).name, tuple(rows))

    def _module(self, stage: Stage) -> Module:
        if stage.module is None:
            raise error(
                "unsupported", f"stage {stage.name!r} is a lowered plan, not a module", help="take the stage before it"
            )
        return stage.module

    def _runtime(self) -> Runtime:
        if self.runtime is None:
            raise error(
                "unsupported", "this trace has no runtime to run modules on", help="take the trace of an executable"
            )
        return self.runtime

    def as_dict(self) -> list[dict[str, Any]]:
        """Every stage without its module."""
        return [stage.as_dict() for stage in self.stages]

    def to_json(self) -> str:
        """Every stage with its text, as a JSON list; numbers that JSON does not have become strings."""
        stages = [{**stage.as_dict(), "listing": stage.listing} for stage in self.stages]
        return json.dumps(_strict(stages), indent=1, allow_nan=False)

    def __str__(self) -> str:
        from ranvier.tables import trace_table

        return trace_table(self)

    def __repr__(self) -> str:
        return f"<Trace: {', '.join(stage.name for stage in self.stages)}>"


@dataclass(frozen=True)
class Difference:
    """How far one value lies apart in two stages."""

    value: str
    max_abs: float
    relative: float
    cosine: float


@dataclass(frozen=True)
class Comparison(Sequence[Difference]):
    """Values of two stages side by side, in the order of the first one; prints as a table."""

    a: str
    b: str
    rows: tuple[Difference, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __str__(self) -> str:
        from ranvier.tables import comparison_table

        return comparison_table(self)


def comparable_values(a: Module, b: Module) -> list[str]:
    """Names of values of `@main` that two modules share and whose shapes agree but for time."""
    others = {v.name: v for v in b.main.values}
    return [v.name for v in a.main.values if v.name in others and _comparable(v, others[v.name])]


def _comparable(a: Value, b: Value) -> bool:
    kinds = a.type, b.type
    return kinds[0].shape == kinds[1].shape and not any(type(k).__name__ == "StateType" for k in kinds)


def in_real_units(kind: Type, array: Array) -> Array:
    """An array as real numbers without time: spikes decoded, other timed values averaged over the steps."""
    if isinstance(kind, SpikesType):
        from ranvier.ir.ops.snn import scale_of

        state, rows = kind.code.psp_init(np, array[0].astype(np.float32)), []
        for t in range(len(array)):
            state, value = kind.code.psp_step(np, state, array[t].astype(np.float32), t, len(array))
            rows.append(value)
        return np.asarray(kind.code.decode(np, np.stack(rows), len(array)) * scale_of(kind.elem, kind.rank))
    return np.asarray(array.mean(0) if kind.time is not None else array, np.float64)


def _row(name: str, a: Array, b: Array) -> Difference:
    a, b = a.astype(np.float64), b.astype(np.float64)
    worst, largest = largest_difference(a, b), float(np.abs(a).max(initial=0.0))
    return Difference(name, worst, worst / largest if largest else (0.0 if worst == 0 else float("inf")), cosine(a, b))


def _plain(value: Any) -> Any:
    """Something that JSON has, of whatever a pass put down."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _strict(value: Any) -> Any:
    """The same without infinities and NaN."""
    if isinstance(value, dict):
        return {k: _strict(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_strict(v) for v in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
