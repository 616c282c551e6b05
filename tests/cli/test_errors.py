"""Every error that a user can make: its exact text, exit code 2, no traceback, nothing left behind.

The texts lie in `golden/`. After a deliberate change run this file with UPDATE_GOLDEN=1 and read the diff.
"""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import ranvier as rv

GOLDEN = Path(__file__).parent / "golden"

NET = """ranvier v1
graph @main(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  %a = nn.relu(%x) : tensor<Nx4xf32>
  return %a
}
"""
MISMATCH = """ranvier v1
graph @main(%x: tensor<Nx4xf32>, %z: tensor<Nx3xf32>) -> (y: tensor<Nx4xf32>) {
  %a = nn.add(%x, %z) : tensor<Nx4xf32>
  return %a
}
"""
CYCLE = """ranvier v1
graph @main(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  %a = core.call(%x, graph_name=@f, types=[tensor<Nx4xf32>]) : tensor<Nx4xf32>
  return %a
}
graph @f(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  %a = core.call(%x, graph_name=@f, types=[tensor<Nx4xf32>]) : tensor<Nx4xf32>
  return %a
}
"""
RECIPE = """model   "net.rv"
passes  calibrate{statistics=[max]}
target  meaning
"""


def onnx_model(op: str, shapes: dict[str, list], nodes: list | None = None) -> onnx.ModelProto:
    """A model of one node over float inputs."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = nodes or [helper.make_node(op, list(shapes), ["y"], name="the_node")]
    graph = helper.make_graph(nodes, "net", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.fixture(autouse=True)
def files(ranvier):
    """What the commands are about."""
    folder = ranvier.folder
    (folder / "net.rv").write_text(NET)
    (folder / "mismatch.rv").write_text(MISMATCH)
    (folder / "cycle.rv").write_text(CYCLE)
    (folder / "unknown_op.rv").write_text(NET.replace("nn.relu", "nn.rellu"))
    (folder / "broken.rv").write_text(NET.replace("return %a", "retrun %a"))
    (folder / "net.rvp").write_text(RECIPE)
    (folder / "pass.rvp").write_text(RECIPE.replace("calibrate{", "calibrat{"))
    (folder / "target.rvp").write_text(RECIPE.replace("meaning", "meanin"))
    (folder / "data.rvp").write_text('model "net.rv"\ndata "wrong.npz" calibrate=4 labels=none\ntarget meaning\n')
    (folder / "text.onnx").write_text("this is no ONNX file, it is a sentence")
    whole = onnx_model("Relu", {"x": ["N", 4]}).SerializeToString()
    (folder / "net.onnx").write_bytes(whole)
    (folder / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    two = [
        helper.make_node("StringNormalizer", ["x"], ["h"], name="first"),
        helper.make_node("Unique", ["h"], ["y"], name="second"),
    ]
    (folder / "unsupported.onnx").write_bytes(onnx_model("", {"x": ["N", 4]}, two).SerializeToString())
    (folder / "shapes.onnx").write_bytes(onnx_model("Add", {"x": ["N", 4], "z": ["N", 3]}).SerializeToString())
    samples = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)
    np.save(folder / "good.npy", samples)
    np.save(folder / "wrong.npy", samples.reshape(4, 8))
    np.savez(folder / "wrong.npz", x=samples.reshape(4, 8), y=np.zeros(4, int))
    np.savez(folder / "labels.npz", x=samples, y=np.arange(8))
    samples[2, 1] = np.nan
    np.save(folder / "nan.npy", samples)
    np.savez(folder / "nan.npz", x=samples, y=np.zeros(8, int))
    (folder / "torn.npy").write_bytes((folder / "good.npy").read_bytes()[:150])
    save_artifacts(folder)


def save_artifacts(folder: Path) -> None:
    """A whole artifact, one with a flipped byte, and one cut short."""
    rv.compile(rv.parse(NET), "cse", target="meaning").save(folder / "net.rvx")
    content = bytearray((folder / "net.rvx").read_bytes())
    (folder / "short.rvx").write_bytes(content[:-200])
    content[len(content) // 3] ^= 1
    (folder / "flipped.rvx").write_bytes(content)


CASES = {
    "missing_file": ("inspect", "nte.onnx"),
    "missing_folder": ("inspect", "nowhere/net.onnx"),
    "unknown_format": ("inspect", "good.npy"),
    "not_onnx": ("import", "text.onnx", "-o", "out.rv"),
    "truncated_onnx": ("import", "truncated.onnx", "-o", "out.rv"),
    "unsupported_ops": ("import", "unsupported.onnx", "-o", "out.rv"),
    "shape_mismatch_onnx": ("import", "shapes.onnx", "-o", "out.rv"),
    "shape_mismatch_text": ("opt", "mismatch.rv", "-p", "cse", "-o", "out.rv"),
    "unknown_op": ("opt", "unknown_op.rv", "-p", "cse", "-o", "out.rv"),
    "unknown_op_reference": ("ops", "nn.cnov"),
    "syntax": ("opt", "broken.rv", "-p", "cse", "-o", "out.rv"),
    "verifier_rule": ("opt", "cycle.rv", "-p", "cse", "-o", "out.rv"),
    "unknown_passes": ("opt", "net.rv", "-p", "fold-batchnrm, ces", "-o", "out.rv"),
    "unknown_pass_recipe": ("build", "pass.rvp"),
    "unknown_option": ("opt", "net.rv", "-p", "calibrate{statistic=[max]}", "-o", "out.rv"),
    "bad_option_value": ("opt", "net.rv", "-p", "calibrate{per=chanel}", "-o", "out.rv"),
    "no_passes": ("opt", "net.rv", "-o", "out.rv"),
    "missing_data": ("opt", "net.rv", "-p", "calibrate", "-o", "out.rv"),
    "unknown_target": ("run", "net.rv", "-i", "good.npy", "-o", "out.npz", "-t", "meanign"),
    "unknown_target_recipe": ("build", "target.rvp"),
    "cost_table_without_constants": ("opt", "net.rv", "-p", "cost{table=puma-128}", "-o", "out.rv"),
    "unknown_cost_table": ("opt", "net.rv", "-p", "cost{table=isaac-64}", "-o", "out.rv"),
    "cost_without_layers": ("opt", "net.rv", "-p", "cost{table=isaac-128}", "-o", "out.rv"),
    "unknown_target_option": ("run", "net.rv", "-i", "good.npy", "-o", "out.npz", "-t", "meaning{rows=4}"),
    "data_of_wrong_shape": ("opt", "net.rv", "-p", "calibrate", "-d", "wrong.npy", "-o", "out.rv"),
    "data_of_wrong_shape_recipe": ("build", "data.rvp"),
    "data_with_nan": ("opt", "net.rv", "-p", "calibrate", "-d", "nan.npy", "-o", "out.rv"),
    "damaged_data": ("opt", "net.rv", "-p", "calibrate", "-d", "torn.npy", "-o", "out.rv"),
    "input_of_wrong_shape": ("run", "net.rvx", "-i", "wrong.npy", "-o", "out.npz"),
    "input_with_nan": ("run", "net.rvx", "-i", "nan.npy", "-o", "out.npz"),
    "evaluation_of_wrong_shape": ("eval", "net.rvx", "-d", "wrong.npz"),
    "evaluation_with_nan": ("eval", "net.rvx", "-d", "nan.npz", "--skip", "1"),
    "evaluation_with_wrong_labels": ("eval", "net.rvx", "-d", "labels.npz"),
    "flipped_byte": ("run", "flipped.rvx", "-i", "good.npy", "-o", "out.npz"),
    "artifact_cut_short": ("eval", "short.rvx", "-d", "good.npy"),
    "not_an_artifact": ("eval", "net.rv", "-d", "good.npy"),
    "unknown_stage": ("export", "net.rvx", "--stage", "sorce", "-o", "out.rv"),
    "no_stage_of_a_model": ("inspect", "net.rv", "--stage", "1"),
    "no_such_output_folder": ("import", "net.onnx", "-o", "nowhere/out.rv"),
    "output_of_wrong_suffix": ("run", "net.rvx", "-i", "good.npy", "-o", "out.csv"),
    "unknown_diagnostic": ("explain", "shape-mismach"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(ranvier, name):
    outcome = ranvier(*CASES[name])
    said = f"$ ranvier {' '.join(CASES[name])}\n{outcome.err}"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(said.replace(str(ranvier.folder), "FOLDER"))
    assert outcome.code == 2
    assert outcome.out == ""
    assert ranvier.written == set()
    assert "Traceback" not in outcome.err
    assert said.replace(str(ranvier.folder), "FOLDER") == golden.read_text()


def test_every_golden_text_has_its_case():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


def test_every_error_says_what_to_do():
    # A diagnostic without a remedy leaves the user where they were.
    silent = [path.stem for path in sorted(GOLDEN.glob("*.txt")) if "help:" not in path.read_text()]
    assert silent == []


def test_the_traceback_is_there_for_who_asks(ranvier):
    from ranvier.cli import main
    from ranvier.ir.diagnostics import RanvierError

    with pytest.raises(RanvierError, match="no pass is called 'csee'"):
        main(["opt", "net.rv", "-p", "csee", "--traceback"])
