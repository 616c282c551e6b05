"""Third parties' frontends, passes, backends and codes, found by entry point on first look-up."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ranvier.ir.diagnostics import error, register_code

register_code("plugin-failed", "A plugin found by entry point could not be imported; the message says why.")
register_code("duplicate-plugin", "Two installed packages declare an entry point of the same name in one group.")


def plugin_names(group: str) -> list[str]:
    """Names declared in an entry-point group, sorted."""
    return sorted({p.name for p in entry_points(group=group)})


def load_plugin(group: str, name: str) -> Any:
    """Import the entry point `name` of a group; None when there is none. Raises RanvierError when it fails."""
    found = list(entry_points(group=group, name=name))
    if not found:
        return None
    if len({p.value for p in found}) > 1:
        raise error("duplicate-plugin", f"{name!r} of {group} is declared by {', '.join(p.value for p in found)}")
    try:
        return found[0].load()
    except Exception as why:
        raise error("plugin-failed", f"{name!r} of {group} ({found[0].value}) could not be imported: {why}") from why


def load_builtin(path: str) -> Any:
    """Import `module:attribute`."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)
