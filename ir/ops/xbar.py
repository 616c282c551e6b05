"""`xbar`: matrices on crossbar arrays, one op a logical matrix. The meaning is the ideal device on its operands.

Real cell values, made by passes from device models, enter as the operand `cells`; read noise has an op of its own.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ranvier.ir.core import Op
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.hardware.adc import Ideal
from ranvier.ir.hardware.arrays import Array, Im2col
from ranvier.ir.hardware.grid import Grid
from ranvier.ir.hardware.inputs import Binary
from ranvier.ir.hardware.noise import cell_variance, constant_variance, normals
from ranvier.ir.hardware.partials import accumulate, is_integral
from ranvier.ir.hardware.weights import Differential, Offset
from ranvier.ir.ops.integer import check_levels, scale_factors, tidy
from ranvier.ir.ops.nn import CHUNK
from ranvier.ir.ops.windows import Window, padded, spatial_sizes, taps, windows_of
from ranvier.ir.schema import element, enum, integer, ints, operand, optional, real, record, text
from ranvier.ir.timing import PureOp, StatefulOp
from ranvier.ir.types import SpikesType, TensorType, Type, broadcast_shapes, element_count, same_dim, show_shape

Numbers = np.ndarray[Any, Any]


def product_elem(storage: str, x: Any, weight: Any, axis: int) -> Elem:
    """The element type of sums of products: the product of the scales, on `axis` where the weight has several."""
    left, right = scale_factors(x), scale_factors(weight)
    scales = tuple(tidy(left[0] * b) for b in right)
    several = weight.elem.quant is not None and weight.elem.quant.axis is not None
    return Elem(storage, Affine(scales, axis=axis) if several else Affine(scales[0]))


class OnArrays(Op):
    """Base of the products on arrays: how a matrix is laid out, driven and read."""

    array = record("array", Array(), "the arrays")
    weights = record("weights", Differential(), "how signed levels become cells")
    weight_bits = integer(8, "bits of a weight level", min=2, max=16)
    cell_bits = integer(2, "bits of one cell", min=1, max=16)
    mapping = record("mapping", Im2col(), "which rows lie in one array")
    input = record("input", Binary(), "how inputs are driven")
    adc = record("adc", Ideal(), "how partial sums are read")
    pedestal = real(0.0, "level of a cell that holds nothing, removed digitally or by the other arm")
    elem = element(help="i32 or i64 levels of the product of the scales where all is integral, else f32 in real units")

    def check_device(self, x: Any, weight: Any) -> None:
        """Raise RanvierError where encodings do not hold the operands, or records do not fit each other."""
        if self.cell_bits > self.weight_bits:
            raise self.fail(
                "bad-value",
                f"has cell_bits={self.cell_bits} for weights of {self.weight_bits} bits",
                f"cell_bits is from 1 to weight_bits={self.weight_bits}",
            )
        low, high = self.input.range()
        least, most = x.code.alphabet() if isinstance(x, SpikesType) else x.elem.levels
        if least < low or most > high:
            help = "input=binary(bits= signed= ) holds them"
            raise self.fail("bad-value", f"drives {low}..{high} by input={self.input}, but x is {least}..{most}", help)
        low, high = self.weights.range(self.weight_bits)
        least, most = weight.elem.levels
        if least < low or most > high:
            raise self.fail(
                "bad-value",
                f"stores {low}..{high} by weights={self.weights} in {self.weight_bits} bits, but the weight is "
                f"{least}..{most}",
                self.remedy(weight),
            )
        self.adc.check_slices(self.weights.slices(self.weight_bits, self.cell_bits))

    def remedy(self, weight: Any) -> str:
        """Which encoding, or which type of the weight, would fit."""
        least, most = weight.elem.levels
        low, high = Offset().range(self.weight_bits)
        if least < low or most > high:
            return "raise weight_bits"
        return (
            "weights=offset holds them; or give the weight a narrow type, as `quantize` does: affine(... narrow=true)"
        )

    def check_elem(self, x: Any, weight: Any, axis: int, integral: bool) -> Elem:
        """The result's element type. Raises RanvierError when it is not what the sums are."""
        if self.elem.is_float:
            if self.elem.storage != "f32":
                raise self.fail("type-mismatch", f"gives f32, not {self.elem}")
            return self.elem
        if not integral:
            raise self.fail(
                "type-mismatch", "gives real numbers: its cells, converter or pedestal are no integers", "elem=f32"
            )
        if self.elem != product_elem(self.elem.storage, x, weight, axis) or self.elem.storage not in ("i32", "i64"):
            want = product_elem("i32", x, weight, axis)
            raise self.fail("type-mismatch", f"gives levels of the product of the scales, not {self.elem}", str(want))
        return self.elem

    def in_units(self, sums: Numbers, axis: int) -> Numbers:
        """Sums as the result says: levels, or real numbers."""
        if not self.elem.is_float:
            return sums
        x, weight = (v.type for v in self.arguments[:2])
        quant = product_elem("i32", x, weight, axis).quant
        assert quant is not None
        return np.asarray(sums * quant.scales(sums.ndim, np.float64))


