"""The target `crossbar`: options, the passes that they make, support table, lowering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ranvier.backends.crossbar.cost.network import Device, check_endurance, cost_of
from ranvier.backends.crossbar.devices import Ideal as IdealDevice
from ranvier.backends.crossbar.mapping_options import ADC, ADC_HELP, AUTO, MAPPING, check_rows, converter
from ranvier.ir.core import Module
from ranvier.ir.cost import Activity, Cost
from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Enum, Integer, Optional, Real, RecordOf, option
from ranvier.ir.hardware.arrays import Array
from ranvier.ir.hardware.weights import Differential
from ranvier.ir.interfaces import Support, Target, check_support

if TYPE_CHECKING:
    from ranvier.backends.crossbar.program import CrossbarProgram
    from ranvier.backends.crossbar.runtime import CrossbarRuntime

SUPPORT = (Support("core.*"), Support("nn.*"), Support("snn.*"), Support("q.*"), Support("xbar.*"))
RANGE = "granular"
NO_COMPENSATION = "none"


@dataclass(frozen=True)
class CrossbarTarget(Target):
    """An in-memory-computing emulator in numpy: products on crossbar arrays, everything else digitally beside them.

    Its passes quantize what is not quantized yet, map products of levels to arrays, and add the physics that the
    options name. What passes of the user have set holds, and a note says which option did nothing; converters that
    contradict are refused. With an ideal device and an ideal converter results are those of integer arithmetic, bit
    for bit.
    """

    word = "crossbar"
    host = "torch"
    rows: int = option(Integer(1, 1 << 16), 128, "rows of an array")
    cols: int = option(Integer(1, 1 << 16), 128, "columns of an array")
    weight_bits: int = option(Integer(2, 8), 8, "bits of weights, where the model is not quantized yet")
    act_bits: int = option(Integer(2, 8), 8, "bits of activations, where the model is not quantized yet")
    cell_bits: int = option(Integer(1, 8), 2, "bits of one cell")
    adc: str = option(ADC, AUTO, ADC_HELP)
    adc_bits: int | None = option(Optional(Integer(1, 32)), None, "resolution of converters; they need it")
    range: str = option(Enum("max", "granular", "percentile", "mse"), RANGE, "how converters get their steps")
    weights: Any = option(RecordOf("weights"), Differential(), "how signed levels become cells")
    mapping: Any = option(RecordOf("mapping"), MAPPING, "which rows of a matrix lie in one array")
    device: Any = option(RecordOf("device"), IdealDevice(), "the memory device")
    time: float = option(Real(0), 0.0, "seconds between programming and the reads")
    compensation: str = option(
        Enum(NO_COMPENSATION, "global", "column"), NO_COMPENSATION, "of drift: one factor a matrix, or a column"
    )
    r_wire: float = option(Real(0), 0.0, "ohm of a wire segment between two cells; 0 leaves wires out")
    read_noise: float = option(Real(0), 0.0, "standard deviation of reads, in parts of the highest level")
    cols_per_adc: int = option(Integer(1), 8, "columns that share one converter")
    parallel_rows: int | None = option(Optional(Integer(1)), None, "rows read at once; none means all")
    seed: int = option(Integer(0), 0, "which chip is programmed")
    cost_table: Any = option(RecordOf("cost_table"), "isaac-128", "the cost model with its constants")

    def check(self) -> None:
        """See Record: what no array can be."""
        if self.cell_bits > self.weight_bits:
            raise error(
                "bad-value",
                f"`crossbar`: cell_bits={self.cell_bits} for weights of {self.weight_bits} bits",
                help=f"cell_bits: an integer from 1 to weight_bits={self.weight_bits}",
            )
        check_rows(self.rows, self.parallel_rows, self.word)
        if converter(self.adc, self.adc_bits, self.word).transparent and self.range != RANGE:
            raise error(
                "bad-value",
                f"`crossbar`: range={self.range} for ideal converters, which have no range",
                help="adc_bits: an integer from 1 to 32; or no range",
            )
        if not self.device.noisy and (self.time or self.compensation != NO_COMPENSATION):
            said = f"time={self.time:g}" if self.time else f"compensation={self.compensation}"
            raise error(
                "bad-value",
                f"`crossbar`: {said} for device={self.device}, which does not drift",
                help=f"device: one that drifts, as pcm; or no {said.split('=')[0]}",
            )

    def pipeline(self) -> str:
        """See Target."""
        converted = not converter(self.adc, self.adc_bits, self.word).transparent
        options = ["rows", "cols", "mapping", "weights", "cell_bits", "adc", "cols_per_adc"]
        mapping = " ".join(f"{name}={getattr(self, name)}" for name in options)
        mapping += f" adc_bits={self.adc_bits}" if converted else ""
        mapping += f" parallel_rows={self.parallel_rows}" if self.parallel_rows is not None else ""
        steps = [f"quantize{{bits={self.weight_bits} act_bits={self.act_bits}}}", "freeze-quant"]
        steps += ["level-spikes", "lower-integer"]
        steps.append(f"map-crossbar{{{mapping} keep=true}}")
        if self.device != IdealDevice() or self.r_wire:  # wires need to know how many siemens a level is
            chip = f"device={self.device} seed={self.seed} time={self.time!r} compensation={self.compensation}"
            steps.append(f"program{{{chip} keep=true}}")
        if self.r_wire:
            steps.append(f"solve-parasitics{{r_wire={self.r_wire!r} keep=true}}")
        if self.read_noise:
            steps.append(f"read-noise{{sigma={self.read_noise!r} seed={self.seed} keep=true}}")
        if converted:
            steps += [f"calibrate-adc{{range={self.range} keep=true}}", "prove-adc", "fuse-xbar"]
        return ", ".join(steps)

    def support(self) -> Sequence[Support]:
        """See Target: what has no matrix runs digitally."""
        return SUPPORT

    def lower(self, module: Module) -> CrossbarProgram:
        """See Target."""
        check_support(module, self.support(), self.word)
        from ranvier.backends.crossbar.program import CrossbarProgram

        return CrossbarProgram(module)

    def cost(self, module: Module, activity: Activity) -> Cost:
        """See Target: by `cost_table`; layers that are not mapped yet are laid on the arrays of the options."""
        check_endurance(module, self.device)
        adc = converter(self.adc, self.adc_bits, self.word)
        array = Array(self.rows, self.cols, self.parallel_rows, self.cols_per_adc)
        device = Device(
            array, self.weights, self.mapping, self.weight_bits, self.cell_bits,
            None if adc.transparent else adc.word, self.adc_bits, planes=self.act_bits,
        )  # fmt: skip
        return cost_of(module, self.cost_table, activity, device)

    def runtime(self) -> CrossbarRuntime:
        """See Target."""
        from ranvier.backends.crossbar.runtime import CrossbarRuntime

        return CrossbarRuntime()
