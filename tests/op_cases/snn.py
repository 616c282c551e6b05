"""Cases of neurons, the doors of spikes, and the ops of time. Numbers are dyadic, so spikes are exact."""

from __future__ import annotations

import numpy as np

from ranvier.ir.codes import EarlyFire, FirstSpike, LayerSync, MultiThreshold, Rate
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.ops import code_value, core, neurons, noise, residual, snn, time
from tests.op_cases.base import Cases, Draw, Given, case, spikes, value, weight

SIGNED = Rate(signed=True)


def snn_cases() -> Cases:
    """Neurons and doors."""
    yield from _neurons()
    yield from _signed_neurons()
    yield from _schedules()
    yield from _doors()
    yield from _noise()
    yield from _code_values()
    yield from _residual_membranes()


def time_cases() -> Cases:
    """Repeat, to_time, from_time, accumulate, last, first, delay."""
    d = Draw("time")
    x = value(d.real(3, 5), batch=True)
    yield case("flat", time.Repeat, x, steps=4, exact=True)
    yield case("image", time.Repeat, value(d.real(3, 2, 4, 4), batch=True), steps=2, exact=True)
    yield case("integers", time.Repeat, value(d.ints(3)), steps=1, exact=True)
    sequence = value(d.real(3, 4, 5), batch=True)
    yield case("middle", time.ToTime, sequence, axis=1, exact=True)
    yield case("last", time.ToTime, sequence, axis=-1, exact=True)
    yield case("image", time.ToTime, value(d.real(3, 2, 4, 4), batch=True), axis=2, exact=True)
    timed = value(d.real(4, 3, 5), time=True, batch=True)
    yield case("middle", time.FromTime, timed, axis=1, exact=True)
    yield case("last", time.FromTime, timed, axis=-1, exact=True)
    yield case("image", time.FromTime, value(d.real(4, 3, 2, 2), time=True), axis=0, exact=True)
    steps = value(d.dyadic(4, 3, 5), time=True, batch=True)
    for mode in ("mean", "sum", "max"):
        yield case(mode, time.Accumulate, steps, mode=mode, exact=mode != "mean")
        start = value(d.dyadic(3, 5), batch=True)
        yield case(f"{mode}_going_on", time.Accumulate, steps, start, value(np.array(4)), mode=mode, exact=True)
    yield case("flat", time.Last, timed, exact=True)
    yield case("one", time.Last, value(d.real(1, 3, 5), time=True), exact=True)
    yield case("integers", time.Last, value(d.ints(4, 3), time=True), exact=True)
    yield case("flat", time.First, timed, steps=2, exact=True)
    yield case("all", time.First, value(d.real(3, 5), time=True), steps=3, exact=True)
    yield case("integers", time.First, value(d.ints(4, 3), time=True), steps=1, exact=True)
    yield case("zero", core.Delay, timed, weight(np.float32(0)), exact=True)
    yield case("three", core.Delay, timed, value(d.real(3, 5), batch=True), steps=3, exact=True)
    yield case("beyond", core.Delay, timed, weight(d.real(5)), steps=9, exact=True)
    yield case("spikes", core.Delay, spikes(d.bits(4, 3, 5), batch=True), weight(np.zeros((), np.bool_)), exact=True)


def _current(d: Draw, *shape: int) -> Given:
    return value(d.dyadic(*(shape or (8, 3, 4))), time=True, batch=True)


def _neurons() -> Cases:
    d = Draw("neurons")
    fire = neurons.Neuron
    rate = {"code": Rate(), "exact": True}
    x = _current(d)
    yield case("plain", fire, x, **rate)
    yield case("hard", fire, x, reset="hard", v_reset=-0.25, **rate)
    yield case("none", fire, x, reset="none", **rate)
    yield case("gt", fire, x, compare="gt", **rate)
    yield case("theta", fire, x, weight(np.float32(0.5)), weight(np.float32(0.25)), **rate)
    yield case(
        "channel", fire, _current(d, 8, 3, 4, 2, 2), weight(d.positive(4).round(1) + 0.5), weight(d.dyadic(4)), **rate
    )
    yield case("scale", fire, x, elem=Elem("i1", Affine(0.5)), **rate)
    yield case("scales", fire, _current(d, 8, 3, 2, 2), elem=Elem("i1", Affine((0.5, 0.75), axis=1)), **rate)
    yield case("sample", fire, x, None, value(d.dyadic(3, 4), batch=True), **rate)
    yield case("leak", fire, x, None, None, weight(np.float32(0.5)), **rate)
    yield case("leak_hard", fire, x, None, None, weight(np.full(4, 0.75, np.float32)), reset="hard", **rate)
    yield case("refractory", fire, x, None, None, None, refractory=2, **rate)
    yield case("refractory_hard", fire, x, None, None, None, refractory=1, reset="hard", **rate)
    silent = value(np.arange(12, dtype=np.float32).reshape(3, 4) % 4, batch=True)
    yield case("silent", fire, x, None, None, None, None, None, silent, refractory=3, **rate)
    yield case("levels", fire, _current(d), code=Rate(levels=3), elem="u4", exact=True)
    yield case(
        "levels_gt",
        fire,
        _current(d),
        weight(np.float32(0.5)),
        code=Rate(levels=3),
        elem="u4",
        compare="gt",
        exact=True,
    )