class Stored(OnArrays):
    """Base of products with a matrix that stays in its arrays: a convolution, or a linear op where it has two axes."""

    disturbed: ClassVar[bool] = False
    """Whether partials are something else than products of planes and cells."""
    x = operand("levels or spikes: [N, C, *spatial], or [..., K]", spikes=True)
    weight = operand("the logical levels [O, C/groups, *kernel], or [O, K]")
    cells = optional("real cell values [slices, arms, K, columns], in units of one cell level")
    bias = optional("integers, in levels of the product, one an output; added digitally")
    strides = ints((), "step of the window, one a spatial axis; 1 if empty", min=1)
    padding = ints((), "zeros before each spatial axis, then after each; 0 if empty", min=0)
    dilations = ints((), "distance of the taps, one a spatial axis; 1 if empty", min=1)
    groups = integer(1, "groups of channels that do not see each other", min=1)

    def result_type(self, x: Any, weight: Any, cells: Any, bias: Any) -> TensorType:
        """The result for an x without time."""
        check_levels(self, "x", x)
        check_levels(self, "weight", weight, 0)
        if not all(isinstance(d, int) for d in weight.shape) or weight.rank < 2:
            raise self.fail("shape-mismatch", f"needs a weight of known size, not {show_shape(weight.shape)}")
        out, each, *kernel = weight.shape
        linear = weight.rank == 2
        if not linear and x.rank != weight.rank:
            raise self.fail("shape-mismatch", f"convolves {show_shape(x.shape)} with {show_shape(weight.shape)}")
        axis = x.rank - 1 if linear else 1
        if not x.rank or not same_dim(x.shape[axis], each * self.groups):
            raise self.fail("shape-mismatch", f"has a weight for {each * self.groups} inputs on {show_shape(x.shape)}")
        if out % self.groups or (linear and (self.groups > 1 or self.strides or self.padding or self.dilations)):
            raise self.fail("shape-mismatch", f"has {out} outputs in {self.groups} groups, or a linear op with windows")
        self.check_device(x, weight)
        grid = self.grid_of(weight.shape)
        if cells is not None and (tuple(cells.shape) != grid.shape or not cells.elem.is_float):
            raise self.fail("shape-mismatch", f"needs real cells {show_shape(grid.shape)}, not {cells}")
        if bias is not None and (bias.rank != 1 or bias.shape[0] != out or bias.elem.is_float or bias.elem.quant):
            raise self.fail("shape-mismatch", f"needs {out} plain integers as bias, not {bias}")
        element = self.check_elem(x, weight, axis, is_integral(self.adc, self.pedestal, cells, self.disturbed))
        if linear:
            return TensorType((*x.shape[:-1], out), element)
        return TensorType((x.shape[0], out, *spatial_sizes(self, self.windows(tuple(kernel)), x.shape[2:])), element)

    @property
    def kernel(self) -> tuple[int, ...]:
        """The sizes of the kernel, none for a linear op."""
        assert self.weight is not None
        return tuple(int(d) for d in self.weight.type.shape[2:])

    def windows(self, kernel: tuple[int, ...]) -> list[Window]:
        """The window on each spatial axis."""
        return windows_of(self, kernel, self.strides, self.padding, self.dilations)

    def grid_of(self, shape: tuple[Any, ...]) -> Grid:
        """How a weight of that shape lies on arrays."""
        return Grid(
            self.array,
            self.weights,
            self.mapping,
            self.weight_bits,
            self.cell_bits,
            shape[1],
            math.prod(shape[2:]),
            shape[0] // self.groups,
            self.groups,
        )

    @property
    def grid(self) -> Grid:
        """How the matrix lies on arrays."""
        assert self.weight is not None
        return self.grid_of(self.weight.type.shape)

    @property
    def is_linear(self) -> bool:
        """Whether the last axis is the input, and nothing slides."""
        assert self.weight is not None
        return bool(self.weight.type.rank == 2)

    def unrolled(self, x: Numbers) -> Numbers:
        """The vectors that are multiplied: [N, groups, P, K], a view where nothing slides."""
        if self.is_linear:
            return x.reshape(len(x) if x.ndim > 1 else 1, 1, -1, x.shape[-1])
        assert self.weight is not None
        windows = self.windows(self.kernel)
        view, n = taps(padded(x, windows, 0), windows), len(windows)
        grouped = view.reshape(len(x), self.groups, -1, *view.shape[2:])
        order = (0, 1, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n))
        return grouped.transpose(order).reshape(len(x), self.groups, math.prod(view.shape[2 : 2 + n]), -1)

    def folded(self, sums: Numbers, x: Numbers) -> Numbers:
        """Sums [N, groups, P, outputs] in the shape of the result."""
        if self.is_linear:
            return sums.reshape(*x.shape[:-1], -1)
        assert self.weight is not None
        windows = self.windows(self.kernel)
        sizes = [int(w.size(d)) for w, d in zip(windows, x.shape[2:], strict=True)]
        return sums.swapaxes(2, 3).reshape(len(x), -1, *sizes)

    def product(self, x: Numbers, weight: Numbers, cells: Any, bias: Any, disturb: Any = None) -> Numbers:
        """The result; `disturb(start, part, plane, partials)` also knows the first sample of the part."""
        x = np.asarray(x).astype(np.int64)
        grid = self.grid
        sizes = (
            [] if self.is_linear else [w.size(d) for w, d in zip(self.windows(self.kernel), x.shape[2:], strict=True)]
        )
        vectors = math.prod(int(d) for d in (sizes or x.shape[1:-1]))
        partial = grid.slices * grid.arms * (grid.outputs + grid.blocks)
        each = max(1, CHUNK // max(1, vectors * max(partial, grid.depth * self.groups)))
        parts = []
        for start in range(0, len(x), each) if x.ndim > 1 else (0,):
            piece = x[start : start + each] if x.ndim > 1 else x
            change = None if disturb is None else _from(disturb, start)
            sums = accumulate(grid, self.input, self.adc, self.unrolled(piece), weight, cells, self.pedestal, change)
            parts.append(self.folded(sums, piece))
        out = np.concatenate(parts) if parts else np.zeros((0,))
        axis = out.ndim - 1 if self.is_linear else 1
        if bias is not None:
            out = out + np.asarray(bias, np.int64).reshape([-1 if i == axis else 1 for i in range(out.ndim)])
        return self.in_units(out, axis)

    def macs(self) -> int:
        """See Op."""
        assert self.weight is not None
        shape = self.result.type.shape
        return element_count(shape[1:] if len(shape) > 1 else shape) * element_count(self.weight.type.shape[1:])


def _from(disturb: Any, start: int) -> Any:
    return lambda part, plane, partials: disturb(start, part, plane, partials)


class Mvm(Stored, PureOp, name="xbar.mvm"):
    """A matrix in its arrays times vectors: every partial sum of (plane, read, slice, arm, column) is converted, then
    shifted and added digitally.

    With ideal cells and a converter that loses nothing the result is the product of the integers, exactly.
    """

    def infer(self, x: Any, weight: Any, cells: Any, bias: Any) -> Type:
        """See Op."""
        return self.result_type(x, weight, cells, bias)

    def meaning(self, x: Any, weight: Any, cells: Any, bias: Any) -> Any:
        """See Op."""
        return self.product(x, weight, cells, bias)


class NoisyMvm(Stored, StatefulOp, name="xbar.noisy_mvm"):
    """xbar.mvm whose cells fluctuate from read to read: each partial gets normal noise before it is converted.

    Its variance is sigma^2 |x|^2 with noise=constant (sigma in cell levels), sigma^2 (x^2 @ g^2) with proportional, or
    x^2 @ variance with that operand: exact in distribution for independent normal cells. Draws are keyed by (seed, key,
    trial, sample, step).
    """

    draws = True
    disturbed = True
    variance = optional("variance of each cell in squared cell levels, [slices, arms, K, columns]")
    sigma = real(0.0, "standard deviation of a cell, in cell levels or relative", min=0)
    noise = enum("constant", "proportional", default="constant", help="whether sigma is a level or a part of the level")
    key = text("", "names this op's random draws")
    seed = integer(0, "seed of the random draws")

    @property
    def windowed(self) -> bool:
        """Whether there are no steps to go through."""
        assert self.x is not None
        return self.x.type.time is None

    def infer(self, x: Any, weight: Any, cells: Any, bias: Any, variance: Any) -> Type:
        """See Op."""
        plain = x if isinstance(x, SpikesType) else x.with_time(None)
        kind = self.result_type(plain, weight, cells, bias)
        if variance is not None and tuple(variance.shape) != self.grid_of(weight.shape).shape:
            raise self.fail("shape-mismatch", f"needs variances of all cells, not {variance}")
        if not x.rank or kind.rank < 2:
            raise self.fail("shape-mismatch", "draws for each sample, but x has no axis that counts samples")
        return kind.with_time(x.time)

    def init(self, moment: Any, *arrays: Any) -> Any:
        """See StatefulOp."""
        return None

    def step(
        self, moment: Any, state: Any, x: Any, weight: Any, cells: Any, bias: Any, variance: Any
    ) -> tuple[Any, Any]:
        """See StatefulOp."""
        squares = self.cell_squares(weight, cells) if variance is None else variance

        def disturb(start: int, part: int, plane: Numbers, partials: Numbers) -> Numbers:
            return partials + self.noise_of(moment, start, part, plane, partials.shape, squares)

        return None, self.product(x, weight, cells, bias, disturb)

    def cell_squares(self, weight: Numbers, cells: Any) -> Numbers | None:
        """Variances of all cells where they differ; None where all are sigma^2."""
        if self.noise == "constant":
            return None
        grid = self.grid
        real = np.asarray(grid.cells(weight) if cells is None else cells, np.float64)
        return np.asarray((self.sigma * real) ** 2)

    def noise_of(self, moment: Any, start: int, part: int, plane: Numbers, shape: Any, squares: Any) -> Numbers:
        """Noise of the partials [slices, arms, N, P, columns] of one read of one plane [N, P, R]."""
        grid = self.grid
        slices, arms, n, p, columns = shape
        ids = np.asarray(moment.sample_ids)[start : start + n]
        drawn = normals(self.seed, self.key, moment.trial, ids, moment.t, (n, slices, arms, p, columns), part)
        drawn = drawn.transpose(1, 2, 0, 3, 4)
        if squares is None:
            return np.asarray(np.sqrt(constant_variance(plane, self.sigma)) * drawn)
        group, read = part // (self.input.count * len(grid.reads)), part % len(grid.reads)
        mine = squares[:, :, grid.reads[read]][..., grid.group_columns(group)]
        spread = cell_variance(plane.reshape(n * p, -1), mine).reshape(shape)
        return np.asarray(np.sqrt(np.maximum(spread, 0)) * drawn)

    def evaluate(self, interpreter: Any, arrays: list[Any]) -> Any:
        """The meaning, with draws (ranvier.ir.interpret); without time there is one moment."""
        if self.windowed:
            return self.step(interpreter._moment(0, 1), None, *arrays)[1]
        return interpreter._over_time(self, arrays, interpreter.steps_of(self))


class DynamicMatmul(OnArrays, PureOp, name="xbar.matmul"):
    """The matrix product of two values that both come with the sample: b is written to arrays before a is applied.

    a is [..., n, k], b [..., k, m]; the others broadcast. The device must allow writes, and cost pays for them.
    """

    a = operand("levels or spikes [..., n, k]", spikes=True)
    b = operand("levels [..., k, m] of one scale, written to arrays")
    operand_kind = enum("dynamic", default="dynamic", help="b is written for every sample and step")

    def infer(self, a: Any, b: Any) -> Type:
        """See Op."""
        check_levels(self, "a", a)
        check_levels(self, "b", b)
        if a.rank < 2 or b.rank < 2 or not same_dim(a.shape[-1], b.shape[-2]):
            raise self.fail("shape-mismatch", f"multiplies {show_shape(a.shape)} by {show_shape(b.shape)}")
        try:
            lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError as why:
            raise self.fail("shape-mismatch", str(why)) from None
        self.check_device(a, b)
        shape = (*lead, a.shape[-2], b.shape[-1])
        element = self.check_elem(a, b, len(shape) - 1, is_integral(self.adc, self.pedestal, None))
        return TensorType(shape, element)

    def grid_of(self, depth: int, outputs: int) -> Grid:
        """How one matrix [depth, outputs] lies on arrays."""
        return Grid(self.array, self.weights, self.mapping, self.weight_bits, self.cell_bits, depth, 1, outputs)

    def meaning(self, a: Any, b: Any) -> Any:
        """See Op."""
        a, b = np.asarray(a).astype(np.int64), np.asarray(b).astype(np.int64)
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        left = np.broadcast_to(a, (*lead, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
        right = np.broadcast_to(b, (*lead, *b.shape[-2:])).reshape(-1, *b.shape[-2:])
        grid = self.grid_of(*b.shape[-2:])
        rows = [
            accumulate(grid, self.input, self.adc, x[None, None], w.T, None, self.pedestal)[0, 0]
            for x, w in zip(left, right, strict=True)
        ]
        out = np.stack(rows).reshape(*lead, a.shape[-2], b.shape[-1])
        return self.in_units(out, out.ndim - 1)

    def macs(self) -> int:
        """See Op."""
        assert self.a is not None
        return element_count(self.result.type.shape[1:]) * element_count(self.a.type.shape[-1:])


__all__ = ["DynamicMatmul", "Mvm", "NoisyMvm", "OnArrays", "Stored", "product_elem"]
