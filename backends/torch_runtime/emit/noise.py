"""`snn.noise`: losses step by step, shifts over the whole window; the same bits as the meaning.

Numbers are drawn where spikes are. With gradients they are drawn everywhere, as where no spike is one might have been.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from ranvier.backends.torch_runtime.emit.registry import pure, stepped
from ranvier.backends.torch_runtime.emit.state import kernel_lines
from ranvier.ir.core import Op
from ranvier.ir.ops.noise import bar_of, settle, shift_bars
from ranvier.ir.rng import uniform_at

Tensor = torch.Tensor


class Noise:
    """The kernel of snn.noise; gradients go through the spikes that arrive."""

    def __init__(self, op: Op):
        self.deletion, self.jitter, self.seed, self.key = (
            op.attributes[n] for n in ("deletion", "jitter", "seed", "key")
        )

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
        sent = x.reshape(len(x), -1)
        out, taken = torch.zeros_like(sent), torch.zeros(sent.shape, dtype=torch.bool, device=x.device)
        for t in range(len(x)):
            grad = x.requires_grad
            places = torch.arange(sent.shape[1], device=x.device) if grad else sent[t].nonzero()[:, 0]
            places, arrival = self._shifted(run, t, x.shape[1:], places, bars)
            arrival += t + first
            if grad:  # where no spike is one might have been: nothing arrives there, but a gradient goes back
                silent = (sent[t].detach()[places] == 0) & (arrival >= 0) & (arrival < len(x))
                at = arrival[silent], places[silent]
                out = out.index_put(at, sent[t][at[1]], accumulate=True)
                spiking = sent[t].detach()[places] != 0
                places, arrival = places[spiking], arrival[spiking]
            arrival, places = settle(taken, arrival, places)
            values = sent[t][places]
            if grad:
                out = out.index_put((arrival, places), values, accumulate=True)
            else:
                out[arrival, places] = values
        return out.reshape(x.shape)

    def _shifted(self, run: Any, t: int, shape: Any, places: Tensor, bars: Tensor) -> tuple[Tensor, Tensor]:
        """The places of those events of a step that are not lost, and how many bars each one's number has reached."""
        size = prod(shape[1:])
        if self.deletion:
            places = places[self._draw(run, t, places // size, places % size) >= bar_of(self.deletion)]
        u = self._draw(run, t, places // size, places % size + size)
        return places, torch.searchsorted(bars, u, right=True)

    def _kept(self, u: Tensor, x: Tensor) -> Tensor:
        return torch.where(u < bar_of(self.deletion), torch.zeros_like(x), x)

    def _draw(self, run: Any, t: int, samples: Tensor, elements: Tensor) -> Tensor:
        ids = run.sample_ids[samples]
        return uniform_at(torch, self.seed, self.key, run.trial, ids, t, elements)  # type: ignore[no-any-return]


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
