"""One counter-based generator with equal bits under numpy and torch: Philox4x32-10 (Salmon et al., SC'11).

Draws are keyed by (seed, op key, trial, sample id, step, element), so batches, shards and workers never change them.
All arithmetic is on int64 arrays that hold 32-bit words, which both libraries do alike.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

_M0, _M1, _W0, _W1, _MASK = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF


def _multiply(a: int, x: Any) -> tuple[Any, Any]:
    product = x * a  # wraps modulo 2**64; the bits are right
    return (product >> 32) & _MASK, product & _MASK


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: int, k1: int) -> tuple[Any, Any, Any, Any]:
    """Four 32-bit words from a counter of four and a key of two; counters are int64 arrays that broadcast."""
    for _ in range(10):
        h0, l0 = _multiply(_M0, c0)
        h1, l1 = _multiply(_M1, c2)
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


@lru_cache(maxsize=4096)
def key_word(key: str) -> int:
    """The 32-bit word of an op key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "little")


def uniform(xp: Any, seed: int, key: str, trial: int, sample_ids: Any, step: int, shape: tuple[int, ...]) -> Any:
    """Uniform numbers k * 2^-24 in [0, 1) of `shape` = (samples, ...), float32 exactly.

    `sample_ids` is an int64 array of the namespace `xp`, one id a sample.
    """
    per_sample = 1
    for d in shape[1:]:
        per_sample *= d
    blocks = (per_sample + 3) // 4
    element = xp.arange(blocks, dtype=xp.int64).reshape(1, -1)
    ids = sample_ids.reshape(-1, 1)
    zero = (element + ids) * 0
    words = philox(element + zero, zero + step, ids + zero, zero + trial, *_keys(seed, key))
    bits = xp.stack(words, -1).reshape(shape[0], blocks * 4)[:, :per_sample]
    return ((bits >> 8) * 2.0**-24).reshape(shape)


def uniform_at(xp: Any, seed: int, key: str, trial: int, ids: Any, step: int, elements: Any) -> Any:
    """The numbers that `uniform` gives at some places only: of sample `ids[i]`, the element `elements[i]`.

    Both are int64 arrays; an element counts the numbers of one sample in order.
    """
    zero = elements * 0
    a, b, c, d = philox(elements >> 2, zero + step, ids, zero + trial, *_keys(seed, key))
    word = elements & 3
    bits = xp.where(word < 2, xp.where(word == 0, a, b), xp.where(word == 2, c, d))
    return (bits >> 8) * 2.0**-24


def _keys(seed: int, key: str) -> tuple[int, int]:
    return seed & _MASK, key_word(key) ^ ((seed >> 32) & _MASK)
