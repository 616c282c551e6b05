"""The target `torch`: options, support table, lowering. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ranvier.ir.core import Module
from ranvier.ir.diagnostics import error
from ranvier.ir.fields import AnyOf, Enum, Flag, Integer, Optional, option
from ranvier.ir.interfaces import Support, Target, check_support

if TYPE_CHECKING:
    from ranvier.backends.torch_runtime.program import TorchProgram
    from ranvier.backends.torch_runtime.runtime import TorchRuntime

SUPPORT = (Support("core.*"), Support("nn.*"), Support("snn.*"), Support("q.*"))


@dataclass(frozen=True)
class TorchTarget(Target):
    """PyTorch on CPU or CUDA: every module of core, nn, snn and q. An op without a kernel runs by its meaning."""

    word = "torch"
    trains: ClassVar[bool] = True
    device: str = option(Enum("cpu", "cuda"), "cpu", "where it runs")
    compile: bool = option(Flag(), False, "let torch.compile make the lowered module (slow first call)")
    threads: int | None = option(Optional(Integer(1)), None, "threads of a run; none leaves torch's number")
    tile: Any = option(
        AnyOf(Enum("auto"), Integer(1)), "auto", "image-steps that live at once; auto goes by the shapes"
    )

    def support(self) -> Sequence[Support]:
        """See Target."""
        return SUPPORT

    def options_of_program(self) -> dict[str, Any]:
        """The options as TorchProgram takes them."""
        tile = None if self.tile == "auto" else self.tile
        return {"device": self.device, "compile": self.compile, "threads": self.threads, "tile": tile}

    def lower(self, module: Module) -> TorchProgram:
        """See Target."""
        check_support(module, self.support(), self.word)
        self.check_device()
        from ranvier.backends.torch_runtime.program import TorchProgram

        return TorchProgram(module, **self.options_of_program())

    def check_device(self) -> None:
        """Raise RanvierError when there is no such device."""
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise error("unsupported", "target torch: there is no CUDA device", help="use device=cpu")

    def runtime(self) -> TorchRuntime:
        """See Target."""
        self.check_device()
        from ranvier.backends.torch_runtime.runtime import TorchRuntime

        return TorchRuntime(**self.options_of_program())
