"""The layers of a module as cost models take them: from types alone, so no weight is loaded.

Mapped ops say their own hardware; for linear ops that are not mapped yet, the target's
options stand in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from ranvier.backends.crossbar.cost.layers import LayerShape
from ranvier.backends.crossbar.cost.models import CostModel
from ranvier.backends.crossbar.devices import Device as Memory
from ranvier.backends.crossbar.devices import write_limited
from ranvier.backends.crossbar.inputs import foreseen_input
from ranvier.ir.core import Module, Op, Value
from ranvier.ir.cost import Activity, Cost
from ranvier.ir.diagnostics import collect, error
from ranvier.ir.hardware.arrays import Array, Mapping
from ranvier.ir.hardware.grid import Grid
from ranvier.ir.hardware.weights import Weights
from ranvier.ir.locations import describe
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.nn import ConvTranspose
from ranvier.ir.ops.xbar import OnArrays
from ranvier.ir.still import still_values
from ranvier.ir.timing import regions
from ranvier.ir.types import SpikesType, element_count


@dataclass(frozen=True)
class Network:
    """Layers on arrays in order, the names of ops that run beside them, and sentences why layers are among those."""

    layers: tuple[LayerShape, ...]
    digital: tuple[str, ...]
    beside: tuple[str, ...] = ()


def cost_of(module: Module, model: CostModel, activity: Activity | None = None, device: Device | None = None) -> Cost:
    """What a module costs by a model; `device` is the hardware of layers that are not mapped.

    Raises RanvierError: cost-not-modelled and others of the model.
    """
    activity = activity or Activity()
    network = read_network(module, activity.steps, device)
    if network.beside and not network.layers:
        message = f"{model.word}: the network has no layer on an array: {'; '.join(network.beside)}"
        raise error("cost-not-modelled", message, help="convert-snn with another code, or quantize")
    found = model.cost(network.layers, activity, network.digital)
    return dataclasses.replace(found, notes=(*found.notes, *network.beside, *_assumed(module)))


def _assumed(module: Module) -> Iterator[str]:
    """What the figures take for granted about a module."""
    mapped = [op for op in module.main.ops if is_mapped(op)]
    if not mapped:
        yield "no layer is mapped to arrays yet: the figures are of the target's options"
    if ideal := [op.result.name for op in mapped if op.attributes["adc"].transparent]:
        yield f"ideal converters are counted as those of the table: {', '.join(ideal)}"


def read_network(module: Module, steps: int | None = None, device: Device | None = None) -> Network:
    """The layers of `@main`; `steps` is what a symbolic number of steps stands for.

    Where nothing in the module has time, each layer takes `steps` steps: the network that it would be, spiking.
    """
    graph = module.main
    still = still_values(regions(graph))
    mapped = any(is_mapped(op) for op in graph.ops)
    timed = any(r.type.time is not None for op in graph.ops for r in op.results)
    layers: list[LayerShape] = []
    digital: dict[str, None] = {}
    beside: dict[str, list[str]] = {}
    for op in graph.ops:
        shape = _shape_of(op)
        if shape is not None and (why := _stays_digital(op, mapped)):
            beside.setdefault(why, []).append(f"%{op.result.name}")
            shape = None
        if shape is None:
            if not op.name.startswith("core.") and not isinstance(op, Neuron):
                digital[op.name] = None
            continue
        time = None if op.result in still or (timed and op.result.type.time is None) else _steps(op, steps)
        layers.append(_on_hardware(op, dataclasses.replace(shape, steps=time), device))
    return Network(tuple(layers), tuple(sorted(digital)), tuple(_beside(beside)))


def _beside(found: dict[str, list[str]]) -> Iterator[str]:
    for why, names in found.items():
        yield f"{', '.join(names)}: digital, at no cost in this model; {why}"


def _stays_digital(op: Op, mapped: bool) -> str:
    """Why a linear op is not laid on arrays, where others are or would be; "" where it is."""
    if is_mapped(op):
        return ""
    _, why = foreseen_input(op)
    return why or ("its operands are no levels" if mapped else "")


def check_endurance(module: Module, memory: Memory) -> None:
    """Raise RanvierError naming every product of two values, whose arrays are written in every sample, on a memory
    that does not endure it: mapping them will be refused."""
    if memory.writable:
        return
    mapped = any(is_mapped(op) for op in module.main.ops)
    found = []
    for op in module.main.ops:
        shape = _shape_of(op)
        if shape is not None and shape.dynamic and not _stays_digital(op, mapped):
            found.append(write_limited(op, memory))
    collect(d for e in found for d in e.diagnostics)


def is_mapped(op: Op) -> TypeGuard[OnArrays]:
    """Whether an op says which arrays it runs on."""
    return isinstance(op, OnArrays)


def _steps(op: Op, steps: int | None) -> int | None:
    time = op.result.type.time
    if time is None or isinstance(time, int):
        return steps if time is None else time
    if steps is None:
        message = f"{op!r} has {time} steps, a number that is not known"
        raise error("bad-value", message, where=describe(op.location), help="give steps=")
    return steps


# -- shapes ------------------------------------------------------------------------------------------------------------
def _shape_of(op: Op) -> LayerShape | None:
    """The matrix that a linear op applies; None for other ops."""
    if not op.results or isinstance(op, ConvTranspose):
        return None
    names = [f.name for f in op.operand_fields]
    if names[:2] == ["x", "weight"] and op.operands[1] is not None and op.operands[0] is not None:
        return _of_weight(op, op.operands[0], op.operands[1])
    if names[:2] == ["a", "b"] and op.macs():
        return _of_product(op)
    return None


def _of_weight(op: Op, x: Value, weight: Value) -> LayerShape | None:
    shape = weight.type.shape
    if len(shape) < 2 or not all(isinstance(d, int) for d in shape):
        return None
    groups = int(op.attributes.get("groups", 1))
    outputs, inputs, *kernel = shape
    return LayerShape(
        op.result.name,
        int(inputs),
        int(outputs) // groups,
        math.prod(int(k) for k in kernel),
        max(1, element_count(op.result.type.shape[1:]) // int(outputs)),
        element_count(x.type.shape[1:]),
        groups=groups,
        reads=sources(x),
    )


def _of_product(op: Op) -> LayerShape | None:
    """a @ b with b on the arrays; a constant operand is a weight, else b is written for every sample."""
    a, b = op.operands[0], op.operands[1]
    assert a is not None
    assert b is not None
    if min(a.type.rank, b.type.rank) < 2:
        return None
    transposed = a.is_constant and not b.is_constant  # y^T = b^T a^T
    x, weight = (b, a) if transposed else (a, b)
    (n, k), m = a.type.shape[-2:], b.type.shape[-1]
    inputs, outputs, positions = (k, n, m) if transposed else (k, m, n)
    constant = weight.is_constant
    if not all(isinstance(d, int) for d in (inputs, outputs)):
        return None
    lead = op.result.type.shape[:-2]
    matrices = element_count(weight.type.shape[:-2] if constant else lead[1:])
    times = max(1, element_count(lead[1:]) // matrices) if constant else 1
    return LayerShape(
        op.result.name,
        int(inputs),
        int(outputs),
        1,
        times * (int(positions) if isinstance(positions, int) else 1),
        element_count(x.type.shape[1:]),
        groups=matrices,
        reads=sources(x),
        dynamic=not constant,
    )


def sources(value: Value) -> tuple[str, ...]:
    """The spiking values that a value is made of, where spikes arise; its own name where there are none."""
    found: dict[str, None] = {}
    seen, stack = {value}, [value]
    while stack:
        v = stack.pop()
        op = v.op
        above = [] if op is None else [x for x in op.arguments if not x.is_constant]
        if isinstance(v.type, SpikesType) and not any(isinstance(x.type, SpikesType) for x in above):
            found[v.name] = None
            continue
        if op is None or not above:
            continue
        for each in above:
            if each not in seen and (v.type.time is None or each.type.time is not None):
                seen.add(each)
                stack.append(each)
    return tuple(sorted(found)) or (value.name,)


# -- hardware ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Device:
    """The hardware that a layer is laid on: what a mapped op says, or what a target's options would make of it."""

    array: Array
    weights: Weights
    mapping: Mapping
    weight_bits: int
    cell_bits: int
    adc: str | None
    adc_bits: int | None
    planes: int

    def lay(self, shape: LayerShape) -> LayerShape:
        """The layer with what it takes on this hardware."""
        grid = Grid(
            self.array, self.weights, self.mapping, self.weight_bits, self.cell_bits,
            shape.inputs, shape.taps, shape.outputs, shape.groups,
        )  # fmt: skip
        wide = grid.physical_columns * (grid.arms if self.weights.apart else 1)
        portions = max(1, -(-self.array.rows // (self.array.parallel_rows or self.array.rows)))
        return dataclasses.replace(
            shape,
            rows=self.array.rows,
            cols=self.array.cols,
            cols_per_adc=self.array.cols_per_adc,
            weight_bits=self.weight_bits,
            cell_bits=self.cell_bits,
            column_slices=grid.slices * grid.arms,
            planes=self.planes * portions,
            input_bits=self.planes,
            mapping=self.mapping.word,
            row_groups=len(grid.row_groups),
            columns=wide + (grid.blocks * grid.slices if self.weights.dummy_column else 0),
            arrays=grid.arrays,
            adc=self.adc,
            adc_bits=self.adc_bits,
        )


def device_of(op: OnArrays) -> Device:
    """The hardware of a mapped op."""
    adc = op.adc
    return Device(
        op.array, op.weights, op.mapping, op.weight_bits, op.cell_bits,
        None if adc.transparent else adc.word, getattr(adc, "bits", None), op.input.count,
    )  # fmt: skip


def _on_hardware(op: Op, shape: LayerShape, device: Device | None) -> LayerShape:
    if is_mapped(op):
        return device_of(op).lay(shape)
    found, _ = foreseen_input(op)
    if device is None:
        return shape if found is None else dataclasses.replace(shape, planes=found.count, input_bits=found.count)
    return (device if found is None else dataclasses.replace(device, planes=found.count)).lay(shape)
