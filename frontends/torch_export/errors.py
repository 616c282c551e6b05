"""What cannot be imported, collected so that a user sees everything at once, each with the line of the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ranvier.ir.diagnostics import Diagnostic, RanvierError, register_code

register_code(
    "training-mode",
    "The exported program computes what only training needs: dropout that drops, batch statistics. Call model.eval() "
    "before torch.export.",
)

SHOWN = 5


class Unsupported(Exception):
    """Raised by a handler that does not import this form of its op; `reason` completes "`op` ..."."""

    def __init__(self, reason: str, help: str = "", code: str = "unsupported-op"):
        super().__init__(reason)
        self.reason, self.help, self.code = reason, help, code


@dataclass
class Findings:
    """Errors of one import. Nodes are grouped by op and reason."""

    groups: dict[tuple[str, str, str, str], dict[str, None]] = field(default_factory=dict)
    counts: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    others: list[Diagnostic] = field(default_factory=list)

    def unsupported(self, op: str, why: Unsupported, where: str) -> None:
        """Note a node whose op, or whose form of it, is not imported; `op` begins the message."""
        key = (why.code, op, why.reason, why.help)
        self.groups.setdefault(key, {})[where] = None
        self.counts[key] = self.counts.get(key, 0) + 1

    def add(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Note other errors."""
        self.others.extend(diagnostics)

    def __bool__(self) -> bool:
        return bool(self.groups or self.others)

    def error(self) -> RanvierError:
        """Everything that was found, as one error."""
        return RanvierError([*map(self._group, self.groups), *self.others])

    def _group(self, key: tuple[str, str, str, str]) -> Diagnostic:
        code, op, reason, help = key
        places, count = list(self.groups[key]), self.counts[key]
        many = f" ({count} times)" if count > 1 else ""
        notes = [f"also at {place}" for place in places[1:SHOWN]]
        notes += [f"and {len(places) - SHOWN} lines more"] if len(places) > SHOWN else []
        return Diagnostic(code, f"{op} {reason}{many}", places[0], help, notes=tuple(notes))
