"""Which ops of a stage are computed where their result is used: what a neuron adds straight to its membrane."""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.stages import Stage
from ranvier.ir.core import Op


def deferred_terms(stage: Stage, writer: Any) -> set[Op]:
    """Ops that their user computes itself."""
    return set()
