"""The shapes that cost depends on: one record a logical matrix, whatever it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.ir.diagnostics import error


@dataclass(frozen=True)
class LayerShape:
    """A layer as the crossbar sees it. Counts are per sample and step.

    `inputs` and `outputs` are channels (of one group), `taps` the kernel's elements (9 for 3x3), `positions` how often
    the matrix is applied, `input_elements` what the layer reads. `steps` is None where it runs once. `planes` is how
    many times the array is driven for one input vector, `column_slices` physical columns for one logical column.
    A mapped layer also says how it lies on arrays: `mapping`, the physical `columns` of one group and the `arrays` in
    all. What is None is not said.
    `reads` names the values whose density of non-zeros drives the rows. `dynamic` weights are written for every sample.
    """

    name: str
    inputs: int
    outputs: int
    taps: int = 1
    positions: int = 1
    input_elements: int = 0
    steps: int | None = None
    groups: int = 1
    reads: tuple[str, ...] = ()
    rows: int | None = None
    cols: int | None = None
    weight_bits: int | None = None
    cell_bits: int | None = None
    column_slices: int | None = None
    planes: int = 1
    input_bits: int = 8
    mapping: str | None = None
    row_groups: int | None = None
    columns: int | None = None
    arrays: int | None = None
    adc: str | None = None
    adc_bits: int | None = None
    cols_per_adc: int | None = None
    dynamic: bool = False

    def __post_init__(self) -> None:
        for field in ("inputs", "outputs", "taps", "positions", "groups", "planes"):
            if getattr(self, field) < 1:
                raise error("bad-value", f"{field} must be at least 1, not {getattr(self, field)}", where=self.name)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per sample and step."""
        return self.inputs * self.outputs * self.taps * self.positions * self.groups

    @property
    def slices(self) -> int:
        """Physical columns of one logical column; those of one number on cells of `cell_bits` where not said."""
        if self.column_slices is not None:
            return self.column_slices
        return 1 if self.weight_bits is None or self.cell_bits is None else -(-self.weight_bits // self.cell_bits)

    @property
    def depth(self) -> int:
        """Rows of the logical matrix."""
        return self.inputs * self.taps


def chain(
    inputs: list[int],
    outputs: list[int],
    in_sides: list[int],
    out_sides: list[int],
    *,
    taps: int = 9,
    steps: int | None,
) -> list[LayerShape]:
    """Square convolutions one after the other, as published cost scripts list them."""
    return [
        LayerShape(f"conv{n}", i, o, taps, ho * ho, i * hi * hi, steps, reads=(f"x{n}",))
        for n, (i, o, hi, ho) in enumerate(zip(inputs, outputs, in_sides, out_sides, strict=True))
    ]
