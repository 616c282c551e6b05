"""What is said about files that cannot be imported: everything at once, by name, with the place and the remedy."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ranvier.frontends.onnx import OnnxFrontend
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.interpret import evaluate
from tests.frontends.onnx_models import data, load, model, node, single

DIGITS = Path(__file__).resolve().parents[2] / "examples/digits.onnx"
I64 = np.int64


def refused(what):
    """The error that loading raises, as text without the folder."""
    with pytest.raises(RanvierError) as wrapped:
        OnnxFrontend().load(what)
    return wrapped.value


def codes(wrapped):
    return [d.code for d in wrapped.diagnostics]


# -- files -------------------------------------------------------------------------------------------------------------
def test_a_missing_file(tmp_path):
    (tmp_path / "digits.onnx").write_bytes(b"")
    why = refused(tmp_path / "digts.onnx")
    assert codes(why) == ["missing-file"]
    wanted = f"error[missing-file]: there is no such file\n  --> {tmp_path}/digts.onnx\n"
    assert str(why) == wanted + f"  help: did you mean `{tmp_path}/digits.onnx`?"
    assert "there is no folder" in str(refused(tmp_path / "nowhere/net.onnx"))
    assert "this is a folder" in str(refused(tmp_path))


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x00" * 64, bytes(range(256)), b"PK\x03\x04 zip"])
def test_not_an_onnx_file(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    why = refused(path)
    assert codes(why) == ["not-onnx"]
    assert "export or download it again" in str(why)
    assert "net.onnx" in str(why)


def test_a_truncated_file(tmp_path):
    path = tmp_path / "net.onnx"
    whole = DIGITS.read_bytes()
    for length in (1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert set(codes(refused(path))) <= {"not-onnx", "onnx-graph"}


def test_versions():
    proto = single("Relu", [data(2)], opset=6)
    why = refused(proto)
    assert codes(why) == ["onnx-version"]
    assert "the model uses opset 6 of ai.onnx" in str(why)
    newest = onnx.defs.onnx_opset_version()
    assert f"export with an opset from 7 to {newest}" in str(why)
    proto = single("Relu", [data(2)])
    proto.opset_import[0].version = newest + 1
    assert "upgrade onnx" in str(refused(proto))
    proto = single("Relu", [data(2)])
    proto.ir_version = onnx.IR_VERSION + 1
    assert codes(refused(proto)) == ["onnx-version"]


# -- data in other files -----------------------------------------------------------------------------------------------
@pytest.fixture
def external(tmp_path):
    """A model whose weight lies in `weights.bin`, the array, and what it should give."""
    weight = data(300, 250)
    proto = model([node("MatMul", "x w", "y")], {"x": [2, 300]}, ["y"], {"w": weight})
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path, weight


def test_external_data(external):
    path, weight = external
    module = OnnxFrontend().load(path)
    x = data(2, 300, seed=1)
    np.testing.assert_allclose(evaluate(module, [x])[0][0], x @ weight, atol=1e-3)


def test_external_data_is_read_when_needed(external):
    path, _ = external
    module = OnnxFrontend().load(path)
    (path.parent / "weights.bin").unlink()
    with pytest.raises(RanvierError, match="cannot be read any more"):
        _ = module.resources["w.T"].array


def test_external_data_missing(external):
    path, _ = external
    bin_file = path.parent / "weights.bin"
    bin_file.write_bytes(bin_file.read_bytes()[:100])
    assert "ends before the data of 'w'" in str(refused(path))
    bin_file.unlink()
    why = refused(path)
    assert codes(why) == ["onnx-external-data"]
    assert "put weights.bin into" in str(why)


def test_external_data_stays_in_its_folder(external):
    path, _ = external
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = "../weights.bin"
    path.write_bytes(proto.SerializeToString())
    assert "outside the model's folder" in str(refused(path))
    assert "the model has no path" in str(refused(proto))


# -- operators ---------------------------------------------------------------------------------------------------------
def test_every_unsupported_operator_at_once():
    nodes = [
        node("NonZero", "x", "a", name="first"),
        node("Relu", "x", "r"),
        node("NonZero", "r", "b", name="second"),
        node("Det", "r", "c"),
        node("Conw", "r w", "d", name="typo"),
        node("Relu", "a", "after"),
        node("TopK", "r k", "v i", name="best"),
        helper.make_node("Fancy", ["x"], ["e"], name="custom", domain="com.example"),
    ]
    proto = model(nodes, {"x": [2, 3]}, ["after", "b", "c", "d", "v", "e"], {"w": data(2), "k": np.asarray([1], I64)})
    proto.opset_import.append(helper.make_opsetid("com.example", 3))
    why = refused(proto)
    assert (
        str(why)
        == """\
