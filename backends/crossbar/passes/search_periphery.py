"""`search-periphery`: ADC type and column sharing of every mapped layer under an area budget."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ranvier.backends.crossbar.cost.network import is_mapped, read_network
from ranvier.backends.crossbar.cost.search import Band, Found, Space, by_dp, by_gradient, make_space
from ranvier.backends.crossbar.cost.xpert import XPert
from ranvier.ir.core import Module, Op
from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Enum, Integer, Real, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.records import record_class


@dataclass(frozen=True)
class SearchPeriphery(Pass):
    """Choose flash or SAR converters and 2 to 32 columns an ADC for each mapped layer: the fastest within an area.

    Area and latency are XPert's fits (`xpert-32nm-64`: 64x64 arrays, 8-bit weights, 4-bit cells). The widths of a
    trained network are fixed, so they are not searched, as XPert does before training; `benchmarks/crossbar_periphery`
    searches them. `gradient` are XPert's straight-through gates, `dp` is dynamic programming over layers, never slower
    at equal area. The kind of converter changes cost alone: bits, steps and range stay as they are.
    """

    word = "search-periphery"
    area_mm2: float = option(Real(0), help="the largest area, in mm^2")
    method: str = option(Enum("gradient", "dp"), "gradient", "how to search")
    seed: int = option(Integer(0), 0, "seed of the gradient search")
    bins: int = option(Integer(10, 100_000), 4000, "area bins of dp")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        ops = [op for op in module.main.ops if is_mapped(op)]
        if not ops:
            raise error(
                "unsupported", "`search-periphery`: no layer is mapped to arrays", help="run map-crossbar first"
            )
        plain = [op for op in ops if op.attributes["adc"].transparent]
        if plain:
            message = f"`search-periphery`: {plain[0]!r} has an ideal converter, which has no type to choose"
            raise error("unsupported", message, help="map-crossbar{adc=sar adc_bits=...}")
        layers = read_network(module).layers
        for layer in layers:
            XPert().check_layer(layer)
        found = self.search(make_space(layers), self.area_mm2 * 1e6)
        rows = []
        for op, layer, choice in zip(ops, layers, found.options, strict=True):
            rows.append({"layer": layer.name, "converter": choice.adc, "columns an ADC": choice.mux})
            _set_periphery(op, choice.adc, choice.mux)
        context.tables["peripheries"] = rows
        context.note(
            f"{self.method}: {found.area / 1e6:.4g} mm^2 of at most {self.area_mm2:g}, latency {found.latency:.6g} in "
            f"the unit of the fits; {found.evaluated:,} choices looked at"
        )

    def search(self, space: Space, budget: float) -> Found:
        """The choice within a budget in um^2."""
        band = Band(0.0, budget, budget)
        return by_dp(space, band, self.bins) if self.method == "dp" else by_gradient(space, band, self.seed)


def _set_periphery(op: Op, adc: str, mux: int) -> None:
    """Another kind of converter with the same bits, steps and range."""
    old = op.attributes["adc"]
    kind = record_class(old.family, adc)
    assert kind is not None
    same = {f.name: getattr(old, f.name) for f in kind.options()}
    op.set(adc=kind(**same), array=dataclasses.replace(op.attributes["array"], cols_per_adc=mux))
