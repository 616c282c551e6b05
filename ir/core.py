"""The IR in one place: values, ops, graphs, modules, and what builds them (design decisions 1 to 3)."""

from ranvier.ir.builder import Builder
from ranvier.ir.graph import Graph, replace_uses
from ranvier.ir.module import Module
from ranvier.ir.op import OPS, Op, Value, require_tensor

__all__ = ["OPS", "Builder", "Graph", "Module", "Op", "Value", "replace_uses", "require_tensor"]