def _signed_neurons() -> Cases:
    d = Draw("signed neurons")
    fire = neurons.Neuron
    x = _current(d)
    for negative in ("gated", "free"):
        signed = {"code": SIGNED, "elem": "i2", "negative": negative, "exact": True}
        yield case(negative, fire, x, **signed)
        yield case(f"{negative}_zero", fire, x, lower="zero", **signed)
        yield case(f"{negative}_hard", fire, x, reset="hard", **signed)
        yield case(f"{negative}_gt", fire, x, compare="gt", **signed)
        theta_neg = weight(np.array([0.25, 0.5, 1.0, 4.0], np.float32))
        yield case(f"{negative}_theta", fire, x, weight(np.float32(0.5)), None, None, theta_neg, **signed)
        counted = {**signed, "code": Rate(signed=True, levels=3), "elem": "i4"}
        yield case(f"{negative}_levels", fire, x, weight(np.float32(0.5)), **counted)
        yield case(f"{negative}_levels_zero", fire, x, weight(np.float32(0.5)), lower="zero", **counted)
    count = value(np.abs(d.ints(3, 4)).astype(np.float32), batch=True)
    yield case(
        "going_on",
        fire,
        x,
        None,
        value(d.dyadic(3, 4), batch=True),
        None,
        None,
        count,
        code=SIGNED,
        elem="i2",
        negative="gated",
        exact=True,
    )


def _schedules() -> Cases:
    d = Draw("schedules")
    fire = neurons.Neuron
    for name, schedule in {
        "sync": LayerSync(),
        "sync_4": LayerSync(4),
        "sync_3": LayerSync(3),
        "early_2": EarlyFire(2),
        "early_0": EarlyFire(0),
        "early_9": EarlyFire(9),
    }.items():
        yield case(name, fire, _current(d), code=Rate(), schedule=schedule, exact=True)
        v0 = weight(d.dyadic(4))
        signed = {"code": SIGNED, "elem": "i2", "negative": "gated"}
        yield case(f"{name}_signed", fire, _current(d), None, v0, schedule=schedule, **signed, exact=True)
        yield case(
            f"{name}_leak",
            fire,
            _current(d),
            None,
            v0,
            weight(np.float32(0.5)),
            code=Rate(),
            schedule=schedule,
            exact=True,
        )


def _doors() -> Cases:
    d = Draw("doors")
    regular = Rate(encoder="regular")
    half = Elem("i1", Affine(0.5))
    x = value(np.abs(d.dyadic(3, 4, low=-1, high=1)), batch=True)
    yield case("regular", snn.Encode, x, code=regular, steps=8, exact=True)
    yield case("scaled", snn.Encode, x, code=regular, steps=5, elem=half, exact=True)
    yield case("bernoulli", snn.Encode, x, code=Rate(), steps=8, key="a", seed=3, exact=True)
    wide = value(d.dyadic(3, 4, low=-3, high=3), batch=True)
    yield case("levels", snn.Encode, wide, code=Rate(signed=True, levels=3), elem="i4", steps=8, key="b", exact=True)
    yield case("signed", snn.Encode, wide, code=Rate(signed=True, encoder="regular"), elem="i2", steps=8, exact=True)
    inputs = {
        "bits": spikes(d.bits(4, 3, 5), batch=True),
        "signed": spikes(d.ints(4, 3, 5, low=-1, high=1), code=SIGNED, batch=True),
        "scaled": spikes(d.bits(4, 3, 5), element=half),
        "channels": spikes(d.bits(4, 3, 2, 5), element=Elem("i1", Affine((0.5, 0.25), axis=1)), batch=True),
        "counts": spikes(d.ints(4, 3, 5, low=0, high=3), code=Rate(levels=3)),
    }
    for name, given in inputs.items():
        yield case(name, snn.Psp, given, exact=True)
        yield case(name, snn.Decode, given, exact=True)
    x = value(d.dyadic(6, 3, 4, 2), time=True, batch=True)
    bias = weight(d.dyadic(4))
    for when in ("every", "every(period=2)", "start"):
        yield case(when, snn.BiasCurrent, x, bias, when=when, exact=True)
    yield case("offset", snn.BiasCurrent, x, bias, None, value(np.array(3)), when="every(period=2)", exact=True)
    restart = value(d.bits(6), time=True)
    yield case("restart", snn.BiasCurrent, x, bias, restart, when="restart", exact=True)
    yield case("full_rank", snn.BiasCurrent, value(d.dyadic(6, 3, 4), time=True), weight(d.dyadic(1, 4)), exact=True)


