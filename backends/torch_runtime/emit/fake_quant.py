"""`q` under training: reals on a grid with a gradient rule, and noise on results."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.emit.registry import pure, stepped
from ranvier.backends.torch_runtime.emit.state import kernel_lines
from ranvier.backends.torch_runtime.gradients import FakeQuantKernel, noisy
from ranvier.ir.core import Op


@pure("q.fake_quant")
def fake_quant(op: Any, w: Any, x: str, scale: str) -> str:
    """In float64 as the meaning."""
    if op.axis is not None:
        rank = op.result.type.rank
        scale = f"{scale}.reshape({tuple(-1 if i == op.axis % rank else 1 for i in range(rank))})"
    return f"{w.bind(FakeQuantKernel(op), 'fake_quant')}({x}, {scale})"


class OutputNoise:
    """The kernel of q.output_noise; gradients go to x and to sigma."""

    def __init__(self, op: Op):
        self.seed, self.key = op.attributes["seed"], op.attributes["key"]

    def start(self, run: Any, steps: int, *args: Any) -> Any:
        """See Kernel."""
        return None

    def step(self, run: Any, t: int, steps: int, state: Any, x: Any, sigma: Any, offset: Any) -> tuple[Any, Any]:
        """See Kernel."""
        spread = sigma.reshape((-1,) + (1,) * (x.ndim - 2)) if sigma.ndim == 1 and x.ndim > 1 else sigma
        return None, noisy(run, self.seed, self.key, t + (0 if offset is None else int(offset)), x, spread)

    def ends(self, state: Any) -> tuple[Any, ...]:
        """See Kernel."""
        return ()


@stepped("q.output_noise")
def noise(op: Op, w: Any) -> None:
    """Step by step."""
    kernel_lines(op, w, OutputNoise(op))


@pure("q.output_noise")
def once(op: Op, w: Any, x: str, sigma: str, offset: str | None) -> str:
    """Without time there is one step."""
    return f"{w.bind(OutputNoise(op), 'output_noise')}.step(R, 0, 1, None, {x}, {sigma}, {offset})[1]"
