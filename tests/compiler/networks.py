"""Small networks and passes for the compiler's tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranvier.ir import ops  # noqa: F401  (declares the dialects)
from ranvier.ir.core import OPS, Builder, Module
from ranvier.ir.fields import Enum, Integer, option
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.locations import FileLoc
from ranvier.ir.types import tensor

SAMPLES = np.random.default_rng(7).normal(size=(20, 3, 8, 8)).astype(np.float32)
LABELS = np.arange(20) % 10


def network(seed: int = 0) -> Module:
    """conv, batch norm, relu, linear; a dead op and a duplicated one, so that simplifying has work to do."""
    rng = np.random.default_rng(seed)
    module = Module("small")
    graph = module.new_graph()
    x = graph.argument("image", tensor("N", 3, 8, 8))
    b = Builder(graph)
    w = b.constant(rng.normal(size=(4, 3, 3, 3)).astype(np.float32) / 5, "conv.weight")
    h = b(OPS["nn.conv"], x, w, padding=(1, 1, 1, 1), name="conv", location=FileLoc("small.py", 3))
    norm = [b.constant(rng.uniform(0.5, 1, 4).astype(np.float32), f"norm.{n}") for n in ("s", "o", "m", "v")]
    h = b(OPS["nn.batch_norm"], h, *norm, name="norm")
    b(OPS["nn.sigmoid"], h, name="dead")
    h = b(OPS["nn.relu"], h, name="relu")
    h = b(OPS["core.reshape"], h, shape=("N", 256), name="flat")
    fc = b.constant(rng.normal(size=(10, 256)).astype(np.float32) / 9, "fc.weight")
    b.returns(b(OPS["nn.linear"], h, fc, name="logits"), names=["logits"])
    return module.verify().freeze()


@dataclass(frozen=True)
class Broken(Pass):
    """Fails in the way that is asked for."""

    word = "test-broken"
    how: str = option(Enum("raise", "stale", "promise"), "raise")
    ensures = ("test-no-relu",)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        if self.how == "raise":
            raise ZeroDivisionError("by design")
        if self.how == "stale":
            module.main.value("relu").type = tensor("N", 3)


@dataclass(frozen=True)
class Restless(Pass):
    """Renames a value at every run: a fixpoint never comes to rest."""

    word = "test-restless"
    times: int = option(Integer(0), 1000)

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        value = module.main.outputs[0]
        turn = int(value.name.rpartition("_")[2]) if value.name.startswith("turn_") else 0
        if turn < self.times:
            module.main.rename(value, f"turn_{turn + 1}")


@dataclass(frozen=True)
class NeedsLabels(Pass):
    """Needs what a test does not give, and notes that it ran."""

    word = "test-needs-labels"
    needs = ("data", "labels")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        context.note(f"{len(context.labels)} labels")
        context.tables["labels"] = [{"label": int(n)} for n in context.labels[:2]]