def _noise() -> Cases:
    d = Draw("noise")
    inputs = {
        "bits": spikes(d.bits(8, 3, 4, 2), batch=True),
        "signed": spikes(d.ints(8, 3, 5, low=-1, high=1), code=SIGNED, batch=True),
        "counts": spikes(d.ints(8, 3, 5, low=0, high=3), code=Rate(levels=3), batch=True),
        "sizes": spikes(d.ints(8, 3, 5, low=-3, high=3), code=MultiThreshold(3, "nearest", True), batch=True),
        "ttfs": spikes(d.bits(8, 3, 5, p=0.1), code=FirstSpike(), batch=True),
    }
    kinds = {"none": (0.0, 0.0), "deletion": (0.25, 0.0), "jitter": (0.0, 1.5), "both": (0.3, 0.75)}
    for i, (name, given) in enumerate(inputs.items()):
        for kind, (deletion, jitter) in kinds.items():
            options = {"deletion": deletion, "jitter": jitter, "key": name, "seed": i}
            yield case(f"{name}_{kind}", noise.Noise, given, exact=True, **options)
    given = spikes(d.bits(8, 3, 4), batch=True)
    yield case("offset", noise.Noise, given, value(np.array(5)), deletion=0.5, key="a", exact=True)


def _code_values() -> Cases:
    d = Draw("code values")
    op = code_value.CodeValue
    x, image = value(d.dyadic(3, 5), batch=True), value(d.dyadic(3, 4, 2, 2), batch=True)
    ceil = FirstSpike(tau=2.5, round="ceil")
    yield case("ttfs", op, x, code=FirstSpike(tau=2.5), steps=8, exact=True)
    yield case("ceil", op, image, weight(d.positive(4)), code=ceil, steps=8)
    parameters = (weight(np.float32(3.25)), weight(np.float32(1.5)))
    yield case("trained", op, x, weight(np.float32(0.75)), *parameters, code=ceil, steps=6)
    yield case("rate", op, x, weight(np.float32(0.5)), code=Rate(), steps=4, v0=0.5, exact=True)
    yield case("signed", op, x, code=SIGNED, steps=4, negative="free", lower="zero", exact=True)
    hmt = MultiThreshold(levels=3)
    yield case("levels", op, image, code=hmt, steps=2, v0=hmt.round_offset(0.5, 2), negative="none", exact=True)
    yield case("bypass", op, image, code=ceil, steps=8, bypass=0.5, key="here", seed=3, exact=True)
    yield case("bypass_all", op, x, code=ceil, steps=8, bypass=1.0, key="there", exact=True)


def _residual_membranes() -> Cases:
    d = Draw("residual membranes")
    op = residual.ResidualMembrane
    yield case("number", op, _current(d), weight(np.float32(0.5)), exact=True)
    yield case("channels", op, _current(d, 6, 3, 4, 2, 2), weight(d.positive(4).round(1) + 0.5), weight(d.dyadic(4)))
    yield case("never", op, _current(d), weight(np.float32(64)), weight(np.float32(0.25)), exact=True)
    yield case(
        "always",
        op,
        value(abs(d.dyadic(8, 3, 4)) + np.float32(1), time=True, batch=True),
        weight(np.float32(0.5)),
        exact=True,
    )
    yield case("sample", op, _current(d), weight(np.float32(1)), value(d.dyadic(3, 4), batch=True), exact=True)
