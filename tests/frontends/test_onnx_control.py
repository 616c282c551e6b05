"""If, Loop and functions: chosen, unrolled and put in place where possible, else graphs of the module."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.text.parser import parse_module
from tests.frontends.onnx_models import agree, data, load, model, node, ops


def graph(nodes, inputs, outputs, constants=None):
    """A subgraph; inputs and outputs are name -> (type, shape)."""
    infos = [[helper.make_tensor_value_info(n, t, s) for n, (t, s) in part.items()] for part in (inputs, outputs)]
    return helper.make_graph(
        nodes, "body", *infos, [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    )


F, BIT, INT = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64
THEN = graph([node("Mul", "x two", "p")], {}, {"p": (F, [2, 3])}, {"two": np.float32(2)})
ELSE = graph([node("Add", "x h", "q")], {}, {"q": (F, [2, 3])})


def branching(condition):
    nodes = [node("Neg", "x", "h"), helper.make_node("If", ["c"], ["y"], then_branch=THEN, else_branch=ELSE)]
    if condition is None:
        return model([*nodes, node("Relu", "y", "z")], {"x": [2, 3], "c": ([], "bool")}, ["z"])
    return model([*nodes, node("Relu", "y", "z")], {"x": [2, 3]}, ["z"], {"c": np.asarray(condition)})


def test_a_known_condition_leaves_one_branch():
    assert ops(agree(branching(True), [data(2, 3)])) == ["nn.neg", "nn.mul", "nn.relu"]
    assert ops(agree(branching(False), [data(2, 3)])) == ["nn.neg", "nn.add", "nn.relu"]


def test_a_computed_condition_makes_two_graphs():
    for condition in (True, False):
        module = agree(branching(None), [data(2, 3), np.asarray(condition)])
    assert ops(module) == ["nn.neg", "core.if", "nn.relu"]
    assert len(module.graphs) == 3
    assert parse_module(str(module), resources=module.resources) == module


def loop(trip, condition=None, scan=False, stop=None):
    """y = x; repeat: y = y * k + i, where k lies outside; with `stop`, until the largest element is above it."""
    body_nodes = [node("Cast", "i", "f", to=1), node("Mul", "a k", "m"), node("Add", "m f", "b")]
    held = {}
    if stop is None:
        body_nodes.append(node("Identity", "c", "d"))
    else:
        body_nodes += [node("ReduceMax", "b", "top", keepdims=0), node("Less", "top stop", "d")]
        held["stop"] = np.float32(stop)
    outputs = {"d": (BIT, []), "b": (F, [2, 3])}
    if scan:
        body_nodes.append(node("Neg", "b", "s"))
        outputs["s"] = (F, [2, 3])
    body = graph(body_nodes, {"i": (INT, []), "c": (BIT, []), "a": (F, [2, 3])}, outputs, held)
    results = ["y", "rows"] if scan else ["y"]
    inputs = {"x": [2, 3], "k": [2, 3]}
    constants = {}
    for name, value, dtype in (("trip", trip, "int64"), ("go", condition, "bool")):
        if isinstance(value, str):
            inputs[name] = ([], dtype)
        elif value is not None:
            constants[name] = np.asarray(value, dtype)
    given = [n if v is not None else "" for n, v in (("trip", trip), ("go", condition))]
    return model([helper.make_node("Loop", [*given, "x"], results, body=body)], inputs, results, constants, opset=16)


def test_a_known_number_of_rounds_is_unrolled():
    arrays = [data(2, 3), data(2, 3, seed=1)]
    assert ops(agree(loop(3), arrays)) == ["nn.mul", "nn.add"] * 3
    assert ops(agree(loop(2, True, scan=True), arrays)).count("core.concat") == 1


def test_a_computed_number_of_rounds_makes_a_graph():
    arrays = [data(2, 3), data(2, 3, seed=1)]
    for trip in (0, 1, 5):
        module = agree(loop("input"), [*arrays, np.asarray(trip, np.int64)])
    assert ops(module) == ["core.loop"]
    for go in (True, False):
        agree(loop("input", "input"), [*arrays, np.asarray(3, np.int64), np.asarray(go)])
    agree(loop(10, stop=4.0), arrays)
    agree(loop(None, True, stop=4.0), [np.abs(arrays[0]), arrays[1]])
    assert parse_module(str(module), resources=module.resources) == module


def test_rows_of_an_unknown_number_of_rounds_are_refused():
    with pytest.raises(RanvierError, match="collects values over rounds whose number is not known"):
        load(loop("input", scan=True))


def test_functions_of_the_model_are_put_in_place():
    inner = helper.make_function(
        "mine", "Scaled", ["a", "b"], ["r"],
        [
            helper.make_node("Mul", ["a", "b"], ["t"]),
            _with_reference(helper.make_node("LeakyRelu", ["t"], ["r"]), "alpha", "slope"),
        ],
        [helper.make_opsetid("", 17)], ["slope"],
    )  # fmt: skip
    outer = helper.make_function(
        "mine", "Twice", ["a", "b"], ["r"],
        [
            helper.make_node("Scaled", ["a", "b"], ["t"], domain="mine", slope=0.5),
            helper.make_node("Scaled", ["t", "b"], ["r"], domain="mine", slope=0.25),
        ],
        [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)],
    )  # fmt: skip
    call = helper.make_node("Twice", ["x", "w"], ["y"], name="call", domain="mine")
    proto = model([call], {"x": [2, 3]}, ["y"], {"w": data(3, seed=1)}, functions=[inner, outer])
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    module = agree(proto, [data(2, 3)])
    assert ops(module) == ["nn.mul", "nn.leaky_relu", "nn.mul", "nn.leaky_relu"]


def _with_reference(made, name, parameter):
    """The node with an attribute that the caller of the function gives."""
    made.attribute.add(name=name, type=onnx.AttributeProto.FLOAT, ref_attr_name=parameter)
    return made
