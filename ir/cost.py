"""What a target says that a network costs: energy, area and latency with units, sources, and what is left out.

A target answers `Target.cost(module, activity)` with a `Cost`. Its figures are those of a hardware model; op energy
(what the arithmetic alone would take) is another thing and never called energy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ranvier.ir.diagnostics import error
from ranvier.ir.quantity import Quantity, readable, total

CHIP = ""
"""The layer of a row that no layer has to itself."""


@dataclass(frozen=True)
class Activity:
    """What a run does, as far as its cost depends on it.

    `steps` is the number of timesteps (None: what the module says, else 1); `alive[t]` the part of samples that have
    not left before step t (default all: 1); `density` the part of inputs that are not zero, by the name of the
    value that a layer reads: one number, or one a step. What is not named counts as 1, every input active.
    """

    steps: int | None = None
    alive: tuple[float, ...] | None = None
    density: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise error("bad-value", f"steps must be at least 1, not {self.steps}", where="steps=")
        if self.alive is not None and (self.steps is None or len(self.alive) != self.steps):
            message = f"alive must hold one number a step, {self.steps}, not {len(self.alive)}"
            raise error("bad-value", message, where="alive=")
        for each in self.alive or ():
            if not 0 <= each <= 1:
                raise error("bad-value", f"alive must be numbers from 0 to 1, not {each:g}", where="alive=")
        for name, value in self.density.items():
            numbers = value if isinstance(value, tuple) else (value,)
            if any(not 0 <= each <= 1 for each in numbers):
                raise error("bad-value", f"density must be numbers from 0 to 1, not {value}", where=name)

    def weights(self, steps: int | None) -> tuple[float, ...]:
        """P(alive at t) for each of a layer's own steps (None: it runs once)."""
        if steps is None:
            return (1.0,)
        if self.alive is None:
            return (1.0,) * steps
        if len(self.alive) != steps:
            raise error(
                "bad-value", f"alive holds {len(self.alive)} numbers for a layer of {steps} steps", where="alive="
            )
        return self.alive

    def densities(self, names: Sequence[str], steps: int | None) -> tuple[float, ...]:
        """The part of inputs that are not zero at each of a layer's own steps.

        Where several values are added up it is at most the sum of theirs, and 1 where one of them is not named.
        """
        count = steps or 1
        if not names or any(name not in self.density for name in names):
            return (1.0,) * count
        found = [0.0] * count
        for name in names:
            value = self.density[name]
            each = value if isinstance(value, tuple) else (value,) * count
            if len(each) != count:
                raise error("bad-value", f"density holds {len(each)} numbers for {count} steps", where=name)
            found = [min(1.0, a + b) for a, b in zip(found, each, strict=True)]
        return tuple(found)


@dataclass(frozen=True)
class CostRow:
    """One component of one layer (or of the chip: layer ""); energy and latency are per sample. None: not modelled."""

    layer: str
    component: str
    energy: Quantity | None = None
    area: Quantity | None = None
    count: float | None = None


