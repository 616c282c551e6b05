"""What passes leave for later ones on crossbar ops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.ir.facts import Fact
from ranvier.ir.fields import Integer, ListOf, RecordOf, ResourceRef, Text, option


@dataclass(frozen=True)
class InputEncoding(Fact):
    """How the input of this op is to be applied to arrays; `map-crossbar` follows it."""

    word = "input_encoding"
    input: Any = option(RecordOf("input"), help="the encoding")


@dataclass(frozen=True)
class TransparentPartials(Fact):
    """Partials that this converter provably leaves as they are: bits [groups, reads, slices, arms, columns].

    Proven for integer cells by largest column sums; void where `adc` is no longer the op's converter.
    """

    word = "transparent_partials"
    mask: str = option(ResourceRef(), help="bits [groups, reads, slices, arms, columns]")
    adc: Any = option(RecordOf("adc"), help="the converter that it was proven for")


@dataclass(frozen=True)
class FoldedPlan(Fact):
    """How this op may be computed: partials that are provably transparent in one product."""

    word = "folded_plan"
    why: str = option(Text(), help="what is folded, and what is not")


@dataclass(frozen=True)
class NotModelled(Fact):
    """Physical effects that were asked for and do not reach this op, whose arrays stay ideal in them."""

    word = "not_modelled"
    what: tuple[str, ...] = option(ListOf(Text()), help="the effects")


@dataclass(frozen=True)
class Placement(Fact):
    """Where the arrays of this op lie: numbers in order, of arrays, of processing elements and of tiles."""

    word = "placement"
    array: int = option(Integer(0), help="the first array")
    arrays: int = option(Integer(1), help="how many")
    pe: int = option(Integer(0), help="the first processing element")
    pes: int = option(Integer(1), help="how many")
    tile: int = option(Integer(0), help="the first tile")
    tiles: int = option(Integer(1), help="how many")
