"""The one grammar of values: parse and print.

    value := int | real | rational | range | string | true | false | none | word | element | type
           | call | @graph | $resource | #alias | "[" values "]"
    call  := word "(" [value | name "=" value] ("," ...)* ")"

Reals print exactly: as a short decimal when that is the number itself, as a hexadecimal float otherwise.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ranvier.ir.diagnostics import suggest
from ranvier.ir.elements import ELEMENT, Elem, quant_of
from ranvier.ir.text.scanner import Scanner


class Word(str):
    """A bare word of the grammar, printed without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class GraphName(str):
    """`@name`: a graph of the module (or a target)."""

    __slots__ = ()


class ResourceName(str):
    """`$name`: a resource of the module."""

    __slots__ = ()


@dataclass(frozen=True)
class Range:
    """`4..8`: the integers from start to stop, both included."""

    start: int
    stop: int


@dataclass(frozen=True)
class Call:
    """`name(1, key=2)`."""

    name: str
    args: tuple[Any, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, self.args, tuple(self.fields.items())))

    def __str__(self) -> str:
        return format_value(self)


DEEPEST = 64
LONGEST_NUMBER = 1000
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.\-][A-Za-z0-9_]+)*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
IDENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-/]*[A-Za-z0-9_])?")
KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[ \t]*=(?!=)")
_NUMBER = re.compile(
    r"(?P<hex>-?0x[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?p[+-]?[0-9]+)|(?P<special>-?(?:inf|nan)(?![A-Za-z0-9_]|[.\-][A-Za-z0-9_]))"
    r"|(?P<range>-?[0-9]+\.\.-?[0-9]+)|(?P<rational>-?[0-9]+/[0-9]+)"
    r"|(?P<real>-?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)(?![A-Za-z0-9_]))|(?P<int>-?[0-9]+(?![A-Za-z0-9_.]))"
)
_TRAILING = re.compile(r"\.?0*p")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "none": None}
TYPE_WORD = re.compile(r"(?:tensor|spikes|state)(?=<)")


def parse_value(text: str, name: str = "<value>") -> Any:
    """Parse one value; raises RanvierError with position when the text is not exactly one."""
    scanner = Scanner(text, name)
    scanner.skip()
    value = read_value(scanner)
    if not scanner.done():
        raise scanner.error(["the end of the value"])
    return value


def read_value(s: Scanner, alias: Callable[[str, int], Any] | None = None) -> Any:
    """Read a value at the scanner; `alias(name, pos)` resolves `#name`."""
    if s.depth >= DEEPEST:
        raise s.error(message=f"values are nested more than {DEEPEST} deep")
    s.depth += 1
    value = _read_value(s, alias)
    s.depth -= 1
    return value


def _read_value(s: Scanner, alias: Callable[[str, int], Any] | None) -> Any:
    start = s.pos
    char = s.text[start : start + 1]
    if char == "[":
        return _read_list(s, alias)
    if char == '"':
        return _read_string(s)
    if char == "@":
        s.pos += 1
        return GraphName(s.need(IDENT, "a graph's name"))
    if char == "$":
        s.pos += 1
        return ResourceName(s.need(IDENT, "a resource's name"))
    if char == "#" and alias is not None:
        s.pos += 1
        return alias(s.need(NAME, "an alias"), start)
    found = _NUMBER.match(s.text, start)
    if found is not None:
        s.pos = found.end()
        s.skip()
        return _number(found, s, start)
    if TYPE_WORD.match(s.text, start):
        from ranvier.ir.text.types import read_type

        return read_type(s, alias)
    word = s.match(WORD)
    if word is None:
        raise s.error(["a value"])
    if s.peek("@") and ELEMENT.fullmatch(word):
        return read_quant(s, word, alias)
    if s.peek("("):
        return read_call(s, word, alias)
    return _CONSTANTS[word] if word in _CONSTANTS else Word(word)


def _number(found: re.Match[str], s: Scanner, start: int) -> Any:
    kind, text = found.lastgroup, found.group()
    if len(text) > LONGEST_NUMBER:
        raise s.error(pos=start, message=f"a number of {len(text)} characters")
    if kind == "int":
        return int(text)
    if kind == "range":
        low, high = text.split("..")
        if int(high) < int(low):
            raise s.error(pos=start, message=f"the range {text} is empty", help="write the smaller number first")
        return Range(int(low), int(high))
    if kind == "rational":
        try:
            return Fraction(text)
        except ZeroDivisionError:
            raise s.error(pos=start, message=f"{text} divides by zero") from None
    try:
        number = float.fromhex(text) if kind == "hex" else float(text)
    except OverflowError:
        number = math.inf
    if math.isinf(number) and kind != "special":
        raise s.error(pos=start, message=f"{text} is beyond a 64-bit float", help="write inf if that is meant")
    return number


