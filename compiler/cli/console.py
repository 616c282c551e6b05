"""Where the command line writes: results and tables on stdout, progress and messages on stderr."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# Tables that go into a file or a pipe are not broken at the width of a terminal that is not there.
WIDTH_OF_FILES = 160
WIDTH_OF_PROSE = 110

Progress = Callable[[str, int, int], None]


def console(*, stderr: bool = False) -> Any:
    """A rich console: colours and the terminal's width on a terminal, plain and wide text elsewhere."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH_OF_FILES
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def emit(text: str) -> None:
    """Write text to stdout as it is: no markup, no wrapping, one newline at its end."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def paragraph(text: str) -> None:
    """Prose on stdout, broken into lines that are easy to read."""
    emit(textwrap.fill(text, min(console().width, WIDTH_OF_PROSE)))


def tell(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(text + "\n")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print a table on stdout.

    Columns named in `right` are aligned to the right, those in `whole` are never broken into lines.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name in whole, overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    out = console()
    with out.capture() as shown:
        out.print(made)
    emit("\n".join(line.rstrip() for line in shown.get().splitlines()))


@contextmanager
def progress(title: str, *, lines: bool = False) -> Iterator[Progress]:
    """A bar on stderr while the block runs; call what is given with (what is done, steps done, steps in all).

    Where stderr is no terminal, each step is one plain line if `lines` asks for it, and nothing is said otherwise.
    """
    if not sys.stderr.isatty():
        yield _plain() if lines else _silent
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield report


def _silent(what: str, done: int, total: int) -> None:
    pass


def _plain() -> Progress:
    last = ""

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        if what != last:
            tell(what)
        last = what

    return report
