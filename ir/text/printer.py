"""Print modules. Names are kept, attributes at their defaults are left out, long lists get an alias in the head.

ranvier v1
#a0 = [0.5, 0.25, ...]
graph @main(%x: tensor<Nx3x8x8xf32>) -> (logits: tensor<Nx10xf32>) {
  %h = nn.conv(%x, $w, $b, strides=[1, 1]) : tensor<Nx16x8x8xf32>
  return %h
}
resources { $w = blob(tensor<16x3x3x3xf32>, sha256="...") }
"""

from __future__ import annotations

from typing import Any

from ranvier.ir.core import Graph, Module, Op, Value
from ranvier.ir.elements import Affine, Elem, quant_call
from ranvier.ir.facts import Fact
from ranvier.ir.fields import REQUIRED
from ranvier.ir.resources import INLINE, Resource
from ranvier.ir.schema import Attribute
from ranvier.ir.text.values import NAME, Call, format_value
from ranvier.ir.types import SpikesType, Type, format_shape

VERSION = "v1"
LONG = 8


def print_module(module: Module, *, locations: bool = False, digests: bool = False) -> str:
    """The text of a module; `parse_module` gives an equal one back (locations do not count).

    With `digests`, arrays are named by their content instead of the file that holds them: for comparing texts.
    """
    return _Printer(locations, digests).module(module)


def print_graph(graph: Graph, *, locations: bool = False) -> str:
    """The text of one graph, without aliases' definitions: for looking at."""
    return _Printer(locations).graph(graph)


