"""`snn.code_value`: the value is that of the neuron's own steps, the gradient that of the code's relaxed function."""

from __future__ import annotations

from typing import Any

import torch

from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.backends.torch_runtime.namespace import xp
from ranvier.ir.core import Op
from ranvier.ir.ops.code_value import CodeValue, bypassed, window_value, with_parameters
from ranvier.ir.ops.noise import bar_of

Tensor = torch.Tensor


class Straight(torch.autograd.Function):
    """The value of `exact`, the gradient of `smooth`."""

    @staticmethod
    def forward(ctx: Any, smooth: Tensor, exact: Tensor) -> Tensor:
        """The exact value."""
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """What comes in, to the smooth one."""
        return grads[0], None


def straight(smooth: Tensor, exact: Tensor) -> Tensor:
    """`exact` with the gradient of `smooth`."""
    attach: Any = Straight.apply
    out: Tensor = attach(smooth, exact.detach())
    return out


class Kernel:
    """The function of one op."""

    def __init__(self, op: CodeValue):
        self.code, self.rule, self.steps, self.v0 = op.code, op.rule, op.steps, op.v0
        self.bypass, self.seed, self.key = op.bypass, op.seed, op.key

    def __call__(self, run: Any, x: Tensor, theta: Any, *parameters: Tensor) -> Tensor:
        """The value for currents x; theta broadcasts."""
        code = with_parameters(self.code, [p.item() for p in parameters])
        with torch.no_grad():
            value: Tensor = window_value(xp, code, self.rule, x, theta, self.steps, self.v0)
        if torch.is_grad_enabled():
            smooth = code.relaxed(xp, x / theta, self.steps, straight, *parameters) * theta
            value = straight(smooth, value)
        if not self.bypass:
            return value
        u = run.draw(self.seed, self.key, 0, tuple(x.shape))
        return torch.where(u < bar_of(self.bypass), bypassed(xp, code, x), value)


@pure("snn.code_value")
def code_value(op: Op, w: Any, x: str, theta: str | None, *parameters: str) -> str:
    """A window as one number."""
    assert isinstance(op, CodeValue)
    shaped = "1.0"
    if theta is not None:
        kind, given = op.result.type, op.operands[1]
        assert given is not None
        on_channels = given.type.rank == 1 and kind.rank > 1
        shaped = f"{theta}.reshape({(-1,) + (1,) * (kind.rank - 2)})" if on_channels else theta
    return f"{w.bind(Kernel(op), 'code_value')}(R, {', '.join([x, shaped, *parameters])})"
