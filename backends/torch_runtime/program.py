"""A lowered module, ready to run: inputs checked, tiles cut, outputs put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ranvier.backends.torch_runtime.dtypes import inner_dtype, to_numpy, to_torch
from ranvier.backends.torch_runtime.lowering import LoweredModule, Run, output_tensor
from ranvier.backends.torch_runtime.tiling import choose
from ranvier.backends.torch_runtime.writer import Mode
from ranvier.ir.core import Module, Value
from ranvier.ir.diagnostics import error
from ranvier.ir.interfaces import RunResult
from ranvier.ir.interpret import check_input, zip_inputs
from ranvier.ir.types import SpikesType

Tensor = torch.Tensor


class TorchProgram:
    """Implements `ranvier.ir.interfaces.Program`. Every call owns its state: running twice gives the same."""

    def __init__(
        self,
        module: Module,
        *,
        device: str = "cpu",
        compile: bool = False,
        threads: int | None = None,
        tile: int | None = None,
    ):
        self.module, self.device, self.compile, self.threads, self.tile = module, device, compile, threads, tile
        self._lowered: dict[tuple[str, tuple[str, ...]], LoweredModule] = {}

    # -- lowering --------------------------------------------------------------------------------------------------
    def lowered(self, mode: Mode, taps: tuple[str, ...] = ()) -> LoweredModule:
        """The lowered module of a mode, written on first use."""
        key = (mode.name, taps)
        if key not in self._lowered:
            made = LoweredModule(self.module, mode, taps, self.device)
            if self.compile:
                made.function = torch.compile(made.function)
            self._lowered[key] = made
        return self._lowered[key]

    def plan(self) -> str:
        """The order of execution and the source of one step, as text."""
        lowered = self.lowered(Mode())
        lines = [f"# torch on {self.device}, {'compiled' if self.compile else 'eager'}"]
        for stage in lowered.order.stages:
            how = (
                "once"
                if stage.time is None
                else f"over {stage.time} steps" + (", may be folded" if stage.foldable else "")
            )
            lines.append(f"# stage {stage.position}: {len(stage.ops)} ops {how}")
        lines.append(f"# samples {'may be cut into tiles' if lowered.order.tileable else 'stay together'}")
        lines += [f"# by meaning, without gradient: {text}" for text in lowered.constants.by_meaning]
        return "\n".join(lines) + "\n\n" + lowered.source

    # -- running ---------------------------------------------------------------------------------------------------
    def run(
        self, inputs: Sequence[Any], taps: Sequence[str] = (), *, sample_ids: Any = None, trial: int = 0
    ) -> RunResult:
        """Outputs and taps as numpy arrays; inputs may be numpy arrays or tensors. See Program."""
        names = tuple(dict.fromkeys(taps))
        tensors = self.run_tensors(inputs, names, sample_ids=sample_ids, trial=trial)
        graph = self.module.main
        arrays = [to_numpy(x) for x in tensors]
        count = len(graph.outputs)
        return RunResult(tuple(arrays[:count]), dict(zip(names, arrays[count:], strict=True)))

    def run_tensors(
        self, inputs: Sequence[Any], taps: tuple[str, ...] = (), *, sample_ids: Any = None, trial: int = 0
    ) -> list[Tensor]:
        """Outputs, then taps, as tensors on the device."""
        graph = self.module.main
        sizes: dict[str, int] = {}
        tensors = [self.input(a, x, sizes) for a, x in zip_inputs(graph, inputs)]
        step = self.lowered(Mode(), taps)
        values = [*graph.outputs, *(graph.value(t) for t in taps)]
        batch = samples(graph.args, tensors)
        ids = sample_tensor(sample_ids, batch, self.device)
        size, fold = self._choose(step, batch, sizes, values)
        lowered = self.lowered(Mode(fold=True), taps) if fold > 1 else step
        with torch.inference_mode(), limited(self.threads):
            run = Run(sizes, ids, trial, torch.device(self.device), fold)
            if size >= batch:
                outputs = lowered(run, *tensors)
            else:
                outputs = self._tiles(lowered, run, tensors, values, batch, size)
            owned = [output_tensor(x, v.type) for x, v in zip(outputs, values, strict=True)]
            foreign = {x.untyped_storage().data_ptr() for x in (*tensors, *lowered.weights)}
            return [x.clone() if x.untyped_storage().data_ptr() in foreign else x for x in owned]

    def _choose(
        self, lowered: LoweredModule, batch: int, sizes: dict[str, int], values: list[Value]
    ) -> tuple[int, int]:
        order = lowered.order
        steps = [s.time if isinstance(s.time, int) else sizes.get(str(s.time), 1) for s in order.timed]
        threads = self.threads or torch.get_num_threads()
        size, fold = choose(
            order, batch, max(steps, default=1), tile=self.tile, threads=threads, cuda=self.device.startswith("cuda")
        )
        if any(not v.type.rank or v.type.shape[0] != order.batch for v in values):
            size = batch
        return size, fold

    def _tiles(
        self, lowered: LoweredModule, run: Run, tensors: list[Tensor], values: list[Value], batch: int, size: int
    ) -> list[Tensor]:
        parts: list[tuple[Tensor, ...]] = []
        symbol = lowered.order.batch
        args = self.module.main.args
        for start in range(0, batch, size):
            stop = min(batch, start + size)
            cut = [_cut(a, x, start, stop) for a, x in zip(args, tensors, strict=True)]
            sizes = {**run.sizes, str(symbol): stop - start}
            parts.append(lowered(Run(sizes, run.sample_ids[start:stop], run.trial, run.device, run.fold), *cut))
        return [
            torch.cat(rows, 1 if v.type.time is not None else 0)
            for v, rows in zip(values, zip(*parts, strict=True), strict=True)
        ]

    def input(self, arg: Value, x: Any, sizes: dict[str, int]) -> Tensor:
        """An input as a tensor of the argument's inner type; binds symbols. Raises RanvierError if it does not fit."""
        if isinstance(x, Tensor) and x.dtype == inner_dtype(arg.type) and not isinstance(arg.type, SpikesType):
            check_input(arg, np.broadcast_to(np.empty((), arg.type.elem.dtype), tuple(x.shape)), sizes)
            return x.detach().to(self.device)
        array = check_input(arg, to_numpy(x) if isinstance(x, Tensor) else x, sizes)
        return to_torch(array, self.device).to(inner_dtype(arg.type))


