"""What an error says: a named diagnostic with its place in the user's model and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

_CODES: dict[str, str] = {}


def register_code(name: str, explanation: str) -> None:
    """Add a diagnostic name and the paragraph that `ranvier explain NAME` prints.

    Raises ValueError when the name is taken by another explanation.
    """
    if _CODES.get(name, explanation) != explanation:
        raise ValueError(f"diagnostic {name!r} is already registered")
    _CODES[name] = explanation


def explain(name: str) -> str:
    """Return the explanation of a diagnostic name; raises RanvierError with the near miss when unknown."""
    if name not in _CODES:
        raise error(
            "unknown-diagnostic",
            f"no diagnostic is called {name!r}",
            help=suggest(name, _CODES) or "see `ranvier explain`",
        )
    return _CODES[name]


def codes() -> dict[str, str]:
    """All registered diagnostic names with their explanations, sorted by name."""
    return dict(sorted(_CODES.items()))


@dataclass(frozen=True)
class Diagnostic:
    """One finding: `code` names its kind, `where` the place in the user's model, `help` the remedy."""

    code: str
    message: str
    where: str = ""
    help: str = ""
    excerpt: str = ""
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.code not in _CODES:
            raise KeyError(f"diagnostic code {self.code!r} is not registered")

    def __str__(self) -> str:
        lines = [f"error[{self.code}]: {self.message}"]
        if self.where:
            lines.append(f"  --> {self.where}")
        lines += [f"  | {line}" for line in self.excerpt.splitlines()]
        lines += [f"  note: {note}" for note in self.notes]
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)


class RanvierError(Exception):
    """Raised for everything a user can mend; `diagnostics` holds every finding, not the first only."""

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))


def error(code: str, message: str, **rest: str | tuple[str, ...]) -> RanvierError:
    """Build a RanvierError of one diagnostic; keyword arguments are Diagnostic's fields."""
    return RanvierError([Diagnostic(code, message, **rest)])  # type: ignore[arg-type]


def collect(diagnostics: Iterable[Diagnostic]) -> None:
    """Raise one RanvierError with all findings, or nothing."""
    found = list(diagnostics)
    if found:
        raise RanvierError(found)


def near(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like `name`, or None when nothing is."""
    found = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return found[0] if found else None


def suggest(name: str, choices: Iterable[str]) -> str:
    """A help sentence for an unknown name: the near miss, else the list of choices (at most twelve)."""
    names = list(choices)
    if hit := near(name, names):
        return f"did you mean `{hit}`?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known: {shown}" if names else ""


for _name, _text in {
    "unknown-diagnostic": "The name given to `ranvier explain` is not one of the diagnostics that this version can "
    "emit.",
    "syntax": "Text that is not of the Ranvier grammar. The caret stands where parsing stopped; what "
    "could stand there is listed.",
    "bad-value": "An attribute or option has a value outside what its declaration allows.",
    "unknown-option": "A pass, target, code or op was given a field that it does not declare.",
    "missing-option": "A field without a default was left out.",
    "unknown-op": "The text names an op that no loaded dialect declares. `ranvier ops` lists all.",
    "unknown-name": "The text uses a value, graph, resource or alias that is not defined.",
    "duplicate-name": "Two definitions of one scope bear the same name.",
    "type-mismatch": "The types of an op's operands do not fit its declaration.",
    "shape-mismatch": "The shapes of an op's operands do not fit each other.",
    "time-mismatch": "Timed operands of one op have different numbers of steps, or a value would get a second "
    "time axis.",
    "spikes-misused": "An op that computes with real numbers was given spikes. Put snn.psp or snn.decode between.",
    "wrong-operands": "An op was built with too many or too few operands.",
    "frozen-module": "A module that was handed out never changes. Work on module.clone().",
    "use-before-definition": "A value is used before the op that defines it. Only the operand of core.delay may come "
    "later.",
    "broken-use-list": "A value's use-list disagrees with the operands of the ops; only a bug in a pass can cause "
    "this.",
    "stale-type": "A stored result type differs from what the op infers from its operands.",
    "no-return": "A graph must end in exactly one core.return.",
    "recursive-call": "Graphs call each other in a circle; modules have no recursion.",
    "delay-cycle": "Only pure and stateful ops (stepwise neurons among them) may lie on a cycle through core.delay.",
    "alphabet": "A spike value lies outside the alphabet that its code and element type allow.",
    "bad-input": "An array given to a module does not fit the type of the graph's argument.",
    "missing-data": "A resource's array is not at hand: the text was parsed without the file or store that holds it.",
    "damaged-file": "A file is truncated, damaged, or not of the format that its suffix says.",
    "duplicate-op-key": "Two random ops of one module share a key and would draw the same numbers.",
    "limit": "A rewriting or fixpoint did not come to rest within its limit.",
    "unsupported": "An op, type or option that this reader, pass or target does not offer.",
    "missing-extra": "An optional dependency is not installed.",
    "bad-data": "Calibration or evaluation data do not fit the network's inputs, hold NaN or infinite numbers, "
    "or are empty. They are checked before anything runs. Give one array an input, samples first, prepared "
    "as in training.",
    "internal": "A fault of Ranvier, not of its input. The folder that is named holds what repeats it; "
    "please send it with a report.",
    "dropped-fact": "A rewrite dropped a fact that may not be dropped, such as a pruning mask.",
}.items():
    register_code(_name, _text)
