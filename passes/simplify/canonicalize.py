"""`canonicalize`: one form for each thing that can be written in several."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.ir.core import Module
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.rewriting import Rule, apply_rules
from ranvier.passes.simplify import (
    activation_forms,
    attention_forms,
    gelu_forms,
    linear_forms,
    shape_forms,
    window_forms,
)
from ranvier.passes.simplify.cse import merge_constants, merge_ops
from ranvier.passes.simplify.dce import eliminate
from ranvier.passes.simplify.fold_constants import FoldConstants

RULES: tuple[Rule, ...] = (
    *activation_forms.RULES,
    *gelu_forms.RULES,
    *attention_forms.RULES,
    *linear_forms.RULES,
    *shape_forms.RULES,
    *window_forms.RULES,
)


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Fold constants, bring activations, linear and shape ops into their one form, merge equals, erase the unused."""

    word = "canonicalize"

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        self._merge(module)
        while True:
            log = apply_rules(module, RULES, self.word)
            context.rewrites.append(log)
            # rules may have made constants to fold; of equal ops a pattern may now match that did not
            if not log.applied or not self._merge(module):
                return

    def _merge(self, module: Module) -> int:
        """Fold constants, merge equals, erase the unused; returns how many ops and constants that changed."""
        changed = FoldConstants().fold_all(module) + merge_constants(module, 1 << 20)
        changed += sum(merge_ops(graph) for graph in module.graphs.values())
        return changed + eliminate(module)
