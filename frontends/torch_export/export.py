"""From what the user has to an exported program: torch.export with a dynamic batch, and .pt2 files."""

from __future__ import annotations

import io
import logging
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from ranvier.frontends import existing_file
from ranvier.ir.diagnostics import error, register_code

register_code("missing-example", "A torch.nn.Module has no shapes: it is traced with an example input.")
register_code("bad-example", "The model cannot be run on the example input; the message is torch's.")
register_code(
    "export-failed",
    "torch.export could not turn the model into one graph; the message is torch's. Usually the model has control flow "
    "that depends on the values of tensors.",
)


def open_program(path: str | os.PathLike[str]) -> Any:
    """The exported program of a .pt2 file. Raises RanvierError when the file is missing or damaged."""
    import torch

    found = existing_file(path)
    try:
        _check_sums(found)
        with _quiet():
            return torch.export.load(found)
    except Exception as why:  # zip, pickle, json and schema errors of many types
        raise error(
            "damaged-file",
            f"this is no program that torch {torch.__version__} can read: {first_line(why)}",
            where=str(found),
            help="write it with torch.export.save(torch.export.export(model, example), path)",
        ) from None


def _check_sums(path: Path) -> None:
    """Raise an exception when an entry of the archive does not have its checksum: torch does not look at them."""
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"the checksum of {broken} is wrong")


def export_module(model: Any, example: Any) -> tuple[Any, list[str]]:
    """Export a torch.nn.Module in eval mode with a dynamic batch; its training flags are put back afterwards.

    Where torch finds that the model works for the example's batch size alone, the batch is fixed and a note says so.
    Returns (exported program, notes). Raises RanvierError `missing-example`, `bad-example`, `export-failed`.
    """
    name = type(model).__name__
    inputs = example_inputs(model, example)
    with _eval_mode(model):
        _run_once(model, inputs)
        batched, dynamic_shapes = dynamic_batch(inputs)
        try:
            return _export(model, batched, dynamic_shapes), []
        except Exception as why:
            reason = first_line(why)
        try:
            program = _export(model, inputs, None)
        except Exception as why:
            raise error(
                "export-failed",
                f"torch.export cannot trace {name}: {first_line(why)}",
                where=_user_line(why),
                help="replace control flow on tensor values by torch.where or torch.cond, "
                "or export the model yourself and give the torch.export.ExportedProgram",
            ) from None
    size = next(int(x.shape[0]) for x in inputs if x.ndim)
    return program, [f"the batch is fixed at {size}; of a dynamic batch torch.export says: {reason}"]


def example_inputs(model: Any, example: Any) -> tuple[Any, ...]:
    """The example as a tuple of tensors on the model's device. Raises RanvierError when there is none."""
    import torch

    name = type(model).__name__
    if example is None:
        raise error(
            "missing-example",
            f"{name} is a torch.nn.Module and cannot be read without an example input",
            help="give example=: an array or tensor as the model takes it, or a tuple of them",
        )
    given = tuple(example) if isinstance(example, tuple | list) else (example,)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        return tuple(torch.as_tensor(x, device=device) for x in given)
    except (TypeError, ValueError, RuntimeError) as why:
        raise error(
            "bad-example",
            f"the example input of {name} is not made of arrays: {first_line(why)}",
            help="give an array or tensor, or a tuple of them in the order of forward's arguments",
        ) from None


def dynamic_batch(inputs: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
    """The inputs, and which axis of each is the batch: axis 0 of all that have the first one's size there.

    A single sample is doubled: torch.export takes a size of 1 for a constant.
    """
    import torch

    batch = torch.export.Dim("batch")
    size = next((int(x.shape[0]) for x in inputs if x.ndim), 0)
    varies = [x.ndim > 0 and int(x.shape[0]) == size for x in inputs]
    if size == 1:
        inputs = [torch.cat([x, x]) if on else x for x, on in zip(inputs, varies, strict=True)]
    collection: Any = torch.export.ShapesCollection  # finds the place of each input in the signature, *args included
    shapes = collection()
    for x, on in zip(inputs, varies, strict=True):
        if on:
            shapes[x] = {0: batch}
    return tuple(inputs), shapes


def first_line(why: BaseException) -> str:
    """The sentence of torch's message that says what went wrong, without its advice on debugging."""
    lines = [line.strip(" -") for line in str(why).splitlines() if line.strip(" -")]
    if not lines:
        return type(why).__name__
    said = lines[1] if lines[0].startswith("Constraints violated") and len(lines) > 1 else lines[0]
    return said.split(". If you")[0]


def _export(model: Any, inputs: tuple[Any, ...], dynamic_shapes: Any) -> Any:
    import torch

    with _quiet():
        return torch.export.export(model, inputs, dynamic_shapes=dynamic_shapes, strict=False)


def _run_once(model: Any, inputs: tuple[Any, ...]) -> None:
    """Run the model as the user would: a bad example is found here, with torch's plain words and the user's line.

    torch.export itself lets some through, such as float64 inputs of a float32 layer.
    """
    import torch

    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model(*inputs)
    except Exception as why:
        shapes = ", ".join(f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}" for x in inputs)
        raise error(
            "bad-example",
            f"{type(model).__name__} fails on the example input {shapes}: {first_line(why)}",
            where=_user_line(why),
            help="give an example of the shape and type that the model takes, batch first",
        ) from None


def _user_line(why: BaseException) -> str:
    """The innermost line of user code that an exception went through."""
    import traceback

    import torch

    ours, theirs = os.path.dirname(__file__), os.path.dirname(torch.__file__)
    for frame in reversed(traceback.extract_tb(why.__traceback__)):
        if not frame.filename.startswith((ours, theirs, "<")):
            return f"{frame.filename}:{frame.lineno}"
    return ""


@contextmanager
def _eval_mode(model: Any) -> Iterator[None]:
    """Every submodule in eval mode, and back to its own mode."""
    modes = [(m, m.training) for m in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's warnings, log and stack dumps from the user: what they mean is in the exception."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
