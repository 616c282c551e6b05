"""Read types from text: `tensor<Nx3x8x8xf32, T=4>`, `spikes<Nx8xi1@affine(scale=0.5), rate, T=4>`, `state<8xf32>`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.elements import ELEMENT, Elem, elem
from ranvier.ir.text.scanner import Scanner
from ranvier.ir.text.values import WORD, Call, Word, read_call, read_quant, read_value
from ranvier.ir.types import DIM, Dim, SpikesType, StateType, TensorType, Type

_HEAD = re.compile(r"(?:tensor|spikes|state)(?=<)")
_SHAPE = re.compile(r"((?:(?:[0-9]+|\?|[A-Z][A-Z0-9_]*)x)*)")
_TIME = re.compile(r"T\s*=\s*")
_PLAIN = re.compile(
    r"(tensor|state)<((?:(?:[0-9]+|\?|[A-Z][A-Z0-9_]*)x)*)([a-z]+[0-9]+)(?:, T=([0-9]+|[A-Z][A-Z0-9_]*))?>"
)


@lru_cache(maxsize=65536)
def _plain(kind: str, shape: str, element: str, time: str | None) -> Type | None:
    if not ELEMENT.fullmatch(element) or (kind == "state" and time is not None):
        return None
    dims = _dims(shape)
    return (
        StateType(dims, elem(element))
        if kind == "state"
        else TensorType(dims, elem(element), _dim(time) if time else None)
    )


def _dim(text: str) -> Dim:
    return int(text) if text.isdigit() else text


def _dims(text: str) -> tuple[Dim, ...]:
    return tuple(_dim(d) for d in DIM.findall(text.replace("x", " ")))


def read_type(s: Scanner, alias: Callable[[str, int], Any] | None = None) -> Type:
    """Read a type at the scanner; raises RanvierError with position."""
    found = _PLAIN.match(s.text, s.pos)
    if found is not None and (plain := _plain(*found.groups())) is not None:
        s.pos = found.end()
        s.skip()
        return plain
    head = s.need(_HEAD, "a type (`tensor<`, `spikes<` or `state<`)")
    s.expect("<")
    shape = _dims(s.match(_SHAPE) or "")
    element = _read_elem(s, alias)
    code: Any = None
    time: Dim | None = None
    layout: Any = None
    start = s.pos
    while s.take(","):
        start = s.pos
        if s.match(_TIME):
            time = _dim(s.need(DIM, "a number of steps"))
        elif s.keyword("layout"):
            s.expect("=")
            layout = read_value(s, alias)
        elif head == "spikes" and code is None:
            code = _read_code(s, alias)
        else:
            raise s.error(["`T=`", "`layout=`", *(["a spike code"] if head == "spikes" else [])])
    if not s.peek(">"):
        raise s.error(["`,`", "`>`"])
    s.expect(">")
    if head == "state":
        if time is not None:
            raise s.error(pos=start, message="a state has no time axis")
        return StateType(shape, element, layout)
    if head == "tensor":
        return TensorType(shape, element, time, layout)
    if code is None or time is None:
        raise s.error(pos=start, message="spikes need a code and T", help="write spikes<Nx8xi1, rate, T=8>")
    return SpikesType(shape, element, code, time, layout)


def _read_elem(s: Scanner, alias: Callable[[str, int], Any] | None) -> Elem:
    start = s.pos
    storage = s.match(ELEMENT)
    if storage is None:
        raise s.error(["an element type such as f32, i8 or u4"])
    return (
        read_quant(s, storage, alias)
        if s.text[start + len(storage) : start + len(storage) + 1] == "@"
        else elem(storage)
    )


def _read_code(s: Scanner, alias: Callable[[str, int], Any] | None) -> Any:
    from ranvier.ir.fields import RecordOf

    start = s.pos
    if s.peek("#"):
        value = read_value(s, alias)
    else:
        word = s.need(WORD, "a spike code")
        value = read_call(s, word, alias) if s.peek("(") else Word(word)
    try:
        return RecordOf("code").read(value if isinstance(value, Call) else Word(value))
    except (ValueError, RanvierError) as why:
        detail = why.diagnostics[0] if isinstance(why, RanvierError) else None
        message = detail.message if detail else str(why)
        raise s.error(
            pos=start, code=detail.code if detail else "bad-value", message=message, help=detail.help if detail else ""
        ) from None
