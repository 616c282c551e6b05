"""Records of crossbar arrays: what a machine is made of, as attributes of ops. Importing this declares them all."""

from ranvier.ir.hardware.adc import Adc
from ranvier.ir.hardware.arrays import Array, Mapping
from ranvier.ir.hardware.chip import CalibratedRange, Chip, Parasitics
from ranvier.ir.hardware.circuits import Circuit
from ranvier.ir.hardware.facts import FoldedPlan, InputEncoding, Placement, TransparentPartials
from ranvier.ir.hardware.inputs import Input
from ranvier.ir.hardware.pulses import Pulses
from ranvier.ir.hardware.weights import Weights

__all__ = [
    "Adc",
    "Array",
    "CalibratedRange",
    "Chip",
    "Circuit",
    "FoldedPlan",
    "Input",
    "InputEncoding",
    "Mapping",
    "Parasitics",
    "Placement",
    "Pulses",
    "TransparentPartials",
    "Weights",
]
