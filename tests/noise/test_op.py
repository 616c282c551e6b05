"""`snn.noise`: what it does to spikes, in meaning and in the PyTorch runtime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir import rng
from ranvier.ir.codes import AverageSpike, Code, FirstSpike, MultiThreshold, Rate
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops.arith import Add
from ranvier.ir.ops.core import Delay
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.noise import Noise, bar_of, shift_bars
from ranvier.ir.ops.snn import Decode, Encode, Psp
from ranvier.ir.types import SpikesType, tensor
from tests.codes.helpers import every

Array = np.ndarray[Any, Any]
RUNTIMES = ["meaning", "torch"]
both = pytest.mark.parametrize("runtime", RUNTIMES)
few = settings(derandomize=True, deadline=None, max_examples=25)


def channel(code: Code, steps: int, shape: Sequence[int], **options: Any) -> Module:
    """Spikes in, spikes with noise out."""
    module = Module("channel")
    graph = module.new_graph()
    x = graph.argument("x", SpikesType(("N", *shape), code.element(), code, steps))
    b = Builder(graph)
    b.returns(b(Noise, x, **{"key": "a", **options}))
    return module.verify().freeze()


def sent(module: Module, x: Array, runtime: str = "torch", **options: Any) -> Array:
    """What arrives of spikes."""
    if runtime == "meaning":
        return evaluate(module, [x], **options)[0][0]
    return np.asarray(TorchRuntime().run(module, [x], **options).outputs[0])


def draw_spikes(seed: int, code: Code, *shape: int, density: float = 0.4) -> Array:
    """Random spikes [T, N, ...] of a code."""
    r = np.random.default_rng(seed)
    values = r.integers(*code.alphabet(), shape, endpoint=True)
    return (values * (r.random(shape) < density)).astype(code.element().dtype)


# -- the draws ---------------------------------------------------------------------------------------------------------
@given(sigma=st.sampled_from([0.3, 1.0, 2.5, 4.0]))
@few
def test_shifts_are_truncated_normal_numbers(sigma: float) -> None:
    """Frequencies over all numbers that can be drawn are those of trunc(N(0, sigma)), to a grain."""
    first, bars = shift_bars(sigma)
    assert list(bars) == sorted(bars)
    scale = sigma * math.sqrt(2)
    for i, bar in enumerate(bars):
        r = first + i  # u < bar: the shift is at most r
        at_most = 0.5 * math.erfc(-(r + 1 if r >= 0 else r) / scale)
        assert 0 <= bar - at_most <= 2.0**-24
    normal = np.trunc(np.random.default_rng(0).normal(0, sigma, 200_000))
    drawn = first + np.searchsorted(bars, np.random.default_rng(1).random(200_000), side="right")
    for r in range(-6, 7):
        p = (normal == r).mean()
        assert abs((drawn == r).mean() - p) <= 5 * math.sqrt(2 * max(p, 1e-5) / 200_000)


@given(p=st.floats(0, 1))
@few
def test_a_bar_decides_as_the_probability_does(p: float) -> None:
    bar = bar_of(p)
    assert np.float32(bar) == bar
    k = min(max(math.ceil(p * 2**24), 1), 2**24 - 1)
    for u in ((k - 1) * 2.0**-24, k * 2.0**-24):
        assert (u < bar) == (u < p)


@given(seed=st.integers(0, 2**40), size=st.integers(1, 9), step=st.integers(0, 50), trial=st.integers(0, 3))
@few
def test_single_draws_are_those_of_the_whole(seed: int, size: int, step: int, trial: int) -> None:
    ids = np.array([4, 0, 7])
    whole = rng.uniform(np, seed, "k", trial, ids, step, (3, size))
    samples, elements = np.divmod(np.arange(3 * size), size)
    found = rng.uniform_at(np, seed, "k", trial, ids[samples], step, elements)
    np.testing.assert_array_equal(found, whole.ravel())
    ours = rng.uniform_at(
        torch, seed, "k", trial, torch.from_numpy(ids[samples]), step, torch.from_numpy(elements)
    ).numpy()
    np.testing.assert_array_equal(ours, whole.ravel())


# -- what happens to spikes --------------------------------------------------------------------------------------------
def by_hand(x: Array, deletion: float, jitter: float, seed: int, key: str) -> Array:
    """Event after event, as the op's text says."""
    steps, count = x.shape[:2]
    out = np.zeros_like(x)
    first, bars = shift_bars(jitter)
    for t in range(steps):
        u = rng.uniform(np, seed, key, 0, np.arange(count), t, (count, 2, *x.shape[2:]))
        for i in np.ndindex(x.shape[1:]):
            n, *rest = i
            if not x[(t, *i)] or u[(n, 0, *rest)] < deletion:
                continue
            at = t + first + sum(u[(n, 1, *rest)] >= b for b in bars)
            if at < 0:
                continue
            while at < steps and out[(at, *i)]:
                at += 1
            if at < steps:
                out[(at, *i)] = x[(t, *i)]
    return out


