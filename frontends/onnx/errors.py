"""What can be wrong with an ONNX file, collected so that a user sees everything at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ranvier.ir.diagnostics import Diagnostic, RanvierError, register_code
from ranvier.ir.locations import NodeLoc

register_code(
    "not-onnx",
    "The file is no whole ONNX model: another format, an empty or truncated file, or damaged bytes. "
    "Export or download it again.",
)
register_code(
    "onnx-version",
    "The model needs an operator set or file version that the installed onnx does not know, or one older than opset 7. "
    "Export it with another opset, or bring it up with onnx.version_converter.",
)
register_code(
    "onnx-external-data", "A file that holds weights of the model is missing, too short, or lies outside its folder."
)
register_code("onnx-graph", "The graph of the model is not sound: a name that nothing defines, or one defined twice.")
register_code(
    "onnx-node",
    "A node of the model cannot be read: its attributes or inputs contradict the operator's definition. "
    "`onnx.checker.check_model` may say more.",
)

SHOWN = 5


class Unsupported(Exception):
    """Raised by a handler that does not import this form of its operator; `reason` completes "`Op` ..."."""

    def __init__(self, reason: str, help: str = ""):
        super().__init__(reason)
        self.reason, self.help = reason, help


@dataclass
class Findings:
    """Errors of one import. Unsupported nodes are grouped by operator, version and reason."""

    file: str
    groups: dict[tuple[str, str, int, str, str], list[NodeLoc]] = field(default_factory=dict)
    others: list[Diagnostic] = field(default_factory=list)

    def unsupported(self, domain: str, op: str, opset: int, reason: str, help: str, where: NodeLoc) -> None:
        """Note a node whose operator, or whose form of it, is not imported."""
        self.groups.setdefault((domain, op, opset, reason, help), []).append(where)

    def add(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Note other errors."""
        self.others.extend(diagnostics)

    def __bool__(self) -> bool:
        return bool(self.groups or self.others)

    def error(self) -> RanvierError:
        """Everything that was found, as one error."""
        return RanvierError([*(self._group(key, places) for key, places in self.groups.items()), *self.others])

    def _group(self, key: tuple[str, str, int, str, str], places: list[NodeLoc]) -> Diagnostic:
        domain, op, opset, reason, help = key
        name = f"{domain}::{op}" if domain else op
        many = f" ({len(places)} nodes)" if len(places) > 1 else ""
        names = [f"node {p.node!r}" for p in places[:SHOWN]]
        rest = (f"and {len(places) - SHOWN} more",) if len(places) > SHOWN else ()
        return Diagnostic(
            "unsupported-op",
            f"`{name}` of opset {opset} {reason}{many}",
            places[0].describe(),
            help or "export the model without it: do this part of the work before or behind the network",
            notes=(*names[1:], *rest),
        )
