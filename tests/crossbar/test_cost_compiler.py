"""How a target's cost model is shown: by executables, evaluations, the report and the command line."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.backends.crossbar.cost.network import Device, cost_of, read_network
from ranvier.backends.crossbar.passes.cost import EstimateCost
from ranvier.building import BuildResult
from ranvier.cli.estimating import estimate_model
from ranvier.cli.running import show_results
from ranvier.estimate import estimate
from ranvier.ir import ops  # noqa: F401  (declares the dialects)
from ranvier.ir.core import OPS, Builder, Module
from ranvier.ir.cost import Activity
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.fields import RecordOf, option
from ranvier.ir.hardware.arrays import Array, Im2col
from ranvier.ir.hardware.weights import Differential
from ranvier.ir.types import tensor
from ranvier.pipeline import parse_pipeline
from ranvier.reference import MeaningTarget

SNN = Path(__file__).resolve().parents[1] / "golden" / "residual_layer_sync.rv"


def cnn(weights: bool = True) -> Module:
    """conv, relu, max-pool, linear; the weights are resources, or arguments of the graph."""
    module = Module("small")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("image", tensor("N", 3, 8, 8))
    shapes = {"w": (8, 3, 3, 3), "v": (10, 128)}
    w, v = (
        b.constant(np.full(shape, 0.1, np.float32), name) if weights else graph.argument(name, tensor(*shape))
        for name, shape in shapes.items()
    )
    h = b(OPS["nn.conv"], x, w, padding=(1, 1, 1, 1), name="c")
    h = b(OPS["nn.relu"], h, name="r")
    h = b(OPS["nn.max_pool"], h, kernel=(2, 2), strides=(2, 2), name="m")
    h = b(OPS["core.reshape"], h, shape=("N", 128), name="f")
    b.returns(b(OPS["nn.linear"], h, v, name="y"))
    return module.verify().freeze()


def products() -> Module:
    """Products of two variables, of a variable and a constant, of a constant and a variable."""
    module = Module("products")
    graph = module.new_graph()
    b = Builder(graph)
    q, k = graph.argument("q", tensor("N", 2, 5, 16)), graph.argument("k", tensor("N", 2, 16, 7))
    v, u = b.constant(np.ones((7, 3), np.float32), "v"), b.constant(np.ones((4, 5), np.float32), "u")
    scores = b(OPS["nn.matmul"], q, k, name="a")
    b.returns(b(OPS["nn.matmul"], u, b(OPS["nn.matmul"], scores, v, name="b"), name="c"))
    return module.verify().freeze()


@dataclass(frozen=True)
class Costed(MeaningTarget):
    """The meaning of the ops, with a cost model."""

    word = "costed-for-tests"
    costs: Any = option(RecordOf("cost_table"), "isaac-128")

    def cost(self, module, activity):
        return cost_of(module, self.costs, activity)


def test_layers_are_read_from_types():
    network = read_network(cnn())
    conv, linear = network.layers
    assert (conv.name, conv.inputs, conv.outputs, conv.taps, conv.positions) == ("c", 3, 8, 9, 64)
    assert conv.input_elements == 3 * 64
    assert (linear.name, linear.inputs, linear.outputs, linear.positions) == ("y", 128, 10, 1)
    assert network.digital == ("nn.max_pool", "nn.relu")
    assert sum(layer.macs for layer in network.layers) == sum(op.macs() for op in cnn().main.ops)


def test_a_product_of_two_variables_is_written_for_every_sample():
    module = products()
    a, b, c = read_network(module).layers
    assert (a.dynamic, a.groups, a.inputs, a.outputs, a.positions) == (True, 2, 16, 7, 5)
    assert (b.dynamic, b.groups, b.inputs, b.outputs, b.positions) == (False, 1, 7, 3, 10)
    assert (c.dynamic, c.groups, c.inputs, c.outputs, c.positions) == (False, 1, 5, 4, 6)
    for layer, op in zip((a, b, c), module.main.ops, strict=False):
        assert layer.macs == op.macs()


def test_spiking_layers_follow_the_spikes_that_they_read():
    module = rv.load(SNN)
    stem, conv, classes = read_network(module).layers
    assert (stem.steps, conv.steps, classes.steps) == (None, 8, 8)
    assert (stem.reads, conv.reads, classes.reads) == (("image",), ("spikes1",), ("spikes2",))
    assert [layer.steps for layer in read_network(module, steps=8).layers] == [None, 8, 8], "the stem is done once"
    assert [layer.steps for layer in read_network(cnn(), steps=8).layers] == [8, 8]
    assert (stem.planes, conv.planes) == (1, 1)
    device = Device(Array(128, 128, None, 8), Differential(), Im2col(), 8, 2, None, None, planes=8)
    planes = [layer.planes for layer in read_network(module, device=device).layers]
    assert planes == [8, 1, 5], "sums of 16 spikes take five bits"


def test_an_executable_says_its_cost_without_data():
    exe = rv.compile(cnn(), target=Costed())
    found = exe.cost()
    assert found is not None
    assert found.energy is not None
    assert found.energy.to("pJ") > 0
    halved = exe.cost(Activity(density={"c": 0.5, "image": 0.5}))
    assert halved is not None
    assert halved.energy is not None
    assert halved.energy < found.energy
    assert rv.compile(cnn(), target="meaning").cost() is None


def test_an_evaluation_shows_the_cost_and_calls_op_energy_by_its_name():
    images = np.random.default_rng(0).random((4, 3, 8, 8)).astype(np.float32)
    found = rv.compile(cnn(), target=Costed()).evaluate(images)
    names = [name for name, _ in found.rows()]
    assert "hardware energy per sample (isaac-128)" in names
    assert "op energy per sample" in names
    assert "not modelled by isaac-128:" in str(found)
    assert json.loads(json.dumps(found.as_dict()))["cost"]["energy"]["unit"] == "pJ"
    assert rv.compile(cnn(), target="meaning").evaluate(images).as_dict()["cost"] is None


def test_what_a_model_refuses_stands_in_the_evaluation():
    images = np.zeros((2, 3, 8, 8), np.float32)
    found = rv.compile(cnn(), target=Costed(costs="spikesim-ela-v1")).evaluate(images)
    assert found.cost is None
    assert dict(found.rows())["hardware cost"].startswith("none: spikesim-ela-v1: layer 'y' has a kernel of 1 elements")


def test_an_estimate_needs_no_weights():
    weighed, without = estimate(cnn(), Costed()), estimate(cnn(weights=False), Costed())
    assert weighed.energy == without.energy
    with pytest.raises(RanvierError) as failure:
        estimate(cnn(), "torch")
    assert "target torch has no cost model" in str(failure.value)


def test_the_pass_leaves_tables_and_changes_nothing():
    exe = rv.compile(cnn(), "cost{table=isaac-128}", target="meaning")
    stage = exe.trace.stage("cost")
    assert not stage.changed
    assert "cost by layer (isaac-128)" in stage.tables
    assert any("not modelled by isaac-128" in note for note in stage.notes)
    parsed = parse_pipeline("cost{table=spikesim-ela-v1(device=sram) alive=[1, 0.5]}")
    assert str(parse_pipeline(str(parsed))) == str(parsed)
    with pytest.raises(RanvierError, match=r"mnsim-2\.0 is not offered"):
        EstimateCost(table="mnsim-2.0")


def test_search_of_peripheries_wants_mapped_layers():
    with pytest.raises(RanvierError) as failure:
        rv.opt(cnn(), "search-periphery{method=dp area_mm2=20}")
    assert "no layer is mapped to arrays" in str(failure.value)
    assert "run map-crossbar first" in str(failure.value)


def test_the_command_line_estimates_and_builds_show_hardware(tmp_path, capsys):
    path = tmp_path / "net.rv"
    path.write_text(str(cnn(weights=False)))
    estimate_model(str(path), "costed-for-tests{costs=isaac-128}", None, 0.5, "1, 0.5")
    said = capsys.readouterr().out
    for words in (
        "hardware energy per sample (isaac-128)",
        "cost by layer (isaac-128)",
        "over 2 steps",
        "not modelled by",
    ):
        assert words in " ".join(said.split())
    with pytest.raises(RanvierError, match="--alive takes numbers from 0 to 1, not 'half'"):
        estimate_model(str(path), "costed-for-tests", None, None, "half")

    exe = rv.compile(cnn(), target=Costed())
    found = exe.evaluate(np.zeros((2, 3, 8, 8), np.float32))
    show_results([BuildResult("one", "costed", exe, found)])
    said = capsys.readouterr().out
    assert all(heading in said for heading in ("op energy", "energy", "latency", "area"))
    page = exe.report(tmp_path / "report.html", found).read_text(encoding="utf-8")
    assert "Cost by component (isaac-128)" in page
    assert "hardware energy per sample (isaac-128)" in page


def test_an_evaluation_fills_in_the_spikes_that_it_counted():
    module = rv.load(SNN)
    exe = rv.compile(module, target=Costed())
    images = np.random.default_rng(0).random((4, 1, 4, 4)).astype(np.float32)
    found = exe.evaluate(images)
    rates = {layer.name: layer.rate for layer in found.layers}
    assert found.cost is not None
    assert 0 < rates["spikes1"] < 1
    energy = {(row.layer, row.component): row.energy for row in found.cost.rows if row.energy}
    full = {(row.layer, row.component): row.energy for row in exe.cost(Activity(8)).rows if row.energy}
    ratio = energy["conv", "crossbar"].to("pJ") / full["conv", "crossbar"].to("pJ")
    assert ratio == pytest.approx(rates["spikes1"])
    assert energy["conv", "ADC"] == full["conv", "ADC"]


def test_an_estimate_of_the_crossbar_is_what_the_compiled_network_costs():
    options = "adc=sar adc_bits=8 weights=offset"
    images = np.random.default_rng(0).random((8, 3, 8, 8)).astype(np.float32)
    estimated = estimate(cnn(), f"crossbar{{{options}}}")
    assert any("no layer is mapped to arrays yet" in note for note in estimated.notes)
    exe = rv.compile(cnn(), target=f"crossbar{{{options}}}", data=images)
    compiled = exe.cost()
    for name, (energy, area) in estimated.by_component().items():
        assert compiled.by_component()[name] == (energy, area), name
    assert compiled.latency == estimated.latency
    assert dict(exe.evaluate(images).rows())["hardware latency per sample (isaac-128)"]


def test_a_crossbar_without_figures_says_why():
    with pytest.raises(RanvierError, match="has rows=64, its constants hold for rows=128 alone"):
        estimate(cnn(), "crossbar{rows=64}")
    with pytest.raises(RanvierError, match="puma-128 is not offered"):
        estimate(cnn(), "crossbar{cost_table=puma-128}")