CODES = (Rate(), Rate(signed=True), Rate(levels=5), MultiThreshold(3, "nearest", True), FirstSpike())


@given(
    seed=st.integers(0, 2**31),
    code=st.sampled_from(CODES),
    deletion=st.sampled_from([0.0, 0.3]),
    jitter=st.sampled_from([0.7, 2.0, 9.0]),
)
@few
def test_shifts_by_hand(seed: int, code: Code, deletion: float, jitter: float) -> None:
    x = draw_spikes(seed, code, 7, 3, 2, 2)
    module = channel(code, 7, (2, 2), deletion=deletion, jitter=jitter, seed=seed)
    want = by_hand(x, deletion, jitter, seed, "a")
    for runtime in RUNTIMES:
        np.testing.assert_array_equal(sent(module, x, runtime), want)
    # no event is made, changed or joined: what arrives is part of what was sent
    for i in np.ndindex(3, 2, 2):
        arrived, given_ = (sorted(a[(slice(None), *i)].astype(int)) for a in (want, x))
        assert all(arrived.count(v) <= given_.count(v) for v in arrived if v)


@given(seed=st.integers(0, 2**31), code=st.sampled_from(CODES), p=st.sampled_from([0.1, 0.5, 1.0]))
@few
def test_losses_by_hand(seed: int, code: Code, p: float) -> None:
    x = draw_spikes(seed, code, 5, 3, 4)
    u = np.stack([rng.uniform(np, 3, "a", 0, np.arange(3), t, (3, 4)) for t in range(5)])
    for runtime in RUNTIMES:
        found = sent(channel(code, 5, (4,), deletion=p, seed=3), x, runtime)
        np.testing.assert_array_equal(found, np.where(u < p, 0, x))


@both
def test_without_noise_it_is_the_identity(runtime: str) -> None:
    for code in CODES:
        x = draw_spikes(1, code, 6, 3, 4)
        np.testing.assert_array_equal(sent(channel(code, 6, (4,)), x, runtime), x)


@both
def test_a_shift_below_one_step_is_none(runtime: str) -> None:
    x = draw_spikes(1, Rate(), 6, 3, 4)
    np.testing.assert_array_equal(sent(channel(Rate(), 6, (4,), jitter=0.1), x, runtime), x)


@both
def test_jitter_does_not_change_what_deletion_takes(runtime: str) -> None:
    x = draw_spikes(1, FirstSpike(), 9, 5, 4)
    lost = sent(channel(FirstSpike(), 9, (4,), deletion=0.5), x, runtime)
    shifted = sent(channel(FirstSpike(), 9, (4,), deletion=0.5, jitter=0.1), x, runtime)
    np.testing.assert_array_equal(lost, shifted)


@both
@pytest.mark.parametrize("noise", [{"deletion": 0.3}, {"jitter": 1.5}, {"deletion": 0.3, "jitter": 1.5}], ids=str)
def test_equal_seeds_draw_equally_and_batches_do_not_matter(runtime: str, noise: dict[str, float]) -> None:
    x = draw_spikes(2, Rate(), 8, 6, 3, 5)
    module = channel(Rate(), 8, (3, 5), **noise)
    whole = sent(module, x, runtime)
    np.testing.assert_array_equal(whole, sent(module, x, runtime))
    at = np.array([5, 1, 1])
    np.testing.assert_array_equal(sent(module, x[:, at], runtime, sample_ids=at), whole[:, at])
    if runtime == "torch":
        np.testing.assert_array_equal(np.asarray(TorchRuntime(tile=2).run(module, [x]).outputs[0]), whole)
    for other in ({"seed": 1}, {"key": "b"}):
        assert (sent(channel(Rate(), 8, (3, 5), **noise, **other), x, runtime) != whole).any()
    assert (sent(module, x, runtime, trial=1) != whole).any()


