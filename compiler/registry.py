"""Where passes, targets and frontends are found by name: built in, registered in this process, or by entry point.

Tables of words lie with the folders (`ranvier.passes.BUILTIN`, `ranvier.backends.BUILTIN`); a class is imported when
its word is first used. Third parties declare entry points in the groups `ranvier.passes` and `ranvier.backends`, named
by the word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier import backends, passes
from ranvier.frontends import find_frontend, frontend_names
from ranvier.ir.diagnostics import error, register_code, suggest
from ranvier.ir.interfaces import Pass, Target
from ranvier.ir.plugins import load_builtin, load_plugin, plugin_names
from ranvier.ir.records import Record, known, on_missing, record_class

__all__ = ["find_frontend", "find_pass", "find_target", "frontend_names", "pass_names", "target_names"]

register_code("unknown-pass", "No pass bears this name. `ranvier passes` lists all, with their options.")
register_code("unknown-target", "No target bears this name. `ranvier targets` lists all, with their options.")

PASS_GROUP, TARGET_GROUP = "ranvier.passes", "ranvier.backends"


def _pass_table() -> Mapping[str, str]:
    return {**passes.BUILTIN, **backends.PASSES}


def _target_table() -> Mapping[str, str]:
    return {**backends.BUILTIN, "meaning": "ranvier.reference:MeaningTarget"}


def pass_names() -> list[str]:
    """The words of all passes, sorted; loads none of them."""
    return sorted({*_pass_table(), *known("pass"), *plugin_names(PASS_GROUP)})


def target_names() -> list[str]:
    """The words of all targets, sorted; loads none of them."""
    return sorted({*_target_table(), *known("target"), *plugin_names(TARGET_GROUP)})


def find_pass(word: str) -> type[Pass]:
    """The pass class of a word such as `fold-batchnorm`; raises RanvierError (unknown-pass) with the near miss."""
    found = _load_pass(word)
    if found is None:
        raise error("unknown-pass", f"no pass is called {word!r}", help=suggest(word, pass_names()))
    return found


def find_target(word: str) -> type[Target]:
    """The target class of a word such as `torch`; raises RanvierError (unknown-target) with the near miss."""
    found = _load_target(word)
    if found is None:
        raise error("unknown-target", f"no target is called {word!r}", help=suggest(word, target_names()))
    return found


def _load_pass(word: str) -> type[Pass] | None:
    found: type[Pass] | None = _load(Pass, word, _pass_table(), PASS_GROUP)
    return found


def _load_target(word: str) -> type[Target] | None:
    found: type[Target] | None = _load(Target, word, _target_table(), TARGET_GROUP)
    return found


def _load(base: type[Any], word: str, table: Mapping[str, str], group: str) -> Any:
    found: type[Record] | None = record_class(base.family, word)
    if found is None and word in table:
        found = load_builtin(table[word])
    if found is None:
        found = load_plugin(group, word)
    if found is None:
        return None
    if not (isinstance(found, type) and issubclass(found, base)) or found.word != word:
        raise error("plugin-failed", f"{word!r} of {group} is no {base.family} called {word!r}, but {found!r}")
    return found


on_missing("pass", _load_pass)
on_missing("target", _load_target)
