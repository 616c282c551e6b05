"""Write the pages of docs/ that are made from declarations: passes.md, ops.md, errors.md.

    python tools/make_docs.py            write them
    python tools/make_docs.py --check    say which of them are out of date, and exit with 1 if any is

They say what `ranvier passes NAME`, `ranvier ops NAME`, `ranvier targets NAME` and `ranvier explain` say, of what ships
with Ranvier: packages that are installed beside it change nothing.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ranvier.cli.reference import (
    attribute_default,
    default_text,
    first_sentence,
    load_all_codes,
    signature,
    time_text,
    when_text,
)
from ranvier.ir.codes import Code
from ranvier.ir.diagnostics import codes
from ranvier.ir.interfaces import Target
from ranvier.ir.records import Record, known, record_class

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "*Made by `python tools/make_docs.py` from the declarations. Change those, not this page.*"
HOW_MANY = {"single": "one", "optional": "may be left out", "variadic": "any number"}
DIALECTS = {
    "core": "`core`: structure, shape, time, control",
    "nn": "`nn`: real-valued",
    "snn": "`snn`: spiking",
    "q": "`q`: quantized",
    "xbar": "`xbar`: crossbar arrays",
}
# Families of records that stand for values of options and attributes.
FAMILIES = {
    "code": "Spike codes",
    "schedule": "Schedules",
    "surrogate": "Surrogate gradients",
    "when": "When a bias flows",
    "readout": "Readouts",
    "cost_table": "Cost models of crossbars",
    "array": "Crossbar arrays",
    "weights": "Weight encodings of crossbars",
    "mapping": "Mappings to crossbars",
    "input": "Inputs of crossbars",
    "adc": "Converters of crossbars",
}


def main(arguments: Sequence[str]) -> int:
    """Write or check the pages."""
    pages = {"passes.md": passes_page(), "ops.md": ops_page(), "errors.md": errors_page()}
    stale = [name for name, text in pages.items() if not _holds(DOCS / name, text)]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/{name} is out of date: run `python tools/make_docs.py`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(pages[name], encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


# -- pages -------------------------------------------------------------------------------------------------------------
def passes_page() -> str:
    """All passes and targets with their options."""
    from ranvier import backends, passes
    from ranvier.registry import find_pass, find_target

    names = sorted({*passes.BUILTIN, *backends.PASSES})
    parts = ["# Passes and targets", MADE, _PASSES, *_contents(names, find_pass)]
    for name in names:
        cls = find_pass(name)
        parts += [f"## {name}", _prose(cls), *_options(cls)]
        for label, values in (("Needs", cls.needs), ("Requires", cls.requires), ("Ensures", cls.ensures)):
            parts += [f"{label}: {', '.join(values)}."] if values else []
    parts += ["# Targets", _TARGETS]
    for name in sorted([*backends.BUILTIN, "meaning"]):
        target = find_target(name)
        parts += [f"## {name}", _prose(target), *_options(target), *_support(target)]
    return _page(parts)


def ops_page() -> str:
    """All ops with operands, attributes and results, and the records that stand in attributes."""
    from ranvier.ir.ops import OPS

    ours = sorted(n for n, c in OPS.items() if c.__module__.startswith("ranvier."))
    parts = ["# Ops", MADE, _OPS]
    for dialect, title in DIALECTS.items():
        names = [n for n in ours if n.startswith(f"{dialect}.")]
        rows = [(f"[`{n}`](#{n.replace('.', '')})", _code(signature(n)), first_sentence(OPS[n])) for n in names]
        parts += [f"## {title}", _table(("op", "takes", "what it means"), rows)]
        for name in names:
            parts += [f"### {name}", *_op(OPS[name])]
    parts += ["## Values of attributes and options"]
    for family, title in FAMILIES.items():
        parts += [f"### {title}", *_family(family)]
    return _page(parts)


def errors_page() -> str:
    """Every kind of diagnostic with its explanation."""
    load_all_codes()
    parts = ["# Errors", MADE, _ERRORS]
    parts += [_table(("kind", "what it means"), [(_code(name), text) for name, text in codes().items()])]
    return _page(parts)


_PASSES = """A pass is written as its name, with options in braces where they differ from their defaults; passes are
separated by commas: `fold-batchnorm, convert-snn{steps=16 per=layer}`. `fixpoint{...}` repeats passes until they change
nothing, and `checkpoint{name=...}` gives a stage of the trace a name. Every pass works on its own copy of the module;
what comes out is verified before the next one sees it."""
_TARGETS = """A target is written like a pass: `torch{device=cuda}`, or `rv.targets.Torch(device="cuda")` in Python. Its
table says which ops it takes; all ops that it does not take are reported at once."""
_OPS = """Every op is declared once; text form, checks, this page and the tests follow from the declaration. How ops
meet time, and how to write one, is told in [ir.md](ir.md). `x?` may be left out, `xs...` is any number of operands."""
_ERRORS = """Everything that a user can mend is a `RanvierError` with one or more diagnostics: `error[kind]: what is
wrong`, the place in the user's model or text, and what to do about it. The command line prints them without a traceback
and exits with 2; `ranvier explain KIND` prints the sentences below."""


# -- parts -------------------------------------------------------------------------------------------------------------
def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _contents(names: Sequence[str], find: Any) -> list[str]:
    return [_table(("pass", "what it does"), [(f"[`{n}`](#{n})", first_sentence(find(n))) for n in names])]


def _prose(thing: Any) -> str:
    """A docstring as paragraphs of Markdown."""
    text = inspect.getdoc(thing) or ""
    return "\n\n".join(_escape(paragraph) for paragraph in text.split("\n\n"))


def _options(cls: type[Record]) -> list[str]:
    fields = cls.options()
    if not fields:
        return ["No options."]
    rows = [
        (_code(f.name), _code(default_text(f)), _code(f.metadata["kind"].describe()), f.metadata.get("help", ""))
        for f in fields
    ]
    return [_table(("option", "default", "values", "what it says"), rows)]


def _support(cls: type[Target]) -> list[str]:
    rows = [(_code(row.op), when_text(row), row.fix) for row in cls().support()]
    return [_table(("op", "taken", "otherwise run"), rows)]


def _op(cls: type[Any]) -> list[str]:
    parts = [_prose(cls)]
    operands = [(_code(f.name), HOW_MANY[f.role], "yes" if f.spikes else "", f.help) for f in cls.operand_fields]
    if operands:
        parts += [_table(("operand", "how many", "takes spikes", "what it is"), operands)]
    attributes = [
        (_code(name), _code(attribute_default(f)), _code(f.kind.describe()), f.help)
        for name, f in cls.attribute_fields.items()
    ]
    if attributes:
        parts += [_table(("attribute", "default", "values", "what it says"), attributes)]
    results = ", ".join(map(_code, cls.results_declared)) or "none"
    return [*parts, f"Results: {results}. Time: {time_text(cls)}."]


def _family(family: str) -> Iterator[str]:
    for word in sorted(known(family)):
        cls = record_class(family, word)
        if cls is None or not cls.__module__.startswith("ranvier."):
            continue
        yield f"**`{word}`**: {_prose(cls)}"
        yield from _options(cls) if cls.options() else ()
        if issubclass(cls, Code):
            yield f"Worth of a spike: {cls.psp_class}."


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return (text if text.startswith(("`", "[")) else _escape(text)).replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _escape(text: str) -> str:
    """Stars, leading underscores and tags of prose as they are; what stands in backticks is left alone."""
    pieces = text.split("`")
    pieces[::2] = [re.sub(r"\*|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!])", r"\\\g<0>", piece) for piece in pieces[::2]]
    return "`".join(pieces)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
