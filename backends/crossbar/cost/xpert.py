"""XPert's regressed area and latency of a layer by ADC type and column sharing (32 nm, 64x64 arrays).

arrays  = ceil(Ci k^2 / X) ceil(Co n / X) with n = 8-bit weights / 4-bit cells;  tiles = ceil(arrays / 64)
speedup = 64 tiles / arrays, times X / (Co n) where the columns do not fill an array
area    = (a mux + e) tiles + b exp(c tiles / mux) + d
latency = (a tiles e + b mux^2 + d) fmap^2 / speedup          in the script's own unit
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ranvier.backends.crossbar.cost.layers import LayerShape
from ranvier.backends.crossbar.cost.models import CostModel, blocks, operations_of, sum_of_steps
from ranvier.backends.crossbar.cost.table import Table, load_table
from ranvier.ir.cost import Activity, Cost, CostRow
from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Enum, Integer, option
from ranvier.ir.quantity import Quantity, declare_unit, total

declare_unit("xpert_time")

ADC_TYPES = ("flash", "sar")
MUXES = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class XPert(CostModel):
    """XPert's cost fits: area in um^2, latency in the unit of its script; no energy."""

    word = "xpert-32nm-64"
    modelled = ("area of tiles with arrays, ADCs and multiplexers", "latency of the arrays and their readout")
    not_modelled = (
        "energy",
        "latency in seconds: the fits are in the script's own unit",
        "other input precisions than that of the fits, which the script does not say",
        "pooling, activations and residual additions",
        "layers on no array",
    )
    adc: str = option(Enum(*ADC_TYPES), "flash", "ADC of layers that do not say theirs")
    mux: int = option(Integer(2, 32), 8, "columns that share an ADC, of layers that do not say theirs")

    def check(self) -> None:
        """See Record."""
        check_mux(self.mux, "mux=")

    @property
    def table(self) -> Table:
        """The constants."""
        return load_table(self.word)

    def tiles(self, layer: LayerShape) -> tuple[int, float]:
        """(tiles, speedup by duplicates in them) of a layer."""
        t = self.table
        size = int(t.number("array.size"))
        cells = int(t.number("array.weight_bits") / t.number("array.cell_bits"))
        arrays = layer.groups * blocks(layer.depth, size) * blocks(layer.outputs * cells, size)
        tiles = blocks(arrays, int(t.number("array.per_tile")))
        speedup = t.number("array.per_tile") * tiles / arrays
        if layer.outputs * cells < size:
            speedup *= size / (layer.outputs * cells)
        return tiles, speedup

    def area(self, tiles: int, adc: str, mux: int) -> Quantity:
        """Area of so many tiles."""
        t, kind = self.table, f"{adc}_area"
        grown = math.exp(t.number(f"{kind}.c") * tiles / mux)
        linear = (mux * t[f"{kind}.a"] + t[f"{kind}.e"]) * tiles
        return linear + grown * t[f"{kind}.b"] + t[f"{kind}.d"]

    def latency(self, tiles: int, adc: str, mux: int, positions: int, speedup: float) -> Quantity:
        """Latency of a layer of so many output positions, in the script's own unit."""
        t, kind = self.table, f"{adc}_latency"
        once = tiles * t.number(f"{kind}.e") * t[f"{kind}.a"] + mux * mux * t[f"{kind}.b"] + t[f"{kind}.d"]
        return once * positions / speedup

    def layer_cost(self, layer: LayerShape, adc: str, mux: int) -> tuple[Quantity, Quantity]:
        """(area, latency of one step) of a layer with a readout."""
        tiles, speedup = self.tiles(layer)
        return self.area(tiles, adc, mux), self.latency(tiles, adc, mux, layer.positions, speedup)

    def readout(self, layer: LayerShape) -> tuple[str, int]:
        """(ADC type, mux) of a layer; raises RanvierError for those that the fits do not hold for."""
        adc, mux = layer.adc or self.adc, layer.cols_per_adc or self.mux
        if adc not in ADC_TYPES:
            raise self.refuse(layer, f"reads through {adc} converters, its fits are for {' and '.join(ADC_TYPES)}")
        check_mux(mux, layer.name)
        return adc, mux

    def check_layer(self, layer: LayerShape) -> None:
        """Raise RanvierError for what the fits do not hold for."""
        t = self.table
        for field, key in (
            ("rows", "array.size"),
            ("cols", "array.size"),
            ("weight_bits", "array.weight_bits"),
            ("cell_bits", "array.cell_bits"),
        ):
            self.expect(layer, field, int(t.number(key)))
        self.expect(layer, "mapping", "im2col")
        self.expect(layer, "column_slices", int(t.number("array.weight_bits") / t.number("array.cell_bits")))
        self.forbid_writes(layer)

    def cost(self, layers: Sequence[LayerShape], activity: Activity, digital: Sequence[str] = ()) -> Cost:
        """See CostModel: each layer has tiles of its own, layers run one after the other."""
        self.need_layers(layers)
        rows, busy = [], {}
        for layer in layers:
            self.check_layer(layer)
            area, latency = self.layer_cost(layer, *self.readout(layer))
            rows.append(CostRow(layer.name, "tiles", area=area, count=self.tiles(layer)[0]))
            busy[layer.name] = sum_of_steps(layer, activity) * latency
        return Cost(
            str(self), tuple(rows), total(busy.values(), "xpert_time"), busy, operations_of(layers, activity),
            self.table.sources(), self.modelled, self.not_modelled, (), tuple(digital),
            fitted="XPertSim",
        )  # fmt: skip


def check_mux(mux: int, where: str) -> None:
    """Raise RanvierError for column sharing that was not in the data of the fits."""
    if mux not in MUXES:
        allowed = ", ".join(map(str, MUXES))
        raise error("bad-value", f"xpert-32nm-64: {mux} columns an ADC, its fits are for {allowed}", where=where)
