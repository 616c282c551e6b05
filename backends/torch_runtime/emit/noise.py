"""`snn.noise`: losses step by step, shifts over the whole window; the same bits as the meaning.

Numbers are drawn where spikes are. With gradients they are drawn everywhere, as where no spike is one might have been.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from ranvier.backends.torch_runtime.emit.registry import pure, stepped
from ranvier.backends.torch_runtime.emit.state import kernel_lines
from ranvier.backends.torch_runtime.namespace import xp
from ranvier.backends.torch_runtime.samplewise import leads, rule
from ranvier.ir.core import Op
from ranvier.ir.ops.noise import bar_of, code_of, shift_bars
from ranvier.ir.rng import uniform_at
from ranvier.ir.types import Dim

Tensor = torch.Tensor


class Noise:
    """The kernel of snn.noise; gradients go through the spikes that arrive."""

    def __init__(self, op: Op):
        self.deletion, self.jitter, self.seed, self.key = (
            op.attributes[n] for n in ("deletion", "jitter", "seed", "key")
        )
        self.code = code_of(op)

    def start(self, run: Any, steps: int, *args: Any) -> Any:
        """See Kernel."""
        return None

    def step(self, run: Any, t: int, steps: int, state: Any, x: Tensor, offset: Any) -> tuple[Any, Tensor]:
        """See Kernel."""
        if not self.deletion:
            return None, x
        now = t + (0 if offset is None else int(offset))
        if x.requires_grad:
            return None, self._kept(run.draw(self.seed, self.key, now, tuple(x.shape)), x)
        places, elements = _events(x)
        lost = self._draw(run, now, places[0], elements) < bar_of(self.deletion)
        return None, x.index_put(tuple(i[lost] for i in places), x.new_zeros(()))

    def ends(self, state: Any) -> tuple[Any, ...]:
        """See Kernel."""
        return ()

    def window(self, run: Any, x: Tensor, offset: Any) -> Tensor:
        """[T, ...] with jitter."""
        first, edges = shift_bars(self.jitter)
        bars = torch.tensor(edges, dtype=torch.float32, device=x.device)
        out = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
        for t in range(len(x)):
            if x.requires_grad:
                u = run.draw(self.seed, self.key, t, (x.shape[1], 2, *x.shape[2:]))
                at = self._arrival(u[:, 1].contiguous(), t, len(x), first, bars).unsqueeze(0)
                joined = self.code.join(xp, out.gather(0, at)[0], self._kept(u[:, 0], x[t]))
                out = out.scatter(0, at, joined.unsqueeze(0))
                continue
            places, elements = _events(x[t])
            if self.deletion:
                kept = self._draw(run, t, places[0], elements) >= bar_of(self.deletion)
                places, elements = tuple(i[kept] for i in places), elements[kept]
            u = self._draw(run, t, places[0], elements + prod(x.shape[2:]))
            index = (self._arrival(u, t, len(x), first, bars), *places)
            out[index] = self.code.join(xp, out[index], x[t][places])
        return out

    def _kept(self, u: Tensor, x: Tensor) -> Tensor:
        return torch.where(u < bar_of(self.deletion), torch.zeros_like(x), x)

    def _draw(self, run: Any, t: int, samples: Tensor, elements: Tensor) -> Tensor:
        ids = run.sample_ids[samples]
        return uniform_at(torch, self.seed, self.key, run.trial, ids, t, elements)  # type: ignore[no-any-return]

    def _arrival(self, u: Tensor, t: int, steps: int, first: int, bars: Tensor) -> Tensor:
        return (t + first + torch.searchsorted(bars, u, right=True)).clamp(0, steps - 1)


def _events(x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Where spikes are, an index an axis, and which element of its sample each one is."""
    places = x.nonzero(as_tuple=True)
    elements = torch.zeros_like(places[0])
    for index, size in zip(places[1:], x.shape[1:], strict=True):
        elements = elements * size + index
    return places, elements


@stepped("snn.noise")
def noise(op: Op, w: Any) -> None:
    """Losses."""
    kernel_lines(op, w, Noise(op))


@pure("snn.noise")
def window(op: Op, w: Any, x: str, offset: str | None) -> str:
    """Shifts."""
    return f"{w.bind(Noise(op), 'noise')}.window(R, {x}, {offset})"


@rule("snn.noise")
def _samplewise(op: Op, batch: Dim) -> bool:
    return leads(op.arguments[0], batch)
