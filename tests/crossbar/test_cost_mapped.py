"""Costs of mapped layers, and the choice of their peripheries."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.backends.crossbar.cost import find_model
from ranvier.backends.crossbar.cost.network import cost_of, read_network
from ranvier.backends.crossbar.cost.xpert import XPert
from ranvier.ir import ops  # noqa: F401  (declares the dialects)
from ranvier.ir.core import OPS, Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.hardware.adc import Flash, Ideal, Sar
from ranvier.ir.hardware.arrays import Array, Im2col, KernelSplit
from ranvier.ir.hardware.inputs import Binary
from ranvier.ir.hardware.weights import Dummy, Offset
from ranvier.ir.ops.xbar import product_elem
from ranvier.ir.resources import Resource
from ranvier.ir.types import tensor
from ranvier.reference import MeaningTarget

XPERT = {"array": Array(64, 64, None, 8), "cell_bits": 4, "weights": Offset()}
ISAAC = {"array": Array(128, 128, None, 128), "cell_bits": 2, "weights": Offset(), "adc": Flash(8)}


def network(**device) -> Module:
    """Two convolutions on arrays, each on levels of its own."""
    device = {"adc": Sar(12), "mapping": Im2col(), **device}
    module = Module("mapped")
    graph = module.new_graph()
    b = Builder(graph)
    results = []
    for n, (inputs, outputs, side) in enumerate([(3, 64, 16), (64, 128, 8)]):
        x = graph.argument(f"x{n}", tensor("N", inputs, side, side, dtype=Elem("u8", Affine(0.5))))
        kind = tensor(outputs, inputs, 3, 3, dtype=Elem("i8", Affine(0.25)))
        w = b.constant(Resource(kind, np.ones(kind.shape, np.int8)), f"w{n}")
        elem = product_elem("i32", x.type, w.type, 1)
        results.append(
            b(OPS["xbar.mvm"], x, w, padding=(1, 1, 1, 1), input=Binary(8), elem=elem, name=f"conv{n}", **device)
        )
    b.returns(*results)
    return module.verify().freeze()


def test_a_mapped_layer_says_its_own_hardware():
    first, second = read_network(network(**XPERT)).layers
    assert (first.rows, first.cols, first.cols_per_adc, first.cell_bits, first.weight_bits) == (64, 64, 8, 4, 8)
    assert (first.adc, first.adc_bits, first.mapping, first.planes) == ("sar", 12, "im2col", 8)
    assert (second.inputs, second.outputs, second.taps, second.positions) == (64, 128, 9, 64)
    assert second.column_slices == 2
    assert (second.row_groups, second.columns, second.arrays) == (9, 256, 9 * 4)


def test_columns_and_arrays_are_those_of_the_grid():
    module = network(**{**XPERT, "weights": Dummy()})
    for layer, op in zip(read_network(module).layers, module.main.ops, strict=False):
        assert layer.arrays == op.grid.arrays
        assert layer.columns == op.grid.physical_columns + 2 * op.grid.blocks


def test_portions_of_rows_are_driven_one_after_the_other():
    whole, parts = (
        read_network(network(**{**XPERT, "array": Array(64, 64, at_once, 8)})).layers[0] for at_once in (None, 16)
    )
    assert parts.planes == 4 * whole.planes


def test_conversions_of_isaac_are_counted_by_column_and_plane():
    found = cost_of(network(**ISAAC), find_model("isaac-128"))
    conversions = {row.layer: row.count for row in found.rows if row.component == "ADC" and row.energy is not None}
    # positions x planes x row groups x columns (outputs x 4 slices)
    assert conversions == {"conv0": 256 * 8 * 1 * 64 * 4, "conv1": 64 * 8 * 5 * 128 * 4}


def test_an_ideal_converter_is_counted_and_named():
    found = cost_of(network(**{**ISAAC, "adc": Ideal()}), find_model("isaac-128"))
    assert "ideal converters are counted as those of the table: conv0, conv1" in found.notes


def test_another_mapping_than_that_of_the_constants_is_refused():
    with pytest.raises(RanvierError, match="has mapping=im2col, its constants hold for mapping=kernel_split alone"):
        cost_of(network(**XPERT), find_model("spikesim-ela-v2"))
    with pytest.raises(RanvierError, match="has mapping=kernel_split, its constants hold for mapping=im2col alone"):
        cost_of(network(**XPERT, mapping=KernelSplit()), find_model("xpert-32nm-64"))


@pytest.mark.parametrize("method", ["gradient", "dp"])
def test_peripheries_are_set_and_the_numbers_stay(method):
    module = network(**XPERT)
    found = rv.opt(module, f"search-periphery{{area_mm2=4 method={method}}}")
    model = XPert()
    before, after = (cost_of(m, model) for m in (module, found))
    assert after.area.to("mm^2") <= 4
    for old, new in zip(module.main.ops, found.main.ops, strict=True):
        if "adc" not in old.attributes:
            continue
        assert new.adc.word in ("flash", "sar")
        assert (new.adc.bits, new.adc.lsb, new.adc.low, new.adc.high) == (12, (1.0,), None, None)
        assert new.array.cols_per_adc in (2, 4, 8, 16, 32)
        assert (new.array.rows, new.array.cols) == (64, 64)
    assert after.latency < before.latency
    images = [
        np.random.default_rng(n).integers(0, 256, (2, *s), np.uint8) for n, s in enumerate([(3, 16, 16), (64, 8, 8)])
    ]
    outputs = [MeaningTarget().runtime().run(m, images).outputs for m in (module, found)]
    assert all(np.array_equal(a, b) for a, b in zip(*outputs, strict=True))


def test_dp_is_no_slower_than_gradient_gates_on_a_mapped_module():
    module, model = network(**XPERT), XPert()
    latency = {}
    for method in ("gradient", "dp"):
        found = rv.opt(module, f"search-periphery{{area_mm2=3 method={method}}}")
        latency[method] = cost_of(found, model).latency
    assert latency["dp"] <= latency["gradient"]


def test_ideal_converters_have_no_type_to_choose():
    with pytest.raises(RanvierError) as failure:
        rv.opt(network(**{**XPERT, "adc": Ideal()}), "search-periphery{area_mm2=4}")
    assert "has an ideal converter, which has no type to choose" in str(failure.value)
    assert "map-crossbar{adc=sar adc_bits=...}" in str(failure.value)


def test_fits_are_not_stretched_to_other_arrays():
    with pytest.raises(RanvierError, match="has rows=128, its constants hold for rows=64 alone"):
        rv.opt(network(**ISAAC), "search-periphery{area_mm2=4}")
