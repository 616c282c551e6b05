"""What a frontend, a pass, a target and a runtime *are*. Third parties need `ranvier.ir` alone for these."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from ranvier.ir.core import Module, Op
from ranvier.ir.cost import Activity, Cost
from ranvier.ir.diagnostics import Diagnostic, RanvierError, error
from ranvier.ir.locations import describe
from ranvier.ir.records import Record

Array = np.ndarray[Any, Any]


# -- runtimes ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RunResult:
    """Outputs in graph order, and tapped values by name; timed arrays are [T, ...]."""

    outputs: tuple[Array, ...]
    taps: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Optimizer:
    """`sgd` or `adam` with a learning rate; what a runtime does not offer it refuses by name.

    Raises RanvierError (bad-value) for a number out of its range: `lr` is positive, `momentum` and `betas` are at least
    0 and less than 1, `weight_decay` is at least 0.
    """

    name: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        check_number(self.lr, "lr", lambda x: x > 0, "greater than 0", "1e-3 is a usual start")
        check_number(self.momentum, "momentum", lambda x: 0 <= x < 1, "at least 0 and less than 1", "0.9 is usual")
        check_number(self.weight_decay, "weight_decay", lambda x: x >= 0, "at least 0", "0 leaves it out")
        if not isinstance(self.betas, Sequence) or len(self.betas) != 2:
            raise error("bad-value", f"betas must be two numbers, not {self.betas!r}", where="betas=")
        for beta in self.betas:
            check_number(beta, "betas", lambda x: 0 <= x < 1, "at least 0 and less than 1", "(0.9, 0.999) is usual")


def check_number(x: Any, name: str, holds: Callable[[float], bool], range: str, help: str) -> None:
    """Raise RanvierError (bad-value) unless x is a finite number for which `holds` is true."""
    real = isinstance(x, int | float | np.integer | np.floating) and not isinstance(x, bool)
    if not real or not math.isfinite(x) or not holds(x):
        raise error("bad-value", f"{name} must be a number {range}, not {x!r}", where=f"{name}=", help=help)


@runtime_checkable
class Runtime(Protocol):
    """Runs modules for passes. Every backend offers `run`; PyTorch's offers all three."""

    def run(
        self,
        module: Module,
        inputs: Sequence[Any],
        taps: Sequence[str] = (),
        *,
        sample_ids: Array | None = None,
        trial: int = 0,
        batch: int | None = None,
    ) -> RunResult:
        """Outputs of `@main` and the values named in `taps`; `batch` splits the samples into runs of that many."""
        ...

    def grad(self, module: Module, wrt: Sequence[str], inputs: Sequence[Any]) -> dict[str, Array]:
        """Gradients of the sum of the outputs with role=loss with respect to resources by name."""
        ...

    def train(
        self,
        module: Module,
        wrt: Sequence[str],
        optimizer: Optimizer,
        data: Sequence[Any],
        seed: int,
        *,
        epochs: int = 1,
        batch: int = 64,
    ) -> Module:
        """A new module whose resources `wrt` have been trained on the outputs with role=loss."""
        ...


class RunOnly:
    """Base of runtimes without gradients: a backend implements `run`, and the rest is refused by name."""

    word: ClassVar[str] = ""
    """The target's word."""

    def grad(self, module: Module, wrt: Sequence[str], inputs: Sequence[Any]) -> dict[str, Array]:
        """See Runtime. Raises RanvierError (unsupported)."""
        raise error("unsupported", f"the target `{self.word}` computes no gradients", help="use the target `torch`")

    def train(
        self,
        module: Module,
        wrt: Sequence[str],
        optimizer: Optimizer,
        data: Sequence[Any],
        seed: int,
        *,
        epochs: int = 1,
        batch: int = 64,
    ) -> Module:
        """See Runtime. Raises RanvierError (unsupported)."""
        raise error("unsupported", f"the target `{self.word}` does not train", help="use the target `torch`")


# -- passes ------------------------------------------------------------------------------------------------------------
@dataclass
class PassContext:
    """What the compiler hands to a pass: the runtime, the data, and where to put what it found."""

    runtime: Runtime
    data: tuple[Array, ...] | None = None
    labels: Array | None = None
    data_description: str = ""
    notes: list[str] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rewrites: list[Any] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """A finding that the user should read; printed with the pass in the trace."""
        self.notes.append(sentence)

    def need_data(self, who: str) -> tuple[Array, ...]:
        """The calibration inputs; raises RanvierError naming the remedy when there are none."""
        if self.data is None:
            raise error(
                "missing-data", f"`{who}` needs calibration data", help="give data= (or a `data` line in the recipe)"
            )
        return self.data


