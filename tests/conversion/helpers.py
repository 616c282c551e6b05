"""Convert small networks and run them on either runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Module, Op
from ranvier.ir.interfaces import Optimizer, PassContext, RunResult, batches
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.text.parser import parse_module
from ranvier.passes.conversion.convert_snn import ConvertSnn

Array = np.ndarray[Any, Any]


class MeaningRuntime:
    """`run` by the meaning of the ops."""

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
        """See Runtime."""
        count = len(inputs[0])
        ids = np.arange(count) if sample_ids is None else sample_ids
        parts = [
            evaluate(module, [x[s] for x in inputs], taps=taps, sample_ids=ids[s], trial=trial)
            for s in batches(count, batch or count)
        ]
        axes = {n: int(module.main.value(n).type.time is not None) for n in taps}
        outputs = tuple(np.concatenate([p[0][i] for p in parts]) for i in range(len(parts[0][0])))
        return RunResult(outputs, {n: np.concatenate([p[1][n] for p in parts], axis) for n, axis in axes.items()})

    def grad(self, module: Module, wrt: Sequence[str], inputs: Sequence[Any]) -> dict[str, Array]:
        """See Runtime."""
        raise NotImplementedError

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
        """See Runtime."""
        raise NotImplementedError


RUNTIMES = {"meaning": MeaningRuntime(), "torch": TorchRuntime()}


def convert(module: Module, *data: Array, **options: Any) -> tuple[Module, PassContext]:
    """`convert-snn` with these options: the verified, frozen module, and what the pass found."""
    made = module.clone()
    context = PassContext(RUNTIMES["torch"], data)
    ConvertSnn(**options).run(made, context)
    made.verify().freeze()
    read = parse_module(str(made), resources=made.resources)
    assert read == made, "the text form does not give the module back"
    return made, context


def converted(module: Module, *data: Array, **options: Any) -> Module:
    """The module alone."""
    return convert(module, *data, **options)[0]


def outputs(module: Module, *inputs: Array, runtime: str = "torch") -> Array:
    """The first output."""
    return np.asarray(RUNTIMES[runtime].run(module, inputs).outputs[0])


def tapped(module: Module, names: Sequence[str], *inputs: Array, runtime: str = "torch") -> dict[str, Array]:
    """Values by name."""
    return {n: np.asarray(a) for n, a in RUNTIMES[runtime].run(module, inputs, tuple(names)).taps.items()}


def neurons(module: Module) -> list[Neuron]:
    """The neurons of a network in order."""
    return [op for op in module.main.ops if isinstance(op, Neuron)]


def spike_trains(module: Module, *inputs: Array, runtime: str = "torch") -> list[Array]:
    """The spikes of every neuron, [T, N, ...] each."""
    names = [n.result.name for n in neurons(module)]
    taps = tapped(module, names, *inputs, runtime=runtime)
    return [taps[n] for n in names]


def ops_named(module: Module, name: str) -> list[Op]:
    """The ops of `@main` of that name."""
    return [op for op in module.main.ops if op.name == name]


def closeness(ann: Module, snn: Module, *inputs: Array) -> float:
    """Largest difference of the first outputs, as a part of the largest magnitude."""
    want, found = outputs(ann, *inputs), outputs(snn, *inputs)
    assert found.shape == want.shape
    return float(np.abs(found - want).max() / np.abs(want).max())


def each_runtime() -> Iterator[str]:
    """Names of the runtimes, for parametrize."""
    yield from RUNTIMES
