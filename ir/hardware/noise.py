"""Read noise of crossbars, referred to the output: exact in distribution, one normal number a partial sum.

Cells whose conductances fluctuate independently from read to read with standard deviations s_kj give a partial sum
sum_k x_k (g_kj + s_kj n_kj), which is distributed as sum_k x_k g_kj + sqrt(sum_k x_k^2 s_kj^2) n_j: cells need not be
drawn (imc card C2, rule E6). Numbers come from numpy's Philox4x64-10 (Salmon et al., SC'11), one stream a sample, so a
batch never changes what a sample draws. This generator is not that of other random ops: hardware runs in numpy only,
and its normal numbers are ten times faster.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.random import Generator, Philox

from ranvier.ir.rng import key_word

Array = np.ndarray[Any, Any]
_WORD = (1 << 64) - 1


def normals(
    seed: int, key: str, trial: int, sample_ids: Iterable[int], step: int, shape: tuple[int, ...], part: int = 0
) -> Array:
    """Normal numbers float32 of `shape` = (samples, ...), keyed by (seed, key, part, trial, sample id, step).

    `part` numbers the draws of one op at one step, such as its row groups: each has streams of its own.
    """
    out = np.empty(shape, np.float32)
    bits = Philox(counter=0, key=[seed & _WORD, key_word(key) | (part & 0xFFFFFFFF) << 32])
    generator, state = Generator(bits), bits.state
    for row, sample in zip(out, sample_ids, strict=True):
        # the first counter word counts blocks of one stream, the others name the stream
        state["state"]["counter"][:] = (0, int(sample) & _WORD, step & _WORD, trial & _WORD)
        state["buffer_pos"], state["has_uint32"], state["uinteger"] = 4, 0, 0
        bits.state = state
        generator.standard_normal(dtype=np.float32, out=row)
    return out


def constant_variance(x: Array, sigma: float) -> Array:
    """Variance [..., 1] of partials of inputs x [..., K] where each cell fluctuates by sigma cell levels."""
    x = np.asarray(x, np.float32)
    return np.asarray(np.einsum("...k,...k->...", x, x)[..., None] * np.float32(sigma * sigma))


def cell_variance(x: Array, variance: Array) -> Array:
    """Variance [..., O] of partials of inputs x [..., K] where cell (k, o) fluctuates with variance [K, O].

    Proportional noise has variance sigma^2 g^2 in a cell of g levels; a device may say any other.
    """
    x = np.asarray(x, np.float32)
    return np.asarray((x * x) @ np.asarray(variance, np.float32))
