"""The commands and their options. What a command needs is imported when it runs, so that help answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand

app = typer.Typer(
    name="ranvier",
    help="Compile neural graphs, spiking or not, to targets.",
    epilog="Errors name their kind: `ranvier explain KIND` says more. `--traceback` shows where in the code one arose.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model: {suffixes}; `-` reads text from stdin.")]
Any_ = Annotated[
    str, typer.Argument(metavar="MODEL|ARTIFACT", help="A model, or an artifact (.rvx) made by `build` or save().")
]
Artifact = Annotated[
    Path, typer.Argument(metavar="ARTIFACT", help="An artifact (.rvx) made by `build --save` or save().")
]
Target = Annotated[
    str | None, typer.Option("--target", "-t", help="Where a model runs; torch, unless another is named.")
]
Batch = Annotated[int, typer.Option("--batch", min=1, help="How many samples are run at once.")]


class _TakesModel(TyperCommand):
    """A command with a MODEL: its help lists what can be read, plugins included, which takes looking them up."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """See click: fills `{suffixes}` in."""
        from ranvier.frontends import known_suffixes

        *most, last = known_suffixes()
        for parameter in self.params:
            if isinstance(parameter, TyperArgument) and parameter.help:
                parameter.help = parameter.help.replace("{suffixes}", f"{', '.join(most)} or {last}")
        super().format_help(ctx, formatter)


def _version(wanted: bool) -> None:
    if wanted:
        from ranvier import __version__

        typer.echo(f"ranvier {__version__}")
        raise typer.Exit


@app.callback()
def _ranvier(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# -- building and running ----------------------------------------------------------------------------------------------
@app.command(rich_help_panel="Build and run")
def build(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe (.rvp): model, data, passes, targets.")],
    report: Annotated[Path, typer.Option("--report", "-r", help="Where the report goes.")] = Path("report.html"),
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.")] = False,
    save: Annotated[
        Path | None, typer.Option("--save", "-s", help="A folder for the artifacts, one .rvx a build.")
    ] = None,
) -> None:
    """Build a recipe for each of its targets: a table of results, and a report of every stage.

    Example:  ranvier build examples/digits.rvp --save out
    """
    from ranvier.cli.running import build_recipe_file

    build_recipe_file(recipe, None if no_report else report, save)


@app.command(rich_help_panel="Build and run")
def run(
    model: Any_,
    inputs: Annotated[
        list[Path], typer.Option("--input", "-i", help="An array (.npy, or .npz by argument name); in graph order.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the outputs go: .npz by name, .npy for a single one.")
    ],
    target: Target = None,
    batch: Batch = 256,
) -> None:
    """Run a model or an artifact on arrays.

    Example:  ranvier run out/digits.rvx --input images.npy --output logits.npz
    """
    from ranvier.cli.running import run_arrays

    run_arrays(model, inputs, output, target, batch)


@app.command("eval", rich_help_panel="Build and run")
def evaluate(
    artifact: Artifact,
    data: Annotated[Path, typer.Option("--data", "-d", help="A .npz that holds samples and labels.")],
    inputs: Annotated[str, typer.Option("--x", help="The samples' name in the .npz.")] = "x",
    labels: Annotated[str, typer.Option("--y", help="The labels' name in the .npz.")] = "y",
    skip: Annotated[int, typer.Option(help="Leave out this many samples at the front.", min=0)] = 0,
    limit: Annotated[int | None, typer.Option(help="Take at most this many samples.", min=1)] = None,
    report: Annotated[Path | None, typer.Option("--report", "-r", help="Also write a report.")] = None,
) -> None:
    """Measure an artifact: accuracy, agreement with the source model, spikes, timesteps, op energy.

    Example:  ranvier eval out/digits.rvx --data examples/digits.npz --skip 1347
    """
    from ranvier.cli.running import evaluate_artifact

    evaluate_artifact(artifact, data, (inputs, labels), skip, limit, report)


@app.command(cls=_TakesModel, rich_help_panel="Build and run")
def estimate(
    model: Model,
    target: Annotated[str, typer.Option("--target", "-t", help="A target with a cost model, with its options.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of layers that do not say theirs.")] = None,
    density: Annotated[
        float | None, typer.Option(min=0, max=1, help="Part of the inputs that are not zero; 1 otherwise.")
    ] = None,
    alive: Annotated[str, typer.Option(help="Part of samples that have not left before each step: 1,1,0.6,0.2.")] = "",
) -> None:
    """Say what a model would cost on a target: energy, latency, area by layer and component, from its shapes alone.

    Example:  ranvier estimate resnet20.onnx --target "crossbar{cost_table=isaac-128}"
    """
    from ranvier.cli.estimating import estimate_model

    estimate_model(model, target, steps, density, alive)


@app.command(cls=_TakesModel, rich_help_panel="Build and run")
def codes(
    model: Model,
    data: Annotated[Path, typer.Option("--data", "-d", help="A .npz that holds samples (x) and labels (y).")],
    code: Annotated[
        list[str] | None,
        typer.Option(
            "--code", "-c", help='A code, then options of convert-snn: "rate signed=true"; any number of them.'
        ),
    ] = None,
    steps: Annotated[str, typer.Option(help="Numbers of steps T.")] = "4,8,16,32",
    calibrate: Annotated[int, typer.Option(min=1, help="Samples from the beginning, for thresholds.")] = 256,
    evaluate: Annotated[int, typer.Option(min=1, help="Samples from the end, to evaluate on.")] = 500,
    pipeline: Annotated[
        str, typer.Option("--passes", "-p", help="Passes before the conversion.")
    ] = "fold-batchnorm, canonicalize",
    options: Annotated[str, typer.Option("--options", help='Options of every conversion: "threshold=max".')] = "",
    target: Target = None,
) -> None:
    """Convert a model with every spike code at several numbers of steps: accuracy, agreement, spikes, bits, refusals.

    A code without parameters gets those that suit the window, such as ttfs(tau=T/4) and fs(K=T).

    Example:  ranvier codes examples/digits.onnx --data examples/digits.npz --calibrate 1347 --evaluate 450
    """
    from ranvier.cli.running import tabulate_codes

    tabulate_codes(model, data, code or [], steps, (calibrate, evaluate), pipeline, options, target)


# -- looking at modules ------------------------------------------------------------------------------------------------
@app.command(cls=_TakesModel, rich_help_panel="Modules")
def opt(
    model: Model,
    file: Annotated[Path | None, typer.Argument(metavar="FILE.rvp", help="A file that holds the pipeline.")] = None,
    pipeline: Annotated[
        str, typer.Option("--passes", "-p", help='The pipeline: "fold-batchnorm, convert-snn{steps=16}".')
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .rv file; without it, text goes to stdout.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Calibration data: .npy, or .npz with x (and y).")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Calibrate on the first so many samples.", min=1)] = None,
    print_after_all: Annotated[bool, typer.Option("--print-after-all", help="Print every stage on stderr.")] = False,
    time_passes: Annotated[bool, typer.Option("--time-passes", help="Print a table of the passes on stderr.")] = False,
) -> None:
    """Run passes on a module and print the result as text.

    Example:  ranvier import net.onnx | ranvier opt - --passes "fold-batchnorm, canonicalize" --time-passes
    """
    from ranvier.cli.modules import optimize

    calibration = (data, limit)
    optimize(model, file, pipeline, output, calibration, print_after_all=print_after_all, time_passes=time_passes)


@app.command(rich_help_panel="Modules")
def inspect(
    model: Any_,
    stage: Annotated[str | None, typer.Option(help="Print this stage of an artifact: a number or a pass name.")] = None,
    locations: Annotated[bool, typer.Option("--locations", help="Say behind each op where it comes from.")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Counts of ops and sizes instead of the text.")] = False,
) -> None:
    """Print a module, or what an artifact holds.

    Example:  ranvier inspect out/digits.rvx --stage convert-snn
    """
    from ranvier.cli.modules import inspect_file

    inspect_file(model, stage, locations=locations, summary=summary)


@app.command(rich_help_panel="Modules")
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A model, an artifact, or artifact:STAGE.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Likewise; a bare :STAGE is of the same artifact.")],
) -> None:
    """Show what differs between two modules; exit code 1 if anything does.

    Example:  ranvier diff out/digits.rvx:fold-batchnorm :convert-snn
    """
    from ranvier.cli.modules import diff_files

    raise typer.Exit(diff_files(first, second))


@app.command("import", cls=_TakesModel, rich_help_panel="Modules")
def import_(
    model: Model,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .rv file; weights go beside it.")] = None,
) -> None:
    """Read a model of another format and write it as Ranvier text, its weights as .safetensors beside it.

    Example:  ranvier import resnet20.onnx -o resnet20.rv
    """
    from ranvier.cli.modules import import_file

    import_file(model, output)


@app.command(rich_help_panel="Modules")
def export(
    model: Any_,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .rv file; weights go beside it as .safetensors.")],
    stage: Annotated[str | None, typer.Option(help="Which stage of an artifact; the last one otherwise.")] = None,
) -> None:
    """Write a module, or a stage of an artifact, as Ranvier text with its weights as .safetensors beside it.

    Example:  ranvier export out/digits.rvx --stage convert-snn -o snn.rv
    """
    from ranvier.cli.modules import export_file

    export_file(model, output, stage)


# -- what there is -----------------------------------------------------------------------------------------------------
@app.command(rich_help_panel="Reference")
def passes(name: Annotated[str | None, typer.Argument(help="Tell all about this pass.")] = None) -> None:
    """List the passes, or tell all about one: what it does and its options."""
    from ranvier.cli.reference import show_passes

    show_passes(name)


@app.command(rich_help_panel="Reference")
def ops(name: Annotated[str | None, typer.Argument(help="Tell all about this op, or list a dialect.")] = None) -> None:
    """List the ops, or tell all about one: operands, attributes, results."""
    from ranvier.cli.reference import show_ops

    show_ops(name)


@app.command(rich_help_panel="Reference")
def targets(name: Annotated[str | None, typer.Argument(help="Tell all about this target.")] = None) -> None:
    """List the targets, or tell all about one: its options and which ops it takes."""
    from ranvier.cli.reference import show_targets

    show_targets(name)


@app.command(rich_help_panel="Reference")
def explain(kind: Annotated[str | None, typer.Argument(metavar="KIND", help="The name in error[...].")] = None) -> None:
    """Explain a kind of error, or list them all."""
    from ranvier.cli.reference import show_diagnostics

    show_diagnostics(kind)