error[unsupported-op]: `NonZero` of opset 17 is not imported (2 nodes)
  --> <ModelProto>, node 'first' (NonZero)
  note: node 'second'
  help: export the model without it: do this part of the work before or behind the network
error[unsupported-op]: `Det` of opset 17 is not imported
  --> <ModelProto>, node 'Det#3' (Det)
  help: export the model without it: do this part of the work before or behind the network
error[unsupported-op]: `Conw` of opset 17 is no operator of ONNX
  --> <ModelProto>, node 'typo' (Conw)
  help: did you mean `Conv`?
error[unsupported-op]: `TopK` of opset 17 is not imported
  --> <ModelProto>, node 'best' (TopK)
  help: export the model without it: do this part of the work before or behind the network
error[unsupported-op]: `com.example::Fancy` of opset 3 is not imported: it is of another domain than ai.onnx, and the \
model holds no function of that name
  --> <ModelProto>, node 'custom' (Fancy)
  help: export the model without it: do this part of the work before or behind the network"""
    )


def test_operators_too_new_for_the_opset():
    assert "`Gelu` of opset 17 is imported from opset 20 on" in str(refused(single("Gelu", [data(2)], opset=17)))


def test_inside_of_branches_and_functions():
    branch = helper.make_graph(
        [node("NonZero", "x", "p", name="inner")], "b", [], [helper.make_value_info("p", onnx.TypeProto())]
    )
    made = helper.make_node("If", ["c"], ["y"], name="outer", then_branch=branch, else_branch=branch)
    why = refused(model([made], {"x": [2], "c": ([], "bool")}, ["y"]))
    assert "node 'outer/inner' (NonZero)" in str(why)


def test_forms_that_are_not_imported():
    x = data(1, 2, 4, 4)
    cases = {
        "has an output number 2": single("MaxPool", [x], outputs=2, opset=12, kernel_shape=[2, 2]),
        "is in training mode": single("Dropout", [x, np.float32(0.5), np.asarray(True)], constants=[1, 2], opset=13),
        "smooths before it shrinks": single(
            "Resize", [x, None, np.float32([1, 1, 0.5, 0.5])], constants=[2], opset=18, antialias=1, mode="linear"
        ),
        "has a shape that is computed from data": single("Reshape", [x, np.asarray([32], I64)]),
        "has the attribute 'surprise'": single("Relu", [x], surprise=1),
        "has an input number 2": single("Relu", [x, x]),
        "uses complex64 tensors": model([node("Relu", "x", "y")], {"x": ([2], "complex64")}, ["y"]),
    }
    for text, proto in cases.items():
        why = refused(proto)
        assert codes(why) == ["unsupported-op"], text
        assert text in str(why)


def test_sequences_and_inputs_without_shape():
    info = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [2])
    proto = model([node("Identity", "x", "y")], {}, ["y"])
    proto.graph.input.append(info)
    assert "is a sequence, which is not imported" in str(refused(proto))
    proto = model([node("Relu", "x", "y")], {"x": None}, ["y"])
    assert "export the model with the shapes of its inputs" in str(refused(proto))


def test_shapes_that_do_not_fit():
    nodes = [node("Relu", "x", "r"), node("Add", "r b", "y", name="/block/Add"), node("Neg", "y", "z")]
    proto = model(nodes, {"x": ["n", 3, 4]}, ["z"], {"b": data(5)})
    why = refused(proto)
    assert codes(why) == ["shape-mismatch"]
    assert "<ModelProto>, node '/block/Add' (Add)" in str(why)
    assert "do not broadcast: 4 against 5" in str(why)


def test_nodes_that_contradict_themselves():
    x = data(1, 2, 4, 4)
    cases = {
        "attribute 'kernel_shape' is missing": single("MaxPool", [x]),
        "kernel_shape is [2, 2], but the weight's is [3, 3]": single(
            "Conv", [x, data(2, 2, 3, 3)], constants=[1], kernel_shape=[2, 2]
        ),
        "input 1 is missing": single("Add", [x]),
        "axis 7 of a tensor with 4 axes": single("Concat", [x, x], axis=7),
        "does not fit a tensor of 32 elements": single("Reshape", [x, np.asarray([5, -1], I64)], constants=[1]),
    }
    for text, proto in cases.items():
        why = refused(proto)
        assert codes(why) == ["onnx-node"], text
        assert text in str(why)


def test_names_that_nothing_defines():
    why = refused(model([node("Relu", "y", "z"), node("Relu", "x", "y")], {"x": [2]}, ["z"]))
    assert codes(why) == ["onnx-graph"]
    assert "nothing defines 'y' before it is used" in str(why)
    why = refused(model([node("Relu", "x", "y"), node("Neg", "x", "y")], {"x": [2]}, ["y"]))
    assert "two nodes define 'y'" in str(why)
    why = refused(model([node("Relu", "x", "y")], {"x": [2]}, ["w"]))
    assert "nothing defines the output 'w'" in str(why)


# -- damaged bytes -----------------------------------------------------------------------------------------------------
def _bytes():
    """A small model that has a bit of everything."""
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], name="conv"),
        node("BatchNormalization", "c s s s s", "n"),
        node("Relu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "p", "sh"),
        node("Gather", "sh zero", "bt"),
        node("Concat", "bt minus", "t", axis=0),
        node("Reshape", "p t", "f"),
        node("Gemm", "f g", "y", transB=1),
        node("Softmax", "y", "z"),
    ]
    held = {
        "w": data(4, 1, 3, 3), "b": data(4), "s": np.ones(4, np.float32), "zero": np.asarray([0], I64),
        "minus": np.asarray([-1], I64), "g": data(3, 16),
    }  # fmt: skip
    return model(nodes, {"x": ["batch", 1, 4, 4]}, ["z"], held).SerializeToString()


WHOLE = _bytes()


def _survives(content, folder):
    path = folder / "net.onnx"
    path.write_bytes(content)
    try:
        module = OnnxFrontend().load(path)
    except RanvierError:
        return
    assert str(module)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def test_the_whole_model_loads(folder):
    (folder / "net.onnx").write_bytes(WHOLE)
    assert len(list(OnnxFrontend().load(folder / "net.onnx").main.ops)) == 8


def test_any_truncation_is_an_error_with_a_name(folder):
    for length in range(0, len(WHOLE), 7):
        _survives(WHOLE[:length], folder)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_never_give_a_traceback(folder, flips):
    damaged = bytearray(WHOLE)
    for at, bit in flips:
        damaged[at] ^= 1 << bit
    _survives(bytes(damaged), folder)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, len(WHOLE)), length=st.integers(1, 60), filling=st.binary(max_size=30))
def test_replaced_bytes_never_give_a_traceback(folder, start, length, filling):
    _survives(WHOLE[:start] + filling + WHOLE[start + length :], folder)


def test_loading_leaves_the_model_alone():
    proto = onnx.load(DIGITS)
    before = proto.SerializeToString()
    load(proto)
    assert proto.SerializeToString() == before