class _Printer:
    def __init__(self, locations: bool, digests: bool = False):
        self.locations, self.digests = locations, digests
        self.aliases: dict[str, str] = {}
        self.types: dict[Type, str] = {}
        self.defaults: dict[Attribute[Any], Any] = {}

    def module(self, module: Module) -> str:
        body = [self.graph(g) for g in module.graphs.values()]
        resources = [f"  {self.resource(r)}" for r in module.resources.values()]
        head = f"ranvier {VERSION}" + (f" {format_value(module.name)}" if module.name else "")
        facts = [f"facts {self._facts(module.facts)}"] if module.facts else []
        # what stands above may have named more lists: the aliases come last
        aliases = [f"{name} = {text}" for text, name in self.aliases.items()]
        parts = ["\n".join([head, *aliases, *facts]), *body]
        if resources:
            parts.append("\n".join(["resources {", *resources, "}"]))
        return "\n\n".join(parts) + "\n"

    def graph(self, graph: Graph) -> str:
        args = ", ".join(f"%{a.name}: {self.type(a.type)}{self._fact_suffix(a.facts)}" for a in graph.args)
        last = graph.last
        outputs = ""
        if last is not None and last.name == "core.return":
            pairs = zip(last.operands, last.attributes["names"], last.attributes["roles"], strict=False)
            shown = [
                f"{format_value(name) if not _plain(name) else name}: {self.type(v.type) if v else '?'}"
                + ("" if role == "output" else f" role={role}")
                for v, name, role in pairs
            ]
            outputs = f" -> ({', '.join(shown)})"
        lines = [f"graph @{graph.name}({args}){outputs} {{"]
        lines += [f"  {self.op(op)}" for op in graph.ops]
        return "\n".join([*lines, "}"])

    def op(self, op: Op) -> str:
        if op.name == "core.return":
            text = "return " + ", ".join(map(repr, op.arguments))
            return text.strip() + self._tail(op)
        inside = self._operands(op)
        for name, field in op.attribute_fields.items():
            value = op.attributes[name]
            if not self._is_default(field, value):
                inside.append(f"{name}={self.value(field.kind.write(value))}")
        text = f"{op.name}({', '.join(inside)})"
        if op.results:
            text = f"{', '.join(f'%{r.name}' for r in op.results)} = {text} : "
            text += ", ".join(self.type(r.type) + self._fact_suffix(r.facts) for r in op.results)
        return text + self._tail(op)

    def _operands(self, op: Op) -> list[str]:
        out: list[str] = []
        fields, gap = op.operand_fields, False
        for i, v in enumerate(op.operands):
            field = fields[min(i, len(fields) - 1)]
            if v is None:
                gap = True
                if field.role == "variadic":
                    out.append("none")
            else:
                out.append(f"{field.name}={v!r}" if gap and field.role == "optional" else repr(v))
        return out

    def _is_default(self, field: Attribute[Any], value: Any) -> bool:
        if field.default is REQUIRED:
            return False
        if field not in self.defaults:
            self.defaults[field] = field.kind.read(field.default)
        default = self.defaults[field]
        # by text where equal: 0.0 and -0.0 are not one
        return type(default) is type(value) and bool(default == value) and repr(default) == repr(value)

    def _tail(self, op: Op) -> str:
        text = "" if not op.facts else f" opfacts {self._facts(op.facts)}"
        if op.place is not None:
            text += f" place @{op.place}"
        if self.locations and op.location is not None:
            text += f" loc({self.value(op.location.write())})"
        return text

    def _fact_suffix(self, facts: tuple[Fact, ...]) -> str:
        return f" facts {self._facts(facts)}" if facts else ""

    def _facts(self, facts: tuple[Fact, ...]) -> str:
        return f"[{', '.join(self.value(f.write()) for f in facts)}]"

    def type(self, kind: Type) -> str:
        text = self.types.get(kind)
        if text is None:
            if kind.elem.quant is None and not isinstance(kind, SpikesType):
                text = str(kind)
            else:
                plain = format_shape(kind.shape, kind.elem.with_quant(None))
                text = str(kind).replace(format_shape(kind.shape, kind.elem), plain + self._quant(kind.elem), 1)
            self.types[kind] = text
        return text

    def _quant(self, element: Elem) -> str:
        if element.quant is None:
            return ""
        return f"@{self.value(quant_call(element.quant))}"

    def value(self, value: Any) -> str:
        return format_value(value, self._alias)

    def _alias(self, value: Any) -> str | None:
        if isinstance(value, Elem) and value.quant is not None:
            return value.storage + self._quant(value)
        if isinstance(value, tuple) and len(value) > LONG:
            # by text: (1, 2) and (1.0, 2.0) are equal in Python, not here
            return self.aliases.setdefault(format_value(value), f"#a{len(self.aliases)}")
        return None

    def resource(self, resource: Resource) -> str:
        kind, suffix = self.type(resource.type), self._fact_suffix(resource.facts)
        name = f"${resource.name}"
        if resource.splat is not None:
            return f"{name} = splat({kind}, {format_value(resource.splat)}){suffix}"
        if resource.inline or (self.digests and resource.available and resource.size <= INLINE):
            numbers = tuple(resource.array.ravel().tolist())
            return f"{name} = dense({kind}, [{', '.join(map(format_value, numbers))}]){suffix}"
        if resource.origin is not None and not self.digests:
            origin = resource.origin
            fields = {f: getattr(origin, f) for f in ("file", "key", "offset", "length") if getattr(origin, f)}
            return f"{name} = blob({kind}, {', '.join(f'{k}={format_value(v)}' for k, v in fields.items())}){suffix}"
        if not resource.identified:
            return f"{name} = blob({kind}){suffix}"
        return f"{name} = blob({kind}, sha256={format_value(resource.digest)}){suffix}"


def _plain(name: str) -> bool:
    return NAME.fullmatch(name) is not None


def format_op(op: Op) -> str:
    """One op as the module's text has it, for messages."""
    return _Printer(False).op(op)


def quant_text(quant: Affine) -> str:
    """An affine map as text."""
    return format_value(quant_call(quant))


__all__ = ["Call", "Value", "format_op", "print_graph", "print_module", "quant_text"]
