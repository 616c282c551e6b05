"""GELU written out as a product, with erf or with tanh, its factors in any order (Hendrycks and Gimpel 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ranvier.ir.core import Module, Op, Value
from ranvier.ir.ops.activations import Gelu
from ranvier.ir.ops.arith import Add, Div, Erf, Mul, Pow, Tanh
from ranvier.ir.rewriting import Match, Rule, op, rewrite, var
from ranvier.passes.simplify.uniform import uniform

# The largest relative difference between a constant as it is written and as it should be: people write 0.79788.
TOLERANCE = 1e-4
CUBIC = 0.044715


@dataclass(frozen=True)
class _Product:
    """A number times factors that are no numbers, and the ops that multiply them."""

    scale: float
    factors: tuple[Value, ...]
    ops: tuple[Op, ...] = ()

    def __mul__(self, other: _Product) -> _Product:
        return _Product(self.scale * other.scale, self.factors + other.factors, self.ops + other.ops)


def _product(module: Module, value: Value, stop: Value | None = None) -> _Product:
    """A value taken apart into factors; `stop` is one, however it is made."""
    number = uniform(module, value)
    if number is not None:
        return _Product(number, ())
    made = value.op
    if value is stop or not isinstance(made, (Mul, Div)):
        return _Product(1.0, (value,))
    left, right = made.arguments
    if isinstance(made, Mul):
        return _product(module, left, stop) * _product(module, right, stop) * _Product(1.0, (), (made,))
    below = uniform(module, right)
    if not below:
        return _Product(1.0, (value,))
    return _product(module, left, stop) * _Product(1 / below, (), (made,))


def _near(number: float, wanted: float) -> bool:
    return math.isclose(number, wanted, rel_tol=TOLERANCE)


@dataclass(frozen=True)
class _Gate:
    """c*(1 + erf(x/sqrt(2))), or c*(1 + tanh(sqrt(2/pi)*(x + 0.044715 x^3)))."""

    x: Value
    scale: float
    approximate: str
    ops: tuple[Op, ...]


def _gate(module: Module, value: Value) -> _Gate | None:
    """The gate that a value is, if it is one."""
    made = value.op
    if not isinstance(made, Add):
        return None
    for curve, one in (made.arguments, made.arguments[::-1]):
        number = uniform(module, one)
        inside = _product(module, curve)
        if number is None or not _near(inside.scale, number) or len(inside.factors) != 1:
            continue
        function = inside.factors[0].op
        if not isinstance(function, (Erf, Tanh)):
            continue
        argument = function.arguments[0]
        found = _of_erf(module, argument) if isinstance(function, Erf) else _of_tanh(module, argument)
        if found is not None:
            x, ops = found
            kind = "none" if isinstance(function, Erf) else "tanh"
            return _Gate(x, number, kind, (made, *inside.ops, function, *ops))
    return None


def _of_erf(module: Module, argument: Value) -> tuple[Value, tuple[Op, ...]] | None:
    """x of x/sqrt(2)."""
    made = argument.op
    if not isinstance(made, (Mul, Div)):
        return None
    for x, c in (made.arguments, made.arguments[::-1]):
        number = uniform(module, c)
        if number is not None and uniform(module, x) is None and (isinstance(made, Mul) or c is made.arguments[1]):
            scale = number if isinstance(made, Mul) else 1 / (number or math.inf)
            return (x, (made,)) if _near(scale, math.sqrt(0.5)) else None
    return None


def _of_tanh(module: Module, argument: Value) -> tuple[Value, tuple[Op, ...]] | None:
    """x of sqrt(2/pi)*(x + 0.044715 x^3), or of sqrt(2/pi)*x*(1 + 0.044715 x^2)."""
    outside = _product(module, argument)
    if not _near(outside.scale, math.sqrt(2 / math.pi)):
        return None
    for factor in outside.factors:
        added = factor.op
        if not isinstance(added, Add):
            continue
        for first, power in (added.arguments, added.arguments[::-1]):
            number = uniform(module, first)
            if number is None:
                x, degree, rest = first, 3, [v for v in outside.factors if v is not factor]
            elif _near(number, 1.0) and len(outside.factors) == 2:
                x, degree = next(v for v in outside.factors if v is not factor), 2
                rest = []
            else:
                continue
            ops = _power(module, power, x, degree)
            if ops is not None and not rest:
                return x, (*outside.ops, added, *ops)
    return None


def _power(module: Module, value: Value, x: Value, degree: int) -> tuple[Op, ...] | None:
    """The ops that make 0.044715 x^degree, or None when the value is something else."""
    found, total = _product(module, value, stop=x), 0.0
    ops: tuple[Op, ...] = ()
    for factor in found.factors:
        made = factor.op
        if factor is x:
            total += 1
        elif isinstance(made, Pow) and made.arguments[0] is x:
            total += uniform(module, made.arguments[1]) or math.nan
            ops = (*ops, made)
        else:
            return None
    return (*found.ops, *ops) if total == degree and _near(found.scale, CUBIC) else None


@rewrite(
    "x * 0.5 * (1 + erf(x/sqrt(2))) => gelu(x); "
    "x * 0.5 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) => gelu(x, approximate=tanh)",
    op((Mul, Div), var("left"), var("right")),
)
def gelu_form(r: Match) -> Value:
    """Factors may stand in any order and the halves anywhere among them."""
    root = r.root.result
    found = _product(r.module, root)
    gate = next((g for f in found.factors if (g := _gate(r.module, f)) is not None), None)
    r.require(gate is not None, "no factor is 1 + erf(x/sqrt(2)), or 1 + tanh(...)")
    assert gate is not None
    found = _product(r.module, root, stop=gate.x)
    r.require(gate.x in found.factors and len(found.factors) == 2, "the other factor is not x")
    r.require(_near(found.scale * gate.scale, 0.5), f"the product is {2 * found.scale * gate.scale:g} times gelu")
    r.require(gate.x.type == root.type, "a constant broadcasts x to another shape")
    ops = {*found.ops, *gate.ops} - {r.root}
    r.require(all(o.place == r.root.place for o in ops), "the ops are placed on different targets")
    r.matched += list(ops)
    out: Value = r.new(Gelu, gate.x, approximate=gate.approximate)
    return out


RULES: tuple[Rule, ...] = (gelu_form,)
