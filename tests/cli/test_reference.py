"""What `passes`, `ops`, `targets` and `explain` say is what is declared."""

import pytest

from ranvier.backends import PASSES
from ranvier.cli.reference import first_sentence
from ranvier.ir.diagnostics import codes
from ranvier.ir.ops import OPS
from ranvier.passes import BUILTIN
from ranvier.registry import find_pass, find_target, pass_names, target_names


def test_all_passes_are_listed_with_their_first_sentence(ranvier):
    said = ranvier("passes").out
    for name in pass_names():
        assert name in said
        assert first_sentence(find_pass(name))


@pytest.mark.parametrize("name", sorted({*BUILTIN, *PASSES}))  # other tests declare passes of their own
def test_a_pass_is_told_with_all_its_options(ranvier, name):
    said = ranvier("passes", name).out
    for field in find_pass(name).options():
        assert field.name in said
        assert field.metadata.get("help"), f"{name}: {field.name} has no help"


def test_all_ops_are_listed(ranvier):
    said = ranvier("ops").out
    assert all(name in said for name in OPS if name.split(".")[0] in ("core", "nn", "snn", "q"))


def test_a_dialect_is_listed_alone(ranvier):
    said = ranvier("ops", "snn").out
    assert "snn.neuron" in said
    assert "nn.conv" not in said.replace("snn.", "")


@pytest.mark.parametrize("name", ["nn.conv", "snn.neuron", "core.delay", "core.return"])
def test_an_op_is_told_with_operands_and_attributes(ranvier, name):
    said = ranvier("ops", name).out
    cls = OPS[name]
    for field in [*(f.name for f in cls.operand_fields), *cls.attribute_fields]:
        assert field in said


def test_targets_are_told_with_what_they_support(ranvier):
    said = ranvier("targets").out
    assert all(name in said for name in target_names())
    for name in target_names():
        told = ranvier("targets", name).out
        assert all(field.name in told for field in find_target(name).options())


def test_every_diagnostic_is_listed_and_explained(ranvier):
    said = ranvier("explain").out
    for name, text in codes().items():
        assert name in said
        told = ranvier("explain", name).out
        assert " ".join(told.split()) == " ".join(f"{name} {text}".split())
