"""The report: one HTML file that opens offline and shows results, passes, stages with their diffs, and the plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranvier.evaluation import Evaluation
    from ranvier.executable import Executable


def write_report(
    executable_or_results: Executable | Sequence[Any], path: str | Path, evaluation: Evaluation | None = None
) -> None:
    """Write the report of an executable, or of several builds, to one self-contained HTML file.

    Several builds are the results of a recipe (each with `name`, `executable`, `evaluation`); `evaluation` belongs to a
    single executable. The file is written whole or not at all; raises RanvierError (cannot-write).
    """
    from ranvier.files import whole_file
    from ranvier.report.page import render

    builds: Sequence[Any] = executable_or_results if isinstance(executable_or_results, Sequence) else ()
    single = None if isinstance(executable_or_results, Sequence) else executable_or_results
    text = render(builds, single, evaluation)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
