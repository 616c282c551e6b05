"""Where a node of an exported graph comes from in the user's source, and what its values are called."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ranvier.ir.locations import FileLoc, Location, NodeLoc

FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def source_line(node: Any) -> FileLoc | None:
    """The innermost line of user code (outside torch) in a node's stack trace."""
    import torch

    inside = os.path.dirname(torch.__file__) + os.sep
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    for file, line in reversed(frames):
        # a program exported elsewhere has torch in another place
        if not (file.startswith((inside, "torch/")) or "/site-packages/torch/" in file.replace(os.sep, "/")):
            return FileLoc(file, int(line))
    return None


def module_path(node: Any) -> tuple[str, str]:
    """Path and class of the innermost module call a node belongs to: ("layer1.0.conv1", "torch.nn...Conv2d")."""
    stack = [entry for key, entry in (node.meta.get("nn_module_stack") or {}).items() if not key.startswith("_empty")]
    if not stack:
        return "", ""
    path, kind = stack[-1]
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return path.split("@")[0], kind  # a second call of a module is marked relu@1


def location(node: Any, source: str) -> Location:
    """The user's source line, or the node's name in `source` where torch recorded no line."""
    found = source_line(node)
    if found is not None:
        return found
    path, _ = module_path(node)
    return NodeLoc(source, path or node.name)


class Names:
    """Hints for value names: `layer1_0_conv1` for a module that is one op, `layer1_0_add` for an op of a larger one.

    `nodes` are those that compute something of the inputs.
    """

    def __init__(self, nodes: Iterable[Any]):
        self.nodes = set(nodes)
        self.counts = Counter(map(self._call, self.nodes))

    @staticmethod
    def _call(node: Any) -> tuple[str, str]:
        stack = node.meta.get("nn_module_stack") or {}
        path, _ = module_path(node)
        return path, next(reversed(stack), "")

    def hint(self, node: Any, op: str) -> str:
        """The hint for a result of `op`, such as `nn.conv`, that `node` gives."""
        path, kind = module_path(node)
        prefix = path.replace(".", "_")
        if kind.startswith("torch.nn.") and node in self.nodes and self.counts[self._call(node)] == 1:
            return prefix
        short = op.split(".")[-1]
        return f"{prefix}_{short}" if prefix else short