def _cut(arg: Value, x: Tensor, start: int, stop: int) -> Tensor:
    if not arg.type.rank:
        return x
    return x[:, start:stop] if arg.type.time is not None else x[start:stop]


def samples(args: Sequence[Value], tensors: Sequence[Tensor]) -> int:
    """The number of samples: the first axis of the first argument that has one."""
    for arg, x in zip(args, tensors, strict=True):
        if arg.type.rank:
            return int(x.shape[1 if arg.type.time is not None else 0])
    return 1


def sample_tensor(sample_ids: Any, batch: int, device: str) -> Tensor:
    """Sample ids as an int64 tensor; 0, 1, ... by default. Raises RanvierError when they are not one a sample."""
    if sample_ids is None:
        return torch.arange(batch, dtype=torch.int64, device=device)
    ids = np.asarray(sample_ids, np.int64).reshape(-1)
    if len(ids) != batch:
        raise error("bad-input", f"{len(ids)} sample ids for {batch} samples")
    return to_torch(ids, device)


class limited:
    """Run with a number of threads, and put the old number back."""

    def __init__(self, threads: int | None):
        self.threads = threads

    def __enter__(self) -> None:
        self.before = torch.get_num_threads()
        if self.threads is not None and self.threads != self.before:
            torch.set_num_threads(self.threads)

    def __exit__(self, *why: object) -> None:
        if self.threads is not None and self.threads != self.before:
            torch.set_num_threads(self.before)
