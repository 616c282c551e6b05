"""Neurons against a plain loop over one neuron, and the identities of integrate-and-fire (numbers are dyadic)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.ir.codes import EarlyFire, LayerSync, Rate
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.snn import BiasCurrent, Decode, Encode, Psp
from tests.op_cases.base import Draw, case, spikes, value, weight
from tests.ops.helpers import apply

seeds = st.integers(0, 2**31)
few = settings(derandomize=True, deadline=None, max_examples=30)


def plain(current: list[float], p: dict[str, Any]) -> tuple[list[int], float, int]:
    """One neuron, step by step, as the papers write it."""
    v, count, silent, out = p["v0"], 0, 0, []
    theta, below, most = p["theta"], p["theta_neg"], p["levels"]
    for z in current:
        v = p["leak"] * v + z
        spike = 0
        if v >= 0:
            ratio = v / theta
            spike = math.floor(ratio) if p["compare"] == "ge" else math.ceil(ratio) - 1
            spike = min(max(spike, 0), most)
        elif p["negative"] != "none":
            ratio = -v / below
            if p["lower"] == "zero":
                spike = math.ceil(ratio)
            else:
                spike = math.floor(ratio) if p["compare"] == "ge" else math.ceil(ratio) - 1
            spike = min(max(spike, 0), most)
            if p["negative"] == "gated":
                spike = min(spike, max(count, 0))
            spike = -spike
        if silent > 0:
            spike, silent = 0, silent - 1
        elif spike:
            silent = p["refractory"]
        if spike and p["reset"] == "hard":
            v = p["v_reset"]
        elif p["reset"] == "soft":
            v -= spike * (theta if spike > 0 else below)
        count += spike
        out.append(spike)
    return out, v, count


@given(
    seed=seeds,
    reset=st.sampled_from(["soft", "hard", "none"]),
    compare=st.sampled_from(["ge", "gt"]),
    negative=st.sampled_from(["none", "gated", "free"]),
    lower=st.sampled_from(["threshold", "zero"]),
    levels=st.sampled_from([1, 3]),
    refractory=st.integers(0, 3),
    theta=st.sampled_from([0.5, 1.0, 2.0]),
    theta_neg=st.sampled_from([0.25, 1.0, 2.0]),
    leak=st.sampled_from([1.0, 0.5]),
)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_neuron_is_the_plain_loop(seed: int, **p: Any) -> None:
    d = Draw(str(seed))
    current, v0 = d.dyadic(9, 2, 3), d.dyadic(2, 3, low=-1, high=1)
    p["v_reset"] = -0.25
    signed = p["negative"] != "none"
    attributes = {k: p[k] for k in ("reset", "compare", "negative", "lower", "refractory", "v_reset")}
    numbers = [weight(np.float32(p[k])) for k in ("theta", "leak", "theta_neg")]
    code = Rate(signed=signed, levels=p["levels"])
    fired, v, count = apply(
        Neuron,
        value(current, time=True),
        numbers[0],
        weight(v0),
        *numbers[1:],
        code=code,
        elem=code.element(),
        **attributes,
    )
    for i in np.ndindex(2, 3):
        want, end, total = plain(current[(slice(None), *i)].tolist(), {**p, "v0": float(v0[i])})
        assert fired[(slice(None), *i)].astype(int).tolist() == want
        assert (v[i], count[i]) == (end, total)


def fire(current: Any, *params: Any, **attributes: Any) -> Any:
    attributes.setdefault("code", Rate())
    return apply(Neuron, value(current, time=True), *params, **attributes)


@given(seed=seeds, theta=st.sampled_from([0.5, 1.0]), signed=st.booleans())
@few
def test_charge_is_conserved(seed: int, theta: float, signed: bool) -> None:
    """theta N_T = sum z + v0 - v_T (E2)."""
    z, v0 = Draw(str(seed)).dyadic(16, 3), Draw(str(seed + 1)).dyadic(3)
    kind = {"code": Rate(signed=True), "elem": "i2", "negative": "gated"} if signed else {}
    fired, v, count = fire(z, weight(np.float32(theta)), weight(v0), **kind)
    np.testing.assert_array_equal(fired.astype(np.float32).sum(0), count)
    np.testing.assert_array_equal(theta * count, z.sum(0) + v0 - v)


@given(steps=st.integers(1, 32), v0=st.sampled_from([0.0, 0.5, 0.75]))
@few
def test_constant_current_counts_by_floor(steps: int, v0: float) -> None:
    """N = clip(floor((z T + v0) / theta), 0, T) for constant z (E3)."""
    z = np.arange(-16, 33, dtype=np.float32) / 16
    _, _, count = fire(np.tile(z, (steps, 1)), None, weight(np.float32(v0)))
    np.testing.assert_array_equal(count, np.clip(np.floor(z * steps + v0), 0, steps))


def test_uneven_current_fires_too_often() -> None:
    """A large first step cannot be taken back by later ones (E5)."""
    z = np.array([3] + [-1 / 8] * 8, np.float32).reshape(9, 1)
    assert fire(z, None, weight(np.float32(0.5)))[2] == 3
    assert math.floor(z.sum() + 0.5) == 2


@given(seed=seeds, theta=st.sampled_from([0.5, 2.0]), steps=st.sampled_from([1, 4, 8]))
@few
def test_layer_sync_is_clip_and_floor(seed: int, theta: float, steps: int) -> None:
    """A neuron that has seen the whole window fires the rounded sum (E6), which is one step of T levels (E7)."""
    z = Draw(str(seed)).dyadic(steps, 5)
    at = weight(np.float32(theta))
    half = weight(np.float32(theta / 2))
    _, _, count = fire(z, at, half, schedule=LayerSync())
    want = np.clip(np.floor(z.sum(0) / theta + 0.5), 0, steps)
    np.testing.assert_array_equal(count, want)
    many = Rate(levels=steps)
    _, _, once = fire(z.sum(0, keepdims=True), at, half, code=many, elem=many.element())
    np.testing.assert_array_equal(once, want)


def test_layer_sync_by_periods_sees_its_period_only() -> None:
    z = np.array([0, 0, 0, 4, 0, 0, 0, 0], np.float32).reshape(8, 1)
    assert fire(z, schedule=LayerSync(4))[0].ravel().astype(int).tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert fire(z, schedule=LayerSync(2))[0].ravel().astype(int).tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    # a last period may be shorter
    assert fire(z[:6], schedule=LayerSync(4))[0].ravel().astype(int).tolist() == [1, 1, 1, 1, 0, 0]


@given(seed=seeds, start=st.integers(0, 9))
@few
def test_early_fire_lies_between_stepwise_and_layer_sync(seed: int, start: int) -> None:
    z = Draw(str(seed)).dyadic(8, 3)
    found = fire(z, schedule=EarlyFire(start))
    if start == 0:
        for a, b in zip(found, fire(z), strict=True):
            np.testing.assert_array_equal(a, b)
    if start >= 7:
        for a, b in zip(found, fire(z, schedule=LayerSync()), strict=True):
            np.testing.assert_array_equal(a, b)
    # step t does not see input after t + start
    later = z.copy()
    later[start + 4 :] = 1.75
    np.testing.assert_array_equal(found[0][:4], fire(later, schedule=EarlyFire(start))[0][:4])


@given(seed=seeds, cut=st.integers(1, 7), negative=st.sampled_from(["none", "gated"]))
@few
def test_neuron_goes_on_from_its_state(seed: int, cut: int, negative: str) -> None:
    z = Draw(str(seed)).dyadic(8, 3)
    code = Rate(signed=negative == "gated")
    kind = {"code": code, "elem": code.element(), "negative": negative}
    whole = fire(z, **kind)
    first = fire(z[:cut], **kind)
    rest = fire(z[cut:], None, value(first[1]), None, None, value(first[2]), **kind)
    np.testing.assert_array_equal(np.concatenate([first[0], rest[0]]), whole[0])
    np.testing.assert_array_equal(rest[1], whole[1])
    np.testing.assert_array_equal(rest[2], whole[2])


@given(seed=seeds, factor=st.sampled_from([0.25, 2.0, 8.0]))
@few
def test_scaling_current_and_threshold_changes_no_spike(seed: int, factor: float) -> None:
    """Weight and threshold normalisation are the same (E1, E16)."""
    z = Draw(str(seed)).dyadic(8, 3)
    np.testing.assert_array_equal(fire(z)[0], fire(z * np.float32(factor), weight(np.float32(factor)))[0])
    element = Elem("i1", Affine(factor))
    np.testing.assert_array_equal(fire(z)[0], fire(z * np.float32(factor), elem=element)[0])


def test_a_threshold_for_each_channel_lies_on_axis_1() -> None:
    z = np.ones((4, 2, 3, 2, 2), np.float32)
    _, _, count = fire(z, weight(np.array([1, 2, 4], np.float32)))
    assert count[0, :, 0, 0].tolist() == [4, 2, 1]
    assert (count == count[:1, :, :1, :1]).all()


def test_hard_reset_loses_what_is_above_the_threshold() -> None:
    z = np.full((4, 1), 1.5, np.float32)
    assert fire(z, reset="hard")[2] == 4
    assert fire(np.full((4, 1), 0.75, np.float32), reset="hard")[2] == 2
    assert fire(np.full((4, 1), 0.75, np.float32))[2] == 3


# -- doors -------------------------------------------------------------------------------------------------------------
@given(seed=seeds, steps=st.sampled_from([1, 7, 16]), signed=st.booleans(), scale=st.sampled_from([1.0, 0.5, 4.0]))
@few
def test_regular_encoder_keeps_its_error_bound(seed: int, steps: int, signed: bool, scale: float) -> None:
    code = Rate(signed=signed, encoder="regular")
    x = (np.random.default_rng(seed).uniform(-1 if signed else 0, 1, (3, 5)) * scale).astype(np.float32)
    element = Elem(code.element().storage, Affine(scale))
    s = apply(Encode, x, code=code, steps=steps, elem=element)
    back = apply(Decode, spikes(s, code=code, element=element))
    assert np.abs(back - x).max() <= code.error_bound(steps) * scale * (1 + 1e-5)
    psp = apply(Psp, spikes(s, code=code, element=element))
    np.testing.assert_allclose(psp.mean(0), back, rtol=1e-6)


def test_bernoulli_encoder_has_the_right_mean_and_variance() -> None:
    x, steps = np.linspace(0, 1, 21, dtype=np.float32), 64
    s = apply(Encode, np.tile(x, (200, 1)), code=Rate(), steps=steps, key="a")
    back = apply(Decode, spikes(s)).astype(np.float64)
    deviation = np.sqrt(x * (1 - x) / steps)
    assert (np.abs(back.mean(0) - x) <= 5 * deviation / np.sqrt(200) + 1e-9).all()
    inner = slice(1, -1)
    np.testing.assert_allclose(back.std(0)[inner], deviation[inner], rtol=0.3)


def test_draws_belong_to_samples_not_to_places_in_a_batch() -> None:
    x = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    encoder = case("e", Encode, value(x, batch=True), code=Rate(), steps=8, key="a", seed=4)

    def run(rows: list[int], trial: int = 0) -> Any:
        from ranvier.ir.interpret import evaluate

        return evaluate(encoder.module(), [x[rows]], sample_ids=rows, trial=trial)[0][0]

    whole = run(list(range(6)))
    np.testing.assert_array_equal(run([3]), whole[:, [3]])
    np.testing.assert_array_equal(run([4, 1, 0]), whole[:, [4, 1, 0]])
    assert (run([3], trial=1) != whole[:, [3]]).any()


def test_encoder_goes_on_with_its_draws() -> None:
    x = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    whole = apply(Encode, x, code=Rate(), steps=8, key="a")
    rest = apply(Encode, x, value(np.array(5)), code=Rate(), steps=3, key="a")
    np.testing.assert_array_equal(rest, whole[5:])


def test_scales_of_channels_are_what_their_spikes_are_worth() -> None:
    element = Elem("i1", Affine((0.5, 2.0), axis=1))
    s = np.ones((4, 3, 2, 5), np.bool_)
    assert apply(Psp, spikes(s, element=element))[0, 0, :, 0].tolist() == [0.5, 2.0]
    assert apply(Decode, spikes(s, element=element))[0, :, 0].tolist() == [0.5, 2.0]


# -- bias currents -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("when", "offset", "want"),
    [
        ("every", None, [1, 1, 1, 1, 1, 1]),
        ("every(period=3)", None, [1, 0, 0, 1, 0, 0]),
        ("every(period=3)", 2, [0, 1, 0, 0, 1, 0]),
        ("start", None, [1, 0, 0, 0, 0, 0]),
        ("start", 1, [0, 0, 0, 0, 0, 0]),
        ("restart", None, [1, 0, 0, 0, 0, 0]),
    ],
)
def test_bias_flows_when_it_should(when: str, offset: int | None, want: list[int]) -> None:
    at = None if offset is None else value(np.array(offset))
    x = value(np.zeros((6, 2, 3), np.float32), time=True)
    found = apply(BiasCurrent, x, weight(np.array([1, 2, 3], np.float32)), None, at, when=when)
    np.testing.assert_array_equal(found[:, 0], np.outer(want, [1, 2, 3]))


def test_bias_restarts_where_the_bit_is_set() -> None:
    x = value(np.zeros((4, 2, 1), np.float32), time=True)
    restart = np.array([[[0], [0]], [[0], [1]], [[1], [1]], [[0], [0]]], np.bool_)
    found = apply(BiasCurrent, x, weight(np.ones(1, np.float32)), value(restart, time=True), when="restart")
    np.testing.assert_array_equal(found[..., 0], [[1, 1], [0, 1], [1, 1], [0, 0]])


# -- errors ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("operands", "attributes", "message"),
    [
        ([value(np.zeros((2, 3), np.float32))], {}, "integrates a real current over time, not tensor<2x3xf32>"),
        (["x"], {"code": Rate(signed=True), "elem": "i2"}, "fires spikes of rate(signed=true) with negative=none"),
        (["x"], {"code": Rate(signed=True), "negative": "free"}, "holds spikes of rate(signed=true) (-1..1) in i1"),
        (["x"], {"refractory": 2, "schedule": LayerSync()}, "has a refractory time under schedule layer_sync"),
        (["x", weight(np.zeros(4, np.float32))], {}, "has 4 numbers as theta for 3 channels"),
        (["x", value(np.zeros((4, 3), np.float32), time=True)], {}, "has a theta that changes over time"),
        (["x", weight(np.zeros(3))], {}, "needs theta in f32, not tensor<3xf64>"),
        (["x", value(np.zeros((5, 3), np.float32))], {}, "has a theta that does not broadcast from [5, 3] to [2, 3]"),
        (["x"], {"elem": Elem("i1", Affine((0.5, 1.0), axis=1))}, "has 2 scales on axis 1 of shape [2, 3]"),
    ],
)
def test_mistakes_about_neurons_are_named(operands: list[Any], attributes: dict[str, Any], message: str) -> None:
    x = value(np.zeros((4, 2, 3), np.float32), time=True)
    with pytest.raises(RanvierError) as raised:
        apply(Neuron, *[x if o == "x" else o for o in operands], **{"code": Rate(), **attributes})
    assert raised.value.diagnostics[0].message == f"`snn.neuron` {message}"


def test_doors_take_what_belongs_to_them() -> None:
    with pytest.raises(RanvierError, match=r"`snn.psp` needs spikes as x, not tensor<2x3xf32>"):
        apply(Psp, np.zeros((2, 3), np.float32))
    with pytest.raises(RanvierError, match=r"`snn.encode` encodes real values without time, not tensor<3xf32, T=2>"):
        apply(Encode, value(np.zeros((2, 3), np.float32), time=True), code=Rate(), steps=4)
    x = value(np.zeros((2, 3, 1), np.float32), time=True)
    with pytest.raises(RanvierError, match="has a restart operand with when=every"):
        apply(BiasCurrent, x, weight(np.ones(1, np.float32)), value(np.zeros(2, np.bool_), time=True))
