"""The plan of a lowered module as text: products, which are exact, which are not and why, what runs digitally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ranvier.ir.core import Op


@dataclass(frozen=True)
class Planned:
    """How one op on arrays is computed: products without and with conversion, for all planes, slices and arms."""

    name: str
    op: str
    linear: int
    converted: int
    exact: bool
    why: str
    arrays: int

    @property
    def products(self) -> int:
        """Matrix products of one call."""
        return self.linear + self.converted


def plan_text(planned: Sequence[Planned], by_meaning: Iterable[Op], digital: Iterable[Op]) -> str:
    """The plan: a line an op on arrays, then what runs beside the arrays."""
    exact = sum(p.products for p in planned if p.exact)
    count = sum(p.products for p in planned)
    lines = [
        f"# crossbar: {len(planned)} matrices on {sum(p.arrays for p in planned)} arrays",
        f"# {count} matrix products: {exact} exact, {count - exact} approximate",
    ]
    for p in planned:
        how = "exact" if p.exact else "approximate"
        lines.append(f"%{p.name} = {p.op}: {p.products} products ({p.converted} converted), {how}: {p.why}")
    lines += [f"%{op.result.name} = {op.name}: by its meaning, every partial sum" for op in by_meaning]
    names = Counter(op.name for op in digital)
    if names:
        lines.append("# digital, beside the arrays: " + ", ".join(f"{n} {name}" for name, n in sorted(names.items())))
    return "\n".join(lines)
