"""The whole page: results of all builds, and one part a build; rendered by the template that lies beside this file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ranvier.ir.locations import NodeLoc, roots
from ranvier.report.chart import Series, line_chart
from ranvier.report.highlight import highlight
from ranvier.report.stages import coverage, stage_views
from ranvier.report.views import BuildView, Page, TableView, duration, table_of

if TYPE_CHECKING:
    from ranvier.evaluation import Evaluation
    from ranvier.executable import Executable
    from ranvier.ir.core import Module


@dataclass(frozen=True)
class Build:
    """One build: what it is called, what came out, and how good it is."""

    name: str
    executable: Executable
    evaluation: Evaluation | None = None


def render(results: Sequence[Any], single: Executable | None = None, evaluation: Evaluation | None = None) -> str:
    """The HTML of the report of several results, or of a single executable."""
    if single is not None:
        builds = [Build(str(single.target), single, evaluation)]
    else:
        builds = [Build(result.name, result.executable, result.evaluation) for result in results]
    return _to_html(page(builds))


def page(builds: Sequence[Build]) -> Page:
    """What the page shows."""
    import ranvier

    names = list(dict.fromkeys(model_name(build.executable.source) for build in builds))
    count = f"{len(builds)} builds, " if len(builds) > 1 else ""
    targets = list(dict.fromkeys(str(build.executable.target) for build in builds))
    return Page(
        title=", ".join(names),
        subtitle=f"{count}for {', '.join(targets)}",
        results=results_table(builds),
        builds=tuple(build_view(build, number) for number, build in enumerate(builds, 1)),
        remarks=remarks(builds),
        chart=accuracy_chart(builds),
        chart_caption="Accuracy and agreement with the source model against the number of timesteps.",
        version=ranvier.__version__,
    )


def model_name(source: Module) -> str:
    """What people call a model: the file that it was read from, else the name that the module bears.

    Exporters name every graph alike (`main_graph`), so the file's name says more.
    """
    for op in source.ops:
        for place in roots(op.location):
            return Path(place.file).stem if isinstance(place, NodeLoc) else source.name or Path(place.file).stem
    return source.name or "unnamed model"


# -- results -----------------------------------------------------------------------------------------------------------
def results_table(builds: Sequence[Build]) -> TableView:
    """One row a figure and one column a build: builds are few, figures are many."""
    evaluated = [(build, build.evaluation) for build in builds if build.evaluation is not None]
    figures = [dict(found.rows()) for _, found in evaluated]
    names = list(dict.fromkeys(name for rows in figures for name in rows))
    cells = tuple((name, *(rows.get(name, "") for rows in figures)) for name in names)
    columns = ("", *(build.name for build, _ in evaluated))
    return TableView("", columns, cells, frozenset(range(1, len(columns))))


def remarks(builds: Sequence[Build]) -> tuple[str, ...]:
    """What the figures leave out, each sentence once."""
    found: dict[str, None] = {}
    for evaluation in (build.evaluation for build in builds):
        if evaluation is not None:
            found[f"Op energy: {evaluation.energy_model}"] = None
            found[f"Not modelled: {'; '.join(evaluation.not_modelled)}."] = None
            for line in evaluation.cost.remarks() if evaluation.cost is not None else ():
                found[line] = None
    return tuple(found)


def accuracy_chart(builds: Sequence[Build]) -> Markup:
    """Accuracy, agreement and the source model's accuracy over T; empty when there are not two different T."""
    found = [e for e in (build.evaluation for build in builds) if e is not None and e.timesteps]
    found.sort(key=lambda e: e.timesteps or 0)
    if len({e.timesteps for e in found}) != len(found):
        return Markup("")  # builds that differ in more than T are no line

    def points(name: str) -> tuple[tuple[float, float], ...]:
        pairs = [(float(e.timesteps or 0), getattr(e, name)) for e in found]
        return tuple((steps, value) for steps, value in pairs if value is not None)

    series = (
        Series("accuracy", points("accuracy"), "first"),
        Series("agreement", points("agreement"), "second"),
        Series("source model", points("source_accuracy"), "third", dashed=True),
    )
    return line_chart(series, "Accuracy and agreement over the number of timesteps", "timesteps T")


# -- builds ------------------------------------------------------------------------------------------------------------
def build_view(build: Build, number: int) -> BuildView:
    """One part of the page."""
    trace = list(build.executable.trace)
    views = stage_views(trace)
    extra = [] if build.evaluation is None else [layers_table(build.evaluation), *cost_tables(build.evaluation)]
    facts = [
        ("target", str(build.executable.target)),
        ("passes", build.executable.pipeline or "none"),
        ("calibration data", build.executable.data_description),
        ("compiled in", duration(sum(stage.seconds for stage in trace))),
    ]
    return BuildView(
        id=f"build-{number}",
        name=build.name,
        facts=tuple((name, text) for name, text in facts if text),
        stages=views,
        coverage=(*coverage(trace), *(table for table in extra if table.rows)),
        has_drift=any(stage.drift is not None for stage in trace),
    )


def layers_table(evaluation: Evaluation) -> TableView:
    """Spikes of every spiking value."""
    rows = [
        {
            "value": f"%{layer.name}",
            "neurons": layer.neurons,
            "spikes per sample": layer.spikes_per_sample,
            "spikes per neuron and step": layer.rate,
            "from": layer.origin,
        }
        for layer in evaluation.layers
    ]
    return table_of("", rows, heading="Spikes by layer")


def cost_tables(evaluation: Evaluation) -> list[TableView]:
    """Energy, area and time by layer and component, where the target has a cost model."""
    found = {} if evaluation.cost is None else evaluation.cost.tables()
    return [table_of("", rows, heading=title[:1].upper() + title[1:]) for title, rows in found.items()]


# -- HTML --------------------------------------------------------------------------------------------------------------
def _to_html(content: Page) -> str:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("ranvier.report") / "templates"

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read), autoescape=True, trim_blocks=True, lstrip_blocks=False, undefined=StrictUndefined
    )
    environment.filters["ir"] = highlight
    # the two files are ours and hold no `</style>` or `</script>`, so they need no escaping
    style, script = Markup(read("report.css")), Markup(read("report.js"))
    fields = {name: getattr(content, name) for name in content.__dataclass_fields__}
    return environment.get_template("report.html.jinja").render(**fields, css=style, js=script)
