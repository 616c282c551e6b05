"""How the passes that a target adds leave alone what the user's own passes have set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from ranvier.backends.crossbar.mapping_options import AUTO
from ranvier.ir.core import Graph, Module
from ranvier.ir.diagnostics import Diagnostic, RanvierError, register_code
from ranvier.ir.hardware.adc import Adc, Uniform
from ranvier.ir.hardware.chip import CalibratedRange, Chip, Parasitics
from ranvier.ir.hardware.facts import FoldedPlan
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.xbar import NoisyMvm, OnArrays, Stored
from ranvier.ir.ops.xbar_circuit import CircuitMvm

AnyOp = TypeVar("AnyOp", bound=OnArrays)

register_code(
    "option-conflict",
    "An option of the target contradicts what a pass of the pipeline has set already. Say it in one place: leave it "
    "out of the target, or give it to the pass.",
)


def is_programmed(op: Stored) -> bool:
    """Whether the cells are those of a chip."""
    return op.cells is not None or any(isinstance(f, Chip) for f in op.facts)


def is_solved(op: Stored) -> bool:
    """Whether the wires are in the cells, or in the op's circuit."""
    return isinstance(op, CircuitMvm) or any(isinstance(f, Parasitics) for f in op.facts)


def is_noisy(op: Stored) -> bool:
    """Whether reads are noisy."""
    return isinstance(op, NoisyMvm)


def is_calibrated(op: OnArrays) -> bool:
    """Whether the converter has a range that was set."""
    adc = op.adc
    plain = isinstance(adc, Uniform) and adc == type(adc)(bits=adc.bits)
    return any(isinstance(f, CalibratedRange) for f in op.facts) or not plain


def without(
    kept: Sequence[AnyOp], found: list[tuple[Graph, AnyOp]], said: str, context: PassContext
) -> list[tuple[Graph, AnyOp]]:
    """`found` without the ops that are `kept`, which a note names, with the options `said` that did nothing there."""
    if kept:
        names = ", ".join(f"%{op.result.name}" for op in kept)
        context.note(f"{names}: set by an earlier pass, which holds; {said} of the target does nothing there")
    return [(graph, op) for graph, op in found if op not in kept]


def note_mapped(made: Pass, values: dict[str, Any], module: Module, context: PassContext) -> None:
    """Note options of the target, other than defaults, that differ from those by which ops are mapped already.

    `values` are options by name. Raises RanvierError (option-conflict) for converters that contradict.
    """
    ops = [op for graph in module.graphs.values() for op in graph.ops if isinstance(op, OnArrays)]
    _check_converters(ops, made)
    for name, value in values.items():
        if value == type(made).__dataclass_fields__[name].default:
            continue
        differ = [op for op in ops if _of(op, name) != value]
        if differ:
            names = ", ".join(f"%{op.result.name}" for op in differ)
            context.note(f"{names}: mapped by an earlier pass, which holds; {name}={value} of the target does nothing")


def _of(op: OnArrays, name: str) -> Any:
    return getattr(op.array if name in type(op.array).__dataclass_fields__ else op, name)


def _check_converters(ops: Sequence[OnArrays], made: Any) -> None:
    """Raise RanvierError (option-conflict) where a target asks for another converter than that of a mapped op."""
    if made.adc == AUTO and made.adc_bits is None:
        return
    found: list[Diagnostic] = []
    for op in ops:
        folded = any(isinstance(f, FoldedPlan) for f in op.facts) and op.adc.transparent
        if folded or _is(op.adc, made.adc, made.adc_bits):
            continue
        asked = f"adc={made.adc}" + (f" adc_bits={made.adc_bits}" if made.adc_bits is not None else "")
        help = f"map-crossbar{{{asked}}} in the pipeline, or leave it out of the target"
        found += op.fail(
            "option-conflict", f"is mapped with adc={op.adc}; the target asks for {asked}", help
        ).diagnostics
    if found:
        raise RanvierError(found)


def _is(adc: Adc, kind: str, bits: int | None) -> bool:
    return (kind == AUTO or adc.word == kind) and getattr(adc, "bits", None) == bits