@dataclass(frozen=True)
class Pass(Record):
    """A module to a module. A subclass is a frozen dataclass: its fields are its options, `word` its name.

    `run` works freely on a private clone; the manager verifies and freezes what comes out. `requires` and `ensures`
    name invariants (see `invariant`); `needs` names what the context must hold: `data`, `labels`. A pass with
    `opens_inputs` changes what the module takes: where it comes first it runs before the data are checked, without
    them, and the module that it gives is what later stages and evaluations are compared with.
    """

    family = "pass"
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    opens_inputs: ClassVar[bool] = False

    def run(self, module: Module, context: PassContext) -> None:
        """Change the module in place."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.in_braces()


Invariant = Callable[[Module], Iterable[Diagnostic]]
_INVARIANTS: dict[str, Invariant] = {}


def invariant(name: str) -> Callable[[Invariant], Invariant]:
    """Register a named property of modules: a function that yields what breaks it."""

    def register(function: Invariant) -> Invariant:
        _INVARIANTS[name] = function
        return function

    return register


def check_invariant(name: str, module: Module) -> list[Diagnostic]:
    """What breaks the named invariant in a module."""
    if name not in _INVARIANTS:
        raise error("unknown-name", f"no invariant is called {name!r}")
    return list(_INVARIANTS[name](module))


# -- frontends ---------------------------------------------------------------------------------------------------------
class Frontend(Protocol):
    """Reads one format into a module."""

    suffixes: ClassVar[tuple[str, ...]]

    def accepts(self, model: Any) -> bool:
        """Whether this object (a path is tried by suffix) can be read."""
        ...

    def load(self, model: Any, example: Any = None) -> Module:
        """The module; raises RanvierError with every unsupported op at once."""
        ...


# -- targets -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Support:
    """A row of a support table: an op name (`nn.conv`, or `snn.*`), and when it is supported.

    `when` returns None, or the reason against it; `fix` names the pass that would help.
    """

    op: str
    when: Callable[[Op], str | None] | None = None
    fix: str = ""


def unsupported(module: Module, table: Sequence[Support], target: str) -> list[Diagnostic]:
    """Every op of a module that a target's table does not take, grouped by reason."""
    exact = {row.op: row for row in table}
    families = {row.op[:-2]: row for row in table if row.op.endswith(".*")}
    groups: dict[tuple[str, str, str], list[Op]] = {}
    for op in module.ops:
        row = exact.get(op.name) or families.get(op.name.split(".")[0])
        reason = "is not offered" if row is None else row.when(op) if row.when is not None else None
        if reason is not None:
            groups.setdefault((op.name, reason, row.fix if row else ""), []).append(op)
    found = []
    for (name, reason, fix), ops in groups.items():
        places = [f"{op!r} {describe(op.location)}".strip() for op in ops]
        message = f"target {target}: `{name}` {reason} ({len(ops)} op{'s' * (len(ops) > 1)})"
        notes = tuple(places[:5]) + ((f"... and {len(places) - 5} more",) if len(places) > 5 else ())
        found.append(
            Diagnostic("unsupported", message, describe(ops[0].location), f"run `{fix}`" if fix else "", notes=notes)
        )
    return found


class Program(Protocol):
    """A lowered module, ready to run."""

    def run(
        self, inputs: Sequence[Any], taps: Sequence[str] = (), *, sample_ids: Array | None = None, trial: int = 0
    ) -> RunResult:
        """Outputs and taps for a batch."""
        ...

    def plan(self) -> str:
        """The lowered plan as text: the trace's last stage."""
        ...


@dataclass(frozen=True)
class Target(Record):
    """Where a module runs. Fields are the target's options, `word` its name."""

    family = "target"
    trains: ClassVar[bool] = False
    """Whether the runtime gives gradients and trains; for passes of other targets PyTorch's does."""
    host: ClassVar[str] = ""
    """The target on which passes run modules that hold no op of this target's own yet; "" for this one."""

    def pipeline(self) -> str:
        """The passes that the target needs, as pipeline text built from its options."""
        return ""

    def support(self) -> Sequence[Support]:
        """The support table: it serves legalization, partitioning, docs and error text."""
        raise NotImplementedError

    def lower(self, module: Module) -> Program:
        """The program; raises RanvierError with every unsupported op at once."""
        raise NotImplementedError

    def runtime(self) -> Runtime:
        """What passes run the network on while compiling for this target."""
        raise NotImplementedError

    def cost(self, module: Module, activity: Activity) -> Cost | None:
        """What a module costs on this target, compiled for it or not; None for a target without a cost model.

        Only types are looked at, never weights. Raises RanvierError where the model has no figures for the module.
        """
        return None

    def __str__(self) -> str:
        return self.in_braces()


def check_support(module: Module, table: Sequence[Support], target: str) -> None:
    """Raise RanvierError with every unsupported op, or return."""
    found = unsupported(module, table, target)
    if found:
        raise RanvierError(found)


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices that cover `count` samples, `size` at a time."""
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))
