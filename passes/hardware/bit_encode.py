"""`bit-encode`: how the inputs of each layer are applied to arrays: bit by bit, or in equal pulses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ranvier.ir.core import Builder, Graph, Module, Op, replace_uses
from ranvier.ir.diagnostics import error
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.fields import Enum, Integer, ListOf, Optional, Real, option
from ranvier.ir.hardware.facts import InputEncoding
from ranvier.ir.hardware.inputs import Binary, Input, Thermometer
from ranvier.ir.hardware.pulses import Pulses
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.integer import Product, QConv, QLinear, magnitude, scale_factors, tidy
from ranvier.ir.ops.requantize import Requantize
from ranvier.ir.resources import Resource
from ranvier.ir.types import SpikesType, TensorType
from ranvier.passes.hardware.pulse_search import Found, Search, storage_bits

MOST = {False: 255, True: 127}
"""Pulses that levels of 8 bits can count, unsigned and signed."""


@dataclass(frozen=True)
class BitEncode(Pass):
    """Say for every product of levels how its input is driven; `map-crossbar` follows it. Runs behind lower-integer.

    `binary`: the bits of a level, `plane_bits` at once. `thermometer`: equal pulses, as many as there are levels above
    zero, or `pulses`, to which levels are then rounded; read noise falls as 1/sqrt(pulses), bits never below
    s/sqrt(3). `gbo`: pulses of their own for each layer, found by gradient on a network with noise behind each layer
    (standard deviation `sigma` times the root mean square of its result, over the square root of its pulses), which is
    trained with cross-entropy + gamma * mean expected pulses in logits over `candidates`, its weights fixed. The closed
    form p_l ~ sqrt(k_l s_l^2 / c_l) at as many pulses stands beside it in the table, and is taken where its loss is
    lower. c_l is how many vectors a sample drives through the layer. Spikes are driven as they are.
    Source: GBO, gradient-based bit encoding optimization (DATE 2022); card A6.
    """

    word = "bit-encode"
    encoding: str = option(Enum("binary", "thermometer", "gbo"), "binary", "bits | equal pulses | searched pulses")
    plane_bits: int = option(Integer(1, 8), 1, "binary: bits that a driver applies at once (its DAC)")
    pulses: int | None = option(Optional(Integer(1, 255)), None, "thermometer: pulses; none means one for each level")
    sigma: float = option(Real(0), 0.1, "gbo: noise of one pulse, as a part of the root mean square of a result")
    gamma: float = option(Real(0), 0.02, "gbo: weight of the mean expected number of pulses")
    candidates: tuple[int, ...] = option(
        ListOf(Integer(1, 255)), (2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32), "gbo: pulses to choose from"
    )
    epochs: int = option(Integer(1), 20, "gbo: how often the data is gone through")
    lr: float = option(Real(0), 0.2, "gbo: learning rate of the logits to begin with")
    batch: int = option(Integer(1), 64, "gbo: samples of a step")
    trials: int = option(Integer(1), 4, "gbo: trials of the noise in each measurement")
    seed: int = option(Integer(0), 0, "gbo: seed of the noise and of the order of samples")

    def check(self) -> None:
        """See Record: candidates are there, each once and in order."""
        if list(self.candidates) != sorted(set(self.candidates)) or not self.candidates:
            help = "candidates=[4, 8, 16]"
            raise error("bad-value", f"`{self.word}`: candidates must rise, each once", help=help)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass. Raises RanvierError where no op multiplies levels."""
        ops = [(g, op) for g in module.graphs.values() for op in g.ops if isinstance(op, Product)]
        if not ops:
            help = "run `quantize, freeze-quant, lower-integer` before"
            raise error("bad-value", f"`{self.word}`: no op multiplies levels", help=help)
        spikes = [op for _, op in ops if isinstance(op.arguments[0].type, SpikesType)]
        ops = [(g, op) for g, op in ops if op not in spikes]
        if spikes:
            context.note(f"{len(spikes)} ops take spikes, which are driven as they are")
        if not ops:
            return
        searched = self._search(module, context) if self.encoding == "gbo" else {}
        for graph, op in ops:
            self._encode(module, graph, op, searched.get(op.result.name, self.pulses), context)

    def _encode(self, module: Module, graph: Graph, op: Any, pulses: int | None, context: PassContext) -> None:
        kind = op.arguments[0].type
        signed = kind.elem.range[0] < 0
        if self.encoding == "binary" or not isinstance(op, QConv | QLinear):
            if self.encoding != "binary":
                context.note(f"{op!r}: both operands change with the sample; its input is driven by bits")
            given: Input = Binary(kind.elem.bits, signed, min(self.plane_bits, kind.elem.bits))
            _say(op, given)
            return
        most = magnitude(kind)
        count = most if pulses is None else pulses
        if count == most:
            _say(op, Thermometer(count, signed))
            return
        if count > MOST[signed]:
            sort = "signed" if signed else "unsigned"
            help = f"at most {MOST[signed]} for {sort} levels"
            raise error("bad-value", f"`{self.word}`: pulses={count}, but levels have 8 bits", help=help)
        context.note(f"{op.result.name}: {most} levels are rounded to {count} pulses" if count < most else
                     f"{op.result.name}: {most} levels on {count} pulses")  # fmt: skip
        _say(recounted(module, graph, op, count), Pulses(count, signed))

    def _search(self, module: Module, context: PassContext) -> dict[str, int]:
        """Pulses by the name of a product's result."""
        data = context.need_data(self.word)
        if context.labels is None:
            help = "give labels= beside data="
            raise error("missing-data", f"`{self.word}`: encoding=gbo needs labels", help=help)
        search = Search(
            module, context.runtime, data, context.labels, self.sigma, self.seed, self.batch, self.trials, self.word
        )
        found = search.gradient(self.candidates, self.gamma, self.epochs, self.lr)
        gradient = search.measure("gradient", found)
        vectors = int(search.costs.sum())
        closed = search.measure("closed form", search.closed_form(gradient.total, 1, max(self.candidates)))
        even = max(1, gradient.total // vectors)
        rows = [gradient, closed, search.measure("uniform", [even] * len(search.layers))]
        context.tables[self.word] = [_row(f, search) for f in rows]
        best = closed if closed.loss < gradient.loss else gradient
        context.note(
            f"{best.name} has the lower loss ({best.loss:.4g}): {', '.join(map(str, best.pulses))} pulses, "
            f"{best.total} a sample"
        )
        return {layer.name: p for layer, p in zip(search.layers, best.pulses, strict=True)}


def _row(found: Found, search: Search) -> dict[str, Any]:
    return {
        "allocation": found.name,
        "pulses": " ".join(map(str, found.pulses)),
        "vectors": " ".join(str(int(c)) for c in search.costs),
        "pulses a sample": found.total,
        "loss": found.loss,
        "accuracy": found.accuracy,
    }


def _say(op: Op, given: Input) -> None:
    op.facts = (*(f for f in op.facts if not isinstance(f, InputEncoding)), InputEncoding(given))


def recounted(module: Module, graph: Graph, op: Any, pulses: int) -> Op:
    """The product with its input rounded to `pulses` levels above zero; what follows has the new scales.

    Raises RanvierError where an output of the graph would change its type.
    """
    kind = op.x.type
    scale = tidy(scale_factors(kind)[0] * Fraction(magnitude(kind), pulses))
    signed = kind.elem.range[0] < 0
    element = Elem(f"{'i' if signed else 'u'}{storage_bits(pulses, signed)}", Affine(scale, rounding="half_up"))
    b = Builder(graph, op, op.location)
    levels = b(Requantize, op.x, elem=element, name=f"{op.result.name}.pulses")
    operands = [levels, *op.operands[1:]]
    if op.bias is not None:
        numbers = module.array(op.bias)
        ratio = Fraction(pulses, magnitude(kind))
        held = np.asarray([round(Fraction(int(n)) * ratio) for n in numbers], np.int64)
        most = math.prod(int(d) for d in op.weight.type.shape[1:]) * magnitude(levels.type) * magnitude(op.weight.type)
        storage = "i32" if most + int(np.abs(held).max(initial=0)) < 1 << 31 else "i64"
        resource = Resource(TensorType(held.shape, op.bias.type.elem), held.astype(op.bias.type.elem.dtype))
        operands[2] = graph.constant(module.add(resource, op.bias.resource))
        kept = {**op.attributes, "accumulator": storage}
    else:
        kept = dict(op.attributes)
    name = op.result.name
    made = b(type(op), *operands, **kept)
    made.op.facts = op.facts
    replace_uses(op.result, made)
    graph.erase(op)
    graph.rename(made, name)
    _infer_behind(graph, made.op)
    result: Op = made.op
    return result


def _infer_behind(graph: Graph, first: Op) -> None:
    """New types behind an op, up to where they no longer change."""
    kinds = [v.type for v in graph.outputs]
    work: Sequence[Op] = first.result.users
    while work:
        following: dict[Op, None] = {}
        for op in work:
            for value, kind in zip(op.results, op.infer_types() if op.results else (), strict=True):
                if value.type != kind:
                    value.type = kind
                    following.update(dict.fromkeys(value.users))
        work = list(following)
    if [v.type for v in graph.outputs] != kinds:
        raise first.fail(
            "bad-value", "gives an output of the network in levels, whose worth may not change", "end with reals"
        )
