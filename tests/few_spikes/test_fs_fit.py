"""The pass fs-fit: which activations get which tables."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.facts import NeuronCode
from ranvier.ir.interfaces import PassContext
from ranvier.ir.ops import OPS
from ranvier.ir.text.parser import parse_module
from ranvier.ir.types import tensor
from ranvier.passes.few_spikes.fs_fit import FewSpikesFitting
from ranvier.reference import MeaningRuntime

DATA = np.linspace(-7, 11, 64, dtype=np.float32).reshape(16, 4)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path))


def network(*names: str) -> Module:
    """Activations of one input, each an output."""
    module = Module("activations")
    b = Builder(module.new_graph("main"))
    x = b.graph.argument("x", tensor("N", 4))
    b.returns(*(b(OPS[f"nn.{name}"], x, name=name) for name in names))
    return module.verify().freeze()


def fitted(module: Module, data: bool = True, **options) -> tuple[Module, PassContext]:
    context = PassContext(MeaningRuntime(), (DATA,) if data else None, data_description="a ramp")
    clone = module.clone()
    FewSpikesFitting(**options).run(clone, context)
    return clone.verify().freeze(), context


def facts(module: Module) -> dict[str, NeuronCode]:
    return {v.name: f for v in module.main.values for f in v.facts if isinstance(f, NeuronCode)}


def test_activations_get_tables_of_their_inputs_range():
    module, context = fitted(network("silu", "relu", "gelu"))
    found = facts(module)
    assert set(found) == {"silu", "gelu"}
    for name, fact in found.items():
        assert (fact.code.function, fact.code.K, fact.code.low, fact.code.high) == (name, 16, -8, 12)
        assert (fact.steps, fact.theta) == (16, (1.0,))
        assert fact.definition.startswith("few-spikes table on -8 .. 12, mean squared error")
        assert fact.definition.endswith("a ramp")
    assert [row["activation"] for row in context.tables["few-spikes tables"]] == ["silu", "gelu"]
    assert "2 activations have a few-spikes table of K=16 (2 different ones)" in context.notes[-1]


def test_the_text_of_a_fitted_module_goes_round():
    module, _ = fitted(network("silu", "gelu"))
    again = parse_module(str(module))
    assert again == module
    assert facts(again) == facts(module)


def test_one_function_alone():
    assert set(facts(fitted(network("silu", "gelu"), function="gelu")[0])) == {"gelu"}


def test_a_range_given_needs_no_data():
    module, _ = fitted(network("sigmoid"), data=False, range=(-10, 10), K=12)
    assert facts(module)["sigmoid"].code.high == 10
    assert facts(module)["sigmoid"].definition.endswith("given")


def test_without_range_or_data_there_is_an_error():
    with pytest.raises(RanvierError, match="needs calibration data"):
        fitted(network("silu"), data=False)


def test_networks_without_such_activations_stay():
    module, context = fitted(network("relu"), data=False)
    assert not facts(module)
    assert context.notes


def test_a_second_fit_replaces_the_first():
    once, _ = fitted(network("silu"))
    twice, _ = fitted(once, K=8)
    assert facts(twice)["silu"].code.K == 8
    assert sum(isinstance(f, NeuronCode) for v in twice.main.values for f in v.facts) == 1


def test_a_constant_input_is_given_a_range(monkeypatch):
    from ranvier.passes.few_spikes import fs_fit

    asked = []
    table = fs_fit.table_for("silu", 16, -8, 12)
    monkeypatch.setattr(fs_fit, "table_for", lambda f, K, low, high, **_: asked.append((low, high)) or table)
    context = PassContext(MeaningRuntime(), (np.full((2, 4), 3, np.float32),))
    FewSpikesFitting().run(network("silu").clone(), context)
    assert asked == [(2.5, 3.5)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"function": "silo"}, "did you mean `silu`"),
        ({"function": "relu"}, "must be"),
        ({"K": 25}, "from 1 to 24"),
        ({"range": (1, 1)}, "is empty"),
        ({"range": (1, 2, 3)}, "must have 2 entries"),
        ({"init": "zero"}, "tbpi"),
    ],
)
def test_options_that_do_not_do(options, said):
    with pytest.raises(RanvierError, match=said):
        FewSpikesFitting(**options)


def test_it_is_found_by_its_name():
    from ranvier.registry import find_pass

    assert find_pass("fs-fit") is FewSpikesFitting
    assert str(FewSpikesFitting(range=(-8, 12), K=8)) == "fs-fit{K=8 range=[-8.0, 12.0]}"
