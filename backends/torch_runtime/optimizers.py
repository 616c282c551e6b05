"""SGD and Adam, as in torch.optim, whose first use would import a compiler (seconds) that is not needed here.

Weight decay is added to the gradient (L2). SGD: Sutskever et al., 2013, without dampening. Adam: Kingma and Ba, 2015,
with epsilon 1e-8.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.interfaces import Optimizer

Tensor = torch.Tensor
Step = Callable[[], None]
EPSILON = 1e-8


def sgd(leaves: Sequence[Tensor], o: Optimizer) -> Step:
    """p -= lr * b with b = momentum * b + g."""
    running: list[Tensor | None] = [None] * len(leaves)

    def step() -> None:
        for i, p in enumerate(leaves):
            if p.grad is None:
                continue
            change = p.grad.add(p, alpha=o.weight_decay) if o.weight_decay else p.grad
            if o.momentum:
                old = running[i]
                change = running[i] = change.clone() if old is None else old.mul_(o.momentum).add_(change)
            p.sub_(change, alpha=o.lr)

    return step


def adam(leaves: Sequence[Tensor], o: Optimizer) -> Step:
    """p -= lr * m' / (sqrt(v') + epsilon), m' and v' the running moments corrected for their start at 0."""
    first = [torch.zeros_like(p) for p in leaves]
    second = [torch.zeros_like(p) for p in leaves]
    taken = [0] * len(leaves)
    one, two = o.betas

    def step() -> None:
        for i, (p, m, v) in enumerate(zip(leaves, first, second, strict=True)):
            if p.grad is None:
                continue
            g = p.grad.add(p, alpha=o.weight_decay) if o.weight_decay else p.grad
            taken[i] += 1
            m.lerp_(g, 1 - one)
            v.mul_(two).addcmul_(g, g, value=1 - two)
            size = v.sqrt().div_((1 - two ** taken[i]) ** 0.5).add_(EPSILON)
            p.addcdiv_(m, size, value=-o.lr / (1 - one ** taken[i]))

    return step


OPTIMIZERS: dict[str, Callable[[Sequence[Tensor], Optimizer], Step]] = {"sgd": sgd, "adam": adam}

OPTIONS = {"sgd": ("lr", "momentum", "weight_decay"), "adam": ("lr", "betas", "weight_decay")}
REMEDIES = {
    "momentum": "the first of betas= is Adam's momentum; or take `sgd`",
    "betas": "SGD has momentum=; or take `adam`",
}


def check_optimizer(o: Optimizer) -> None:
    """Raise RanvierError for an optimizer that is not offered, and for an option that it would ignore."""
    if o.name not in OPTIMIZERS:
        raise error("unknown-name", f"no optimizer is called {o.name!r}", help=suggest(o.name, OPTIMIZERS))
    for field in dataclasses.fields(o):
        ignored = field.name not in ("name", *OPTIONS[o.name])
        if ignored and getattr(o, field.name) != field.default:
            message = f"optimizer `{o.name}` has no option {field.name!r}"
            raise error("unknown-option", message, where=f"{field.name}=", help=REMEDIES[field.name])