# -- what codes say ----------------------------------------------------------------------------------------------------
def through(code: Code, steps: int, **noise: Any) -> Module:
    """A real value by encoder, noise and decoder."""
    module = Module("value")
    graph = module.new_graph()
    x = graph.argument("x", tensor("N", 6))
    b = Builder(graph)
    spikes = b(Encode, x, code=code, steps=steps, elem=code.element(), key="x")
    b.returns(b(Decode, b(Noise, spikes, key="noise", **noise) if noise else spikes))
    return module.verify().freeze()


@every
def test_codes_say_what_losses_cost(code: Code, steps: int) -> None:
    """The mean over many samples is the factor times the value without loss, to five standard errors."""
    low = -1.0 if code.signed else 0.1
    x = np.tile(np.linspace(low, 1, 6, dtype=np.float32) * code.reach * 0.9, (4000, 1))
    p = 0.3
    factor = code.after_deletion(p)
    want = sent(through(code, steps), x)
    found = sent(through(code, steps, deletion=p, seed=5), x)
    error = found.std(0) / math.sqrt(len(x))
    if factor is None:
        assert (np.abs(found.mean(0) - (1 - p) * want[0]) > 5 * error).any()
    else:
        assert (np.abs(found.mean(0) - factor * want[0]) <= 5 * error + 1e-5).all()


@every
def test_codes_say_what_a_shift_costs(code: Code, steps: int) -> None:
    """A lone spike moved by hand."""
    one, largest = np.zeros((steps, 1, 1), code.element().dtype), np.zeros((steps, 1, 1), code.element().dtype)
    decode = Module("decode")
    graph = decode.new_graph()
    b = Builder(graph)
    b.returns(b(Decode, graph.argument("x", SpikesType(("N", 1), code.element(), code, steps))))
    decode.freeze()
    for t in range(steps):
        for shift in (-1, 0, 1, 2, steps):
            factor = code.after_shift(t, shift, steps)
            one[:], largest[:] = 0, 0
            one[t] = 1
            if 0 <= t + shift < steps:
                largest[t + shift] = 1
            if factor is None:
                assert code.psp_class == "history"
            else:
                want, found = sent(decode, one, "meaning"), sent(decode, largest, "meaning")
                np.testing.assert_allclose(found, factor * want, rtol=1e-5)


def test_published_factors_of_spikes_in_a_row() -> None:
    """The published code's table is that of tau = 2 (its entry for two spikes repeats the one for three)."""
    for spikes, worth in {3: 0.50648, 4: 0.45505, 5: 0.42866, 2: 0.62246, 64: 0.39347}.items():
        assert AverageSpike(tau=2.0, spikes=spikes).worth() == pytest.approx(worth, abs=1.1e-5)


# -- refusals ----------------------------------------------------------------------------------------------------------
def test_it_needs_spikes() -> None:
    graph = Module("m").new_graph()
    with pytest.raises(RanvierError, match=r"type-mismatch.*needs spikes as x, not tensor"):
        Builder(graph)(Noise, graph.argument("x", tensor("N", 3, time=4)))
    with pytest.raises(RanvierError, match="no axis that counts samples"):
        Builder(graph)(Noise, graph.argument("y", SpikesType((), Rate().element(), Rate(), 4)))


@pytest.mark.parametrize("options", [{"deletion": 1.5}, {"deletion": -0.1}, {"jitter": -1.0}, {"jitter": 2000}])
def test_bad_values(options: dict[str, float]) -> None:
    with pytest.raises(RanvierError, match="bad-value"):
        channel(Rate(), 4, (2,), **options)


def test_two_ops_may_not_draw_alike() -> None:
    module = Module("m")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", SpikesType(("N", 2), Rate().element(), Rate(), 4))
    b.returns(b(Noise, b(Noise, x, deletion=0.1, key="a"), deletion=0.1, key="a"))
    with pytest.raises(RanvierError, match="duplicate-op-key"):
        module.verify()


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_jitter_may_not_lie_on_a_cycle(jitter: float) -> None:
    module = Module("m")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 2, time=4))
    zero = b.constant(np.float32(0), "zero")
    back = b(Delay, x, zero)
    spikes = b(Neuron, b(Add, x, back), code=Rate())[0]
    value = b(Psp, b(Noise, spikes, deletion=0.5, jitter=jitter))
    back.op.set_operand(0, value)
    b.returns(value)
    if jitter:
        with pytest.raises(RanvierError, match="delay-cycle"):
            module.verify()
        return
    module.verify().freeze()
    given_ = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    np.testing.assert_array_equal(sent(module, given_, "torch"), sent(module, given_, "meaning"))
