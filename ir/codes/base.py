"""What a spike code answers. Functions take an array namespace `xp`: any runtime can run and differentiate them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ranvier.ir.elements import Elem, smallest_integer
from ranvier.ir.records import Record, on_missing


@dataclass(frozen=True)
class Code(Record):
    """Base of all codes. Values are in units of the spikes' scale: 1.0 is the scale itself.

    A subclass gives the alphabet, the encoder (`encode_init`, `encode_step`), the psp (`psp_init`, `psp_step`), the
    `decode`, its `error_bound`, and answers the questions below for support tables.
    """

    family = "code"

    psp_class: ClassVar[Literal["constant", "weight", "history"]] = "constant"
    needs_window: ClassVar[bool] = False
    may_delay: ClassVar[bool] = True
    integrates: ClassVar[bool] = False
    """Whether an integrate-and-fire neuron fires this code."""

    def alphabet(self) -> tuple[int, int]:
        """Smallest and largest spike value."""
        raise NotImplementedError

    @property
    def signed(self) -> bool:
        """Whether a spike may be negative."""
        return self.alphabet()[0] < 0

    @property
    def largest(self) -> int:
        """The largest count of spikes that one step can carry."""
        return max(abs(n) for n in self.alphabet())

    @property
    def bits(self) -> int:
        """Bits of one spike's payload: 1 where a spike only says that it is there; a sign takes one more."""
        lo, hi = self.alphabet()
        return max(1, (hi - lo).bit_length()) if self.largest > 1 else 1 + (lo < 0)

    @property
    def random(self) -> bool:
        """Whether the encoder draws random numbers."""
        return False

    def with_sign(self, signed: bool) -> Code:
        """The same code with or without negative spikes; raises ValueError when it has no such form."""
        if signed != self.signed:
            raise ValueError(f"{self} has no {'signed' if signed else 'unsigned'} form")
        return self

    def element(self) -> Elem:
        """The smallest storage that holds the alphabet."""
        return smallest_integer(*self.alphabet())

    def encode_init(self, xp: Any, x: Any) -> Any:
        """The encoder's state before the first step."""
        raise NotImplementedError

    def encode_step(self, xp: Any, state: Any, x: Any, t: int, steps: int, draw: Callable[[], Any]) -> tuple[Any, Any]:
        """Spikes of step t for values x in units of the scale; `draw()` gives uniform numbers of x's shape."""
        raise NotImplementedError

    def psp_init(self, xp: Any, like: Any) -> Any:
        """The psp's state before the first step; None for codes without history."""
        return None

    def psp_step(self, xp: Any, state: Any, spikes: Any, t: int, steps: int) -> tuple[Any, Any]:
        """What the spikes of step t are worth downstream, as reals in units of the scale."""
        raise NotImplementedError

    def decode(self, xp: Any, values: Any, steps: int) -> Any:
        """The real value from the psp of all steps, [T, ...] -> [...]."""
        raise NotImplementedError

    def error_bound(self, steps: int) -> float:
        """Largest |decode(encode(x)) - x| for x in range, in units of the scale (expected error if random)."""
        raise NotImplementedError


def _load_code(word: str) -> type[Record] | None:
    from ranvier.ir.plugins import load_plugin
    from ranvier.ir.records import record_class

    load_plugin("ranvier.codes", word)
    return record_class("code", word)


on_missing("code", _load_code)
