"""Lower a module: constants as tensors, source for each mode, and one `nn.Module` that runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import ranvier.backends.torch_runtime.emit.tables  # noqa: F401  (registers the emitters)
from ranvier.backends.torch_runtime import kernels, stateful
from ranvier.backends.torch_runtime.dtypes import to_torch
from ranvier.backends.torch_runtime.stateful import as_array, from_array
from ranvier.backends.torch_runtime.writer import Mode, Writer
from ranvier.ir.core import Module, Op
from ranvier.ir.diagnostics import error
from ranvier.ir.types import SpikesType

Tensor = torch.Tensor
Entry = tuple[str, str]


class Kernels:
    """The names that the source finds under `K`."""

    def __init__(self) -> None:
        for name in kernels.__all__:
            setattr(self, name, getattr(kernels, name))
        self.fold, self.decode = stateful.fold, stateful.decode
        self.pick, self.loop = pick, run_loop


def pick(condition: Tensor, a: Sequence[Tensor], b: Sequence[Tensor], lead: tuple[int, ...]) -> tuple[Tensor, ...]:
    """For each sample, what one or the other graph gave; `lead` counts time axes in front."""
    out = []
    for x, y, n in zip(a, b, lead, strict=True):
        bits = condition.reshape((1,) * n + (-1,) + (1,) * (x.ndim - n - 1))
        out.append(torch.where(bits, x, y))
    return tuple(out)


def run_loop(
    body: Callable[..., Any], run: Any, w: Any, trip: int, values: tuple[Any, ...], count: int
) -> tuple[Any, ...]:
    """Up to `trip` rounds of a graph; `count` values are carried, the others captured."""
    carried, captures = list(values[:count]), values[count:]
    for i in range(trip):
        go_on, *carried = body(run, w, torch.tensor(i, dtype=torch.int64, device=run.device), *carried, *captures)
        if not bool(go_on):
            break
    return tuple(carried)


@dataclass
class Constants:
    """Tensors and objects that the source uses. A tensor is named by where it comes from and how it lies in memory."""

    module: Module
    device: torch.device
    entries: dict[Entry, int] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=dict)
    by_meaning: list[str] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    _names: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """Start the source of another function."""
        self._names = {}

    def _local(self, entry: Entry, make: Callable[[], Tensor]) -> str:
        if entry not in self.entries:
            self.entries[entry] = len(self.tensors)
            self.tensors.append(make())
        text = "w_" + "".join(c if c.isalnum() else "_" for c in entry[0]) + ("_" + entry[1] if entry[1] else "")
        index = self.entries[entry]
        name = text if self._names.get(text, index) == index else f"{text}_{index}"
        self._names[name] = index
        return name

    def resource(self, name: str, form: str = "") -> str:
        """A local name for a resource; `form` is how it is laid out or changed."""

        def make() -> Tensor:
            resource = self.module.resource(name)
            tensor = to_torch(resource.array, self.device)
            if form == "channels_last":
                return tensor.contiguous(memory_format=torch.channels_last)
            return tensor

        return self._local((name, form), make)

    def derived(self, name: str, form: str, make: Callable[[Tensor], Tensor]) -> str:
        """A local name for what is computed from a resource once."""
        return self._local((name, form), lambda: make(to_torch(self.module.resource(name).array, self.device)))

    def array(self, array: Any, hint: str) -> str:
        """A local name for an array that is no resource."""
        array = np.array(array, order="C")
        key = f"{hint}.{len(self.tensors)}"
        return self._local((key, ""), lambda: to_torch(array, self.device))

    def tensor_of(self, array: Any) -> Tensor:
        """An array on the device."""
        return to_torch(np.array(array, order="C"), self.device)

    def unpack(self, used: set[str]) -> list[str]:
        """The lines that take the constants that are used out of W."""
        names = [n for n in self._names if n in used]
        self.used.update(self._names[n] for n in names)
        if not names:
            return []
        return [f"{', '.join(names)}, = {', '.join(f'W[{self._names[n]}]' for n in names)},"]

    def bind(self, thing: Any, hint: str) -> str:
        """A global name for an object."""
        name = f"g_{hint}_{len(self.namespace)}"
        self.namespace[name] = thing
        return name

    def fell_back(self, op: Op) -> None:
        """Remember that an op runs by its meaning."""
        self.by_meaning.append(repr(op))

    def meaning(self, op: Op) -> Callable[..., Any]:
        """An op by its meaning in numpy: takes and gives tensors, without gradient."""
        needs_symbols = getattr(op, "needs_symbols", False)

        def run(context: Any, *operands: Tensor | None) -> Any:
            arrays = [None if x is None else as_array(x, v.type) for x, v in zip(operands, op.operands, strict=True)]  # type: ignore[union-attr]
            meaning: Callable[..., Any] = op.meaning
            out = meaning(*arrays, symbols=context.sizes) if needs_symbols else meaning(*arrays)
            outs = out if isinstance(out, tuple) else (out,)
            found = tuple(from_array(a, r.type, context.device) for a, r in zip(outs, op.results, strict=True))
            return found if len(found) > 1 else found[0]

        return run


class LoweredModule(torch.nn.Module):
    """One lowered graph with those it calls. Weights are buffers; nothing of a run is kept here."""

    def __init__(self, module: Module, mode: Mode, taps: tuple[str, ...], device: str):
        super().__init__()
        self.mode = mode
        self.constants = Constants(module, torch.device(device))
        self.source = self._write(module, taps)
        used = self.constants.used  # others were looked at, and then used in another form
        tensors = [x if i in used else x.new_empty(0) for i, x in enumerate(self.constants.tensors)]
        self.constants.tensors = tensors
        for i, tensor in enumerate(tensors):
            self.register_buffer(f"w{i}", tensor, persistent=False)
        self.weights: tuple[Tensor, ...] = tuple(tensors)
        space: dict[str, Any] = {"torch": torch, "F": torch.nn.functional, "K": Kernels(), **self.constants.namespace}
        exec(compile(self.source, f"<ranvier torch {mode.name} plan>", "exec"), space)
        self.function: Callable[..., tuple[Tensor, ...]] = space["graph_main"]

    def _write(self, module: Module, taps: tuple[str, ...]) -> str:
        todo, done, texts = ["main"], set(), []
        while todo:
            name = todo.pop()
            if name in done:
                continue
            done.add(name)
            self.constants.begin()
            graph = module.graph(name)
            wanted = [graph.value(t) for t in taps] if name == "main" else []
            writer = Writer(graph, self.mode, self.constants, wanted)
            if name == "main":
                self.order = writer.order
            texts.append(writer.write(writer.callee(name)))
            todo.extend(writer.callees)
        return "\n\n".join(texts)

    def resource_index(self, name: str) -> int | None:
        """Where a resource lies among the weights, None where the source does not use it."""
        index = self.constants.entries.get((name, ""))
        return index if index in self.constants.used else None

    def forward(self, run: Any, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Outputs, then taps."""
        return self.function(run, self.weights, *inputs)


