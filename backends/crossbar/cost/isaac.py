"""ISAAC by components (A. Shafiee et al., ISCA 2016): 128x128 arrays of 2-bit cells, 32 nm.

Each logical matrix takes ceil(K / 128) x ceil(columns / 128) arrays. One position of one input plane drives all of
them once (100 ns, however many columns share a converter); every used column is converted once. Layers have their own
arrays and run one after the other: ISAAC's overlap of layers and copies of early layers are not assumed. Inputs are
fetched anew for every position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ranvier.backends.crossbar.cost.layers import LayerShape
from ranvier.backends.crossbar.cost.models import CostModel, active_steps, blocks, operations_of, sum_of_steps
from ranvier.backends.crossbar.cost.table import Table, load_table
from ranvier.ir.cost import CHIP, Activity, Cost, CostRow
from ranvier.ir.fields import Integer, option
from ranvier.ir.quantity import Quantity, total

ADC_BITS = (4, 10)
"""Converters for which there are constants."""


@dataclass(frozen=True)
class Isaac(CostModel):
    """ISAAC's components per action: energy follows active rows, conversions and bits moved."""

    word = "isaac-128"
    modelled = (
        "arrays",
        "DACs (they follow the active rows)",
        "ADCs",
        "shift-and-add",
        "eDRAM, bus and router for inputs and outputs",
        "writing operands that change with every sample",
    )
    not_modelled = (
        "input and output registers of the IMAs",
        "sigmoid and max-pool units, residual additions",
        "sample-and-hold",
        "copies of early layers and overlap of layers",
        "the link between chips",
        "leakage",
        "layers on no array",
    )
    output_bits: int = option(Integer(1, 64), 16, "bits of an output that is written back")

    @property
    def table(self) -> Table:
        """The constants."""
        return load_table(self.word)

    def check_layer(self, layer: LayerShape) -> None:
        """Raise RanvierError for what the constants do not hold for."""
        t, size = self.table, int(self.table.number("array.size"))
        for field, wanted in (
            ("rows", size),
            ("cols", size),
            ("cell_bits", int(t.number("array.cell_bits"))),
        ):
            self.expect(layer, field, wanted)
        if not ADC_BITS[0] <= self.adc_bits(layer) <= ADC_BITS[1]:
            low, high = ADC_BITS
            raise self.refuse(layer, f"has adc_bits={layer.adc_bits}, its constants hold for {low} to {high}")
        if not 1 <= self.shared(layer) <= size:
            raise self.refuse(layer, f"has cols_per_adc={layer.cols_per_adc}, an array has {size} columns")

    def adc_bits(self, layer: LayerShape) -> int:
        """Bits of a layer's converters; ISAAC's where it does not say."""
        return layer.adc_bits or int(self.table.number("adc.bits"))

    def shared(self, layer: LayerShape) -> int:
        """Columns that share a converter; all of an array, as in ISAAC, where it does not say."""
        return layer.cols_per_adc or int(self.table.number("adc.columns"))

    def adc(self, layer: LayerShape, what: str) -> Quantity:
        """`energy` of a conversion, or `area` of a converter."""
        return self.table[f"adc.{what}_{self.adc_bits(layer)}"]

    def arrays(self, layer: LayerShape) -> int:
        """Arrays of a layer."""
        size = int(self.table.number("array.size"))
        return layer.arrays or layer.groups * self.row_groups(layer) * blocks(self.columns(layer), size)

    def columns(self, layer: LayerShape) -> int:
        """Physical columns of one group."""
        return layer.columns or layer.outputs * layer.slices

    def row_groups(self, layer: LayerShape) -> int:
        """How many arrays the rows of one logical matrix are spread over."""
        return layer.row_groups or blocks(layer.depth, int(self.table.number("array.size")))

    def energies(self, layer: LayerShape, activity: Activity) -> list[CostRow]:
        """One row a component."""
        t, arrays = self.table, self.arrays(layer)
        steps, active = sum_of_steps(layer, activity), active_steps(layer, activity)
        drives = layer.positions * layer.planes
        columns = layer.groups * self.columns(layer)
        conversions = drives * steps * self.row_groups(layer) * columns
        side_by_side = arrays / (layer.groups * self.row_groups(layer))
        driven = drives * active * layer.groups * layer.depth * side_by_side
        bits = layer.positions * steps * layer.groups
        moved = Quantity(bits * (layer.depth * layer.input_bits + layer.outputs * self.output_bits), "bit")
        read = t["array.read_power"] * t["time.cycle"]
        rows = [
            ("crossbar", drives * active * arrays, read),
            ("DAC", driven, t["dac.energy"]),
            ("ADC", conversions, self.adc(layer, "energy")),
            ("shift-and-add", conversions, t["shift_add.energy"]),
            ("eDRAM", moved.value / t["edram.width"].to("bit"), t["edram.energy"]),
            ("bus", moved.value, t["bus.energy"] * Quantity(1, "bit")),
            ("router", moved.value / t["router.width"].to("bit"), t["router.energy"]),
        ]
        if layer.dynamic:
            rows.append(("write", arrays * steps, t["array.write_energy"]))
        return [
            CostRow(layer.name, name, energy=(count * each).as_unit("pJ"), count=count) for name, count, each in rows
        ]

    def areas(self, layers: Sequence[LayerShape]) -> list[CostRow]:
        """Arrays by layer, what IMAs and tiles share for the chip."""
        t, size = self.table, self.table.number("array.size")
        rows = []
        for layer in layers:
            n = self.arrays(layer)
            rows += [
                CostRow(layer.name, "crossbar", area=n * t["array.area"]),
                CostRow(layer.name, "DAC", area=n * size * t["dac.area"]),
                CostRow(layer.name, "ADC", area=n * blocks(int(size), self.shared(layer)) * self.adc(layer, "area")),
            ]
        imas = blocks(sum(map(self.arrays, layers)), int(t.number("array.per_ima")))
        tiles = blocks(imas, int(t.number("ima.per_tile")))
        return [
            *rows,
            CostRow(CHIP, "shift-and-add", area=imas * t.number("shift_add.per_ima") * t["shift_add.area"]),
            CostRow(CHIP, "bus", area=imas * t["bus.area"]),
            CostRow(CHIP, "eDRAM", area=tiles * t["edram.area"]),
            CostRow(CHIP, "router", area=tiles * t["router.area"]),
        ]

    def busy(self, layer: LayerShape, activity: Activity) -> Quantity:
        """How long a layer works for a sample."""
        t, steps = self.table, sum_of_steps(layer, activity)
        time = layer.positions * layer.planes * steps * t["time.cycle"]
        return time + steps * t["array.write_latency"] if layer.dynamic else time

    def cost(self, layers: Sequence[LayerShape], activity: Activity, digital: Sequence[str] = ()) -> Cost:
        """See CostModel."""
        self.need_layers(layers)
        rows: list[CostRow] = []
        for layer in layers:
            self.check_layer(layer)
            rows += self.energies(layer, activity)
        busy = {layer.name: self.busy(layer, activity) for layer in layers}
        return Cost(
            str(self), tuple(rows + self.areas(layers)), total(busy.values(), "ns"), busy,
            operations_of(layers, activity), self.table.sources(), self.modelled, self.not_modelled, (), tuple(digital),
        )  # fmt: skip
