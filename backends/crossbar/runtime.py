"""`CrossbarRuntime`: runs modules for passes, with taps. Gradients and training are PyTorch's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.backends.crossbar.program import SAMPLES, CrossbarProgram
from ranvier.ir.core import Module
from ranvier.ir.interfaces import RunOnly, RunResult

Array = np.ndarray[Any, Any]
# Lowered modules that are kept: passes run the same few modules again and again.
KEPT = 8


class CrossbarRuntime(RunOnly):
    """Implements `run` of `ranvier.ir.interfaces.Runtime`."""

    word = "crossbar"

    def __init__(self) -> None:
        self._programs: OrderedDict[int, CrossbarProgram] = OrderedDict()

    def run(
        self,
        module: Module,
        inputs: Sequence[Any],
        taps: Sequence[str] = (),
        *,
        sample_ids: Array | None = None,
        trial: int = 0,
        batch: int | None = None,
    ) -> RunResult:
        """See Runtime."""
        program = self._program(module)
        program.samples = SAMPLES if batch is None else batch
        return program.run(inputs, taps, sample_ids=sample_ids, trial=trial)

    def _program(self, module: Module) -> CrossbarProgram:
        if not module.frozen:
            return CrossbarProgram(module)
        program = self._programs.get(id(module))
        if program is None:
            program = self._programs[id(module)] = CrossbarProgram(module)
            if len(self._programs) > KEPT:
                self._programs.popitem(last=False)
        return program
