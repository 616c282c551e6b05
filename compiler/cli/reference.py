"""`ranvier passes | ops | targets | explain`: all of it derived from what passes, ops and targets declare."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

from ranvier.cli.console import emit, paragraph, table
from ranvier.ir.diagnostics import RanvierError, codes, explain
from ranvier.ir.fields import REQUIRED
from ranvier.ir.interfaces import Support, Target
from ranvier.ir.records import Record, short_real
from ranvier.ir.text.values import format_value

OPTION_COLUMNS = ("option", "default", "values", "what it says")


# -- passes ------------------------------------------------------------------------------------------------------------
def show_passes(name: str | None) -> None:
    """All passes with what they do, or everything about one."""
    from ranvier.registry import find_pass, pass_names

    if name is None:
        rows, failed = _listed(pass_names(), find_pass)
        table(("pass", "what it does"), rows, whole=("pass",))
        _say_failed(failed)
        return
    cls = find_pass(name)
    _describe(name, cls)
    _options(cls)
    for label, values in (("needs", cls.needs), ("requires", cls.requires), ("ensures", cls.ensures)):
        if values:
            emit(f"{label}: {', '.join(values)}")


def _describe(name: str, thing: Any) -> None:
    emit(f"{name}\n\n{inspect.getdoc(thing) or ''}")
    emit("")


def _listed(names: Sequence[str], find: Any) -> tuple[list[tuple[str, str]], list[RanvierError]]:
    """Each name with the first sentence about it; what cannot be imported stands aside, said openly."""
    rows, failed = [], []
    for name in names:
        try:
            rows.append((name, first_sentence(find(name))))
        except RanvierError as why:
            failed.append(why)
    return rows, failed


def _say_failed(failed: Sequence[RanvierError]) -> None:
    if failed:
        raise RanvierError([found for why in failed for found in why.diagnostics])


def first_sentence(thing: Any) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]


def _options(cls: type[Record]) -> None:
    fields = cls.options()
    if not fields:
        emit("It takes no options.")
        return
    rows = [(f.name, default_text(f), f.metadata["kind"].describe(), f.metadata.get("help", "")) for f in fields]
    table(OPTION_COLUMNS, rows, whole=("option",))


def default_text(field: dataclasses.Field[Any]) -> str:
    """The default of an option in the grammar of values."""
    if field.default is REQUIRED:
        return "(required)"
    kind = field.metadata["kind"]
    return format_value(kind.write(kind.read(field.default)), short_real)


# -- ops ---------------------------------------------------------------------------------------------------------------
def show_ops(name: str | None) -> None:
    """All ops (or those of one dialect) with what they do, or everything about one."""
    from ranvier.ir.core import OPS
    from ranvier.ir.ops import op_class

    dialects = {op.partition(".")[0] for op in OPS}
    if name is None or name in dialects:
        chosen = [op for op in sorted(OPS) if name is None or op.startswith(f"{name}.")]
        table(
            ("op", "takes", "what it means"),
            [(op, signature(op), first_sentence(OPS[op])) for op in chosen],
            whole=("op",),
        )
        return
    cls = op_class(name)
    _describe(name, cls)
    marks = {"single": "", "optional": "may be left out", "variadic": "any number"}
    rows = [(f.name, marks[f.role], "yes" if f.spikes else "", f.help) for f in cls.operand_fields]
    if rows:
        table(("operand", "how many", "takes spikes", "what it is"), rows, whole=("operand",))
    if cls.attribute_fields:
        attributes = [(key, attribute_default(f), f.kind.describe(), f.help) for key, f in cls.attribute_fields.items()]
        table(("attribute", *OPTION_COLUMNS[1:]), attributes, whole=("attribute",))
    emit(f"results: {', '.join(cls.results_declared) or 'none'}")
    emit(f"time: {time_text(cls)}")


def attribute_default(field: Any) -> str:
    """The default of an attribute in the grammar of values."""
    return (
        "(required)"
        if field.default is REQUIRED
        else format_value(field.kind.write(field.kind.read(field.default)), short_real)
    )


def signature(name: str) -> str:
    """The operands of an op: `x, weight, bias?`."""
    from ranvier.ir.core import OPS

    marks = {"single": "", "optional": "?", "variadic": "..."}
    return ", ".join(f.name + marks[f.role] for f in OPS[name].operand_fields)


def time_text(cls: type[Any]) -> str:
    """How an op meets time."""
    from ranvier.ir.timing import StatefulOp, WindowedOp

    if issubclass(cls, WindowedOp):
        return "windowed: a function of the whole window of steps"
    if issubclass(cls, StatefulOp):
        return "stateful: step by step, with a state"
    return "pure: one function, applied at every step"


# -- targets -----------------------------------------------------------------------------------------------------------
def show_targets(name: str | None) -> None:
    """All targets with what they are, or everything about one."""
    from ranvier.registry import find_target, target_names

    if name is None:
        rows, failed = _listed(target_names(), find_target)
        table(("target", "what it is"), rows, whole=("target",))
        _say_failed(failed)
        return
    cls = find_target(name)
    _describe(name, cls)
    _options(cls)
    if any(f.default is REQUIRED for f in cls.options()):
        return  # what it supports depends on options that only the user knows
    target = cls()
    if passes := target.pipeline():
        emit(f"passes that it needs: {passes}")
    _support(target)


def _support(target: Target) -> None:
    rows = [(row.op, when_text(row), row.fix) for row in target.support()]
    if any(fix for _, _, fix in rows):
        table(("op", "taken", "otherwise run"), rows, whole=("op",))
    elif rows:
        table(("op", "taken"), [row[:2] for row in rows], whole=("op",))


def when_text(row: Support) -> str:
    """When a row of a support table takes its ops."""
    if row.when is None:
        return "always"
    return (inspect.getdoc(row.when) or "where it fits (the error says why it does not)").split("\n")[0]


# -- diagnostics -------------------------------------------------------------------------------------------------------
ROOMS = ("ranvier", "ranvier.ir", "ranvier.passes", "ranvier.frontends", "ranvier.backends")


def show_diagnostics(name: str | None) -> None:
    """What a kind of error means, or all kinds."""
    if name is None or name not in codes():
        load_all_codes()
    if name is None:
        table(("kind", "what it means"), list(codes().items()), whole=("kind",))
        return
    text = explain(name)
    emit(name)
    emit("")
    paragraph(text)


def load_all_codes() -> None:
    """Import every module of ours: each registers the diagnostics that it can emit."""
    import importlib
    import pkgutil

    for room in ROOMS:
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if found.name.endswith(".__main__"):
                continue
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as why:
                # the library of a format or machine may be absent; a module of ours may not
                if (why.name or "").split(".")[0] == "ranvier":
                    raise
