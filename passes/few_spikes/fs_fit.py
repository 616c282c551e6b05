"""`fs-fit`: few-spikes tables for the activations of a network, kept as facts on their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.ir.codes.few_spikes import FUNCTIONS, LONGEST, FewSpikesTable
from ranvier.ir.core import Module, Op
from ranvier.ir.diagnostics import error
from ranvier.ir.facts import NeuronCode
from ranvier.ir.fields import Enum, Flag, Integer, ListOf, Optional, Real, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.types import TensorType
from ranvier.passes.calibration.statistics import describe_data, tapped
from ranvier.passes.few_spikes.fit import Init, squared_error
from ranvier.passes.few_spikes.softmax import write_out_softmax
from ranvier.passes.few_spikes.tables import table_for

FITTED = tuple(f for f in FUNCTIONS if f != "relu")
_DEFINITION = "few-spikes table on {:g} .. {:g}, mean squared error {:.2e} on uniform inputs; range of inputs: {}"


@dataclass(frozen=True)
class FewSpikesFitting(Pass):
    """Fit a table of K steps for each SiLU, GELU, sigmoid, tanh and exp, and leave it as a `neuron_code` fact.

    The range is that of the activation's inputs on the calibration data, widened to round bounds so that layers share
    tables, or exactly the one given by `range`. Tables for the usual ranges ship; others are fitted once, and then read
    from the cache folder ($RANVIER_CACHE, or ~/.cache/ranvier) by function, K, range, seed and initial values. ReLUs
    are left alone: code=fs fires them without a table.

    A softmax is no function of one number. With `softmax=true`, one that weights lie behind (attention) is written out
    as exp(x - max x) / sum, whose exp is such a function; the maximum and the quotient of two values that vary are not,
    and stay for `convert-snn` to report: with allow_unconverted they are computed on values that are read out.

    Sources: Stöckl & Maass 2021 (few-spikes neurons), Jeong et al. 2024 (TBPI).
    """

    word = "fs-fit"
    function: str | None = option(Optional(Enum(*FITTED)), None, "the only function to fit; none fits all of them")
    K: int = option(Integer(1, LONGEST), 16, "steps of a neuron")
    range: tuple[float, ...] | None = option(
        Optional(ListOf(Real(), length=2)), None, "smallest and largest input; none takes them from calibration data"
    )
    seed: int = option(Integer(0), 0, "seed of the fit")
    init: Init = option(Enum("tbpi", "random"), "tbpi", "where training begins: at trajectories, or at random")
    softmax: bool = option(Flag(), False, "write softmax between layers out, and fit its exp")
    batch: int = option(Integer(1), 128, "samples run at once for calibration")

    def check(self) -> None:
        """See Record."""
        if self.softmax and self.function not in (None, "exp"):
            help = "leave function out, or softmax"
            raise error("bad-value", f"`fs-fit`: softmax=true fits exp, not {self.function} alone", help=help)
        if self.range is not None and not self.range[0] < self.range[1]:
            low, high = self.range
            raise error(
                "bad-value", f"`fs-fit`: the range {low:g} .. {high:g} is empty", help="give [smallest largest]"
            )

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        if self.softmax:
            written = write_out_softmax(module, self.word)
            context.note(f"{len(written)} softmax are written out as exp(x - max x) / sum: the exp alone may spike")
        ops = [op for op in module.main.ops if self._fits(op)]
        ranges = self._ranges(module, ops, context)
        rows = []
        for op in ops:
            low, high, source = ranges[op]
            code = table_for(
                function_of(op), self.K, low, high,
                seed=self.seed, init=self.init, exact=self.range is not None, note=context.note,
            )  # fmt: skip
            mse = squared_error(code)
            kept = tuple(f for f in op.result.facts if not isinstance(f, NeuronCode))
            definition = _DEFINITION.format(code.low, code.high, mse, source)
            provenance = "given" if self.range is None else "no_data"
            op.result.facts = (*kept, NeuronCode(code, code.K, (1.0,), None, definition, provenance))
            rows.append(_row(op, code, low, high, mse))
        context.tables["few-spikes tables"] = rows
        tables = len({id(f.code) for op in ops for f in op.result.facts if isinstance(f, NeuronCode)})
        context.note(f"{len(ops)} activations have a few-spikes table of K={self.K} ({tables} different ones)")

    def _fits(self, op: Op) -> bool:
        found = function_of(op)
        return found in FITTED and self.function in (None, found)

    def _ranges(self, module: Module, ops: list[Op], context: PassContext) -> dict[Op, tuple[float, float, str]]:
        """Smallest and largest input of each activation, and of what data they are."""
        if self.range is not None:
            return dict.fromkeys(ops, (*self.range, "given"))  # type: ignore[arg-type]
        if not ops:
            return {}
        data = context.need_data(self.word)
        source = describe_data(context, data)
        names = list(dict.fromkeys(op.arguments[0].name for op in ops))
        found: dict[str, tuple[float, float]] = {}
        for name, array in tapped(module, names, data, context.runtime, self.batch):
            low, high = float(array.min()), float(array.max())
            # one value alone is no range: a constant, or an activation that no data reaches
            found[name] = (low, high) if low < high else (low - 0.5, high + 0.5)
        return {op: (*found[op.arguments[0].name], source) for op in ops}


def function_of(op: Op) -> str:
    """The name of the activation that an op without time computes, as tables know it; "" for other ops."""
    dialect, _, word = op.name.partition(".")
    real = dialect == "nn" and word in FUNCTIONS and isinstance(op.result.type, TensorType)
    return word if real and op.result.type.time is None and op.result.type.elem.is_float else ""


def _row(op: Op, code: FewSpikesTable, low: float, high: float, mse: float) -> dict[str, Any]:
    return {
        "activation": op.result.name,
        "op": op.name,
        "inputs": f"{low:.4g} .. {high:.4g}",
        "table": f"K={code.K} on {code.low:g} .. {code.high:g}",
        "mean squared error": mse,
        "largest error": code.error_bound(code.K),
    }
