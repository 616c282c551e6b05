"""Calibration data of a pass: what is given, or what is made from the model, and which of the two it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.ir.core import Module
from ranvier.ir.interfaces import PassContext
from ranvier.passes.calibration.statistics import describe_data
from ranvier.passes.calibration.synthesize import SOURCES, Synthesis

CALIBRATION = ("data", *SOURCES)
MADE = 128


@dataclass(frozen=True)
class Samples:
    """Inputs in the order of the module's arguments, what they are, and a word of `facts.PROVENANCES`."""

    inputs: tuple[np.ndarray[Any, Any], ...]
    description: str
    provenance: str

    def row(self) -> dict[str, Any]:
        """A line for tables."""
        return {
            "provenance": self.provenance,
            "samples": len(self.inputs[0]),
            "real data": "as given" if self.provenance == "given" else "none was used",
            "what": self.description,
        }


def calibration_samples(
    calibration: str, module: Module, context: PassContext, who: str, *, count: int | None, seed: int
) -> Samples:
    """The data of the context for `data`, else `count` (128) samples made from the module by one of `SOURCES`.

    They are entered in the table "calibration data" of the context. Raises RanvierError (missing-data, no-synthesis).
    """
    if calibration == "data":
        data = context.need_data(who)
        found = Samples(tuple(data), describe_data(context, data), "given")
    else:
        made = Synthesis(calibration, count or MADE, seed=seed)
        found = Samples(made.make(module, context), made.description, calibration)
    context.tables["calibration data"] = [found.row()]
    return found
