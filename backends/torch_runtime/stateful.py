"""Kernels of ops with state. A kernel keeps nothing: `start` gives the state, `step` gives (state, result)."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch

from ranvier.backends.torch_runtime.dtypes import inner_dtype, to_numpy, to_torch, torch_dtype
from ranvier.backends.torch_runtime.namespace import xp
from ranvier.backends.torch_runtime.surrogates import slope_of, spikes_with_gradient
from ranvier.ir.codes.neurons import EarlyFire, LayerSync
from ranvier.ir.core import Op
from ranvier.ir.interpret import Moment
from ranvier.ir.ops.snn import scale_of
from ranvier.ir.types import SpikesType

Tensor = torch.Tensor


class Kernel(Protocol):
    """An op with state, in torch. `run` is the call's context, `steps` the number of steps."""

    def start(self, run: Any, steps: int, *args: Any) -> Any:
        """The state before the first step, from that step's operands."""
        ...

    def step(self, run: Any, t: int, steps: int, state: Any, *args: Any) -> tuple[Any, Tensor]:
        """One step."""
        ...

    def ends(self, state: Any) -> tuple[Any, ...]:
        """Results that come after the last step."""
        ...


def fold(
    kernel: Kernel, run: Any, state: Any, t: int, n: int, steps: int, args: tuple[Any, ...], timed: tuple[bool, ...]
) -> tuple[Any, Tensor]:
    """n folded steps, one by one: timed operands and the result are [n B, ...]."""
    parts = [a.chunk(n) if on and a is not None else (a,) * n for a, on in zip(args, timed, strict=True)]
    rows = []
    for i in range(n):
        now = [p[i] for p in parts]
        if t + i == 0:
            state = kernel.start(run, steps, *now)
        state, out = kernel.step(run, t + i, steps, state, *now)
        rows.append(out)
    return state, torch.cat(rows)


def spread_channels(p: Any, rank: int) -> Any:
    """A parameter of one axis reshaped to lie on axis 1."""
    return p.reshape((-1,) + (1,) * (rank - 2)) if isinstance(p, Tensor) and p.ndim == 1 and rank > 1 else p


class Psp:
    """snn.psp for codes that are not simply worth their spikes."""

    def __init__(self, op: Op, scale: Any):
        kind = op.arguments[0].type
        assert isinstance(kind, SpikesType)
        self.code, self.scale = kind.code, scale

    def start(self, run: Any, steps: int, x: Tensor) -> Any:
        """See Kernel."""
        return self.code.psp_init(xp, x)

    def step(self, run: Any, t: int, steps: int, state: Any, x: Tensor) -> tuple[Any, Tensor]:
        """See Kernel."""
        state, value = self.code.psp_step(xp, state, x, t, steps)
        return state, value * self.scale

    def ends(self, state: Any) -> tuple[Any, ...]:
        """See Kernel."""
        return ()


def decode(code: Any, scale: Any, x: Tensor) -> Tensor:
    """snn.decode of [T, ...]."""
    steps = x.shape[0]
    state, rows = code.psp_init(xp, x[0]), []
    for t in range(steps):
        state, value = code.psp_step(xp, state, x[t], t, steps)
        rows.append(value)
    return (code.decode(xp, torch.stack(rows), steps) * scale).to(torch.float32)  # type: ignore[no-any-return]


class Encode:
    """snn.encode."""

    def __init__(self, op: Op, scale: Any):
        self.code, self.seed, self.key, self.scale = (*(op.attributes[n] for n in ("code", "seed", "key")), scale)

    def start(self, run: Any, steps: int, x: Tensor, offset: Any) -> Any:
        """See Kernel."""
        return self.code.encode_init(xp, x / self.scale)

    def step(self, run: Any, t: int, steps: int, state: Any, x: Tensor, offset: Any) -> tuple[Any, Tensor]:
        """See Kernel."""

        now = t + (0 if offset is None else int(offset))

        def draw() -> Tensor:
            return run.draw(self.seed, self.key, now, tuple(x.shape))  # type: ignore[no-any-return]

        state, spikes = self.code.encode_step(xp, state, x / self.scale, now, steps, draw)
        return state, spikes.to(torch.float32)

    def ends(self, state: Any) -> tuple[Any, ...]:
        """See Kernel."""
        return ()


