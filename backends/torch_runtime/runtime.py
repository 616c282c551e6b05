"""`TorchRuntime`: runs modules for passes, with taps; gradients and training lie in `training.py`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ranvier.backends.torch_runtime.program import TorchProgram, samples
from ranvier.backends.torch_runtime.target import SUPPORT
from ranvier.ir.core import Module, Value
from ranvier.ir.diagnostics import error
from ranvier.ir.interfaces import Optimizer, RunResult, batches, check_support
from ranvier.ir.interpret import zip_inputs

Array = np.ndarray[Any, Any]


# Lowered modules that are kept: passes run the same few modules again and again.
KEPT = 8


class TorchRuntime:
    """Implements `ranvier.ir.interfaces.Runtime` whole: `run` with taps, `grad`, `train`."""

    def __init__(self, device: str = "cpu", compile: bool = False, threads: int | None = None, tile: int | None = None):
        self.options: dict[str, Any] = {"device": device, "compile": compile, "threads": threads, "tile": tile}
        self._programs: OrderedDict[int, TorchProgram] = OrderedDict()

    def program(self, module: Module) -> TorchProgram:
        """A lowered module. One that was handed out never changes, so the last few programs are kept."""
        program = self._programs.get(id(module))
        if program is None:
            check_support(module, SUPPORT, "torch")
            program = TorchProgram(module, **self.options)
            if not module.frozen:
                return program
            self._programs[id(module)] = program  # holds the module, so its id is not used again
            if len(self._programs) > KEPT:
                self._programs.popitem(last=False)
        self._programs.move_to_end(id(module))
        return program

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
        """See Runtime: `batch` samples at a time."""
        program = self.program(module)
        args = module.main.args
        if batch is None:
            return program.run(inputs, taps, sample_ids=sample_ids, trial=trial)
        zip_inputs(module.main, inputs)
        arrays = [x if isinstance(x, torch.Tensor) else np.asarray(x) for x in inputs]
        count = samples(args, arrays)  # type: ignore[arg-type]
        ids = np.arange(count) if sample_ids is None else np.asarray(sample_ids)
        if count <= batch:
            return program.run(arrays, taps, sample_ids=ids, trial=trial)
        parts = []
        for part in batches(count, batch):
            cut = [_cut(a, x, part, count) for a, x in zip(args, arrays, strict=True)]
            parts.append(program.run(cut, taps, sample_ids=ids[part], trial=trial))
        values = module.main.outputs
        outputs = tuple(_joined(v, [p.outputs[i] for p in parts], args) for i, v in enumerate(values))
        tapped = {n: _joined(module.main.value(n), [p.taps[n] for p in parts], args) for n in parts[0].taps}
        return RunResult(outputs, tapped)

    def grad(self, module: Module, wrt: Sequence[str], inputs: Sequence[Any]) -> dict[str, Array]:
        """See Runtime."""
        from ranvier.backends.torch_runtime.training import gradients

        return gradients(self.program(module), wrt, inputs)

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
        from ranvier.backends.torch_runtime.training import train

        return train(self.program(module), wrt, optimizer, data, seed, epochs=epochs, batch=batch)


def _cut(arg: Value, x: Any, part: slice, count: int) -> Any:
    axis = 1 if arg.type.time is not None else 0
    if not arg.type.rank or x.shape[axis] != count:
        return x
    return x[:, part] if axis else x[part]


def _joined(value: Value, rows: list[Array], args: Sequence[Value]) -> Array:
    """The parts of a value along its sample axis. Raises RanvierError when it has none."""
    first = next((a.type.shape[0] for a in args if a.type.rank), None)
    if not value.type.rank or value.type.shape[0] != first:
        raise error(
            "bad-input",
            f"{value!r} has type {value.type}, whose first axis does not count samples",
            help="run the samples in one batch",
        )
    return np.concatenate(rows, axis=1 if value.type.time is not None else 0)
