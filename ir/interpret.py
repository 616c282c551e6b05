"""Run a module by the meaning of its ops, in numpy: the oracle that every backend is tested against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.ir import rng
from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.diagnostics import RanvierError, error
from ranvier.ir.locations import describe
from ranvier.ir.timing import PureOp, StatefulOp, is_cycle, is_stateful, regions
from ranvier.ir.types import Dim, SpikesType, TensorType, Type, same_dim

Array = np.ndarray[Any, Any]


@dataclass
class Moment:
    """What a step knows beside its operands: its index, the number of steps, the array namespace, and where to draw."""

    t: int
    steps: int
    sample_ids: Any
    trial: int = 0
    xp: Any = np

    def draw(self, seed: int, key: str, shape: tuple[int, ...]) -> Any:
        """Uniform numbers for this step."""
        return rng.uniform(self.xp, seed, key, self.trial, self.sample_ids, self.t, shape)


@dataclass
class Interpreter:
    """Runs graphs of one module. `taps` names values of `@main` whose arrays are kept in `tapped`."""

    module: Module
    sample_ids: Array | None = None
    trial: int = 0
    taps: frozenset[str] = frozenset()
    symbols: dict[str, int] = field(default_factory=dict)
    tapped: dict[str, Array] = field(default_factory=dict)

    def run(self, graph: Graph, inputs: Sequence[Any]) -> list[Array]:
        """The outputs of a graph for arrays of its arguments; timed values are [T, ...]."""
        arrays = [check_input(arg, x, self.symbols) for arg, x in zip_inputs(graph, inputs)]
        if self.sample_ids is None:
            self.sample_ids = np.arange(_samples(graph, arrays), dtype=np.int64)
        env: dict[Value, Array | None] = dict(zip(graph.args, arrays, strict=True))
        for group in regions(graph):
            if is_cycle(group):
                self._run_cycle(group, env)
            elif group[0].name != "core.return":
                self._run_op(group[0], env)
        if graph is self.module.main:
            self.tapped.update((v.name, a) for v, a in env.items() if v.name in self.taps and a is not None)
        return [self._get(v, env) for v in graph.outputs]

    def _get(self, value: Value, env: dict[Value, Any]) -> Any:
        return self.module.array(value) if value.resource is not None else env[value]

    def operands(self, op: Op, env: dict[Value, Any]) -> list[Any]:
        """Arrays of an op's operands; None where one is left out."""
        return [None if v is None else self._get(v, env) for v in op.operands]

    def steps_of(self, op: Op) -> int | None:
        """How many steps an op runs over, None for an op without time."""
        for v in (*op.results, *op.arguments):
            if v.type.time is not None:
                return self.resolve(v.type.time)
        return None

    def resolve(self, time: Dim) -> int:
        """A number of steps; symbols are bound by the inputs."""
        if isinstance(time, int):
            return time
        if time not in self.symbols:
            raise error(
                "bad-input", f"the number of steps {time} is not known", help=f"pass a timed input or bind {time}"
            )
        return self.symbols[time]

    def _moment(self, t: int, steps: int) -> Moment:
        assert self.sample_ids is not None
        return Moment(t, steps, self.sample_ids, self.trial)

    def _run_op(self, op: Op, env: dict[Value, Any]) -> None:
        arrays = self.operands(op, env)
        try:
            self._store(op, self._compute(op, arrays), env)
        except (ValueError, TypeError, IndexError) as why:
            if isinstance(why, RanvierError):
                raise
            shapes = [None if a is None else list(np.shape(a)) for a in arrays]
            raise error(
                "bad-input", f"{op!r} cannot be computed on shapes {shapes}: {why}", where=describe(op.location)
            ) from why

    def _compute(self, op: Op, arrays: list[Any]) -> Any:
        evaluate = getattr(op, "evaluate", None)
        if evaluate is not None:  # call, if, loop
            return evaluate(self, arrays)
        steps = self.steps_of(op)
        if is_stateful(op):
            assert isinstance(op, StatefulOp)
            assert steps is not None
            return self._over_time(op, arrays, steps)
        if isinstance(op, StatefulOp) and op.draws:
            assert steps is not None
            return op.window([self._moment(t, steps) for t in range(steps)], *arrays)
        if isinstance(op, PureOp) and any(r.type.time is not None for r in op.results):
            assert steps is not None
            timed = [v is not None and v.type.time is not None for v in op.operands]
            return _stack([self._meaning(op, _at(arrays, timed, t)) for t in range(steps)])
        return self._meaning(op, arrays)

    def _meaning(self, op: Op, arrays: list[Any]) -> Any:
        if isinstance(op, PureOp) and op.needs_symbols:
            meaning: Any = op.meaning
            return meaning(*arrays, symbols=self.symbols)
        return op.meaning(*arrays)

    def _over_time(self, op: StatefulOp, arrays: list[Any], steps: int) -> Any:
        timed = [v is not None and v.type.time is not None for v in op.operands]
        state = op.init(self._moment(0, steps), *_at(arrays, timed, 0))
        rows = []
        for t in range(steps):
            state, out = op.step(self._moment(t, steps), state, *_at(arrays, timed, t))
            rows.append(out)
        stepped = _stack(rows)
        ends = op.finish(state)
        return (*(stepped if isinstance(stepped, tuple) else (stepped,)), *ends) if ends else stepped

    def _run_cycle(self, group: list[Op], env: dict[Value, Any]) -> None:
        """Step by step through ops that lie on a delay cycle; the delay's own operand is read after the step."""
        steps = next((self.steps_of(op) for op in group if self.steps_of(op) is not None), None)
        assert steps is not None
        states: dict[Op, Any] = {}
        history: dict[Value, list[Any]] = {r: [] for op in group for r in op.results}
        inside = {r for op in group for r in op.results}

        def now(op: Op, t: int) -> list[Any]:
            out: list[Any] = []
            for v in op.operands:
                if v is None or v in inside:
                    out.append(None if v is None or len(history[v]) <= t else history[v][t])
                else:
                    a = self._get(v, env)
                    out.append(a[t] if v.type.time is not None else a)
            return out

        from ranvier.ir.ops.core import Delay

        for t in range(steps):
            moment = self._moment(t, steps)
            for op in group:
                arrays = now(op, t)
                if isinstance(op, Delay):
                    if t == 0:
                        states[op] = op.init_from(self._spread(arrays[1], op))
                    states[op], out = op.emit(states[op])
                elif isinstance(op, StatefulOp):
                    if t == 0:
                        states[op] = op.init(moment, *arrays)
                    states[op], out = op.step(moment, states[op], *arrays)
                else:
                    out = self._meaning(op, arrays)
                for r, a in zip(op.results, out if isinstance(out, tuple) else (out,), strict=False):
                    history[r].append(_cast(r, a))
            for op in group:
                if isinstance(op, Delay):
                    states[op] = op.absorb(states[op], now(op, t)[0])
        for op in group:
            ends = op.finish(states[op]) if isinstance(op, StatefulOp) else ()
            stepped = [np.stack(history[r]) for r in op.results if history[r]]
            for r, a in zip(op.results, [*stepped, *ends], strict=True):
                env[r] = _cast(r, a)

    def _spread(self, init: Any, delay: Op) -> Any:
        """What a delay begins with, in the shape of its operand, which is not known as an array yet."""
        shape = delay.result.type.shape
        if all(isinstance(d, int) or d in self.symbols for d in shape):
            return np.broadcast_to(init, [self.resolve(d) for d in shape])
        if np.ndim(init) < len(shape):
            raise delay.fail(
                "bad-input", f"does not know the shape {list(shape)} to begin with", "give an initial value of it"
            )
        return init

    def _store(self, op: Op, out: Any, env: dict[Value, Any]) -> None:
        outs = out if isinstance(out, tuple) else (out,)
        for r, a in zip(op.results, outs, strict=True):
            env[r] = _cast(r, a)