class BiasCurrent:
    """snn.bias_current that does not flow at every step."""

    def __init__(self, op: Op):
        self.when = op.attributes["when"]

    def start(self, run: Any, steps: int, *args: Any) -> Any:
        """See Kernel."""
        return None

    def step(
        self, run: Any, t: int, steps: int, state: Any, x: Tensor, bias: Tensor, restart: Any, offset: Any
    ) -> tuple[Any, Tensor]:
        """See Kernel."""
        flows = self.when.flows(t + (0 if offset is None else int(offset)))
        bias = spread_channels(bias, x.ndim)
        if flows:
            return None, x + bias
        return None, x if restart is None else x + torch.where(restart, bias, torch.zeros_like(bias))

    def ends(self, state: Any) -> tuple[Any, ...]:
        """See Kernel."""
        return ()


class Accumulate:
    """core.accumulate."""

    def __init__(self, op: Op):
        self.mode, self.dtype = op.attributes["mode"], torch_dtype(op.result.type.elem)

    def start(self, run: Any, steps: int, x: Tensor, start: Any, offset: Any) -> Tensor:
        """See Kernel."""
        if start is not None:
            return start.expand(x.shape)  # type: ignore[no-any-return]
        return torch.full_like(x, -torch.inf) if self.mode == "max" else torch.zeros_like(x)

    def step(
        self, run: Any, t: int, steps: int, state: Tensor, x: Tensor, start: Any, offset: Any
    ) -> tuple[Any, Tensor]:
        """See Kernel."""
        if self.mode == "max":
            state = torch.maximum(state, x)
            return state, state
        state = state + x
        taken = t + 1 + (0 if offset is None else int(offset))
        return state, (state / taken).to(self.dtype) if self.mode == "mean" else state

    def ends(self, state: Any) -> tuple[Any, ...]:
        """See Kernel."""
        return (state,)


