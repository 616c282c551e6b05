"""A lowered module: matrices on arrays by planned kernels, every other op by its meaning, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.backends.crossbar.kernels import Kernel, lower
from ranvier.backends.crossbar.noisy_kernels import NoisyKernel, lower_noisy
from ranvier.backends.crossbar.plan import by_meaning, plan_text
from ranvier.ir.core import Module, Op
from ranvier.ir.interfaces import RunResult, batches
from ranvier.ir.interpret import Interpreter, zip_inputs
from ranvier.ir.ops.xbar import Mvm, NoisyMvm, OnArrays
from ranvier.ir.samplewise import batch_dim, is_samplewise, leads
from ranvier.ir.still import still_values
from ranvier.ir.timing import regions

Array = np.ndarray[Any, Any]
# Samples that are run at once.
SAMPLES = 64


@dataclass
class Executor(Interpreter):
    """The interpreter, with kernels for matrices on arrays."""

    kernels: dict[Op, Kernel] = field(default_factory=dict)
    noisy: dict[Op, NoisyKernel] = field(default_factory=dict)

    def _compute(self, op: Op, arrays: list[Any]) -> Any:
        kernel = self.kernels.get(op)
        if kernel is None:
            drawing = self.noisy.get(op)
            return super()._compute(op, arrays) if drawing is None else self._draw(drawing, np.asarray(arrays[0]))
        x = np.asarray(arrays[0])
        if op.result.type.time is None:
            return kernel(x)
        out = kernel(x.reshape(-1, *x.shape[2:]))
        return out.reshape(*x.shape[:2], *out.shape[1:])

    def _draw(self, kernel: NoisyKernel, x: Array) -> Array:
        if kernel.op.result.type.time is None:
            return kernel(x, self._moment(0, 1))
        return np.stack([kernel(x[t], self._moment(t, len(x))) for t in range(len(x))])

    def _meaning(self, op: Op, arrays: list[Any]) -> Any:
        kernel = self.kernels.get(op)
        return super()._meaning(op, arrays) if kernel is None else kernel(np.asarray(arrays[0]))


class CrossbarProgram:
    """Implements `ranvier.ir.interfaces.Program`: samples in parts, whose size never changes a result."""

    def __init__(self, module: Module, samples: int = SAMPLES):
        self.module, self.samples = module, samples
        self.kernels: dict[Op, Kernel] = {}
        self.noisy: dict[Op, NoisyKernel] = {}
        for op in module.ops:
            if isinstance(op, Mvm) and op.result.type.rank > 1:
                kernel = lower(module, op)
                if kernel is not None:
                    self.kernels[op] = kernel
            if isinstance(op, NoisyMvm):
                drawing = lower_noisy(module, op)
                if drawing is not None:
                    self.noisy[op] = drawing

    def plan(self) -> str:
        """See Program."""
        planned = [*(k.planned for k in self.kernels.values()), *(k.planned for k in self.noisy.values())]
        others = [op for op in self.module.ops if op not in self.kernels and op not in self.noisy]
        planned += [by_meaning(self.module, op) for op in others if isinstance(op, OnArrays)]
        digital = [op for op in others if not isinstance(op, OnArrays) and not op.name.startswith("core.")]
        return plan_text(planned, digital)

    def run(
        self, inputs: Sequence[Any], taps: Sequence[str] = (), *, sample_ids: Any = None, trial: int = 0
    ) -> RunResult:
        """See Program."""
        graph = self.module.main
        pairs = zip_inputs(graph, inputs)
        arrays = [np.asarray(x) for _, x in pairs]
        count = next((a.shape[_axis(v)] for (v, _), a in zip(pairs, arrays, strict=True) if v.type.rank), 1)
        ids = np.arange(count, dtype=np.int64) if sample_ids is None else np.asarray(sample_ids, np.int64)
        if count <= self.samples or not self._may_be_cut(taps):
            return self._once(arrays, taps, ids, trial)
        pieces = []
        for part in batches(count, self.samples):
            cut = [a[:, part] if _axis(v) else a[part] for (v, _), a in zip(pairs, arrays, strict=True)]
            pieces.append(self._once(cut, taps, ids[part], trial))
        outputs = tuple(np.concatenate([p.outputs[i] for p in pieces], _axis(v)) for i, v in enumerate(graph.outputs))
        tapped = {n: np.concatenate([p.taps[n] for p in pieces], _axis(graph.value(n))) for n in dict.fromkeys(taps)}
        return RunResult(outputs, tapped)

    def _once(self, arrays: Sequence[Array], taps: Sequence[str], ids: Array, trial: int) -> RunResult:
        executor = Executor(self.module, ids, trial, frozenset(taps), kernels=self.kernels, noisy=self.noisy)
        outputs = executor.run(self.module.main, arrays)
        return RunResult(tuple(outputs), executor.tapped)

    def _may_be_cut(self, taps: Sequence[str]) -> bool:
        """Whether every op treats samples on their own, and every output has them on its first axis."""
        graph = self.module.main
        batch = batch_dim(graph)
        if not isinstance(batch, str) or len(self.module.graphs) > 1:
            return False
        values = [*graph.args, *graph.outputs, *(graph.value(name) for name in taps)]
        if not all(leads(v, batch) for v in values):
            return False
        still = still_values(regions(graph))
        return all(is_samplewise(op, batch, still) for op in graph.ops if op.name != "core.return")


def _axis(value: Any) -> int:
    return 1 if value.type.time is not None else 0
