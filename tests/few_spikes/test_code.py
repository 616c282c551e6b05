"""Neurons of the code fs_table: what they compute, in meaning and in the PyTorch runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.ir.codes import EarlyFire, FewSpikes, FewSpikesTable, LayerSync, Stepwise
from ranvier.ir.codes.few_spikes import FUNCTIONS, LONGEST, activation
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.fields import RecordOf
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.snn import Decode, Encode
from ranvier.ir.ops.time import Repeat
from ranvier.ir.text.parser import parse_module
from ranvier.ir.types import tensor
from ranvier.passes.few_spikes.fit import relu
from ranvier.passes.few_spikes.tables import shipped
from tests.conversion.helpers import RUNTIMES, each_runtime

Array = np.ndarray[Any, Any]
both = pytest.mark.parametrize("runtime", list(each_runtime()))


def layer(
    code: Any, *, scale: float = 1.0, schedule: Any = None, steps: int | None = None, **attributes: Any
) -> Module:
    """x -> the decoded value and the spikes of one neuron for each x."""
    module = Module("few_spikes")
    b = Builder(module.new_graph("main"))
    x = b(Repeat, b.graph.argument("x", tensor("N", 1)), steps=steps or code.fixed_steps())
    v0 = code.round_offset(0.5, code.K) * scale
    spikes, _, _ = b(
        Neuron, x, None, b.constant(np.float32(v0), "v0"), code=code, elem=Elem("i1", Affine(scale)),
        schedule=schedule or LayerSync(), **attributes,
    )  # fmt: skip
    b.returns(b(Decode, spikes), spikes)
    return module.verify().freeze()


def run(module: Module, x: Array, runtime: str) -> tuple[Array, Array]:
    found = RUNTIMES[runtime].run(module, [np.asarray(x, np.float32)[:, None]]).outputs
    return np.asarray(found[0])[:, 0].astype(np.float64), np.asarray(found[1])[..., 0].astype(np.int64)


# -- ReLU --------------------------------------------------------------------------------------------------------------
@both
@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.sampled_from([1, 2, 4, 8]), st.lists(st.integers(-64, 1100), min_size=1, max_size=20))
def test_the_floor_table_of_a_relu_is_the_binary_expansion(runtime, K, levels):
    """E8: min(floor(x 2^K / a), 2^K - 1) a 2^-K, the spikes being the bits; at dyadic inputs only >= gives that."""
    high = 4.0
    x = np.asarray(levels) / 256
    value, spikes = run(layer(relu(K, high, "floor")), x, runtime)
    level = np.clip(np.floor(x * 2**K / high), 0, 2**K - 1)
    np.testing.assert_array_equal(value, level * high * 2.0**-K)
    bits = (level.astype(int)[None] >> np.arange(K - 1, -1, -1)[:, None]) & 1
    np.testing.assert_array_equal(spikes, bits)


@both
@pytest.mark.parametrize("rounded", ["mid", "floor"])
def test_a_relu_table_is_the_code_fs(runtime, rounded):
    x = np.arange(-32, 300) / 64
    table = run(layer(relu(4, 4.0, rounded)), x, runtime)
    plain = run(layer(FewSpikes(4, rounded), scale=4.0), x, runtime)
    np.testing.assert_array_equal(table[0], plain[0])
    np.testing.assert_array_equal(table[1], plain[1])


@both
def test_strict_comparison_is_one_least_value_low_at_dyadic_inputs(runtime):
    x = np.arange(1, 16) / 4
    code = relu(4, 4.0, "floor")
    inclusive, strict = (run(layer(code, compare=c), x, runtime)[0] for c in ("ge", "gt"))
    np.testing.assert_array_equal(inclusive, x)
    np.testing.assert_array_equal(strict, x - 0.25)


# -- tables ------------------------------------------------------------------------------------------------------------
def by_hand(code: FewSpikesTable, x: float, *, fall_first: bool = False) -> float:
    """The equations of the card, one number at a time; `fall_first` is the other order of the published training."""
    v, y, z = x, 0.0, 0
    for t in range(code.K):
        if fall_first and t:
            v -= code.falls[t] * z
        z = int(v >= code.thresholds[t])
        if not fall_first:
            v -= code.falls[t] * z
        y += code.values[t] * z
    return y


@both
def test_neurons_follow_the_equations_to_the_bit_on_dyadic_tables(runtime):
    draw = np.random.default_rng(0)
    for K in (1, 2, 4, 8, 16):  # the membrane holds K times the value: exact for powers of two
        T, h, d = (tuple(draw.integers(-256, 257, K) / 64) for _ in range(3))
        code = FewSpikesTable("silu", T, h, d, -4, 4)
        x = draw.integers(-512, 513, 200) / 128
        np.testing.assert_array_equal(run(layer(code), x, runtime)[0], [by_hand(code, v) for v in x])


def test_the_fall_of_a_step_comes_after_its_spike():
    code = FewSpikesTable("silu", (0.5, 0.5), (1.0, 7.0), (1.0, 2.0), 0, 2)
    value, spikes = run(layer(code), np.array([1.0, 2.0]), "meaning")
    np.testing.assert_array_equal(spikes, [[1, 1], [0, 1]])  # 1 - 1 < 1/2 <= 2 - 1: h(1), not h(2), lies between
    np.testing.assert_array_equal(value, [1.0, 3.0])
    assert by_hand(code, 2.0, fall_first=True) == 1.0


def test_the_other_order_is_another_neuron():
    """Tables that were trained with the fall before the spike lose their function in the deployed order."""
    silu = next(c for c in shipped() if (c.function, c.K, c.low, c.high) == ("silu", 16, -8, 12))
    x = np.linspace(-8, 12, 401)
    wanted = activation("silu", x)
    right = np.mean((np.array([by_hand(silu, v) for v in x]) - wanted) ** 2)
    wrong = np.mean((np.array([by_hand(silu, v, fall_first=True) for v in x]) - wanted) ** 2)
    assert wrong > 20 * right


@pytest.mark.parametrize("code", shipped(), ids=lambda c: f"{c.function}-{c.K}-{c.low:g}-{c.high:g}")
def test_shipped_tables_give_the_same_in_both_runtimes(code):
    x = np.random.default_rng(0).uniform(code.low, code.high, 2000).astype(np.float32)
    meaning, torch = (run(layer(code), x, runtime) for runtime in ("meaning", "torch"))
    np.testing.assert_array_equal(meaning[1], torch[1])
    np.testing.assert_allclose(meaning[0], torch[0], atol=1e-5 * np.abs(meaning[0]).max())
    near = np.abs(meaning[0] - code.apply(x)) < 1e-4  # in float64 a tie may fall to the other side
    assert near.mean() > 0.999
    np.testing.assert_allclose(code.quantize(x, code.K), meaning[0], atol=1e-5)


@both
def test_a_scale_scales_both_sides(runtime):
    code = shipped()[0]
    x = np.linspace(-4, 4, 101).astype(np.float32)
    value, spikes = run(layer(code), x, runtime)
    scaled, same = run(layer(code, scale=0.25), x / 4, runtime)
    np.testing.assert_array_equal(spikes, same)
    np.testing.assert_array_equal(scaled, value / 4)


@both
def test_infinite_thresholds_always_or_never_fire(runtime):
    code = FewSpikesTable("tanh", (-np.inf, np.inf), (0.0, 1.0), (-1.0, 5.0), -1, 1)
    value, spikes = run(layer(code), np.array([-3e30, 0.0, 3e30]), runtime)
    np.testing.assert_array_equal(value, [-1, -1, -1])
    np.testing.assert_array_equal(spikes, [[1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_activations_are_those_of_the_ops(function):
    from ranvier.ir.interpret import evaluate
    from ranvier.ir.ops import OPS

    module = Module("activation")
    b = Builder(module.new_graph("main"))
    b.returns(b(OPS[f"nn.{function}"], b.graph.argument("x", tensor("N"))))
    x = np.linspace(-6, 3, 64).astype(np.float32)
    ((y,), _) = evaluate(module.verify().freeze(), [x])
    np.testing.assert_allclose(activation(function, x), y, rtol=1e-6, atol=1e-7)


def test_the_error_bound_holds_on_the_range():
    for code in shipped():
        x = np.random.default_rng(1).uniform(code.low, code.high, 5000)
        gap = np.abs(code.apply(x) - activation(code.function, x))
        assert gap.max() <= code.error_bound(code.K) + 2e-3


# -- the record --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", shipped(), ids=lambda c: f"{c.function}-{c.K}-{c.low:g}-{c.high:g}")
def test_text_goes_round(code):
    module = layer(code)
    assert RecordOf("code").read(str(code)) == code
    assert parse_module(str(module)) == module


def test_what_a_table_answers():
    code = shipped()[0]
    assert code.alphabet() == (0, 1)
    assert code.bits == 1
    assert code.fixed_steps() == code.K
    assert code.needs_window
    assert code.psp_class == "weight"
    assert code.with_sign(False) is code
    assert code.reach >= max(code.values)
    with pytest.raises(ValueError, match="no signed form"):
        code.with_sign(True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"values": (1.0,)}, "have 2, 2, 1 numbers"),
        ({"thresholds": (), "falls": (), "values": ()}, "1 to 24"),
        ({"thresholds": (1.0,) * 25, "falls": (1.0,) * 25, "values": (1.0,) * 25}, f"1 to {LONGEST}"),
        ({"falls": (np.inf, 0.0)}, "must be finite"),
        ({"thresholds": (np.nan, 0.0)}, "no threshold nan"),
        ({"low": 2.0, "high": 2.0}, "is empty"),
        ({"function": "silo"}, "did you mean `silu`"),
    ],
)
def test_tables_that_are_none(changes, said):
    good = {
        "function": "silu",
        "thresholds": (0.0, 1.0),
        "falls": (0.0, 1.0),
        "values": (0.0, 1.0),
        "low": -1,
        "high": 1,
    }
    FewSpikesTable(**good)
    with pytest.raises(RanvierError, match=said):
        FewSpikesTable(**{**good, **changes})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"schedule": Stepwise()}, "layer_sync or early_fire"),
        ({"steps": 5}, "the code has 2 steps"),
        ({"negative": "free"}, "use negative=none"),
        ({"refractory": 1}, "refractory"),
    ],
)
def test_neurons_that_no_table_allows(options, said):
    code = FewSpikesTable("silu", (0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
    with pytest.raises(RanvierError, match=said):
        layer(code, **options)


def test_early_fire_is_allowed():
    code = relu(4, 4.0, "floor")
    value, _ = run(layer(code, schedule=EarlyFire(3)), np.array([1.25]), "meaning")
    np.testing.assert_array_equal(value, run(layer(code), np.array([1.25]), "meaning")[0])


def test_values_are_not_encoded_in_it():
    module = Module("encode")
    b = Builder(module.new_graph("main"))
    with pytest.raises(RanvierError, match="only neurons fire"):
        b(Encode, b.graph.argument("x", tensor("N", 3)), code=relu(2, 1.0), steps=2)


def test_a_shift_out_of_the_window_costs_the_whole_spike() -> None:
    """As `snn.noise` has it; within the window a spike is worth what its new step says."""
    code = FewSpikesTable("silu", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2.0, 0.0, 0.5))
    assert [code.after_shift(0, shift, 3) for shift in (-1, 0, 1, 2, 3)] == [0.0, 1.0, 0.0, 0.25, 0.0]
    assert code.after_shift(1, 1, 3) is None, "it was worth nothing"


def test_messages_name_a_table_without_its_numbers() -> None:
    code = next(code for code in shipped() if (code.function, code.K) == ("silu", 16))
    assert code.label == "fs_table(silu, K=16)"
    with pytest.raises(ValueError, match=r"^fs_table\(silu, K=16\) has no signed form$"):
        code.with_sign(True)
