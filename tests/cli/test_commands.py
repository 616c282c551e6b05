"""What the commands do when all is well: results on stdout, talk on stderr, files whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier.cli.models import Place
from ranvier.frontends import BUILTIN, known_suffixes

NET = """ranvier v1 "tiny"
graph @main(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  %a = nn.relu(%x) : tensor<Nx4xf32>
  %b = nn.relu(%x) : tensor<Nx4xf32>
  %c = nn.linear(%a, $w) : tensor<Nx4xf32>
  %d = nn.add(%b, %c) : tensor<Nx4xf32>
  return %d
}
resources { $w = splat(tensor<4x4xf32>, 0.25) }
"""
SAMPLES = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)
LABELS = np.arange(8) % 4
RECIPE = """model   "net.rv"
data    "data.npz" calibrate=2 evaluate=4
passes  cse
target  meaning
target  meaning passes dce
"""


@pytest.fixture(autouse=True)
def files(ranvier):
    folder = ranvier.folder
    (folder / "net.rv").write_text(NET)
    (folder / "pipe.rvp").write_text("cse,  # once is enough\ndce\n")
    (folder / "build.rvp").write_text(RECIPE)
    np.save(folder / "x.npy", SAMPLES)
    np.savez(folder / "data.npz", x=SAMPLES, y=LABELS)


@pytest.fixture
def artifact(ranvier):
    executable = rv.compile(rv.parse(NET), "cse, dce", target="meaning")
    executable.save("net.rvx")
    return executable


def has_escapes(text: str) -> bool:
    return "\x1b" in text


# -- opt ---------------------------------------------------------------------------------------------------------------
def test_opt_reads_stdin_and_writes_stdout(ranvier):
    outcome = ranvier("opt", "-", "--passes", "cse", stdin=NET)
    assert outcome.code == 0
    assert outcome.err == ""
    assert rv.parse(outcome.out) == rv.opt(rv.parse(NET), "cse")


@pytest.mark.parametrize("words", [["pipe.rvp"], ["--passes", "pipe.rvp"], ["-p", "cse, dce"]])
def test_opt_takes_passes_as_text_or_as_a_file(ranvier, words):
    outcome = ranvier("opt", "net.rv", *words)
    assert outcome.code == 0
    assert outcome.out.count("nn.relu") == 1


def test_passes_given_twice_are_refused(ranvier):
    outcome = ranvier("opt", "net.rv", "pipe.rvp", "-p", "cse")
    assert outcome.code == 2
    assert "given twice" in outcome.err


def test_opt_shows_stages_and_times_on_stderr(ranvier):
    outcome = ranvier("opt", "net.rv", "-p", "cse, dce", "--print-after-all", "--time-passes")
    assert outcome.err.count("graph @main") == 3
    assert "-1 nn.relu" in outcome.err
    assert outcome.out.count("graph @main") == 1


def test_opt_measures_drift_when_data_is_given(ranvier):
    outcome = ranvier("opt", "net.rv", "-p", "calibrate", "-d", "data.npz", "--limit", "4", "--time-passes")
    assert outcome.code == 0
    assert "drift" in outcome.err
    assert "statistics(" in outcome.out


def test_a_module_without_its_weights_goes_through_passes_that_need_none(ranvier):
    text = NET.replace("splat(tensor<4x4xf32>, 0.25)", f'blob(tensor<4x4xf32>, sha256="{"0" * 64}")')
    outcome = ranvier("opt", "-", "-p", "cse", stdin=text)
    assert outcome.code == 0
    assert "sha256" in outcome.out


# -- import, export, inspect, diff -------------------------------------------------------------------------------------
def test_import_writes_text_and_weights(ranvier):
    module = rv.parse(NET).clone()
    module.add(np.arange(64, dtype=np.float32), "big")
    Path("big.rv").write_text(str(module))
    outcome = ranvier("import", "net.rv", "-o", "out.rv")
    assert outcome.code == 0
    assert rv.load("out.rv") == rv.load("net.rv")
    assert ranvier.written == {"out.rv"}


def test_export_gives_back_what_import_read(ranvier, digits):
    assert ranvier("import", digits, "-o", "digits.rv").code == 0
    assert ranvier.written == {"digits.rv", "digits.safetensors"}
    assert rv.load("digits.rv") == rv.load(digits)


def test_export_of_a_stage(ranvier, artifact):
    assert ranvier("export", "net.rvx", "--stage", "source", "-o", "out.rv").code == 0
    assert rv.load("out.rv") == artifact.source


def test_a_plan_is_no_module(ranvier, artifact):
    outcome = ranvier("export", "net.rvx", "--stage", "plan", "-o", "out.rv")
    assert outcome.code == 2
    assert "lowered plan" in outcome.err


def test_inspect_prints_the_text(ranvier):
    outcome = ranvier("inspect", "net.rv")
    assert rv.parse(outcome.out) == rv.parse(NET)
    assert "loc(" not in outcome.out
    assert "loc(" in ranvier("inspect", "net.rv", "--locations").out


def test_inspect_of_an_artifact_lists_its_stages(ranvier, artifact):
    outcome = ranvier("inspect", "net.rvx")
    assert "cse, dce" in outcome.out
    assert "-1 nn.relu" in outcome.out
    assert ranvier("inspect", "net.rvx", "--stage", "0").out == str(artifact.source)


def test_summary_counts_ops(ranvier):
    outcome = ranvier("inspect", "net.rv", "--summary")
    assert "nn.relu" in outcome.out
    assert "1 arrays, 16 numbers" in outcome.out


def test_diff_of_two_stages(ranvier, artifact):
    outcome = ranvier("diff", "net.rvx:source", ":cse")
    assert outcome.code == 1
    assert "-  %b = nn.relu(%x) : tensor<Nx4xf32>" in outcome.out.splitlines()


def test_diff_of_equal_modules(ranvier):
    outcome = ranvier("diff", "net.rv", "net.rv")
    assert (outcome.code, outcome.out) == (0, "")


def test_a_file_whose_name_has_a_colon_is_a_file(ranvier):
    Path("a:b").write_text("")
    assert Place.read("a:b") == Place("a:b")
    assert Place.read("net.rvx:2") == Place("net.rvx", "2")
    assert Place.read(":2", Place("net.rvx")) == Place("net.rvx", "2")


# -- run, eval, build --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["net.rvx", "net.rv"])
def test_run_writes_outputs_by_name(ranvier, artifact, model):
    target = [] if model.endswith("x") else ["-t", "meaning"]
    assert ranvier("run", model, "--input", "x.npy", "--output", "y.npz", *target).code == 0
    with np.load("y.npz") as outputs:
        assert outputs.files == ["y"]
        np.testing.assert_array_equal(outputs["y"], artifact(SAMPLES))


def test_run_writes_a_single_output_as_npy(ranvier, artifact):
    assert ranvier("run", "net.rvx", "-i", "x.npy", "-o", "y.npy", "--batch", "3").code == 0
    np.testing.assert_array_equal(np.load("y.npy"), artifact(SAMPLES))


def test_an_artifact_keeps_its_target(ranvier, artifact):
    outcome = ranvier("run", "net.rvx", "-i", "x.npy", "-o", "y.npz", "-t", "torch")
    assert outcome.code == 2
    assert "was compiled for meaning" in outcome.err


def test_eval_prints_the_evaluation(ranvier, artifact):
    outcome = ranvier("eval", "net.rvx", "--data", "data.npz", "--skip", "2", "--limit", "4", "--report", "r.html")
    assert outcome.code == 0
    assert "accuracy" in outcome.out
    assert ranvier.written == {"r.html"}


def test_build_prints_a_table_and_writes_the_report(ranvier):
    outcome = ranvier("build", "build.rvp", "--save", "out")
    assert outcome.code == 0
    assert "agreement" in outcome.out
    assert not has_escapes(outcome.out + outcome.err)
    assert "evaluating" in outcome.err
    assert "report.html" in ranvier.written
    artifacts = {name for name in ranvier.written if name.endswith(".rvx")}
    assert artifacts == {"out/build-meaning.rvx", "out/build-meaning-passes-dce.rvx"}
    assert [op.name for op in rv.load_executable("out/build-meaning.rvx").module.main.ops].count("nn.relu") == 1


def test_build_without_a_report(ranvier):
    assert ranvier("build", "build.rvp", "--no-report").code == 0
    assert ranvier.written == set()


def test_places_of_results_are_checked_before_the_work(ranvier):
    outcome = ranvier("build", "build.rvp", "--report", "nowhere/report.html")
    assert outcome.code == 2
    assert "evaluating" not in outcome.err


# -- the program itself ------------------------------------------------------------------------------------------------
def test_version(ranvier):
    assert ranvier("--version").out == f"ranvier {rv.__version__}\n"


@pytest.mark.parametrize("words", [["biuld"], ["opt", "net.rv", "--pases", "cse"], ["run", "net.rv"]])
def test_a_wrong_command_line_is_exit_code_2(ranvier, words):
    outcome = ranvier(*words)
    assert outcome.code == 2
    assert outcome.out == ""


def test_every_command_has_help_with_an_example_or_a_sentence(ranvier):
    from ranvier.cli.app import app

    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        outcome = ranvier(name, "--help")
        assert outcome.code == 0
        assert "Usage: ranvier" in outcome.out


@pytest.mark.parametrize("command", ["codes", "import", "opt"])
def test_help_lists_the_suffixes_that_can_be_read(ranvier, monkeypatch, command):
    class Other:
        suffixes = (".other",)

    said = " ".join(ranvier(command, "--help").out.replace("│", " ").split())
    assert f"A model: {', '.join(known_suffixes()[:-1])} or {known_suffixes()[-1]};" in said
    assert ".other" not in said
    monkeypatch.setitem(BUILTIN, "other", f"{__name__}:Other")
    monkeypatch.setattr(sys.modules[__name__], "Other", Other, raising=False)
    assert ".rv or .other;" in " ".join(ranvier(command, "--help").out.replace("│", " ").split())


def test_a_fault_leaves_a_folder_and_its_command(ranvier, monkeypatch):
    monkeypatch.setattr("ranvier.cli.modules.import_file", lambda *_: {}["no such key"])
    outcome = ranvier("import", "net.rv")
    assert outcome.code == 1
    assert "error[internal]: KeyError: 'no such key'" in outcome.err
    assert "repeat: ranvier import net.rv --traceback" in outcome.err
    (folder,) = (Path(name) for name in ranvier.written if "/" not in name)
    assert folder.name in outcome.err
    assert "KeyError" in (folder / "traceback.txt").read_text()


def test_a_fault_in_a_pass_can_be_repeated(ranvier, monkeypatch):
    from ranvier.passes.simplify.dce import DeadCode

    def fail(self, module, context):
        raise IndexError("out of luck")

    monkeypatch.setattr(DeadCode, "run", fail)
    outcome = ranvier("opt", "net.rv", "-p", "cse, dce", "-o", "out.rv")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert not Path("out.rv").exists()
    command = next(line for line in outcome.err.splitlines() if "ranvier opt" in line)
    words = command[command.index("ranvier opt") :].split()[1:]
    assert ranvier(*words).code == 1
    monkeypatch.undo()


def loaded_by(*words: str) -> set[str]:
    code = f"import sys\nfrom ranvier.cli import main\ntry:\n    main({list(words)!r})\nexcept SystemExit:\n    pass\n"
    code += "print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["passes"], ["ops"], ["passes", "cse"], ["explain", "syntax"]])
def test_what_only_tells_loads_no_framework(words):
    loaded = loaded_by(*words)
    assert "ranvier.cli.app" in loaded
    assert not loaded & {"torch", "onnx", "onnxruntime", "jinja2"}


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m ranvier ops | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
