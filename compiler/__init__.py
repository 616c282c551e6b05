"""Ranvier compiles neural graphs, spiking or not, to targets.

What users type is found on first use: importing this package loads nothing else, so that the command line
answers at once and a third party that needs `ranvier.ir` alone pays for nothing more.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> "module:attribute", or "module" where the module itself is the public thing.
_PUBLIC = {
    "Executable": "ranvier.executable:Executable",
    "Module": "ranvier.ir.core:Module",
    "RanvierError": "ranvier.ir.diagnostics:RanvierError",
    "compile": "ranvier.api:compile",
    "load": "ranvier.api:load",
    "load_executable": "ranvier.executable:load_executable",
    "opt": "ranvier.api:opt",
    "parse": "ranvier.api:parse",
    "targets": "ranvier.targets",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
