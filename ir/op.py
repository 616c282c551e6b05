"""Values with use-lists, and the base of all ops (design decisions 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ranvier.ir.diagnostics import RanvierError, error, suggest
from ranvier.ir.fields import REQUIRED
from ranvier.ir.locations import Location, describe
from ranvier.ir.schema import Attribute, Operand
from ranvier.ir.types import SpikesType, StateType, TensorType, Type, element_count

if TYPE_CHECKING:
    from ranvier.ir.facts import Fact
    from ranvier.ir.graph import Graph

OPS: dict[str, type[Op]] = {}


class Value:
    """What an op produces, a graph takes, or a resource holds. `uses` lists (op, operand index) in order of use."""

    __slots__ = ("facts", "graph", "index", "name", "op", "resource", "type", "uses")

    def __init__(
        self, type: Type, name: str = "", *, op: Op | None = None, index: int = 0, resource: str | None = None
    ):
        self.type, self.name, self.op, self.index, self.resource = type, name, op, index, resource
        self.graph: Graph | None = None
        self.uses: dict[tuple[Op, int], None] = {}
        self.facts: tuple[Fact, ...] = ()

    @property
    def users(self) -> list[Op]:
        """The ops that use this value, each once, in order of first use."""
        return list(dict.fromkeys(op for op, _ in self.uses))

    @property
    def is_constant(self) -> bool:
        """Whether this is a resource of the module."""
        return self.resource is not None

    def fact(self, kind: type[Any]) -> Any:
        """The first fact of a class, or None."""
        return next((f for f in self.facts if isinstance(f, kind)), None)

    def __repr__(self) -> str:
        return f"${self.resource}" if self.resource is not None else f"%{self.name}"


class Op:
    """Base of all ops. A subclass declares its fields with `ranvier.ir.schema` and says what it means:

    - `infer(*operand_types)` gives the result type or types (None stands for an operand left out);
    - `meaning(*arrays)` computes the results in numpy.

    Which of PureOp, StatefulOp, WindowedOp it derives from says how it meets time (ranvier.ir.timing).
    """

    name: ClassVar[str] = ""
    results_declared: ClassVar[tuple[str, ...]] = ("result",)
    operand_fields: ClassVar[tuple[Operand[Any], ...]] = ()
    attribute_fields: ClassVar[dict[str, Attribute[Any]]] = {}
    draws: ClassVar[bool] = False
    folds: ClassVar[bool] = True
    """Whether constants may be computed away; ops that say how constants are quantized stay."""

    def __init_subclass__(cls, *, name: str = "", results: tuple[str, ...] | None = None, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        operands, attributes = list(cls.operand_fields), dict(cls.attribute_fields)
        for key, field in list(cls.__dict__.items()):
            if isinstance(field, Operand):
                at = next((o.index for o in operands if o.name == key), len(operands))  # one of the base may change
                field.index = at
                operands[at : at + 1] = [field]
            elif isinstance(field, Attribute):
                attributes[key] = field
        cls.operand_fields, cls.attribute_fields = tuple(operands), attributes
        if results is not None:
            cls.results_declared = results
        if name:
            cls.name = name
            if name in OPS and OPS[name].__qualname__ != cls.__qualname__:
                raise ValueError(f"two ops are called {name}")
            OPS[name] = cls

    def __init__(self, *operands: Value | None, location: Location | None = None, **attributes: Any):
        self.location = location
        self.facts: tuple[Fact, ...] = ()
        self.place: str | None = None
        self.graph: Graph | None = None
        self.prev: Op | None = None
        self.next: Op | None = None
        self.operands: list[Value | None] = self._arrange(operands)
        self.attributes = self._read(attributes)
        for index, value in enumerate(self.operands):
            if value is not None:
                value.uses[(self, index)] = None
        try:
            types = self.infer_types()
        except RanvierError:
            self.drop_uses()
            raise
        self.results: list[Value] = [Value(t, op=self, index=i) for i, t in enumerate(types)]

    # -- declared fields -------------------------------------------------------------------------------------------
    def _arrange(self, given: Sequence[Value | None]) -> list[Value | None]:
        fields = self.operand_fields
        many = bool(fields) and fields[-1].role == "variadic"
        fixed = fields[:-1] if many else fields
        least = sum(f.role == "single" for f in fixed)
        if len(given) < least or (not many and len(given) > len(fixed)):
            want = ", ".join(f.name + {"single": "", "optional": "?", "variadic": "..."}[f.role] for f in fields)
            raise self.fail("wrong-operands", f"takes ({want}), was given {len(given)} operands")
        operands = list(given) + [None] * (len(fixed) - len(given))
        for field, value in zip(fixed, operands, strict=False):
            if value is None and field.role == "single":
                raise self.fail("wrong-operands", f"needs its operand {field.name!r}")
        return operands

    def _read(self, given: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, field in self.attribute_fields.items():
            value = given.pop(name, field.default)
            if value is REQUIRED:
                raise self.fail(
                    "missing-option", f"needs the attribute {name!r}", help=f"{name}: {field.kind.describe()}"
                )
            try:
                out[name] = field.kind.read(value)
            except ValueError as why:
                raise self.fail(
                    "bad-value", f"{name} {why}", help=f"{name}: {field.help}" if field.help else ""
                ) from None
        if given:
            name = next(iter(given))
            raise self.fail(
                "unknown-option",
                f"has no attribute {name!r}",
                help=suggest(name, self.attribute_fields) or f"{self.name} has no attributes",
            )
        return out

    def set(self, **attributes: Any) -> None:
        """Change attributes in place; result types must stay as they are (re-inferred by the verifier)."""
        self._mutable()
        self.attributes.update(self._read({**self.attributes, **attributes}))

    def set_operand(self, index: int, value: Value | None) -> None:
        """Replace one operand and keep the use-lists right."""
        self._mutable()
        old = self.operands[index]
        if old is not None:
            del old.uses[(self, index)]
        self.operands[index] = value
        if value is not None:
            value.uses[(self, index)] = None

    def drop_uses(self) -> None:
        """Take this op out of the use-lists of its operands."""
        self._mutable()
        for index, value in enumerate(self.operands):
            if value is not None:
                value.uses.pop((self, index), None)

    def _mutable(self) -> None:
        if self.graph is not None:
            self.graph.check_mutable()

    # -- meaning ---------------------------------------------------------------------------------------------------
    def infer_types(self) -> tuple[Type, ...]:
        """The result types, time included; raises RanvierError when operands do not fit."""
        found = self.infer(*[None if v is None else v.type for v in self.operands])
        return found if isinstance(found, tuple) else (found,)

    def infer(self, *types: Any) -> Type | tuple[Type, ...]:
        """Result types from operand types."""
        raise NotImplementedError

    def meaning(self, *arrays: Any) -> Any:
        """The results in numpy; a tuple when there are several."""
        raise NotImplementedError(f"{self.name} has no meaning")

    def macs(self) -> int:
        """Multiply-accumulates per sample and step; symbolic dims count as one."""
        return 0

    def spread(self, x: Value) -> float:
        """How many elements of the result an element of operand x goes into, on average, where each comes from one."""
        return element_count(self.results[0].type.shape) / max(1, element_count(x.type.shape))

    def fail(self, code: str, message: str, help: str = "") -> RanvierError:
        """An error that names this op and where it comes from; the default help is what the op takes."""
        result = getattr(self, "results", None)
        label = f"`{self.name}`" + (f" %{result[0].name}" if result and result[0].name else "")
        return error(code, f"{label} {message}", where=describe(self.location), help=help or self.declaration())

    @classmethod
    def declaration(cls) -> str:
        """What the op takes, in words: `takes x: input [N, C, *spatial]; weight: ...`."""
        marks = {"single": "", "optional": "?", "variadic": "..."}
        takes = [f"{f.name}{marks[f.role]}: {f.help}" for f in cls.operand_fields]
        return f"{cls.name} takes {'; '.join(takes)}" if takes else f"{cls.name} takes no operands"

    @property
    def result(self) -> Value:
        """The first result."""
        return self.results[0]

    @property
    def arguments(self) -> list[Value]:
        """The operands that are there."""
        return [v for v in self.operands if v is not None]

    def __repr__(self) -> str:
        left = ", ".join(map(repr, self.results))
        return f"<{left + ' = ' if left else ''}{self.name}({', '.join(map(repr, self.arguments))})>"


def require_tensor(op: Op, what: str, type: Any) -> TensorType:
    """The type as a tensor type, or the error that names what to do about spikes and states."""
    if isinstance(type, TensorType):
        return type
    if isinstance(type, SpikesType):
        raise op.fail(
            "spikes-misused", f"computes with real numbers, but {what} is spikes", "put snn.psp or snn.decode between"
        )
    if isinstance(type, StateType):
        raise op.fail("type-mismatch", f"needs a tensor as {what}, not a state")
    raise op.fail("type-mismatch", f"needs a tensor as {what}")
