"""`core`: what every graph needs, whatever it computes: return, delay."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.core import Op, require_tensor
from ranvier.ir.fields import Enum, ListOf, Text
from ranvier.ir.schema import attribute, integer, operand, variadic
from ranvier.ir.timing import StatefulOp
from ranvier.ir.types import SpikesType, TensorType, Type, same_dim, show_shape


class Return(Op, name="core.return", results=()):
    """Ends a graph. `names` are the outputs' names, `roles` say what an output is for: a loss can be trained on."""

    values = variadic("what the graph gives", spikes=True)
    names = attribute(ListOf(Text()), (), "one name an output")
    roles = attribute(ListOf(Enum("output", "loss")), (), "output, or loss for an objective")

    def infer(self, *types: Any) -> tuple[Type, ...]:
        """See Op."""
        if len(self.names) != len(self.operands) or len(self.roles) != len(self.operands):
            raise self.fail("wrong-operands", f"has {len(self.operands)} values for {len(self.names)} names")
        return ()


class Delay(StatefulOp, name="core.delay"):
    """x, `steps` steps later: result[t] = x[t - steps], and init before. The only way back in time: x may be defined
    after this op."""

    x = operand("what is delayed (timed)", spikes=True)
    init_value = operand("what comes out in the first steps (no time, broadcast)")
    steps = integer(1, "how many steps", min=1)

    def infer(self, x: Any, init: Any) -> Type:
        """See Op."""
        if x.time is None:
            raise self.fail(
                "time-mismatch", "delays a value without time", "core.repeat or core.to_time gives it steps"
            )
        if isinstance(x, SpikesType) and not x.code.may_delay:
            raise self.fail("spikes-misused", f"spikes of {x.code.label} may not be delayed")
        if not isinstance(x, SpikesType):
            require_tensor(self, "x", x)
        if init.time is not None or isinstance(init, SpikesType):
            raise self.fail("time-mismatch", f"begins with {init}", "the initial value has no time")
        ends = x.shape[x.rank - init.rank :] if init.rank <= x.rank else ()
        if len(ends) != init.rank or not all(d == 1 or same_dim(d, e) for d, e in zip(init.shape, ends, strict=True)):
            raise self.fail("shape-mismatch", f"begins with {show_shape(init.shape)} but gives {show_shape(x.shape)}")
        return x  # type: ignore[no-any-return]

    def init_from(self, init: Any) -> list[Any]:
        """The steps not yet given out."""
        return [init] * self.steps

    def emit(self, state: list[Any]) -> tuple[list[Any], Any]:
        """Give out the oldest step."""
        return state[1:], state[0]

    def absorb(self, state: list[Any], x: Any) -> list[Any]:
        """Take in this step."""
        return [*state, x]

    def init(self, moment: Any, x: Any, init: Any) -> Any:
        """See StatefulOp."""
        return [np.broadcast_to(init, np.shape(x))] * self.steps

    def step(self, moment: Any, state: Any, x: Any, init: Any) -> tuple[Any, Any]:
        """See StatefulOp."""
        rest, out = self.emit(state)
        return self.absorb(rest, x), out


def tensor_of(op: Op, what: str, kind: Any) -> TensorType:
    """The operand's type if it is a tensor, else the error."""
    return require_tensor(op, what, kind)
