"""SpikeSim's energy-latency-area model: as released, and corrected.

Released (`spikesim-ela-v1`, X = 64, k x k arrays a PE, 8 PEs a tile, a PE cycle of 26 clocks of 4 ns):

    PE_l   = ceil(Ci/X) ceil(Co/X);  tiles = ceil(sum PE_l / 8)
    E      = sum_l PE_l Ho^2 T E_cycle
    E_cycle= (X/8) (k^2 E_array + (X/8)(E_adc + E_mux)) + (X/8)(16 E_diff + E_temp)
             + E_htree + E_fetch + E_neuron + E_buf
    A      = tiles (8 PE_area + (X/8) A_diff + A_temp + A_buf + A_htree) + m sum_l Ci Hi^2 + m sum_{l<5} Co Ho^2
    D      = (T Ho^2 Co of the last layer + sum over those before it of T int(3/4 Ho^2 Co)) 104 ns

with m = 22 cells of a buffer. `spikesim-ela-v2` changes this, and nothing else:

1. X/8 stands twice on the ADC term. One of them is the number of converters, the other can only be the columns that
   share one (8, whatever X is; 26 clocks are 8 phases of 3 and 2 more): v2 names it so. At X = 64 both are 8 and the
   energy is the same; at other sizes v1 would count (X/8)^2 conversions of X columns.
2. Neuron memory: v1 sums the first five layers whatever the network is, v2 all of them.
3. Latency: v1 takes one PE cycle an output *element* (Ho^2 Co), though its energy takes one cycle a position, all
   ceil(Co/X) PEs at once. v2 takes Ho^2 cycles a step for both. A layer begins when the last of 3/4 of the layer
   before is there: ceil instead of int. The released layer-wise print multiplies by T twice; v2 never does.
4. Activity: the array's energy follows the part of inputs that are spikes; converters, buffers and wires work on every
   cycle. v1 depends on no data.
5. k may differ between layers (v1 has one k), and layers may come in any order: v1 refuses layers whose PE counts
   fall, because it fills tiles in that order, which changes none of its figures.
6. Its SRAM energy, 671.089 pJ, is the number of its area in um^2, so v2 has no `device=sram`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ranvier.backends.crossbar.cost.layers import LayerShape
from ranvier.backends.crossbar.cost.models import (
    CostModel,
    active_steps,
    blocks,
    operations_of,
    sum_of_steps,
)
from ranvier.backends.crossbar.cost.table import Table, load_table
from ranvier.ir.cost import CHIP, Activity, Cost, CostRow
from ranvier.ir.diagnostics import error, register_code
from ranvier.ir.fields import Enum, option
from ranvier.ir.quantity import Quantity, total

register_code(
    "cost-layer-order",
    "spikesim-ela-v1 takes layers whose numbers of processing elements never fall, and refuses others as the released "
    "script does. spikesim-ela-v2 takes any order.",
)

MEMORY_LAYERS = 5
"""Layers whose neuron memory the released script counts."""


class SpikeSim(CostModel):
    """What both versions share: PEs, tiles, energy by component."""

    modelled = ("arrays", "ADCs and multiplexers", "tile and temporary buffers", "DIFF units", "H-tree", "neurons")
    not_modelled = (
        "network on chip between tiles",
        "pooling and residual additions",
        "leakage",
        "programming the arrays",
        "layers on no array",
    )

    @property
    def table(self) -> Table:
        """The constants."""
        return load_table("spikesim-65nm")

    def device_word(self) -> str:
        """`rram` or `sram`."""
        return "rram"

    def check_layers(self, layers: Sequence[LayerShape]) -> None:
        """Raise RanvierError for what the constants do not hold for."""
        size = int(self.table.number("array.size"))
        for layer in layers:
            self.expect(layer, "rows", size)
            self.expect(layer, "cols", size)
            self.expect(layer, "cols_per_adc", int(self.table.number("adc.columns")))
            self.expect(layer, "mapping", "kernel_split")
            self.expect(layer, "column_slices", 1)
            self.forbid_writes(layer)

    def elements(self, layer: LayerShape) -> int:
        """Processing elements of a layer."""
        size = int(self.table.number("array.size"))
        return layer.groups * blocks(layer.inputs, size) * blocks(layer.outputs, size)

    def tiles(self, layers: Sequence[LayerShape]) -> int:
        """Tiles of the chip."""
        return blocks(sum(map(self.elements, layers)), int(self.table.number("tile.pes")))

    def cycle_energy(self, layer: LayerShape) -> dict[str, Quantity]:
        """Energy of one PE cycle by component, every input active."""
        t = self.table
        columns = t.number("array.size") / t.number("adc.columns")
        phases = self.phases(columns)
        return {
            "crossbar": phases * layer.taps * t[f"array.{self.device_word()}_energy"],
            "ADC": phases * columns * t["adc.energy"],
            "MUX": phases * columns * t["mux.energy"],
            "DIFF": columns * t.number("diff.units") * t["diff.energy"],
            "temporary buffer": columns * t["tile.temp_buffer_energy"],
            "tile buffer": t["tile.buffer_energy"],
            "H-tree": t["tile.htree_energy"],
            "memory fetch": t["tile.fetch_energy"],
            "neuron": t["neuron.energy"],
        }

    def phases(self, columns: float) -> float:
        """How often the columns of a PE are read in a cycle."""
        raise NotImplementedError

    def active(self, component: str, layer: LayerShape, activity: Activity) -> float:
        """Steps that a component works, weighted by samples alive (and by spikes, where it follows them)."""
        return sum_of_steps(layer, activity)

    def energies(self, layers: Sequence[LayerShape], activity: Activity) -> list[CostRow]:
        """One row a layer and component."""
        rows = []
        for layer in layers:
            cycles = self.elements(layer) * layer.positions
            for component, each in self.cycle_energy(layer).items():
                steps = self.active(component, layer, activity)
                rows.append(CostRow(layer.name, component, energy=cycles * steps * each, count=cycles * steps))
        return rows

    def tile_areas(self, layers: Sequence[LayerShape]) -> list[CostRow]:
        """Area of the tiles by component; tiles are shared by the layers."""
        t, tiles = self.table, self.tiles(layers)
        columns = t.number("array.size") / t.number("adc.columns")
        pes = tiles * t.number("tile.pes")
        return [
            CostRow(CHIP, "crossbar", area=self.arrays(layers, pes) * t[f"array.{self.device_word()}_area"]),
            CostRow(CHIP, "ADC", area=pes * columns * t["adc.area"]),
            CostRow(CHIP, "MUX", area=pes * columns * t["mux.area"]),
            CostRow(CHIP, "DIFF", area=tiles * columns * t["diff.area"]),
            CostRow(CHIP, "temporary buffer", area=tiles * t["tile.temp_buffer_area"]),
            CostRow(CHIP, "tile buffer", area=tiles * t.number("buffer.cells") * t["buffer.cell_area"]),
            CostRow(CHIP, "H-tree", area=tiles * t["tile.htree_area"]),
        ]

    def arrays(self, layers: Sequence[LayerShape], pes: float) -> float:
        """Arrays on the chip, those of idle PEs included."""
        return pes * max(layer.taps for layer in layers)

    def memories(self, layers: Sequence[LayerShape], counted: int) -> list[CostRow]:
        """Area of input memory, and of neuron memory of the first `counted` layers."""
        each = self.table["buffer.cell_area"] * self.table.number("neuron.bits")
        inputs = [CostRow(x.name, "input memory", area=x.input_elements * each) for x in layers]
        return inputs + [
            CostRow(x.name, "neuron memory", area=x.outputs * x.groups * x.positions * each) for x in layers[:counted]
        ]

    def latency(self, layers: Sequence[LayerShape], activity: Activity) -> tuple[Quantity, dict[str, Quantity]]:
        """(of the network, of each layer)."""
        cycle = self.table["time.cycle"]
        busy = {x.name: self.cycles(x) * sum_of_steps(x, activity) * cycle for x in layers}
        before = [self.overlapped(self.cycles(x)) * sum_of_steps(x, activity) * cycle for x in layers[:-1]]
        return total([*before, busy[layers[-1].name]], "ns"), busy

    def cycles(self, layer: LayerShape) -> int:
        """PE cycles of a layer in one step."""
        raise NotImplementedError

    def overlapped(self, cycles: int) -> int:
        """Cycles after which the next layer begins."""
        raise NotImplementedError

    def assemble(
        self,
        layers: Sequence[LayerShape],
        activity: Activity,
        digital: Sequence[str],
        counted: int,
        notes: tuple[str, ...],
    ) -> Cost:
        """The cost from its parts."""
        self.need_layers(layers)
        self.check_layers(layers)
        rows = self.energies(layers, activity) + self.tile_areas(layers) + self.memories(layers, counted)
        latency, busy = self.latency(layers, activity)
        return Cost(
            str(self), tuple(rows), latency, busy, operations_of(layers, activity), self.table.sources(),
            self.modelled, self.not_modelled, notes, tuple(digital),
        )  # fmt: skip


@dataclass(frozen=True)
class ReleasedSpikeSim(SpikeSim):
    """SpikeSim's ELA script as released, defects included (see the module's docstring)."""

    word = "spikesim-ela-v1"
    device: str = option(Enum("rram", "sram"), "rram", "what the cells are made of")

    def device_word(self) -> str:
        """See SpikeSim."""
        return self.device

    def phases(self, columns: float) -> float:
        """See SpikeSim: X/8 again."""
        return columns

    def cycles(self, layer: LayerShape) -> int:
        """See SpikeSim: one cycle an output element."""
        return layer.positions * layer.outputs * layer.groups

    def overlapped(self, cycles: int) -> int:
        """See SpikeSim."""
        return int(self.table.number("time.overlap") * cycles)

    def check_layers(self, layers: Sequence[LayerShape]) -> None:
        """See SpikeSim; the order of layers and their kernels too."""
        super().check_layers(layers)
        size = self.table.number("array.size")
        whole = [self.elements(layer) for layer in layers]
        parts = [layer.inputs / size * (layer.outputs / size) for layer in layers]
        for counts in (whole, parts):
            for before, after, a, b in zip(layers, layers[1:], counts, counts[1:], strict=False):
                if b < a:
                    message = f"{self.word}: layer {after.name!r} takes fewer PEs ({b:g}) than {before.name!r} ({a:g})"
                    raise error("cost-layer-order", message, help="use table=spikesim-ela-v2, which takes any order")
        if len({layer.taps for layer in layers}) > 1:
            other = next(layer for layer in layers if layer.taps != layers[0].taps)
            raise self.refuse(
                other,
                f"has a kernel of {other.taps} elements after one of {layers[0].taps}: it has one kernel size",
                "use table=spikesim-ela-v2",
            )

    def printed_layer_latency(self, layers: Sequence[LayerShape], steps: int) -> list[Quantity]:
        """The layer-wise latencies that the script prints: (halt - start) * T, though both hold T already."""
        found, start = [], 1
        for layer in layers:
            halt = start - 1 + self.cycles(layer) * steps
            found.append((halt - start) * steps * self.table["time.cycle"])
            start += self.overlapped(self.cycles(layer)) * steps
        return found

    def cost(self, layers: Sequence[LayerShape], activity: Activity, digital: Sequence[str] = ()) -> Cost:
        """See CostModel."""
        notes = (
            f"{self.word} keeps the defects of the released script: neuron memory of the first five layers alone, "
            "a PE cycle for every output element, no dependence on data; spikesim-ela-v2 corrects them",
        )
        return self.assemble(layers, activity, digital, MEMORY_LAYERS, notes)


@dataclass(frozen=True)
class CorrectedSpikeSim(SpikeSim):
    """SpikeSim's ELA model with its accounting corrected (see the module's docstring)."""

    word = "spikesim-ela-v2"
    sparsity: str = option(Enum("aware", "ignored"), "aware", "whether the arrays' energy follows the spikes")

    def phases(self, columns: float) -> float:
        """See SpikeSim: the columns that share an ADC."""
        return self.table.number("adc.columns")

    def cycles(self, layer: LayerShape) -> int:
        """See SpikeSim: all PEs of a layer work at once."""
        return layer.positions

    def overlapped(self, cycles: int) -> int:
        """See SpikeSim."""
        return math.ceil(self.table.number("time.overlap") * cycles)

    def active(self, component: str, layer: LayerShape, activity: Activity) -> float:
        """See SpikeSim."""
        if component == "crossbar" and self.sparsity == "aware":
            return active_steps(layer, activity)
        return sum_of_steps(layer, activity)

    def arrays(self, layers: Sequence[LayerShape], pes: float) -> float:
        """See SpikeSim: the arrays of each layer's own kernel, and of the largest in idle PEs."""
        used = sum(self.elements(layer) for layer in layers)
        idle = (pes - used) * max(layer.taps for layer in layers)
        return sum(self.elements(layer) * layer.taps for layer in layers) + idle

    def cost(self, layers: Sequence[LayerShape], activity: Activity, digital: Sequence[str] = ()) -> Cost:
        """See CostModel."""
        return self.assemble(layers, activity, digital, len(layers), ())
