"""How many image-steps live at once, from the shapes (measured: benchmarks/results/snn_runtime.md).

Activations must stay in the cache of a core: a batch is cut into tiles, and where it is small, k steps are folded into
it. Only graphs whose ops treat samples on their own are tiled, only stages that do so are folded.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ranvier.backends.torch_runtime.stages import Order
from ranvier.ir.types import element_count

# A layer's input, current, membrane and spikes are in the cache together.
LIVE_COPIES = 4
LEAST, MOST = 8, 256
UNTIMED_LEAST = 16


@lru_cache(maxsize=1)
def cache_bytes() -> int:
    """Second-level cache of a core; 1 MiB where the system does not say."""
    path = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
    try:
        text = path.read_text().strip()
    except OSError:
        return 1 << 20
    factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
    return int(text.rstrip("KM")) * factor


def live_images(order: Order, threads: int = 1) -> int:
    """Image-steps that fit: the cache over the largest activation of a sample."""
    ops = [op for stage in (order.timed or order.stages) for op in stage.ops]
    largest = max((element_count(r.type.shape[1:]) for op in ops for r in op.results if r.type.rank), default=1)
    fit = cache_bytes() * threads // (LIVE_COPIES * 4 * max(largest, 1))
    return max(LEAST if order.timed else UNTIMED_LEAST, min(MOST, fit))


def choose(order: Order, batch: int, steps: int, *, tile: int | None, threads: int, cuda: bool) -> tuple[int, int]:
    """(samples in a tile, steps folded): for a batch and the most steps of a stage."""
    live = 4096 if cuda else live_images(order, threads)
    if tile is not None:
        live = tile
    size = batch
    if order.tileable and batch > live:
        count = -(-batch // live)
        size = -(-batch // count)
    fold = 1
    if any(s.foldable for s in order.timed):
        fold = max(1, min(steps, live // max(size, 1)))
    return max(size, 1), fold
