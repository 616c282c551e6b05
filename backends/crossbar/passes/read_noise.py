"""`read-noise`: conductances fluctuate from read to read, so that no two conversions of one input are equal."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.backends.crossbar.mapping_options import KEEP_HELP
from ranvier.backends.crossbar.passes.keep import is_noisy, without
from ranvier.backends.crossbar.passes.physical import changed, mapped, note_ideal
from ranvier.ir.core import Module
from ranvier.ir.fields import Enum, Flag, Integer, Real, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.xbar import NoisyMvm
from ranvier.ir.ops.xbar_circuit import CircuitMvm


@dataclass(frozen=True)
class ReadNoise(Pass):
    """Normal noise on every partial sum before its converter, distributed exactly as if each cell fluctuated.

    A cell's standard deviation is `sigma` of the highest cell level (`constant`) or of its own conductance
    (`proportional`), independent from cell to cell and read to read. Draws are keyed by seed, op, trial, sample, step.
    Matrices that are written in every sample are read without noise, with a note.
    """

    word = "read-noise"
    sigma: float = option(Real(0), 0.0, "standard deviation: of the highest level, or of the cell's conductance")
    noise: str = option(Enum("constant", "proportional"), "constant", "whether sigma grows with the conductance")
    seed: int = option(Integer(0), 0, "seed of the draws")
    keep: bool = option(Flag(), False, KEEP_HELP)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        if not self.sigma:
            context.note("sigma=0: reads are repeatable")
            return
        kept = [op for _, op in mapped(module) if self.keep and is_noisy(op)]
        if not kept:
            note_ideal(module, f"read noise of {self.sigma:g}", context)
        ops = without(kept, mapped(module), f"sigma={self.sigma:g}", context)
        for graph, op in ops:
            if isinstance(op, CircuitMvm):
                raise op.fail("bad-value", "is solved vector by vector, and has no read noise", "sigma=0, or iv=linear")
            sigma = self.sigma * (op.grid.largest_cell if self.noise == "constant" else 1)
            key = f"{op.result.name}.read"
            changed(graph, op, kind=NoisyMvm, sigma=sigma, noise=self.noise, seed=self.seed, key=key)
        context.note(f"{len(ops)} ops read cells with {self.noise} noise of {self.sigma:g}")