def _read_string(s: Scanner) -> str:
    start = s.pos
    text = s.match(_STRING)
    if text is None:
        raise s.error(message="the string is not closed", help='strings end with `"` on the same line')
    try:
        return str(json.loads(text))
    except json.JSONDecodeError:
        raise s.error(
            pos=start, message=f"{text} has an unknown escape", help="use JSON escapes such as \\n and \\u00e9"
        ) from None


def _read_list(s: Scanner, alias: Callable[[str, int], Any] | None) -> tuple[Any, ...]:
    s.expect("[")
    items: list[Any] = []
    while not s.take("]"):
        if items:
            s_ok = s.take(",")
            if not s_ok:
                raise s.error(["`,`", "`]`"])
        items.append(read_value(s, alias))
    return tuple(items)


def read_call(s: Scanner, name: str, alias: Callable[[str, int], Any] | None = None) -> Call:
    """Read `(...)` behind a call's name. Fields are separated by commas or blanks."""
    s.expect("(")
    args: list[Any] = []
    fields: dict[str, Any] = {}
    first = True
    while not s.take(")"):
        if not first:
            s.take(",")
        first = False
        start = s.pos
        key = KEY.match(s.text, start)
        if key is not None:
            s.pos = key.end()
            s.skip()
            if key.group(1) in fields:
                raise s.error(pos=start, code="duplicate-name", message=f"{key.group(1)!r} is given twice")
            fields[key.group(1)] = read_value(s, alias)
        elif s.done():
            raise s.error(["`)`"])
        else:
            args.append(read_value(s, alias))
    return Call(name, tuple(args), fields)


def read_quant(s: Scanner, storage: str, alias: Callable[[str, int], Any] | None = None) -> Elem:
    """Read `@affine(...)` or `@#alias` behind a storage name."""
    start = s.pos
    s.expect("@")
    if s.peek("#") and alias is not None:
        s.pos += 1
        call = alias(s.need(NAME, "an alias"), start)
    else:
        call = read_call(s, s.need(NAME, "a quantization such as `affine`"), alias)
    if not isinstance(call, Call) or call.args:
        raise s.error(pos=start, code="bad-value", message="a quantization is a call with named fields")
    try:
        return Elem(storage, quant_of(call.name, dict(call.fields)))
    except (ValueError, TypeError) as why:
        raise s.error(
            pos=start, code="bad-value", message=f"not a quantization: {why}", help=suggest(call.name, ["affine"])
        ) from None


def format_real(x: float) -> str:
    """A real number exactly: a short decimal, else a hexadecimal float."""
    if x == 0:  # the cache would take -0.0 for 0.0
        return "-0.0" if math.copysign(1, x) < 0 else "0.0"
    return _format_real(float(x))


@lru_cache(maxsize=65536)
def _format_real(x: float) -> str:
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    text = repr(x)
    if len(text) <= 12 and Decimal(text) == Decimal(x):
        return text
    return _TRAILING.sub("p", x.hex())


def format_value(value: Any, alias: Callable[[Any], str | None] | None = None) -> str:
    """Print a value of the grammar; the inverse of `parse_value`.

    Raises TypeError for something that the grammar does not have.
    """
    if alias is not None and (name := alias(value)) is not None:
        return name
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, GraphName):
        return "@" + value
    if isinstance(value, ResourceName):
        return "$" + value
    if isinstance(value, str):
        # half a surrogate pair is no character that a file can hold
        return json.dumps(value, ensure_ascii=any("\ud800" <= c <= "\udfff" for c in value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return format_real(value)
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Range):
        return f"{value.start}..{value.stop}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(format_value(v, alias) for v in value) + "]"
    if isinstance(value, Call):
        parts = [format_value(a, alias) for a in value.args]
        parts += [f"{k}={format_value(v, alias)}" for k, v in value.fields.items()]
        return f"{value.name}({', '.join(parts)})"
    if isinstance(value, Elem) or hasattr(value, "rank"):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no text form")
