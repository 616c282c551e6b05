"""What the target's options and those of `map-crossbar` share."""

from __future__ import annotations

from ranvier.ir.diagnostics import error
from ranvier.ir.fields import Enum
from ranvier.ir.hardware.adc import Adc, Flash, Ideal, Ramp, Sar
from ranvier.ir.hardware.arrays import Im2col

MAPPING = Im2col()
AUTO = "auto"
CONVERTERS: dict[str, type[Flash] | type[Sar] | type[Ramp]] = {"flash": Flash, "sar": Sar, "ramp": Ramp}
ADC = Enum(AUTO, Ideal.word, *CONVERTERS)
ADC_HELP = "the kind of converter; auto is sar with adc_bits, else ideal"
KEEP_HELP = "leave alone what an earlier pass has set, and say so; targets write it, so that what the user wrote holds"


def check_rows(rows: int, parallel_rows: int | None, who: str) -> None:
    """Raise RanvierError (bad-value) where more rows are to be read at once than an array has."""
    if parallel_rows is not None and parallel_rows > rows:
        raise error(
            "bad-value",
            f"`{who}`: parallel_rows={parallel_rows} of arrays with rows={rows}",
            help=f"parallel_rows: an integer from 1 to rows={rows}; none reads all",
        )


def converter(kind: str, bits: int | None, who: str) -> Adc:
    """A converter of unit steps; `auto` is `sar` where it has a resolution and `ideal` where not.

    Raises RanvierError (missing-option, bad-value) where a resolution is missing, or given for an ideal converter.
    """
    if kind == AUTO:
        kind = Ideal.word if bits is None else Sar.word
    if kind == Ideal.word:
        if bits is not None:
            raise error(
                "bad-value",
                f"`{who}`: adc=ideal has no adc_bits={bits}",
                help="adc: flash, sar or ramp; or no adc_bits",
            )
        return Ideal()
    if bits is None:
        raise error(
            "missing-option",
            f"`{who}`: adc={kind} needs adc_bits",
            help="adc_bits: an integer from 1 to 32; adc=ideal has none",
        )
    return CONVERTERS[kind](bits=bits)
