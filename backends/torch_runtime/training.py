"""Gradients and training on the outputs with role=loss. Everything else about an objective is ordinary ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ranvier.backends.torch_runtime.dtypes import to_numpy, to_torch
from ranvier.backends.torch_runtime.lowering import LoweredModule, Run
from ranvier.backends.torch_runtime.optimizers import OPTIMIZERS, check_optimizer
from ranvier.backends.torch_runtime.program import TorchProgram, limited, sample_tensor, samples
from ranvier.backends.torch_runtime.writer import Mode
from ranvier.ir.core import Module
from ranvier.ir.diagnostics import RanvierError, error, register_code
from ranvier.ir.facts import Mask
from ranvier.ir.finite import not_finite
from ranvier.ir.interfaces import Optimizer, batches
from ranvier.ir.interpret import zip_inputs
from ranvier.ir.resources import Resource

Tensor = torch.Tensor
Array = np.ndarray[Any, Any]

register_code("no-loss", "Training and gradients need an output of @main with role=loss: the objective.")
register_code("no-gradient", "A resource was to be trained, but no gradient of the objective reaches it.")
register_code("diverged", "Training was stopped: its loss or weights became infinite or NaN. Lower the learning rate.")


class Objective:
    """The loss of a program as a function of some of its resources, which are leaves."""

    def __init__(self, program: TorchProgram, wrt: Sequence[str]):
        self.program, self.module = program, program.module
        self.leaves = {name: self._leaf(name) for name in wrt}
        roles = self.module.main.terminator.attributes["roles"]
        self.losses = [i for i, role in enumerate(roles) if role == "loss"]
        if not self.losses:
            raise error("no-loss", "no output of @main has role=loss", help="return the objective with role=loss")
        self.lowered: LoweredModule = program.lowered(Mode(grad=True))
        self.used = {name: self.lowered.resource_index(name) for name in wrt}

    def _leaf(self, name: str) -> Tensor:
        resource = self.module.resource(name)
        if not resource.type.elem.is_float:
            raise error(
                "unsupported",
                f"${name} holds {resource.type.elem}: integers have no gradient",
                help="train real weights, and quantize them afterwards",
            )
        return to_torch(resource.array, self.program.device).clone().requires_grad_()

    def __call__(self, inputs: Sequence[Any], ids: Any = None, trial: int = 0) -> Tensor:
        """The sum of the losses for a batch."""
        graph = self.module.main
        sizes: dict[str, int] = {}
        tensors = [self.program.input(a, x, sizes) for a, x in zip_inputs(graph, inputs)]
        weights = list(self.lowered.weights)
        for name, index in self.used.items():
            if index is not None:
                weights[index] = self.leaves[name]
        sample_ids = sample_tensor(ids, samples(graph.args, tensors), self.program.device)
        run = Run(sizes, sample_ids, trial, torch.device(self.program.device))
        outputs = self.lowered.function(run, tuple(weights), *tensors)
        return torch.stack([outputs[i].sum() for i in self.losses]).sum()

    def check_reached(self, name: str, grad: Tensor | None) -> None:
        """Raise RanvierError when ops without gradient stand between a resource and the objective."""
        ops = self.lowered.constants.by_meaning
        if grad is None and self.used[name] is not None and ops:
            help = f"these ops have none: {', '.join(ops[:5])}"
            raise error("no-gradient", f"no gradient reaches ${name}", help=help)


def gradients(program: TorchProgram, wrt: Sequence[str], inputs: Sequence[Any]) -> dict[str, Array]:
    """Gradients of the sum of the losses; zeros for a resource that the losses do not use. See Runtime.grad."""
    objective = Objective(program, wrt)
    with torch.enable_grad(), limited(program.threads):
        loss = objective(inputs)
        names = list(objective.leaves)
        leaves = [objective.leaves[n] for n in names]
        if not leaves:
            return {}
        if loss.requires_grad:
            found: Sequence[Tensor | None] = torch.autograd.grad(loss, leaves, allow_unused=True)
        else:
            found = [None] * len(leaves)
    for name, grad in zip(names, found, strict=True):
        objective.check_reached(name, grad)
    return {
        name: to_numpy(torch.zeros_like(leaf) if grad is None else grad)
        for name, leaf, grad in zip(names, leaves, found, strict=True)
    }


def train(
    program: TorchProgram,
    wrt: Sequence[str],
    optimizer: Optimizer,
    data: Sequence[Any],
    seed: int,
    *,
    epochs: int = 1,
    batch: int = 64,
) -> Module:
    """A new module with trained resources; samples are shuffled by `seed`, so the same call gives the same weights.

    `data` has one array a graph input. A pruning mask on a resource holds throughout. Raises RanvierError for an
    optimizer or option that is not offered, integer resources, data that does not fit or holds NaN (bad-data), and
    when the loss or a trained resource becomes infinite or NaN (diverged).
    """
    check_optimizer(optimizer)
    for name, number in {"epochs": epochs, "batch": batch}.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            help = f"give {name}=1 or more"
            raise error(
                "bad-value", f"{name} must be an integer of at least 1, not {number!r}", where=f"{name}=", help=help
            )
    if not wrt:
        raise error("bad-value", "nothing is to be trained", help="name resources of the module in wrt=")
    objective = Objective(program, wrt)
    arrays, count = _samples(program, data)
    step = OPTIMIZERS[optimizer.name](list(objective.leaves.values()), optimizer)
    masks = _masks(program, objective)
    order = np.random.default_rng(seed)
    with torch.enable_grad(), limited(program.threads):
        for epoch in range(epochs):
            permutation = order.permutation(count)
            for index, part in enumerate(_parts(program, count, batch)):
                chosen = permutation[part]
                for leaf in objective.leaves.values():
                    leaf.grad = None
                loss = objective([_pick(x, chosen, axis) for x, axis in arrays], chosen, epoch)
                if not loss.requires_grad:
                    raise error("no-gradient", f"the objective does not depend on {', '.join('$' + n for n in wrt)}")
                _check_finite(loss, "the loss", epoch, index, optimizer)
                loss.backward()  # type: ignore[no-untyped-call]
                for name, leaf in objective.leaves.items():
                    objective.check_reached(name, leaf.grad)
                with torch.no_grad():
                    step()
                    for name, mask in masks.items():
                        objective.leaves[name].mul_(mask)
        for name, leaf in objective.leaves.items():
            _check_finite(leaf, f"${name}", epoch, index, optimizer)
    return _with(program.module, {n: to_numpy(leaf) for n, leaf in objective.leaves.items()})


def _check_finite(x: Tensor, what: str, epoch: int, step: int, optimizer: Optimizer) -> None:
    """Raise RanvierError (diverged) when a loss or weights hold NaN or infinite numbers."""
    if not bool(torch.isfinite(x.detach()).all()):
        message = f"{what} is no longer finite in epoch {epoch}, step {step} (both from 0)"
        help = f"lower lr: it is {optimizer.lr:g}"
        raise error("diverged", message, where="Runtime.train", help=help)


def _samples(program: TorchProgram, data: Sequence[Any]) -> tuple[list[tuple[Any, int | None]], int]:
    """The data with the axis that counts samples (None: the same for all), and the number of samples."""
    found: list[tuple[Any, int | None]] = []
    counts: set[int] = set()
    for arg, x in zip_inputs(program.module.main, data):
        x = to_numpy(x) if isinstance(x, Tensor) else np.asarray(x)
        axis = (1 if arg.type.time is not None else 0) if arg.type.rank else None
        if axis is not None and x.ndim <= axis:
            raise error("bad-input", f"data for %{arg.name} has shape {list(x.shape)}, but its type is {arg.type}")
        if (wrong := not_finite(x, f"data for input %{arg.name}", "data=", axis)) is not None:
            raise RanvierError([wrong])
        found.append((x, axis))
        if axis is not None:
            counts.add(x.shape[axis])
    if len(counts) != 1:
        help = "give one array an input, with as many samples"
        raise error("bad-input", f"the data has {sorted(counts)} samples", help=help)
    count = counts.pop()
    if not count:
        raise error("bad-input", "the data has no samples")
    return found, count


def _parts(program: TorchProgram, count: int, batch: int) -> list[slice]:
    """Batches of a data set; a module with a fixed batch sees whole ones only."""
    fixed = [a.type.shape[0] for a in program.module.main.args if a.type.rank and isinstance(a.type.shape[0], int)]
    if not fixed:
        return list(batches(count, batch))
    size = int(fixed[0])
    if count < size:
        raise error("bad-input", f"the module takes batches of {size}, but the data has {count} samples")
    return list(batches(count - count % size, size))


def _pick(x: Array, chosen: Array, axis: int | None) -> Array:
    return x if axis is None else np.take(x, chosen, axis)


def _masks(program: TorchProgram, objective: Objective) -> dict[str, Tensor]:
    masks: dict[str, Tensor] = {}
    for name in objective.leaves:
        for fact in program.module.resource(name).facts:
            if isinstance(fact, Mask):
                masks[name] = to_torch(program.module.resource(fact.mask).array, program.device)
    return masks


def _with(module: Module, arrays: dict[str, Array]) -> Module:
    out = module.clone()
    for name, array in arrays.items():
        old = module.resource(name)
        out.resources[name] = Resource(old.type, array, name=name, facts=old.facts)
    return out.verify().freeze()