@dataclass(frozen=True)
class Cost:
    """What a network costs per sample on one chip, by layer and component.

    `latency` is the model's own (layers may overlap), `layer_latency` how long each layer works. `operations` counts a
    multiply-accumulate as two. `area` and `energy` are the sums of the rows; None where the model has none.
    """

    model: str
    rows: tuple[CostRow, ...]
    latency: Quantity | None
    layer_latency: Mapping[str, Quantity]
    operations: Quantity
    sources: tuple[str, ...]
    modelled: tuple[str, ...]
    not_modelled: tuple[str, ...]
    notes: tuple[str, ...] = ()
    digital: tuple[str, ...] = ()
    fitted: str = ""

    @property
    def energy(self) -> Quantity | None:
        """Energy per sample."""
        return _sum((r.energy for r in self.rows), "pJ")

    @property
    def area(self) -> Quantity | None:
        """Area of the chip."""
        return _sum((r.area for r in self.rows), "um^2")

    @property
    def edp(self) -> Quantity | None:
        """Energy times delay."""
        return _product(self.energy, self.latency)

    @property
    def edap(self) -> Quantity | None:
        """Energy times delay times area."""
        return _product(_product(self.energy, self.latency), self.area)

    @property
    def tops_per_watt(self) -> Quantity | None:
        """Operations per energy."""
        energy = self.energy
        if energy is None or not energy.value:
            return None
        return (self.operations / energy).as_unit("TOPS/W")

    @property
    def tops_per_mm2(self) -> Quantity | None:
        """Operations per time and area; None where the model's latency is in no unit of time."""
        area, latency = self.area, self.latency
        if area is None or latency is None or not area.value or not latency.value or not is_time(latency):
            return None
        return (self.operations / latency / area).as_unit("TOPS/mm^2")

    def by_component(self) -> dict[str, tuple[Quantity | None, Quantity | None]]:
        """(energy, area) of each component over all layers, in order."""
        return self._grouped(lambda row: row.component)

    def by_layer(self) -> dict[str, tuple[Quantity | None, Quantity | None]]:
        """(energy, area) of each layer, in order; what the layers share stands under ""."""
        return self._grouped(lambda row: row.layer)

    def _grouped(self, key: Callable[[CostRow], str]) -> dict[str, tuple[Quantity | None, Quantity | None]]:
        groups: dict[str, list[CostRow]] = {}
        for row in self.rows:
            groups.setdefault(key(row), []).append(row)
        return {
            name: (_sum((r.energy for r in rows), "pJ"), _sum((r.area for r in rows), "um^2"))
            for name, rows in groups.items()
        }

    def figures(self) -> list[tuple[str, str]]:
        """Names and figures with units, for tables; what the model does not give is left out."""
        rows = [
            (f"hardware energy per sample ({self.model})", readable(self.energy)),
            (f"hardware latency per sample ({self.model})", readable(self.latency)),
            (f"chip area ({self.model})", readable(self.area)),
            ("energy-delay-area product", readable(self.edap)),
            ("energy efficiency", readable(self.tops_per_watt)),
            ("compute density", readable(self.tops_per_mm2)),
        ]
        return [(name, figure) for name, figure in rows if figure]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Tables by layer and by component, figures as text with units."""
        chip = "shared by the layers"
        layers = [
            {
                "layer": name or chip,
                "energy": readable(energy),
                "area": readable(area),
                "busy": readable(self.layer_latency.get(name)),
            }
            for name, (energy, area) in self.by_layer().items()
        ]
        components = [
            {"component": name, "energy": readable(energy), "area": readable(area)}
            for name, (energy, area) in self.by_component().items()
        ]
        return {f"cost by layer ({self.model})": layers, f"cost by component ({self.model})": components}

    def as_dict(self) -> dict[str, Any]:
        """All figures for JSON: {value, unit} each."""
        return {
            "model": self.model,
            "energy": _plain(self.energy),
            "latency": _plain(self.latency),
            "area": _plain(self.area),
            "edap": _plain(self.edap),
            "tops_per_watt": _plain(self.tops_per_watt),
            "tops_per_mm2": _plain(self.tops_per_mm2),
            "rows": [
                {"layer": r.layer, "component": r.component, "energy": _plain(r.energy), "area": _plain(r.area)}
                for r in self.rows
            ],
            "layer_latency": {name: _plain(q) for name, q in self.layer_latency.items()},
            "sources": list(self.sources),
            "modelled": list(self.modelled),
            "not_modelled": list(self.not_modelled),
            "notes": list(self.notes),
            "digital": list(self.digital),
        }

    def remarks(self) -> list[str]:
        """What must be read with the figures: sources, what is modelled and what not, notes."""
        lines = [
            f"{self.model}: {'; '.join(self.sources)}",
            f"modelled by {self.model}: {'; '.join(self.modelled)}",
            f"not modelled by {self.model}: {'; '.join(self.not_modelled)}",
            "an operation of TOPS is an addition or a multiplication, those of inputs that are zero among them",
            *self.notes,
        ]
        if self.digital:
            lines.append(f"run digitally, at no cost in this model: {', '.join(self.digital)}")
        return lines

    def __str__(self) -> str:
        lines = [f"{name}: {figure}" for name, figure in self.figures()]
        return "\n".join([*lines, "", *self.remarks()])


def is_time(quantity: Quantity) -> bool:
    """Whether a latency is in a unit of time."""
    return quantity.dimension == {"s": 1}


def _sum(quantities: Any, unit: str) -> Quantity | None:
    found = [q for q in quantities if q is not None]
    return total(found, unit) if found else None


def _product(a: Quantity | None, b: Quantity | None) -> Quantity | None:
    return None if a is None or b is None else a * b


def _plain(quantity: Quantity | None) -> dict[str, Any] | None:
    return None if quantity is None else {"value": quantity.value, "unit": quantity.unit}