def _cast(value: Value, array: Any) -> Array:
    with np.errstate(all="ignore"):  # inf is what a number too large for the type becomes
        return np.asarray(array).astype(value.type.elem.dtype, copy=False)


def _at(arrays: list[Any], timed: list[bool], t: int) -> list[Any]:
    return [a[t] if a is not None and on else a for a, on in zip(arrays, timed, strict=True)]


def _stack(rows: list[Any]) -> Any:
    if rows and isinstance(rows[0], tuple):
        return tuple(np.stack([r[i] for r in rows]) for i in range(len(rows[0])))
    return np.stack(rows)


def _samples(graph: Graph, arrays: Sequence[Array]) -> int:
    for arg, array in zip(graph.args, arrays, strict=True):
        if arg.type.rank:
            return int(array.shape[1 if arg.type.time is not None else 0])
    return 1


def zip_inputs(graph: Graph, inputs: Sequence[Any]) -> list[tuple[Value, Any]]:
    """Pair arguments with arrays; raises RanvierError naming the arguments when the counts differ."""
    if len(inputs) != len(graph.args):
        names = ", ".join(f"%{a.name}: {a.type}" for a in graph.args)
        raise error("bad-input", f"@{graph.name} takes {len(graph.args)} inputs ({names}), was given {len(inputs)}")
    return list(zip(graph.args, inputs, strict=True))


