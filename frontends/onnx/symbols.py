"""Dimensions that are not numbers yet: polynomials with integer coefficients over symbols such as N.

Exporters compute the shapes they reshape to with chains of Shape, Gather, Mul and Concat nodes. Here these chains are
evaluated while the file is read, with `Expr` standing for what depends on a symbol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ranvier.ir.types import DIM, Dim

Monomial = tuple[str, ...]


class Expr:
    """A polynomial over atoms. An atom is a symbol of the module (at least 1), or the text of an operation that no
    polynomial expresses, such as a division with remainder."""

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Monomial, int]):
        self.terms: dict[Monomial, int] = {m: c for m, c in terms.items() if c}

    def __add__(self, other: object) -> Expr | int:
        if not isinstance(other, Expr | int):
            return NotImplemented
        terms = dict(self.terms)
        for m, c in as_expr(other).terms.items():
            terms[m] = terms.get(m, 0) + c
        return reduced(terms)

    __radd__ = __add__

    def __neg__(self) -> Expr | int:
        return reduced({m: -c for m, c in self.terms.items()})

    def __sub__(self, other: object) -> Expr | int:
        if not isinstance(other, Expr | int):
            return NotImplemented
        return self + (-other)

    def __rsub__(self, other: object) -> Expr | int:
        return as_expr(-self) + other

    def __mul__(self, other: object) -> Expr | int:
        if not isinstance(other, Expr | int):
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for a, x in self.terms.items():
            for b, y in as_expr(other).terms.items():
                m = tuple(sorted(a + b))
                terms[m] = terms.get(m, 0) + x * y
        return reduced(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: object) -> Expr | int:
        if not isinstance(other, Expr | int):
            return NotImplemented
        exact = quotient(self, other)
        return atom(f"({self})//({other})") if exact is None else exact

    def __rfloordiv__(self, other: object) -> Expr | int:
        return as_expr(other) // self  # type: ignore[arg-type]

    def __mod__(self, other: object) -> Expr | int:
        if not isinstance(other, Expr | int):
            return NotImplemented
        return 0 if quotient(self, other) is not None else atom(f"({self})%({other})")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __str__(self) -> str:
        parts = []
        for m, c in sorted(self.terms.items(), reverse=True):
            parts.append("*".join([*([str(c)] if c != 1 or not m else []), *m]))
        return " + ".join(parts) or "0"

    __repr__ = __str__


Size = int | Expr


def atom(name: str) -> Expr:
    """An unknown of its own."""
    return Expr({(name,): 1})


def as_expr(x: Size) -> Expr:
    """A number as a polynomial."""
    return x if isinstance(x, Expr) else Expr({(): int(x)})


def reduced(terms: Mapping[Monomial, int]) -> Size:
    """A polynomial, or the number that it is."""
    expr = Expr(terms)
    if not expr.terms:
        return 0
    return expr.terms[()] if set(expr.terms) == {()} else expr


def quotient(a: Size, b: Size) -> Size | None:
    """a / b where it goes without remainder for every value of the atoms, else None."""
    if a == b:
        return 1
    divisor = as_expr(b)
    if len(divisor.terms) != 1:
        return None
    ((by, factor),) = divisor.terms.items()
    terms: dict[Monomial, int] = {}
    for m, c in as_expr(a).terms.items():
        rest = list(m)
        for name in by:
            if name not in rest:
                return None
            rest.remove(name)
        if c % factor:
            return None
        terms[tuple(rest)] = c // factor
    return reduced(terms)


def product(sizes: Iterable[Size]) -> Size:
    """The product of some sizes."""
    out: Size = 1
    for s in sizes:
        out = out * s
    return out


def least(x: Size) -> int | None:
    """The smallest value that a size can take when symbols are at least 1 and unknown sizes at least 0; None when
    unbounded."""
    total = 0
    for m, c in as_expr(x).terms.items():
        if m and (c < 0 or not all(DIM.fullmatch(a) or a.startswith("?") for a in m)):
            return None
        total += c if all(DIM.fullmatch(a) and a != "?" for a in m) else 0
    return total


def less(a: Size, b: Size) -> bool | None:
    """Whether a < b for every value of the symbols; None when it depends on them."""
    low = least(b - a)
    if low is not None and low > 0:
        return True
    low = least(a - b)
    return False if low is not None and low >= 0 else None


def equal(a: Size, b: Size) -> bool | None:
    """Whether a == b for every value of the symbols; None when it depends on them."""
    if a == b:
        return True
    return False if less(a, b) or less(b, a) else None


def to_dim(x: Size) -> Dim:
    """A size as a dim of the IR: a number, a symbol, or `?` for anything else."""
    if isinstance(x, int):
        return x
    if len(x.terms) == 1:
        ((m, c),) = x.terms.items()
        if c == 1 and len(m) == 1 and m[0] != "?" and DIM.fullmatch(m[0]):
            return m[0]
    return "?"


def from_dim(dim: Dim, unknown: str) -> Size:
    """A dim of the IR as a size; `?` becomes the atom of that name, which should begin with `?`."""
    return dim if isinstance(dim, int) else atom(unknown if dim == "?" else dim)
