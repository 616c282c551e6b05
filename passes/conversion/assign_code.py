"""`assign-code`: layers of a network fire another code than the rest (hybrid coding, card 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ranvier.ir.codes import Code
from ranvier.ir.core import Module, Op, Value
from ranvier.ir.diagnostics import Diagnostic, RanvierError, error, suggest
from ranvier.ir.facts import NeuronCode
from ranvier.ir.fields import Integer, ListOf, Optional, RecordOf, Text, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import describe
from ranvier.ir.rewriting import apply_rules
from ranvier.passes.conversion.activations import POOLING, shape_of
from ranvier.passes.simplify import activation_forms

WILD = frozenset("*?[")


@dataclass(frozen=True)
class AssignCode(Pass):
    """Say which code the neurons of some activations fire; `convert-snn` follows it, and gives the others its own.

    `layers` are names of activations, or patterns with `*` and `?`. The code is left as a `neuron_code` fact on each.
    Wherever two codes meet there is a door: `snn.psp` of the code that comes in makes a current of its spikes, and the
    neuron behind fires that in its own code. All layers of a network share one window of T steps and one schedule:
    `convert-snn` refuses a code that they do not suit, by the name of the layer.

    Source: Park et al., DAC 2019 (hybrid coding: a code for the input, another one for hidden layers).
    """

    word = "assign-code"
    layers: tuple[str, ...] = option(ListOf(Text()), help="names of activations, or patterns")
    code: Code = option(RecordOf("code"), help="the code that their neurons fire")
    steps: int | None = option(Optional(Integer(1)), None, "the window that it is meant for; none means any")

    def check(self) -> None:
        """See Record."""
        if not self.layers:
            raise error("bad-value", "`assign-code`: no layer is named", help="give names, or [*] for all activations")
        if not self.code.integrates:
            raise error("bad-value", f"`assign-code`: no neuron fires {self.code.word}")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        fact = NeuronCode(self.code, self.steps, definition="assigned")
        chosen = {p: [v for op in module.main.ops for v in op.results if fnmatchcase(v.name, p)] for p in self.layers}
        self._check_names(module, chosen)
        for value in dict.fromkeys(v for found in chosen.values() for v in found):
            value.facts = (*(f for f in value.facts if not isinstance(f, NeuronCode)), fact)
        exact = {v.name for p, found in chosen.items() if not WILD & set(p) for v in found}
        # an activation is only seen in its one form, and it moves behind a pool: its fact goes with it
        context.rewrites.append(apply_rules(module, (*activation_forms.RULES, *POOLING), self.word))
        assigned = self._settle(module, fact, exact)
        context.tables["codes of layers"] = [
            {"activation": f"%{op.result.name}", "op": op.name, "code": str(self.code)} for op in assigned
        ]
        context.note(f"{len(assigned)} activations are to fire {self.code}")

    def _check_names(self, module: Module, chosen: dict[str, list[Value]]) -> None:
        names = [v.name for op in module.main.ops for v in op.results]
        missing = [p for p, found in chosen.items() if not found]
        if missing:
            raise RanvierError(
                Diagnostic("unknown-name", f"`assign-code`: no value is called {p}", help=suggest(p, names))
                for p in missing
            )

    def _settle(self, module: Module, fact: NeuronCode, exact: set[str]) -> list[Op]:
        """The activations that the fact has come to; it is taken off other values, and an error if they were named."""
        assigned, others = [], []
        for op in module.main.ops:
            marked = [v for v in op.results if v.fact(NeuronCode) is fact]
            if marked and shape_of(module, op) is not None:
                assigned.append(op)
                continue
            for value in marked:
                value.facts = tuple(f for f in value.facts if f is not fact)
                others += [(op, value)] if value.name in exact else []
        if others:
            raise RanvierError(
                Diagnostic(
                    "bad-value", f"`assign-code`: {op.name} %{value.name} is no activation with a spiking form",
                    describe(op.location), help=_near(module, assigned),
                )
                for op, value in others
            )  # fmt: skip
        if not assigned:
            raise error("bad-value", "`assign-code`: no activation is among the values named", help=_near(module, []))
        return assigned


def _near(module: Module, assigned: Sequence[Op]) -> str:
    names = [op.result.name for op in module.main.ops if op not in assigned and shape_of(module, op) is not None]
    return f"activations are {', '.join(names[:8])}" + (", ..." if len(names) > 8 else "") if names else ""
