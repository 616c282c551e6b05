"""Spike codes: one object each (design decision 5). No pass or backend tests for a code by name; it asks the code."""

from ranvier.ir.codes.base import Code
from ranvier.ir.codes.neurons import EarlyFire, LayerSync, Schedule, Stepwise, Surrogate
from ranvier.ir.codes.rate import Rate

__all__ = ["Code", "EarlyFire", "LayerSync", "Rate", "Schedule", "Stepwise", "Surrogate"]
