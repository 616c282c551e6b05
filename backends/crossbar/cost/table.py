"""Tables of constants: TOML files in which every number carries its unit and where it comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ranvier.ir.diagnostics import error
from ranvier.ir.quantity import Quantity


@dataclass(frozen=True)
class Constant:
    """A number with its unit and source."""

    quantity: Quantity
    source: str


@dataclass(frozen=True)
class Table:
    """The constants of one profile: `table["adc.energy"]`."""

    name: str
    source: str
    constants: Mapping[str, Constant]

    def __getitem__(self, key: str) -> Quantity:
        return self.constants[key].quantity

    def number(self, key: str) -> float:
        """A constant that is a plain number."""
        return self[key].to("")

    def sources(self) -> tuple[str, ...]:
        """The table's own source, then those of single constants, each once."""
        return tuple(dict.fromkeys([self.source, *(c.source for c in self.constants.values())]))


@cache
def load_table(name: str) -> Table:
    """The table `tables/<name>.toml`; raises RanvierError (damaged-file) for a number without unit or source."""
    text = files(__package__).joinpath("tables", f"{name}.toml").read_text(encoding="utf-8")
    return read_table(name, text)


def read_table(name: str, text: str) -> Table:
    """Read a table: `source`, then `[group]` sections of `key = { value, unit, source }`."""
    data = tomllib.loads(text)
    source = data.pop("source", "")
    if not source:
        raise error("damaged-file", "the table names no source", where=f"{name}.toml")
    constants = {}
    for group, entries in data.items():
        for key, entry in entries.items():
            where = f"{name}.toml: {group}.{key}"
            for needed in ("value", "unit"):
                if not isinstance(entry, dict) or needed not in entry:
                    raise error("damaged-file", f"the constant has no {needed}", where=where)
            constants[f"{group}.{key}"] = Constant(Quantity(entry["value"], entry["unit"]), entry.get("source", source))
    return Table(name, source, constants)
