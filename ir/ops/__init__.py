"""The dialects. Importing this package declares every op that ships with Ranvier."""

from ranvier.ir.core import OPS, Op
from ranvier.ir.diagnostics import error, suggest
from ranvier.ir.ops import (
    arith,
    code_value,
    control,
    core,
    fake_quant,
    integer,
    loss,
    neurons,
    nn,
    noise,
    q,
    reduce,
    requantize,
    residual,
    shape,
    snn,
    time,
    xbar,
    xbar_circuit,
)

__all__ = [
    "arith",
    "code_value",
    "control",
    "core",
    "fake_quant",
    "integer",
    "loss",
    "neurons",
    "nn",
    "noise",
    "op_class",
    "q",
    "reduce",
    "requantize",
    "residual",
    "shape",
    "snn",
    "time",
    "xbar",
    "xbar_circuit",
]


def op_class(name: str) -> type[Op]:
    """The op class of a name such as `nn.conv`; raises RanvierError with the near miss."""
    if name not in OPS:
        raise error("unknown-op", f"no op is called {name!r}", help=suggest(name, OPS))
    return OPS[name]
