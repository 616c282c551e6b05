"""What a mapped network costs: tables of constants with units and sources, and the models that use them.

A model takes the shapes of the layers (`LayerShape`) and what a run does (`ranvier.ir.cost.Activity`) and gives a
`ranvier.ir.cost.Cost`. `find_model` finds one by name, and refuses by name those whose constants no source gives.
"""

from ranvier.backends.crossbar.cost import isaac, spikesim, xpert  # noqa: F401  (declares the models)
from ranvier.backends.crossbar.cost.layers import LayerShape
from ranvier.backends.crossbar.cost.models import CostModel, find_model, model_names

__all__ = ["CostModel", "LayerShape", "find_model", "model_names"]
