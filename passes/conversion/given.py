"""What earlier passes have decided about neurons: `neuron_code` facts on activations."""

from __future__ import annotations

import numpy as np

from ranvier.ir.codes import Code
from ranvier.ir.core import Op
from ranvier.ir.diagnostics import error
from ranvier.ir.facts import NeuronCode
from ranvier.ir.locations import describe
from ranvier.passes.conversion.activations import Shape
from ranvier.passes.conversion.network import Layer


def given_code(activation: Op, steps: int) -> Code | None:
    """The code that a fact gives to an activation; raises RanvierError when it was found for another window."""
    fact = activation.result.fact(NeuronCode)
    if fact is None:
        return None
    if fact.steps not in (None, steps):
        name = f"{fact.code.label} of %{activation.result.name}"
        raise error(
            "time-mismatch",
            f"`convert-snn`: {name} was found for {fact.steps} steps, not {steps}",
            where=describe(activation.location),
            help=f"use steps={fact.steps}, or find it again for {steps} steps",
        )
    code: Code = fact.code
    return code


def given_provenance(activation: Op) -> str | None:
    """`given` where a fact has a code for an activation that was found on data given; None where none says so."""
    fact = activation.result.fact(NeuronCode)
    return "given" if fact is not None and fact.provenance == "given" else None


def given_layer(activation: Op, shape: Shape, steps: int) -> Layer | None:
    """The neuron that a fact gives to an activation, thresholds included; None where calibration must give those."""
    code, fact = given_code(activation, steps), activation.result.fact(NeuronCode)
    if code is None or not fact.theta:
        return None
    return Layer(shape, code, np.asarray(fact.theta, np.float32), fact.axis, fact.definition, 0, fact.provenance)
