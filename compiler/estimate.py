"""What a model would cost on a target, from shapes alone: nothing is compiled, run or loaded."""

from __future__ import annotations

from ranvier.api import as_target
from ranvier.ir.core import Module
from ranvier.ir.cost import Activity, Cost
from ranvier.ir.diagnostics import error
from ranvier.ir.interfaces import Target
from ranvier.registry import find_target, target_names
from ranvier.work import spike_sources


def estimate(
    module: Module,
    target: str | Target,
    *,
    steps: int | None = None,
    alive: tuple[float, ...] | None = None,
    density: float | None = None,
) -> Cost:
    """The cost of a module that need not be compiled for the target.

    `steps` is what a symbolic number of steps stands for, and of layers without time; `alive` the part of samples that
    have not left before each step; `density` the part of inputs that are not zero, of every layer. Raises RanvierError:
    unsupported for a target without a cost model, and what its model refuses.
    """
    chosen = as_target(target)
    found = chosen.cost(module, Activity(steps, alive, _everywhere(module, density)))
    if found is None:
        able = [name for name in target_names() if find_target(name).cost is not Target.cost]
        help = f"targets with a cost model: {', '.join(able)}" if able else "no installed target has one"
        raise error("unsupported", f"target {chosen.word} has no cost model", help=help)
    return found


def _everywhere(module: Module, density: float | None) -> dict[str, float]:
    if density is None:
        return {}
    values = [v.name for v in module.main.args] + [r.name for op in module.main.ops for r in op.results]
    return dict.fromkeys([*values, *(s.name for s in spike_sources(module))], density)
