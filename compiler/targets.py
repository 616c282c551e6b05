"""Target classes by name: `rv.targets.Torch(device="cpu")` is the target that text calls `torch{device=cpu}`.

The name is the target's word in camel case; the class is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranvier.ir.interfaces import Target


def camel_case(word: str) -> str:
    """`sparse-accel` -> `SparseAccel`."""
    return "".join(part[:1].upper() + part[1:] for part in word.replace("_", "-").split("-"))


def __getattr__(name: str) -> type[Target]:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ranvier.ir.diagnostics import suggest
    from ranvier.registry import find_target, target_names

    words = {camel_case(word): word for word in target_names()}
    if name not in words:
        raise AttributeError(f"no target is called {name!r}; {suggest(name, words)}")
    return find_target(words[name])


def __dir__() -> list[str]:
    from ranvier.registry import target_names

    return sorted({*map(camel_case, target_names())})
