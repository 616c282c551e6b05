"""Cost models by name: a record of family `cost_table`, with options, that turns shapes into a `Cost`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from ranvier.backends.crossbar.cost.layers import LayerShape
from ranvier.ir.cost import Activity, Cost
from ranvier.ir.diagnostics import RanvierError, error, register_code
from ranvier.ir.quantity import Quantity
from ranvier.ir.records import Record, known, on_missing, read_record
from ranvier.ir.text.values import Call, parse_value

register_code(
    "cost-not-modelled",
    "A cost model has no figures for this network or configuration: its constants hold for one array size, precision "
    "or kind of layer, and are not stretched to others. The message says which layer and what the model takes.",
)
register_code(
    "missing-constants",
    "A cost model is known by name, but no source that may be cited gives all of its constants; the message says which "
    "are missing. Nothing is guessed.",
)

FAMILY = "cost_table"

MISSING = {
    "puma-128": "how often each component works in one matrix product: its simulator counts accesses while it runs a "
    "compiled instruction stream, and no figure per product is published",
    "neurosim-22nm-128": "every component: NeuroSim computes them from transistor equations, there is no table",
    "mnsim-2.0": "the array's energy and the buffers: its menus give ADCs and DACs only",
    "pcm-aihwkit-512": "energy, latency and area: aihwkit has no hardware cost",
    "prime-256": "energy and area of each component",
    "trex-fefet-sram": "all figures: the paper's tables could not be read",
}
"""Names that people ask for -> what no citable source gives."""


class CostModel(Record):
    """Base of cost models. `modelled` and `not_modelled` stand beside every figure."""

    family = FAMILY
    modelled: ClassVar[tuple[str, ...]] = ()
    not_modelled: ClassVar[tuple[str, ...]] = ()

    def cost(self, layers: Sequence[LayerShape], activity: Activity, digital: Sequence[str] = ()) -> Cost:
        """What the layers cost per sample; `digital` names what runs beside the arrays. Raises RanvierError."""
        raise NotImplementedError

    def need_layers(self, layers: Sequence[LayerShape]) -> None:
        """Raise RanvierError for a network without a layer on arrays."""
        if not layers:
            help = "convolutions, linear ops and matrix products of known size are laid on arrays"
            raise error("cost-not-modelled", f"{self.word}: the network has no layer on an array", help=help)

    def refuse(self, layer: LayerShape, message: str, help: str = "") -> RanvierError:
        """The error that a layer is outside what this model's constants hold for."""
        return error("cost-not-modelled", f"{self.word}: layer {layer.name!r} {message}", help=help)

    def expect(self, layer: LayerShape, field: str, wanted: int | str) -> None:
        """Raise RanvierError unless a field of a layer is not said, or is what the constants hold for."""
        found = getattr(layer, field)
        if found not in (None, wanted):
            raise self.refuse(layer, f"has {field}={found}, its constants hold for {field}={wanted} alone")

    def forbid_writes(self, layer: LayerShape) -> None:
        """Raise RanvierError for weights that are written for every sample."""
        if layer.dynamic:
            help = "use table=isaac-128, which has write figures, or let this product run digitally"
            raise self.refuse(layer, "writes an operand for every sample, and it has no write energy", help)


def model_names() -> list[str]:
    """The words of all cost models, sorted."""
    return sorted(known(FAMILY))


def find_model(text: str | CostModel) -> CostModel:
    """A model from its text, such as `spikesim-ela-v1(device=sram)`.

    Raises RanvierError: missing-constants for models whose constants no source gives, unknown-name for others.
    """
    if isinstance(text, CostModel):
        return text
    value = parse_value(text)
    found = read_record(FAMILY, value if isinstance(value, Call) else Call(str(value)))
    assert isinstance(found, CostModel)
    return found


def _refuse_known(word: str) -> None:
    """Called with a word that is no model's: names that lack constants are refused with what they lack."""
    if word in MISSING:
        raise refusal(word)


on_missing(FAMILY, _refuse_known)


def refusal(name: str) -> RanvierError:
    """The error that names what a known model lacks."""
    help = f"models with all constants: {', '.join(model_names())}"
    return error("missing-constants", f"{name} is not offered; no citable source gives {MISSING[name]}", help=help)


def sum_of_steps(layer: LayerShape, activity: Activity) -> float:
    """Steps of a layer, each times the part of samples that are alive."""
    return float(sum(activity.weights(layer.steps)))


def active_steps(layer: LayerShape, activity: Activity) -> float:
    """Steps of a layer, each times the part of samples that are alive and the part of its inputs that are not zero."""
    return float(
        sum(
            a * d
            for a, d in zip(activity.weights(layer.steps), activity.densities(layer.reads, layer.steps), strict=True)
        )
    )


def operations_of(layers: Iterable[LayerShape], activity: Activity) -> Quantity:
    """Operations per sample: two for a multiply-accumulate, zero inputs included."""
    return Quantity(sum(2.0 * layer.macs * sum_of_steps(layer, activity) for layer in layers), "op")


def blocks(count: int, size: int) -> int:
    """How many blocks of `size` hold `count`."""
    return -(-count // size)
