"""`map-crossbar`: products of levels become matrices on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.backends.crossbar.inputs import input_of
from ranvier.backends.crossbar.mapping_options import ADC, ADC_HELP, AUTO, KEEP_HELP, MAPPING, check_rows, converter
from ranvier.backends.crossbar.passes.keep import note_mapped
from ranvier.backends.crossbar.passes.physical import on_arrays
from ranvier.ir.core import Builder, Graph, Module, Op, Value, replace_uses
from ranvier.ir.diagnostics import Diagnostic, RanvierError
from ranvier.ir.fields import Flag, Integer, Optional, RecordOf, option
from ranvier.ir.hardware.arrays import Array
from ranvier.ir.hardware.facts import InputEncoding
from ranvier.ir.hardware.weights import Differential
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import describe
from ranvier.ir.ops.integer import QConv, QLinear, QMatmul
from ranvier.ir.ops.xbar import DynamicMatmul, Mvm

STORED = (QConv, QLinear)


@dataclass(frozen=True)
class MapCrossbar(Pass):
    """q.conv, q.linear and q.matmul become products on arrays; the result stays the same integers where the converter
    loses nothing.

    Weights with as many bits as their type; inputs as `bit-encode` said, else bits one after the other, and spikes as
    they are. A q.matmul of two values is written to arrays for every sample. What has no matrix runs digitally, and a
    note names it. Levels that an encoding cannot hold are refused.
    """

    word = "map-crossbar"
    rows: int = option(Integer(1, 1 << 16), 128, "rows of an array")
    cols: int = option(Integer(1, 1 << 16), 128, "columns of an array")
    mapping: Any = option(RecordOf("mapping"), MAPPING, "which rows of a matrix lie in one array")
    weights: Any = option(RecordOf("weights"), Differential(), "how signed levels become cells")
    cell_bits: int = option(Integer(1, 16), 2, "bits of one cell")
    plane_bits: int = option(Integer(1, 16), 1, "bits that a driver applies at once")
    adc: str = option(ADC, AUTO, ADC_HELP)
    adc_bits: int | None = option(Optional(Integer(1, 32)), None, "resolution of converters; they need it")
    cols_per_adc: int = option(Integer(1), 8, "columns that share one converter")
    parallel_rows: int | None = option(Optional(Integer(1)), None, "rows read at once; none means all")
    keep: bool = option(Flag(), False, KEEP_HELP)

    def check(self) -> None:
        """See Record."""
        converter(self.adc, self.adc_bits, self.word)
        check_rows(self.rows, self.parallel_rows, self.word)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        if self.keep:
            names = ("rows", "cols", "mapping", "weights", "cell_bits", "cols_per_adc", "parallel_rows")
            note_mapped(self, {name: getattr(self, name) for name in names}, module, context)
        found: list[Diagnostic] = []
        for graph in module.graphs.values():
            for op in graph.ops:
                if isinstance(op, (*STORED, QMatmul)):
                    try:
                        self._map(graph, op)
                    except RanvierError as why:
                        found += why.diagnostics
        if found:
            raise RanvierError(dict.fromkeys(found))
        arrays = sum(op.grid.arrays for _, op in on_arrays(module) if isinstance(op, Mvm))
        context.note(f"{len(on_arrays(module))} matrices lie on arrays, those that stay on {arrays}")
        for sentence in digital_notes(module):
            context.note(sentence)

    def _map(self, graph: Graph, op: Op) -> None:
        x, second = op.operands[0], op.operands[1]
        assert x is not None
        assert second is not None
        options: dict[str, Any] = {
            "array": Array(self.rows, self.cols, self.parallel_rows, self.cols_per_adc),
            "weights": self.weights,
            "cell_bits": self.cell_bits,
            "mapping": self.mapping,
            "input": input_of(op, x, self.plane_bits),
            "adc": converter(self.adc, self.adc_bits, self.word),
            "elem": op.result.type.elem,
        }
        options["weight_bits"] = weight_bits(second)
        name = op.result.name
        build = Builder(graph, op, op.location)
        if isinstance(op, QMatmul):
            made = build(DynamicMatmul, x, second, **options)
        else:
            assert graph.module is not None
            if second.is_constant:
                _check_levels(graph.module, op, second, self.weights, options["weight_bits"])
            window = {k: v for k, v in op.attributes.items() if k != "accumulator"}
            made = build(Mvm, x, second, None, op.operands[2], **options, **window)
        made.op.facts = tuple(f for f in op.facts if not isinstance(f, InputEncoding))
        made.op.place = op.place
        replace_uses(op.result, made)
        graph.erase(op)
        graph.rename(made, name)


def weight_bits(weight: Value) -> int:
    """Bits of a weight's levels; unsigned ones need a sign."""
    kind = weight.type.elem
    return kind.bits + (kind.levels[0] >= 0)


def _check_levels(module: Module, op: Op, weight: Value, encoding: Any, bits: int) -> None:
    """Raise RanvierError, in the user's place, for levels that an encoding cannot hold."""
    array = module.array(weight)
    low, high = encoding.range(bits)
    if array.size and (array.min() < low or array.max() > high):
        raise op.fail(
            "bad-value",
            f"has weight levels {array.min()}..{array.max()}; weights={encoding} holds {low}..{high} in {bits} bits",
            "weights=offset holds all levels; quantize writes narrow ones",
        )


def digital_notes(module: Module) -> list[str]:
    """Sentences about linear ops that are on no array, and why."""
    out = []
    for op in module.ops:
        if op.name in ("nn.conv", "nn.linear", "nn.matmul", "nn.conv_transpose") and not _both_constant(op):
            place = describe(op.location)
            out.append(f"{op!r} {place} runs digitally: its operands are no levels".replace("  ", " "))
    return out


def _both_constant(op: Op) -> bool:
    return all(v.is_constant for v in op.arguments)
