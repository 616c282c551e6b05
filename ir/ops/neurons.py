"""`snn.neuron`: the leaky integrate-and-fire neuron with everything that papers leave unsaid written out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.codes.neurons import ATan, EarlyFire, FireRule, LayerSync, Stepwise
from ranvier.ir.core import require_tensor
from ranvier.ir.elements import elem
from ranvier.ir.ops.snn import check_parameter, check_steps, scale_of, spikes_type, spread_bias
from ranvier.ir.schema import element, enum, integer, operand, optional, real, record
from ranvier.ir.timing import StatefulOp
from ranvier.ir.types import StateType, Type


class Neuron(StatefulOp, name="snn.neuron", results=("spikes", "state", "count")):
    """Charge, fire, reset: v = leak * v + current; s = fire(v); v falls by s * theta (soft) or to v_reset (hard).

    `theta` (default: the scale of `elem`), `v0` (0), `leak` (1), `theta_neg` (theta) are numbers, one a channel (axis
    1), or tensors that broadcast. Gives the spikes, the final membrane, and the final signed count of spikes.
    A negative spike is fired at v <= -theta_neg (`lower=threshold`) or v < 0 (`lower=zero`), and the membrane rises by
    theta_neg; `negative=gated` allows no more of them than positive ones before. After a spike the neuron is silent for
    `refractory` steps (it goes on integrating; `silent0` are left at the start). `schedule` says which input steps an
    output step sees: stepwise, layer_sync (fires a window after having integrated it whole) or early_fire(start).
    Sources: Rueckauer 2017 (soft reset), Bu 2022 (v0), Wang 2022 (negative spikes), Spiking-YOLO (theta_neg).
    """

    current = operand("input current (timed)")
    theta = optional("threshold")
    v0 = optional("membrane before the first step")
    leak = optional("factor on the membrane at each step")
    theta_neg = optional("threshold and fall of a negative spike, as a positive number")
    count0 = optional("signed count before the first step, for gated negative spikes")
    silent0 = optional("silent steps left before the first step, for a refractory time")
    code = record("code", help="the code of the spikes")
    elem = element(elem("i1"), "storage and scale of the spikes")
    reset = enum("soft", "hard", "none", default="soft", help="how the membrane falls")
    v_reset = real(0.0, "where a hard reset puts the membrane")
    compare = enum("ge", "gt", default="ge", help="fire at v >= theta or at v > theta")
    negative = enum("none", "gated", "free", default="none", help="whether spikes may be negative")
    lower = enum("threshold", "zero", default="threshold", help="where negative spikes are fired")
    refractory = integer(0, "silent steps after a spike", min=0)
    schedule = record("schedule", Stepwise(), "which input steps an output step sees")
    surrogate = record("surrogate", ATan(), "gradient of the step")

    def infer(self, current: Any, *params: Any) -> tuple[Type, ...]:
        """See Op."""
        kind = require_tensor(self, "current", current)
        if kind.time is None or not kind.elem.is_float:
            raise self.fail(
                "type-mismatch", f"integrates a real current over time, not {kind}", "core.repeat gives it steps"
            )
        lo, _ = self.code.alphabet()
        if (lo < 0) != (self.negative != "none"):
            want = "negative=gated or free" if lo < 0 else "negative=none"
            raise self.fail("alphabet", f"fires spikes of {self.code} with negative={self.negative}", f"use {want}")
        if self.code.needs_window and not self.windowed:
            raise self.fail(
                "bad-value",
                f"fires {self.code} under schedule {self.schedule}",
                "use layer_sync or early_fire(start=..)",
            )
        period = self.schedule.period if isinstance(self.schedule, LayerSync) else None
        if self.code.needs_window and period is not None and isinstance(kind.time, int) and period < kind.time:
            raise self.fail(
                "bad-value",
                f"fires {self.code} of {kind.time} steps under schedule {self.schedule}",
                "the code needs its whole window: leave period out",
            )
        if self.code.needs_stepwise and self.windowed:
            raise self.fail("bad-value", f"fires {self.code} under schedule {self.schedule}", "use stepwise")
        if not self.code.integrates:
            raise self.fail("bad-value", f"fires {self.code}, which no neuron does")
        check_steps(self, self.code, kind.time)
        if self.refractory and (self.windowed or not self.code.plain):
            raise self.fail(
                "bad-value",
                f"has a refractory time under schedule {self.schedule}",
                "only stepwise neurons of plain codes may",
            )
        if self.silent0 is not None and not self.refractory:
            raise self.fail("bad-value", "begins silent without a refractory time", "give refractory=")
        for field, p in zip(self.operand_fields[1:], params, strict=True):
            if p is not None:
                check_parameter(self, field.name, p, kind, channels=field.name not in ("count0", "silent0"))
        state = StateType(kind.shape, kind.elem)
        return spikes_type(self, self.elem, self.code, kind.shape, kind.time), state, state

    @property
    def windowed(self) -> bool:
        """Whether the schedule needs more than the steps so far."""
        return not isinstance(self.schedule, Stepwise)

    @property
    def rule(self) -> FireRule:
        """The firing rule over an array namespace."""
        return FireRule(self.code.largest, self.compare, self.reset, self.negative, self.lower, self.v_reset)

    def parameters(self, rank: int, theta: Any, v0: Any, leak: Any, theta_neg: Any) -> tuple[Any, Any, Any, Any]:
        """The four parameters as arrays that broadcast against the current, defaults filled in."""
        theta = scale_of(self.elem, rank) if theta is None else spread_bias(np.asarray(theta), rank)
        theta_neg = theta if theta_neg is None else spread_bias(np.asarray(theta_neg), rank)
        v0 = np.float32(0) if v0 is None else spread_bias(np.asarray(v0), rank)
        return theta, v0, None if leak is None else spread_bias(np.asarray(leak), rank), theta_neg

    def init(self, moment: Any, current: Any, *params: Any) -> Any:
        """See StatefulOp: (membrane, count, steps to be silent, what the code remembers, parameters)."""
        theta, v0, leak, theta_neg = self.parameters(current.ndim, *params[:4])
        count, silent = (
            np.zeros_like(current) if p is None else np.broadcast_to(p, current.shape).astype(current.dtype)
            for p in params[4:]
        )
        v = np.broadcast_to(v0, current.shape).astype(current.dtype)
        return v, count, silent, self.code.fire_init(np, v), (theta, leak, theta_neg)

    def step(self, moment: Any, state: Any, current: Any, *params: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        v, count, silent, fired, (theta, leak, theta_neg) = state
        v = v + current if leak is None else v * leak + current
        fired, v, spikes = self._fire(moment.t, moment.steps, fired, v, count, silent, theta, theta_neg)
        if self.refractory:
            silent = np.where(spikes != 0, np.float32(self.refractory), np.maximum(silent - 1, 0))
        return (v, count + spikes, silent, fired, (theta, leak, theta_neg)), spikes

    def _fire(
        self, t: int, steps: int, fired: Any, v: Any, count: Any, silent: Any, theta: Any, theta_neg: Any
    ) -> tuple[Any, Any, Any]:
        remembered, spikes, after = self.code.fire(np, self.rule, fired, v, theta, theta_neg, count, t, steps)
        if self.refractory:
            spikes = np.where(silent > 0, np.zeros_like(spikes), spikes)
            after = self.rule.fall(np, v, spikes, theta, theta_neg)
        return remembered, after.astype(v.dtype), spikes.astype(v.dtype)

    def finish(self, state: Any) -> tuple[Any, ...]:
        """See StatefulOp."""
        return state[0], state[1]

    def meaning(self, current: Any, *params: Any) -> tuple[Any, Any, Any]:
        """The windowed schedules: `current` is [T, ...]."""
        steps = len(current)
        v, count, silent, fired, (theta, leak, theta_neg) = self.init(None, current[0], *params)
        window = min(self.schedule.period or steps, steps) if isinstance(self.schedule, LayerSync) else 1
        start = self.schedule.start if isinstance(self.schedule, EarlyFire) else 0

        def charge(v: Any, t: int) -> Any:
            if t >= steps:
                return v
            return v + current[t] if leak is None else v * leak + current[t]

        rows = []
        for t in range(min(start, steps)):
            v = charge(v, t)
        for t in range(steps):
            if isinstance(self.schedule, LayerSync) and t % window == 0:
                for s in range(t, min(t + window, steps)):
                    v = charge(v, s)
            elif isinstance(self.schedule, EarlyFire):
                v = charge(v, t + start)
            fired, v, spikes = self._fire(t, steps, fired, v, count, silent, theta, theta_neg)
            count = count + spikes
            rows.append(spikes)
        return np.stack(rows), v, count
