"""Records: small frozen dataclasses with a word, printed and parsed by their declared fields.

Codes, surrogates, facts, locations, passes and target options are records. A family is a name space of words.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Any, ClassVar, Self

from ranvier.ir.diagnostics import RanvierError, error, suggest
from ranvier.ir.fields import REQUIRED, Kind
from ranvier.ir.text.values import Call, Word, format_value

_FAMILIES: dict[str, dict[str, type[Record]]] = {}


class Record:
    """Base of all records. A subclass is a frozen dataclass whose fields are declared by `option`.

    `family` names the name space, `word` the name in the text; a class without a word is abstract.
    """

    family: ClassVar[str]
    word: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "word" in cls.__dict__ and cls.word:
            table = _FAMILIES.setdefault(cls.family, {})
            other = table.get(cls.word)
            if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"two records of family {cls.family} are called {cls.word!r}")
            table[cls.word] = cls

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse a keyword that is no field, by name and with the near miss, before the dataclass's `__init__` does."""
        names = [f.name for f in dataclasses.fields(cls) if f.init] if kwargs else []  # type: ignore[arg-type]
        for name in kwargs:
            if name not in names:
                raise cls._no_option(name, names)
        return super().__new__(cls)

    @classmethod
    def _no_option(cls, name: str, names: Collection[str]) -> RanvierError:
        word = cls.word or cls.__name__
        help = suggest(name, names) if names else f"`{word}` takes no options"
        return error("unknown-option", f"`{word}` has no option {name!r}", help=help)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            kind: Kind[Any] | None = field.metadata.get("kind")
            if kind is None:
                continue
            value = getattr(self, field.name)
            try:
                object.__setattr__(self, field.name, kind.read(value))
            except ValueError as why:
                raise error("bad-value", f"`{self.word}`: {field.name} {why}", help=_field_help(field)) from None
        self.check()

    def check(self) -> None:
        """Relations between fields; a subclass raises a RanvierError here."""

    @classmethod
    def options(cls) -> tuple[dataclasses.Field[Any], ...]:
        """The declared fields in order."""
        return tuple(f for f in dataclasses.fields(cls) if "kind" in f.metadata)  # type: ignore[arg-type]

    @classmethod
    def read(cls, call: Call) -> Self:
        """Build from `word(...)`; raises RanvierError naming an unknown, doubled or missing field."""
        fields = cls.options()
        names = [f.name for f in fields]
        if len(call.args) > len(names):
            raise error("unknown-option", f"`{cls.word}` takes at most {len(names)} values, not {len(call.args)}")
        given = dict(zip(names, call.args, strict=False))
        for name, value in call.fields.items():
            if name not in names:
                raise cls._no_option(name, names)
            if name in given:
                raise error("duplicate-name", f"`{cls.word}`: {name!r} is given twice")
            given[name] = value
        for field in fields:
            if field.default is REQUIRED and field.name not in given:
                raise error("missing-option", f"`{cls.word}` needs {field.name!r}", help=_field_help(field))
        return cls(**given)

    def fields(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as values of the grammar."""
        out: dict[str, Any] = {}
        for field in self.options():
            value = getattr(self, field.name)
            if field.default is REQUIRED or value != field.default or type(value) is not type(field.default):
                written = field.metadata["kind"].write(value)
                if field.default is REQUIRED or value != _read_default(field):
                    out[field.name] = written
        return out

    def write(self) -> Any:
        """The value of the grammar: a word, or a call where a field differs from its default."""
        fields = self.fields()
        return Call(self.word, (), fields) if fields else Word(self.word)

    def __str__(self) -> str:
        return format_value(self.write())

    def in_braces(self) -> str:
        """`word{a=1 b=2}`: how passes and targets stand in pipelines and recipes."""
        fields = self.fields()
        inside = " ".join(f"{name}={format_value(value, short_real)}" for name, value in fields.items())
        return self.word + (f"{{{inside}}}" if inside else "")


def short_real(value: Any) -> str | None:
    """A real number as its shortest decimal that reads back the same: for text that people write."""
    return repr(value) if isinstance(value, float) and math.isfinite(value) else None


def _read_default(field: dataclasses.Field[Any]) -> Any:
    kind: Kind[Any] = field.metadata["kind"]
    return kind.read(field.default)


def _field_help(field: dataclasses.Field[Any]) -> str:
    text = field.metadata.get("help", "")
    return f"{field.name}: {field.metadata['kind'].describe()}" + (f" ({text})" if text else "")


def read_record(family: str, call: Call) -> Record:
    """Find the record of a family by its word and read it; raises RanvierError with the near miss."""
    cls = _FAMILIES.get(family, {}).get(call.name)
    if cls is None:
        load = _LOADERS.get(family)
        cls = load(call.name) if load is not None else None
    if cls is None:
        raise error("unknown-name", f"no {family} is called {call.name!r}", help=suggest(call.name, known(family)))
    return cls.read(call)


_LOADERS: dict[str, Any] = {}


def on_missing(family: str, load: Any) -> None:
    """Let `load(word) -> type | None` find records of a family that are not imported yet (entry points)."""
    _LOADERS[family] = load


def known(family: str) -> list[str]:
    """The words of a family, in order of declaration."""
    return list(_FAMILIES.get(family, {}))


def record_class(family: str, word: str) -> type[Record] | None:
    """The class behind a word, or None."""
    return _FAMILIES.get(family, {}).get(word)
