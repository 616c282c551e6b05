"""The code of each layer's neurons: that of the conversion or of a fact, and whether it suits window and schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ranvier.ir.codes import Code, Schedule, Stepwise
from ranvier.ir.core import Op
from ranvier.ir.diagnostics import Diagnostic, RanvierError
from ranvier.ir.locations import describe
from ranvier.passes.conversion.activations import Shape
from ranvier.passes.conversion.given import given_code
from ranvier.passes.conversion.readout import check_readout
from ranvier.passes.conversion.two_stage import TwoStage, check_neuron

if TYPE_CHECKING:
    from ranvier.passes.conversion.convert_snn import ConvertSnn

DEFAULT_STEPS = 32


def layer_code(options: ConvertSnn, op: Op, shape: Shape) -> Code:
    """The code of an activation's neuron, signed where its shape or the option asks for it.

    A fact goes before the conversion's own code, and is held to the same window, schedule and readout. Raises
    RanvierError, naming the activation where the code is given for it alone.
    """
    code, where = options.code, ""
    given = given_code(op, options.window)
    if given is not None:
        code, where = given, describe(op.location)
        check_reset(given, options.schedule, options.reset, op)
        if given.activation:
            return given
        check_code(given, options.schedule, options.window, op)
        if options.readout.by_steps:
            check_readout(options.readout, given, options.schedule, options.window)
        if isinstance(options.correct, TwoStage):
            check_neuron(options.correct, op, given)
    where = where or (describe(op.location) if shape.below is not None else "")
    if shape.below is not None and not np.all(shape.below == 1) and not code.takes_slopes:
        help = "use a code whose negative spikes do not correct positive ones, such as rate"
        raise _refused(f"{code.word} has no form with a slope below zero", help, where)
    signed = options.signed or code.signed or shape.below is not None
    if signed and options.reset == "hard":
        message = "signed neurons need reset=soft, and an activation with negative values needs them"
        raise _refused(message, "leave reset out", where)
    try:
        return code.with_sign(signed)
    except ValueError as why:
        needs = "leave signed out, or use" if shape.below is None else f"%{op.result.name} has negative values: use"
        help = f"{needs} a code with negative spikes, such as rate, phase or fs"
        raise _refused(str(why), help, where) from None


def check_code(code: Code, schedule: Schedule, steps: int | None, op: Op | None = None) -> None:
    """Raise RanvierError when a code, a schedule and a number of steps do not go together (in a layer, `op`)."""
    layer, where = ("", "") if op is None else (f" of %{op.result.name}", describe(op.location))
    name = f"{code.word}{layer}"
    if not code.integrates:
        raise _refused(f"no neuron fires {name}", "", where)
    if code.activation not in ("", "relu"):
        help = "run `fs-fit` before, which gives each activation the code of its own function"
        raise _refused(f"neurons of {name} compute {code.activation}, not ReLU", help, where)
    stepwise = isinstance(schedule, Stepwise)
    if code.needs_window and stepwise:
        help = "use schedule=layer_sync or early_fire(start=..)"
        raise _refused(f"{name} needs its whole window before it fires", help, where)
    if code.needs_stepwise and not stepwise:
        raise _refused(f"{name} needs its input step by step", "use schedule=stepwise", where)
    fixed = code.fixed_steps()
    if fixed is not None and steps not in (None, fixed):
        help = "leave steps out" if op is None else f"use steps={fixed} for all layers, or another code"
        raise _refused(f"{name} has {fixed} steps, not {steps}", help, where)
    least, window = code.least_steps(), steps or code.default_steps() or DEFAULT_STEPS
    if window < least:
        help = "give more steps, or the code fewer spikes"
        raise _refused(f"{name} needs {least} steps, not {window}", help, where)
    period, cycle = getattr(schedule, "period", None) or window, code.cycle(window)
    if window % cycle:
        help = f"give a multiple of {cycle} steps, or the code a cycle that divides {window}"
        raise _refused(f"a value of {name} takes {cycle} steps, of which {window} are no multiple", help, where)
    if period < window and period % cycle:
        help = f"use a period of {cycle} steps or a multiple, or schedule=layer_sync"
        raise _refused(f"a value of {name} takes {cycle} steps, which {schedule} cuts", help, where)


def check_reset(code: Code, schedule: Schedule, reset: str, op: Op | None = None) -> None:
    """Raise RanvierError when a hard reset would throw away more than what one step has brought (in a layer, `op`)."""
    if reset != "hard" or code.resets_itself:
        return
    layer, where = ("", "") if op is None else (f" of %{op.result.name}", describe(op.location))
    if not code.plain:
        help = "leave reset out: it is soft then"
        raise _refused(f"spikes of {code.word}{layer} take their own amounts, which reset=hard ignores", help, where)
    if not isinstance(schedule, Stepwise):
        message = (
            f"reset=hard throws away, with {schedule}, what {code.word}{layer} has been charged with for many steps"
        )
        raise _refused(message, "use schedule=stepwise, or leave reset out", where)


def _refused(message: str, help: str, where: str) -> RanvierError:
    return RanvierError([Diagnostic("bad-value", f"`convert-snn`: {message}", where, help)])