class Neuron:
    """snn.neuron in full generality; `grad` gives spikes their surrogate gradient."""

    def __init__(self, op: Op, scale: Any, grad: bool):
        self.rule, self.refractory, self.schedule = op.rule, op.attributes["refractory"], op.attributes["schedule"]  # type: ignore[attr-defined]
        self.code = op.attributes["code"]
        self.scale, self.grad, self.surrogate = scale, grad, op.attributes["surrogate"]
        self.out = inner_dtype(op.result.type)
        if grad:
            slope_of(self.surrogate)

    def start(self, run: Any, steps: int, current: Tensor, *params: Any) -> Any:
        """See Kernel: (membrane, count, steps to be silent, what the code remembers, parameters)."""
        rank = current.ndim
        theta, v0, leak, theta_neg = (spread_channels(p, rank) for p in params[:4])
        theta = self.scale if theta is None else theta
        theta_neg = theta if theta_neg is None else theta_neg
        zero = torch.zeros_like(current)
        count, silent = (zero if p is None else p.to(current.dtype).expand(current.shape) for p in params[4:])
        v = zero if v0 is None else zero + v0
        return v, count, silent, self.code.fire_init(xp, v), (theta, leak, theta_neg)

    def step(self, run: Any, t: int, steps: int, state: Any, current: Tensor, *params: Any) -> tuple[Any, Tensor]:
        """See Kernel."""
        v, count, silent, fired, (theta, leak, theta_neg) = state
        v = v + current if leak is None else v * leak + current
        fired, v, spikes = self._fire(t, steps, fired, v, count, silent, theta, theta_neg)
        if self.refractory:
            silent = torch.where(spikes != 0, torch.full_like(silent, self.refractory), torch.clamp(silent - 1, min=0))
        return (v, count + spikes, silent, fired, (theta, leak, theta_neg)), spikes.to(self.out)

    def _fire(
        self, t: int, steps: int, fired: Any, v: Tensor, count: Any, silent: Any, theta: Any, theta_neg: Any
    ) -> tuple[Any, Tensor, Tensor]:
        if self.grad and self.code.plain:
            with torch.no_grad():
                exact = self.rule.count(xp, v, theta, theta_neg, count)
            spikes = spikes_with_gradient(self.rule, self.surrogate, v, exact, theta, theta_neg, count)
            after = self.rule.fall(xp, v, spikes, theta, theta_neg)
        else:
            fired, spikes, after = self.code.fire(xp, self.rule, fired, v, theta, theta_neg, count, t, steps)
        if self.refractory:
            spikes = torch.where(silent > 0, torch.zeros_like(spikes), spikes)
            after = self.rule.fall(xp, v, spikes, theta, theta_neg)
        return fired, after.to(v.dtype), spikes.to(v.dtype)

    def ends(self, state: Any) -> tuple[Any, ...]:
        """See Kernel."""
        return state[0], state[1]

    def window(self, run: Any, current: Tensor, *params: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The windowed schedules over [T, ...]."""
        steps = current.shape[0]
        v, count, silent, fired, (theta, leak, theta_neg) = self.start(run, steps, current[0], *params)
        layer = isinstance(self.schedule, LayerSync)
        window = min(self.schedule.period or steps, steps) if layer else 1
        begin = self.schedule.start if isinstance(self.schedule, EarlyFire) else 0

        def charge(v: Tensor, t: int) -> Tensor:
            if t >= steps:
                return v
            return v + current[t] if leak is None else v * leak + current[t]

        rows = []
        for t in range(min(begin, steps)):
            v = charge(v, t)
        for t in range(steps):
            if layer and t % window == 0:
                for s in range(t, min(t + window, steps)):
                    v = charge(v, s)
            elif not layer:
                v = charge(v, t + begin)
            fired, v, spikes = self._fire(t, steps, fired, v, count, silent, theta, theta_neg)
            count = count + spikes
            rows.append(spikes.to(self.out))
        return torch.stack(rows), v, count


class ByMeaning:
    """A stateful op without a kernel: its own `init` and `step` in numpy, without gradient."""

    def __init__(self, op: Op):
        self.op: Any = op

    def _arrays(self, args: tuple[Any, ...]) -> list[Any]:
        return [None if a is None else as_array(a, v.type) for a, v in zip(args, self.op.operands, strict=True)]

    def start(self, run: Any, steps: int, *args: Any) -> Any:
        """See Kernel."""
        return self.op.init(Moment(0, steps, to_numpy(run.sample_ids), run.trial), *self._arrays(args))

    def step(self, run: Any, t: int, steps: int, state: Any, *args: Any) -> tuple[Any, Any]:
        """See Kernel."""
        moment = Moment(t, steps, to_numpy(run.sample_ids), run.trial)
        state, out = self.op.step(moment, state, *self._arrays(args))
        outs = out if isinstance(out, tuple) else (out,)
        found = tuple(from_array(a, r.type, run.device) for a, r in zip(outs, self.op.results, strict=False))
        return state, found if len(found) > 1 else found[0]

    def ends(self, state: Any) -> tuple[Any, ...]:
        """See Kernel."""
        rest = self.op.results[-len(e) :] if (e := self.op.finish(state)) else []
        return tuple(from_array(a, r.type, "cpu") for a, r in zip(e, rest, strict=True))


def as_array(x: Tensor, kind: Any) -> Any:
    """A tensor as the numpy array that a meaning expects."""
    return to_numpy(x).astype(kind.elem.dtype, copy=False)


def from_array(x: Any, kind: Any, device: Any) -> Tensor:
    """What a meaning gives, as a tensor of a value's inner type."""
    return to_torch(np.asarray(x).astype(kind.elem.dtype, copy=False), device).to(inner_dtype(kind))


def scale_tensor(kind: Any, rank: int) -> Any:
    """A spikes type's scale: a number, or a numpy array that broadcasts against `rank` axes."""
    scale = np.asarray(scale_of(kind.elem, rank))
    return float(scale) if scale.ndim == 0 else scale
