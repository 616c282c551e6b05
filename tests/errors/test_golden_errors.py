"""Every mistake of a user through the Python API: its exact text, with place and remedy.

The texts lie in `expected/`. After a deliberate change run `UPDATE_GOLDEN=1 pytest tests/errors` and read the diff.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import ranvier as rv
from ranvier.recipe import build_recipe, parse_recipe

EXPECTED = Path(__file__).parent / "expected"
SAMPLES = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)

NET = """ranvier v1
graph @main(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  %a = nn.relu(%x) : tensor<Nx4xf32>
  return %a
}
"""
ADD = """ranvier v1
graph @main(%x: tensor<Nx4xf32>, %z: tensor<Nx3xf32>) -> (y: tensor<Nx4xf32>) {
  %a = nn.add(%x, %z) : tensor<Nx4xf32>
  return %a
}
"""
SPIKES = """ranvier v1
graph @main(%x: spikes<Nx4xi1, rate, T=8>) -> (y: tensor<Nx4xf32, T=8>) {
  %a = nn.relu(%x) : tensor<Nx4xf32, T=8>
  return %a
}
"""
CIRCLE = """ranvier v1
graph @main(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  %a = core.call(%x, graph_name=@main, types=[tensor<Nx4xf32>]) : tensor<Nx4xf32>
  return %a
}
"""
RECIPE = """model   "net.rv"
data    "data.npz" calibrate=2 evaluate=4
sweep   steps=[4, 8]
passes  convert-snn{steps=$steps}
target  meaning
"""


def onnx_bytes(*nodes, **shapes):
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "net", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """What the cases are about, in the working directory."""
    monkeypatch.chdir(tmp_path)
    relu = onnx_bytes(helper.make_node("Relu", ["x"], ["y"], name="act"), x=["N", 4])
    Path("net.onnx").write_bytes(relu)
    Path("text.onnx").write_text("this is a sentence, no network")
    Path("truncated.onnx").write_bytes(relu[: len(relu) // 2])
    nodes = [
        helper.make_node("StringNormalizer", ["x"], ["h"], name="first"),
        helper.make_node("StringNormalizer", ["h"], ["g"], name="second"),
        helper.make_node("Unique", ["g"], ["y"], name="third"),
    ]
    Path("unsupported.onnx").write_bytes(onnx_bytes(*nodes, x=["N", 4]))
    add = helper.make_node("Add", ["x", "z"], ["y"], name="sum")
    Path("shapes.onnx").write_bytes(onnx_bytes(add, x=["N", 4], z=["N", 3]))
    Path("net.rv").write_text(NET)
    Path("typo.rv").write_text(NET.replace("nn.relu", "nn.rellu"))
    np.savez("data.npz", x=SAMPLES, y=np.arange(8))
    np.savez("wrong.npz", x=SAMPLES.reshape(4, 8), y=np.arange(4))


def net():
    return rv.parse(NET)


def with_nan():
    data = SAMPLES.copy()
    data[2, 1] = np.nan
    return data


def artifact(change):
    path = Path("net.rvx")
    rv.compile(net(), "cse", target="meaning").save(path)
    path.write_bytes(change(bytearray(path.read_bytes())))
    rv.load_executable(path)


def flip(content):
    content[len(content) // 3] ^= 1
    return content


def broken_module():
    module = net().clone()
    module.main.value("a").type = rv.parse(NET.replace("Nx4", "Nx5")).main.value("a").type
    rv.opt(module, "dce")


def recipe(old, new):
    return build_recipe(parse_recipe(RECIPE.replace(old, new), "net.rvp"))


CASES = {
    "missing_file": lambda: rv.load("nte.onnx"),
    "missing_folder": lambda: rv.load("nowhere/net.onnx"),
    "unknown_suffix": lambda: rv.load("data.npz"),
    "unknown_object": lambda: rv.compile(3.5),
    "not_onnx": lambda: rv.load("text.onnx"),
    "truncated_onnx": lambda: rv.load("truncated.onnx"),
    "unsupported_ops": lambda: rv.load("unsupported.onnx"),
    "shape_mismatch_onnx": lambda: rv.load("shapes.onnx"),
    "shape_mismatch_text": lambda: rv.parse(ADD),
    "type_mismatch_text": lambda: rv.parse(NET.replace("tensor<Nx4xf32>\n", "tensor<Nx5xf32>\n")),
    "spikes_in_real_op": lambda: rv.parse(SPIKES),
    "unknown_op": lambda: rv.load("typo.rv"),
    "unknown_pass": lambda: rv.opt(net(), "cse, fold-batchnrm"),
    "unknown_option": lambda: rv.opt(net(), "convert-snn{step=8}", data=SAMPLES),
    "bad_option_value": lambda: rv.opt(net(), "convert-snn{steps=0 reset=softt}", data=SAMPLES),
    "bad_option_in_python": lambda: rv.opt(net(), [rv_pass("convert-snn")(steps=0)], data=SAMPLES),
    "bad_code": lambda: rv.opt(net(), "convert-snn{code=rote}", data=SAMPLES),
    "pipeline_syntax": lambda: rv.opt(net(), "cse,\n  dce{\n"),
    "unknown_target": lambda: rv.compile(net(), target="tortch"),
    "unknown_target_option": lambda: rv.compile(net(), target="meaning{rows=4}"),
    "missing_data": lambda: rv.opt(net(), "dce, convert-snn"),
    "data_of_wrong_shape": lambda: rv.opt(net(), "convert-snn", data=SAMPLES.reshape(4, 8)),
    "data_with_nan": lambda: rv.opt(net(), "convert-snn", data=with_nan()),
    "data_without_samples": lambda: rv.opt(net(), "convert-snn", data=SAMPLES[:0]),
    "too_many_inputs": lambda: rv.opt(net(), "convert-snn", data=(SAMPLES, SAMPLES)),
    "wrong_labels": lambda: rv.opt(net(), "dce", data=SAMPLES, labels=np.arange(5)),
    "input_of_wrong_shape": lambda: rv.compile(net(), target="meaning")(SAMPLES.reshape(4, 8)),
    "verifier_stale_type": broken_module,
    "verifier_recursion": lambda: rv.parse(CIRCLE),
    "frozen_module": lambda: net().new_graph("other"),
    "artifact_flipped_byte": lambda: artifact(flip),
    "artifact_truncated": lambda: artifact(lambda content: content[:-300]),
    "artifact_not_one": lambda: artifact(lambda content: b"ranvier v1"),
    "unknown_stage": lambda: rv.compile(net(), "cse", target="meaning").trace["ces"],
    "recipe_unknown_pass": lambda: recipe("convert-snn", "convert-sn"),
    "recipe_unknown_variable": lambda: recipe("$steps", "$step"),
    "recipe_bad_value": lambda: recipe("[4, 8]", "[4, 0]"),
    "recipe_unknown_target": lambda: recipe("meaning", "meanin"),
    "recipe_missing_model": lambda: recipe("net.rv", "nte.rv"),
    "recipe_wrong_data": lambda: recipe("data.npz", "wrong.npz"),
    "recipe_too_few_samples": lambda: recipe("calibrate=2", "calibrate=20"),
    "recipe_statement": lambda: recipe("target ", "targets"),
}


def rv_pass(word):
    from ranvier.registry import find_pass

    return find_pass(word)


@pytest.mark.parametrize("name", CASES)
def test_error(name, tmp_path):
    before = set(tmp_path.rglob("*"))
    with pytest.raises(rv.RanvierError) as caught:
        CASES[name]()
    text = str(caught.value).replace(str(tmp_path), "FOLDER") + "\n"
    golden = EXPECTED / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    left = {path.name for path in set(tmp_path.rglob("*")) - before}
    assert left <= {"net.rvx"}


def test_every_text_has_its_case():
    assert {path.stem for path in EXPECTED.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("part", ["  --> ", "  help: "])
def test_every_error_has_its_place_and_remedy(part):
    # What was made by Python alone has no place in a file; a syntax error says what was expected.
    allowed = {
        "  --> ": {"frozen_module", "input_of_wrong_shape", "unknown_object", "unknown_stage", "bad_option_in_python"},
        "  help: ": {"pipeline_syntax"},
    }
    lacking = {path.stem for path in EXPECTED.glob("*.txt") if part not in path.read_text()}
    assert lacking <= allowed[part]