@dataclass
class Run:
    """What one call knows beside its inputs: sizes of symbols, where to draw, how many steps are folded."""

    sizes: dict[str, int]
    sample_ids: Tensor
    trial: int
    device: torch.device
    fold: int = 1

    def size(self, symbol: str) -> int:
        """The size of a symbolic dim. Raises RanvierError when the inputs do not give it."""
        if symbol not in self.sizes:
            raise error("bad-input", f"the size of {symbol} is not known", help=f"an input must have the dim {symbol}")
        return self.sizes[symbol]

    def steps(self, symbol: str) -> int:
        """A symbolic number of steps. Raises RanvierError when the inputs do not give it."""
        if symbol not in self.sizes:
            raise error(
                "bad-input", f"the number of steps {symbol} is not known", help=f"pass a timed input or bind {symbol}"
            )
        return self.sizes[symbol]

    def bind(self, symbol: str, size: int) -> None:
        """Learn a size from an argument. Raises RanvierError when it differs from what is known."""
        if self.sizes.setdefault(symbol, size) != size:
            raise error("bad-input", f"{symbol} is {self.sizes[symbol]} and {size} in one run")

    def draw(self, seed: int, key: str, t: int, shape: tuple[int, ...]) -> Tensor:
        """Uniform numbers for step t, the same bits as numpy's."""
        from ranvier.ir import rng

        return rng.uniform(torch, seed, key, self.trial, self.sample_ids, t, shape)  # type: ignore[no-any-return]


def output_tensor(x: Tensor, kind: Any) -> Tensor:
    """A value as it leaves: spikes in their storage type."""
    from ranvier.backends.torch_runtime.dtypes import torch_dtype

    want = torch_dtype(kind.elem)
    if x.dtype == want:
        return x
    if isinstance(kind, SpikesType) and not kind.elem.is_float and not x.requires_grad:
        return x.to(want)
    return x if x.requires_grad else x.to(want)