def check_input(arg: Value, x: Any, symbols: dict[str, int]) -> Array:
    """An input as an array of the argument's type; binds symbols; raises RanvierError when it does not fit."""
    kind = arg.type
    array = np.asarray(x)
    want = ((kind.time,) if kind.time is not None else ()) + kind.shape
    if array.ndim != len(want):
        raise error(
            "bad-input",
            f"input %{arg.name} has shape {list(array.shape)}, but its type is {kind}",
            help=_shape_help(want),
        )
    for size, dim in zip(array.shape, want, strict=True):
        if dim == "?":
            continue
        known = dim if isinstance(dim, int) else symbols.setdefault(dim, int(size))
        if known != size:
            raise error(
                "bad-input",
                f"input %{arg.name} has shape {list(array.shape)}, but its type is {kind}",
                help=_shape_help(want) + _batch_help(kind, array),
            )
    if array.dtype.kind in "OUSc" or (array.dtype.kind == "f" and not kind.elem.is_float):
        raise error("bad-input", f"input %{arg.name} holds {array.dtype}, but its type is {kind}")
    if isinstance(kind, SpikesType):
        lo, hi = kind.code.alphabet()
        if array.size and (array.min() < lo or array.max() > hi):
            raise error("alphabet", f"input %{arg.name} holds spikes outside {lo}..{hi}")
    return array.astype(kind.elem.dtype, copy=False)


def _shape_help(want: Sequence[Dim]) -> str:
    return f"give an array of shape [{', '.join(map(str, want))}]"


def _batch_help(kind: Type, array: Array) -> str:
    """The remedy where the number of samples is all that differs from a type with a fixed one."""
    fixed = bool(kind.shape) and isinstance(kind.shape[0], int)
    axis = 1 if kind.time is not None else 0
    if not fixed or not all(same_dim(d, n) for d, n in zip(kind.shape[1:], array.shape[axis + 1 :], strict=True)):
        return ""
    return f"; the model takes {kind.shape[0]} at a time: `free-batch` as the first pass lets it take any number"


def evaluate(
    module: Module,
    inputs: Sequence[Any],
    *,
    taps: Sequence[str] = (),
    sample_ids: Any = None,
    trial: int = 0,
    symbols: Mapping[str, int] | None = None,
) -> tuple[list[Array], dict[str, Array]]:
    """Run `@main` by meaning: (outputs, tapped values by name). Timed arrays are [T, ...]."""
    ids = None if sample_ids is None else np.asarray(sample_ids, np.int64)
    interpreter = Interpreter(module, ids, trial, frozenset(taps), dict(symbols or {}))
    for name in taps:
        module.main.value(name)
    return interpreter.run(module.main, inputs), interpreter.tapped


def evaluate_op(
    op: Op, arrays: Sequence[Any], *, sample_ids: Any = None, symbols: Mapping[str, int] | None = None
) -> Any:
    """One op by meaning, its time loop included; None stands for an operand left out. For tests."""
    module = op.graph.module if op.graph is not None and op.graph.module is not None else Module()
    first = next((np.asarray(a) for a in arrays if a is not None and np.ndim(a)), np.zeros(1))
    ids = np.arange(first.shape[0]) if sample_ids is None else np.asarray(sample_ids, np.int64)
    run: Callable[[Op, list[Any]], Any] = Interpreter(module, ids, symbols=dict(symbols or {}))._compute
    out = run(op, list(arrays))
    outs = out if isinstance(out, tuple) else (out,)
    cast = tuple(_cast(r, a) for r, a in zip(op.results, outs, strict=True))
    return cast if len(cast) > 1 else cast[0]


__all__ = ["Interpreter", "Moment", "TensorType", "check_input", "evaluate", "evaluate_op", "zip_inputs"]
