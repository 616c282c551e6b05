"""Cost models against published figures, and what must hold of any of them (P12, P14)."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.backends.crossbar.cost import LayerShape, find_model, model_names
from ranvier.backends.crossbar.cost.layers import chain
from ranvier.backends.crossbar.cost.models import MISSING
from ranvier.backends.crossbar.cost.spikesim import ReleasedSpikeSim
from ranvier.backends.crossbar.cost.table import load_table, read_table
from ranvier.backends.crossbar.cost.xpert import XPert
from ranvier.ir.cost import Activity, Cost
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.quantity import Quantity, parse_unit, show_unit

# SpikeSim's VGG9: what the released script prints for it
INPUTS, OUTPUTS = [3, 64, 64, 128, 128, 256, 256], [64, 64, 128, 128, 256, 256, 256]
IN_SIDES, OUT_SIDES = [32, 32, 16, 16, 8, 8, 8], [32, 16, 16, 8, 8, 8, 4]


def vgg9(steps: int | None = 5) -> list[LayerShape]:
    return chain(INPUTS, OUTPUTS, IN_SIDES, OUT_SIDES, steps=steps)


def cost(model: str, layers: list[LayerShape] | None = None, activity: Activity | None = None) -> Cost:
    return find_model(model).cost(vgg9() if layers is None else layers, activity or Activity())


def value(quantity: Quantity | None, unit: str) -> float:
    assert quantity is not None
    return quantity.to(unit)


def energy(found: Cost) -> float:
    return value(found.energy, "pJ")


# -- SpikeSim ----------------------------------------------------------------------------------------------------------
def test_released_spikesim_on_rram():
    found = cost("spikesim-ela-v1")
    assert energy(found) == pytest.approx(15_906_934.02624, rel=1e-9)
    assert value(found.area, "um^2") == pytest.approx(8_425_528.7558, rel=1e-9)
    assert value(found.latency, "ns") == pytest.approx(62_832_640, rel=1e-12)
    assert value(found.by_component()["neuron memory"][1], "um^2") == pytest.approx(2_264_460.4928, rel=1e-9)
    share = value(found.by_component()["neuron memory"][1], "um^2") / value(found.area, "um^2")
    assert share == pytest.approx(0.269, abs=5e-4)


def test_released_spikesim_by_layer():
    layers = [value(e, "uJ") for name, (e, _) in cost("spikesim-ela-v1").by_layer().items() if name]
    assert layers == pytest.approx([4.2418, 1.0605, 2.1209, 1.0605, 2.1209, 4.2418, 1.0605], abs=5e-5)


def test_released_spikesim_on_sram():
    found = cost("spikesim-ela-v1(device=sram)")
    assert energy(found) == pytest.approx(941_181_496.074, rel=1e-9)
    assert value(found.area, "um^2") == pytest.approx(8_704_114.583, rel=1e-9)


def test_released_spikesim_counts_pes_and_tiles():
    model = ReleasedSpikeSim()
    assert sum(map(model.elements, vgg9())) == 48
    assert model.tiles(vgg9()) == 6


def test_released_spikesim_prints_layer_latencies_with_t_twice():
    printed = ReleasedSpikeSim().printed_layer_latency(vgg9(), 5)
    assert value(printed[0], "ns") == (5 * 64 * 1024 - 1) * 104 * 5
    assert len(printed) == 7


def test_released_spikesim_refuses_layers_whose_pes_fall():
    layers = [LayerShape("wide", 256, 256, 9, 16), LayerShape("narrow", 64, 64, 9, 16)]
    with pytest.raises(RanvierError) as failure:
        cost("spikesim-ela-v1", layers)
    assert str(failure.value) == (
        "error[cost-layer-order]: spikesim-ela-v1: layer 'narrow' takes fewer PEs (1) than 'wide' (16)\n"
        "  help: use table=spikesim-ela-v2, which takes any order"
    )
    assert energy(cost("spikesim-ela-v2", layers)) > 0


def test_corrected_spikesim_changes_what_it_says_it_changes():
    old, new = cost("spikesim-ela-v1"), cost("spikesim-ela-v2")
    each = 22 * 0.7391
    gained = each * sum(o * h * h for o, h in zip(OUTPUTS[5:], OUT_SIDES[5:], strict=True))
    assert value(new.area, "um^2") - value(old.area, "um^2") == pytest.approx(gained, rel=1e-9)
    assert energy(new) == pytest.approx(energy(old), rel=1e-12), "at X = 64 the ADC term is the same"
    before = sum(math.ceil(0.75 * h * h) for h in OUT_SIDES[:-1])
    assert value(new.latency, "ns") == pytest.approx((OUT_SIDES[-1] ** 2 + before) * 5 * 104, rel=1e-12)


def test_corrected_spikesim_follows_spikes_in_the_arrays_alone():
    full = cost("spikesim-ela-v2")
    none = cost("spikesim-ela-v2", activity=Activity(5, density={f"x{n}": 0.0 for n in range(7)}))
    tenth = cost("spikesim-ela-v2", activity=Activity(5, density={f"x{n}": 0.1 for n in range(7)}))
    crossbar = full.by_component()["crossbar"][0]
    assert energy(full) - energy(none) == pytest.approx(value(crossbar, "pJ"), rel=1e-9)
    assert value(none.by_component()["crossbar"][0], "pJ") == 0
    assert energy(tenth) - energy(none) == pytest.approx(0.1 * value(crossbar, "pJ"), rel=1e-9)
    ignored = cost("spikesim-ela-v2(sparsity=ignored)", activity=Activity(5, density={"x0": 0.0}))
    assert energy(ignored) == energy(full)


def test_neurons_take_more_than_a_tenth_of_the_area():
    for version in ("spikesim-ela-v1", "spikesim-ela-v2"):
        found = cost(version)
        assert value(found.by_component()["neuron memory"][1], "um^2") > 0.11 * value(found.area, "um^2")


# -- XPert -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("adc", "mux", "area", "latency"),
    [
        ("flash", 2, 2_874_422.3398, 118.897514),
        ("flash", 8, 1_008_158.0650, 124.099502),
        ("flash", 32, 599_544.8714, 207.331306),
        ("sar", 2, 1_289_267.9691, 456.075930),
        ("sar", 8, 581_710.3638, 482.648920),
        ("sar", 32, 442_267.9663, 907.816768),
    ],
)
def test_xpert_points(adc, mux, area, latency):
    model = XPert()
    assert model.area(1, adc, mux).to("um^2") == pytest.approx(area, rel=1e-6)
    assert model.latency(1, adc, mux, 32 * 32, 1.0).to("xpert_time") == pytest.approx(latency, rel=1e-6)


def test_xpert_points_are_those_of_the_card():
    """The published digits, to the last one that they give."""
    published = {("flash", 2): 2_874_422, ("flash", 8): 1_008_158, ("flash", 32): 599_545}
    published |= {("sar", 2): 1_289_268, ("sar", 8): 581_710, ("sar", 32): 442_268}
    for (adc, mux), area in published.items():
        assert round(XPert().area(1, adc, mux).to("um^2")) == area


def test_xpert_counts_arrays_tiles_and_copies():
    tiles, speedup = XPert().tiles(LayerShape("conv", 64, 128, 9, 256))
    assert tiles == 1
    assert speedup == 64 / (9 * 4)
    assert XPert().tiles(LayerShape("narrow", 64, 16, 9, 256)) == (1, 64 / 9 * 2)


def test_xpert_gives_area_and_latency_in_its_own_unit_and_no_energy():
    found = cost("xpert-32nm-64", vgg9(None))
    assert found.energy is None
    assert found.edap is None
    assert found.tops_per_mm2 is None
    assert "energy" in found.not_modelled
    with pytest.raises(RanvierError, match="unit-mismatch"):
        value(found.latency, "ns")


# -- ISAAC -------------------------------------------------------------------------------------------------------------
def test_a_tile_of_isaac_has_the_published_area_less_what_is_named_as_left_out():
    """96 arrays: 0.372 mm^2 in the paper; registers, sigmoid, max-pool, sums, holds are not modelled."""
    found = cost("isaac-128", [LayerShape("full", 128 * 96, 128)])
    left_out = 12 * (2100 + 770 + 8 * 5) + 600 + 60 + 240 + 3200
    assert value(found.area, "um^2") + left_out == pytest.approx(372_000, rel=0.01)


def test_writing_an_operand_costs_energy_and_time():
    layer = LayerShape("attention", 64, 128, 1, 16)
    static, dynamic = cost("isaac-128", [layer]), cost("isaac-128", [dataclasses.replace(layer, dynamic=True)])
    assert energy(dynamic) - energy(static) == pytest.approx(21125)
    assert value(dynamic.latency, "ns") - value(static.latency, "ns") == pytest.approx(10968.75)
    with pytest.raises(RanvierError, match="spikesim-ela-v2: layer 'attention' writes an operand for every sample"):
        cost("spikesim-ela-v2", [dataclasses.replace(layer, dynamic=True)])


def test_converters_of_isaac_follow_their_bits_and_their_number():
    layer = LayerShape("conv", 128, 128, 1, 16)
    areas, energies = [], []
    for bits in range(4, 11):
        found = cost("isaac-128", [dataclasses.replace(layer, adc_bits=bits)])
        adc = found.by_component()["ADC"]
        areas.append(value(adc[1], "um^2"))
        energies.append(value(adc[0], "pJ"))
    assert areas == sorted(areas)
    assert energies == sorted(energies)
    shared = cost("isaac-128", [dataclasses.replace(layer, cols_per_adc=8)])
    assert value(shared.by_component()["ADC"][1], "um^2") == 16 * 1200
    assert energy(shared) == energy(cost("isaac-128", [layer]))


# -- any model (P12, P14) ----------------------------------------------------------------------------------------------
WITH_ENERGY = [name for name in model_names() if name != "xpert-32nm-64"]


@pytest.mark.parametrize("model", model_names())
def test_energy_is_additive_over_layers_and_linear_in_steps(model):
    if model in WITH_ENERGY:
        whole, parts = cost(model), [cost(model, [layer]) for layer in vgg9()]
        assert energy(whole) == pytest.approx(sum(map(energy, parts)), rel=1e-12)
        assert energy(cost(model, vgg9(10))) == pytest.approx(2 * energy(whole), rel=1e-12)
    once, twice = cost(model, vgg9(3)), cost(model, vgg9(6))
    unit = once.latency.unit
    assert value(twice.latency, unit) == pytest.approx(2 * value(once.latency, unit), rel=1e-12)


@pytest.mark.parametrize("model", model_names())
@given(steps=st.integers(1, 20), density=st.floats(0, 1))
def test_area_depends_neither_on_steps_nor_on_data(model, steps, density):
    activity = Activity(steps, density={f"x{n}": density for n in range(7)})
    assert cost(model, vgg9(steps), activity).area == cost(model).area


@pytest.mark.parametrize("model", WITH_ENERGY)
@given(
    density=st.lists(st.floats(0, 1), min_size=4, max_size=4), alive=st.lists(st.floats(0, 1), min_size=4, max_size=4)
)
def test_early_exit_weighs_each_step_by_those_alive(model, density, alive):
    """E = sum over t of P(alive at t) E_t."""

    def run(only: int) -> float:
        single = Activity(1, density={"x0": density[only]})
        return energy(cost(model, vgg9(1)[:1], single))

    activity = Activity(4, tuple(alive), {"x0": tuple(density)})
    expected = sum(a * run(t) for t, a in enumerate(alive))
    assert energy(cost(model, vgg9(4)[:1], activity)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("model", model_names())
def test_no_spikes_cost_static_terms_only(model):
    if model not in WITH_ENERGY:
        return
    silent = cost(model, activity=Activity(5, density={f"x{n}": 0.0 for n in range(7)}))
    full = cost(model)
    for name, (quiet, _) in silent.by_component().items():
        loud = full.by_component()[name][0]
        if quiet is not None:
            assert value(quiet, "pJ") in (0.0, pytest.approx(value(loud, "pJ"))), name


@pytest.mark.parametrize("model", model_names())
def test_every_figure_has_a_unit_of_its_dimension(model):
    found = cost(model)
    joule, metre = Quantity(1, "J").dimension, Quantity(1, "m").dimension
    for row in found.rows:
        assert row.energy is None or row.energy.dimension == joule
        assert row.area is None or row.area.dimension == {base: 2 * power for base, power in metre.items()}
    if found.edap is not None:
        assert found.edap.dimension == Quantity(1, "J s m^2").dimension
        assert found.edap.to("pJ ns um^2") == pytest.approx(
            energy(found) * value(found.latency, "ns") * value(found.area, "um^2")
        )
        assert value(found.tops_per_watt, "op/pJ") == pytest.approx(found.operations.value / energy(found))
        seconds, mm2 = value(found.latency, "s"), value(found.area, "mm^2")
        assert value(found.tops_per_mm2, "TOPS/mm^2") == pytest.approx(found.operations.value / seconds / mm2 / 1e12)
    assert found.sources
    assert found.modelled
    assert found.not_modelled


@pytest.mark.parametrize("name", ["spikesim-65nm", "xpert-32nm-64", "isaac-128"])
def test_every_constant_of_a_table_has_unit_and_source(name):
    table = load_table(name)
    assert all(constant.source for constant in table.constants.values())
    with pytest.raises(RanvierError, match="the constant has no unit"):
        read_table("bad", 'source = "a paper"\n[adc]\nenergy = { value = 3 }\n')
    with pytest.raises(RanvierError, match="names no source"):
        read_table("bad", '[adc]\nenergy = { value = 3, unit = "pJ" }\n')


# -- refusals ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", MISSING)
def test_models_without_all_constants_are_refused_by_name(name):
    with pytest.raises(RanvierError) as failure:
        find_model(name)
    assert str(failure.value) == (
        f"error[missing-constants]: {name} is not offered; no citable source gives {MISSING[name]}\n"
        "  help: models with all constants: isaac-128, spikesim-ela-v1, spikesim-ela-v2, xpert-32nm-64"
    )


def test_an_unknown_model_is_an_error_with_the_near_miss():
    with pytest.raises(RanvierError) as failure:
        find_model("spikesim-ela-v3")
    assert str(failure.value).startswith("error[unknown-name]: no cost_table is called 'spikesim-ela-v3'")
    assert "did you mean `spikesim-ela-v" in str(failure.value)


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        ("spikesim-ela-v1", {"rows": 128}, "layer 'conv0' has rows=128, its constants hold for rows=64 alone"),
        ("spikesim-ela-v2", {"cols_per_adc": 4}, "'conv0' has cols_per_adc=4, its constants hold for cols_per_adc=8"),
        ("xpert-32nm-64", {"weight_bits": 4}, "'conv0' has weight_bits=4, its constants hold for weight_bits=8 alone"),
        ("xpert-32nm-64", {"adc": "ramp"}, "reads through ramp converters, its fits are for flash and sar"),
        ("xpert-32nm-64", {"cols_per_adc": 5}, "5 columns an ADC, its fits are for 2, 4, 8, 16, 32"),
        ("isaac-128", {"adc_bits": 12}, "layer 'conv0' has adc_bits=12, its constants hold for 4 to 10"),
        ("isaac-128", {"cols_per_adc": 256}, "layer 'conv0' has cols_per_adc=256, an array has 128 columns"),
        ("isaac-128", {"cell_bits": 4}, "layer 'conv0' has cell_bits=4, its constants hold for cell_bits=2 alone"),
        ("spikesim-ela-v1", {"taps": 1}, "layer 'conv1' has a kernel of 9 elements after one of 1"),
    ],
)  # fmt: skip
def test_constants_are_not_stretched(model, change, message):
    layers = vgg9()
    layers[0] = dataclasses.replace(layers[0], **change)
    with pytest.raises(RanvierError) as failure:
        cost(model, layers)
    assert message in str(failure.value)


def test_impossible_activities_are_refused():
    with pytest.raises(RanvierError, match="one number a step, 3, not 2"):
        Activity(3, (1.0, 0.5))
    with pytest.raises(RanvierError, match=r"from 0 to 1, not 1\.5"):
        Activity(density={"x": 1.5})
    with pytest.raises(RanvierError, match="steps must be at least 1"):
        Activity(0)


# -- quantities --------------------------------------------------------------------------------------------------------
def test_quantities_are_checked_by_dimension():
    assert (Quantity(3, "mW") * Quantity(2, "ns")).to("pJ") == pytest.approx(6)
    assert (Quantity(1, "J") + Quantity(1, "pJ")).to("pJ") == pytest.approx(1e12 + 1)
    assert Quantity(1, "TOPS/W").to("op/pJ") == pytest.approx(1)
    assert Quantity(1, "um2").to("mm^2") == pytest.approx(1e-6)
    for wrong in (lambda: Quantity(1, "pJ") + Quantity(1, "ns"), lambda: Quantity(1, "um^2").to("um")):
        with pytest.raises(RanvierError, match="unit-mismatch"):
            wrong()
    with pytest.raises(RanvierError, match="no unit is called 'pW_h'"):
        Quantity(1, "pW_h")


@given(
    st.lists(st.tuples(st.sampled_from(["pJ", "ns", "um", "op", "mV"]), st.integers(1, 3)), unique_by=lambda p: p[0])
)
def test_units_print_and_parse(powers):
    assert parse_unit(show_unit(tuple(powers))) == tuple(powers)
